//! The bounded queue between HTTP and the threads that check proofs of work (V7).
//!
//! It is bounded in posts and in bytes: a body reserves its bytes while it is read, and gives them back when the post
//! has been dealt with. When either bound is reached the answer is "overloaded" at once; nothing grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use crossbeam_channel::{Receiver, Sender, TrySendError};

/// The bytes that all posts together may hold.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    total: usize,
    left: Arc<AtomicUsize>,
}

impl ByteBudget {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> Self {
        Self { total: bytes, left: Arc::new(AtomicUsize::new(bytes)) }
    }

    /// A reservation that holds nothing yet.
    pub fn reservation(&self) -> Reservation {
        Reservation { left: Arc::clone(&self.left), held: 0 }
    }

    /// Bytes that are reserved now.
    pub fn held(&self) -> usize {
        self.total.saturating_sub(self.left())
    }

    /// Bytes that can still be reserved.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}

/// Bytes taken from a [`ByteBudget`]; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    left: Arc<AtomicUsize>,
    held: usize,
}

impl Reservation {
    /// Takes `bytes` more; `false`, and nothing taken, if the budget does not have them.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let taken =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        if taken.is_ok() {
            self.held += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.left.fetch_add(self.held, Ordering::Relaxed);
    }
}

/// The sending end. Closed, it lets the threads finish what is queued and end.
pub struct Intake<T> {
    sender: ArcSwapOption<Sender<T>>,
    coming: Arc<AtomicUsize>,
}

/// A job that is still being received; until this is dropped.
#[derive(Debug)]
pub struct Coming(Arc<AtomicUsize>);

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntakeFault {
    /// As many jobs are waiting as there may be.
    #[error("the queue is full")]
    Full,
    /// The role is stopping.
    #[error("the queue is closed")]
    Closed,
}

impl<T> Intake<T> {
    /// A queue of at most `jobs`, and its receiving end.
    pub fn new(jobs: usize) -> (Self, Receiver<T>) {
        let (sender, receiver) = crossbeam_channel::bounded(jobs);
        (Self { sender: ArcSwapOption::from_pointee(sender), coming: Arc::default() }, receiver)
    }

    /// Notes a job that is being received and will be offered.
    pub fn coming_one(&self) -> Coming {
        self.coming.fetch_add(1, Ordering::Relaxed);
        Coming(Arc::clone(&self.coming))
    }

    /// Jobs that are being received now.
    pub fn coming(&self) -> usize {
        self.coming.load(Ordering::Relaxed)
    }

    /// Queues a job, or says at once why not.
    pub fn offer(&self, job: T) -> Result<(), IntakeFault> {
        let sender = self.sender.load();
        let Some(sender) = sender.as_ref() else { return Err(IntakeFault::Closed) };
        match sender.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(IntakeFault::Full),
            Err(TrySendError::Disconnected(_)) => Err(IntakeFault::Closed),
        }
    }

    /// Takes no more jobs.
    pub fn close(&self) {
        self.sender.store(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v7_bytes_are_bounded_and_come_back() {
        let budget = ByteBudget::new(100);
        let mut first = budget.reservation();
        assert!(first.grow(60));
        let mut second = budget.reservation();
        assert!(!second.grow(41));
        assert!(second.grow(40));
        drop(first);
        assert_eq!(budget.left(), 60);
        drop(second);
        assert_eq!(budget.left(), 100);
    }

    #[test]
    fn what_is_being_received_is_known() {
        let (intake, _queue) = Intake::<()>::new(2);
        let (one, other) = (intake.coming_one(), intake.coming_one());
        assert_eq!(intake.coming(), 2);
        drop((one, other));
        assert_eq!(intake.coming(), 0);
    }

    #[test]
    fn v7_jobs_are_bounded_and_a_closed_queue_is_worked_off() {
        let (intake, queue) = Intake::new(2);
        assert_eq!(
            (intake.offer(1), intake.offer(2), intake.offer(3)),
            (Ok(()), Ok(()), Err(IntakeFault::Full))
        );
        intake.close();
        assert_eq!(intake.offer(4), Err(IntakeFault::Closed));
        assert_eq!(queue.iter().collect::<Vec<_>>(), [1, 2]);
    }
}
