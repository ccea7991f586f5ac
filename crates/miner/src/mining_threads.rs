//! A group of plain threads that all work on the newest job.
//!
//! Mining would starve an async runtime, so it has threads of its own. A job replaces the one before; each thread
//! looks between two small portions of work whether its job is still the newest.

mod placement;

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

pub use placement::Placement;
use tracing::error;

/// The threads. Dropping it asks them to stop, [`stop`](Self::stop) also waits until they have.
pub struct MiningThreads<J> {
    jobs: Arc<Jobs<J>>,
    threads: Vec<JoinHandle<()>>,
}

/// Where a thread gets its job from.
pub struct Jobs<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

struct State<J> {
    assignment: Option<Assignment<J>>,
    stop: bool,
}

/// A job as a thread sees it.
pub struct Assignment<J> {
    /// What is to be done.
    pub job: Arc<J>,
    over: Arc<AtomicBool>,
}

impl<J> Assignment<J> {
    fn new(job: Arc<J>) -> Self {
        Self { job, over: Arc::new(AtomicBool::new(false)) }
    }

    /// Whether something else is to be done instead.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Becomes true when something else is to be done instead.
    pub fn over(&self) -> &AtomicBool {
        &self.over
    }
}

impl<J> Clone for Assignment<J> {
    fn clone(&self) -> Self {
        Self { job: Arc::clone(&self.job), over: Arc::clone(&self.over) }
    }
}

impl<J> Jobs<J> {
    fn new() -> Self {
        Self { state: Mutex::new(State { assignment: None, stop: false }), changed: Condvar::new() }
    }

    /// The newest job; waits while there is none. `None`: the thread is to end.
    pub fn assignment(&self) -> Option<Assignment<J>> {
        let mut state = self.lock();
        loop {
            if state.stop {
                return None;
            }
            if let Some(assignment) = &state.assignment {
                return Some(assignment.clone());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn replace(&self, job: Option<Arc<J>>) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.assignment, job.map(Assignment::new));
        if let Some(before) = before {
            before.over.store(true, Ordering::Relaxed);
        }
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.lock().stop = true;
        self.replace(None);
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: Send + Sync + 'static> MiningThreads<J> {
    /// Starts threads that run `work` with their number from 0; it returns when [`Jobs::assignment`] says so.
    pub fn start(
        name: &str,
        placement: Placement,
        work: impl Fn(usize, &Jobs<J>) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut group = Self { jobs: Arc::new(Jobs::new()), threads: Vec::new() };
        for number in 0..placement.threads.get() {
            let (jobs, work) = (Arc::clone(&group.jobs), work.clone());
            let thread = std::thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                placement.take_place(number);
                work(number, &jobs);
            })?;
            group.threads.push(thread);
        }
        Ok(group)
    }

    /// Gives all threads another job; with `None` they wait for one.
    pub fn set_job(&self, job: Option<Arc<J>>) {
        self.jobs.replace(job);
    }

    /// Threads that are alive.
    pub fn alive(&self) -> usize {
        self.threads.iter().filter(|thread| !thread.is_finished()).count()
    }

    /// Asks the threads to end and waits for them. Blocks for as long as one portion of work takes.
    pub fn stop(mut self) {
        self.ask_to_stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                error!("a mining thread had ended because of a defect in this program");
            }
        }
    }
}

impl<J> MiningThreads<J> {
    fn ask_to_stop(&self) {
        self.jobs.stop();
    }
}

impl<J> Drop for MiningThreads<J> {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, sync::mpsc};

    use super::*;

    fn threads_that_report(count: usize) -> (MiningThreads<u32>, mpsc::Receiver<(usize, u32)>) {
        let (sender, receiver) = mpsc::channel();
        let placement = Placement::of(NonZeroUsize::new(count).unwrap());
        let threads = MiningThreads::start("test", placement, move |number, jobs| {
            while let Some(assignment) = jobs.assignment() {
                let _ = sender.send((number, *assignment.job));
                while !assignment.is_over() {
                    std::thread::yield_now();
                }
            }
        });
        (threads.unwrap(), receiver)
    }

    #[test]
    fn all_threads_work_on_the_newest_job() {
        let (threads, reports) = threads_that_report(3);
        for job in [7, 8] {
            threads.set_job(Some(Arc::new(job)));
            let mut numbers: Vec<usize> = reports
                .iter()
                .take(3)
                .map(|(number, reported)| {
                    assert_eq!(reported, job);
                    number
                })
                .collect();
            numbers.sort_unstable();
            assert_eq!(numbers, [0, 1, 2]);
        }
        assert_eq!(threads.alive(), 3);
        threads.stop();
        assert_eq!(reports.iter().count(), 0);
    }

    #[test]
    fn threads_without_a_job_wait_and_can_be_stopped() {
        let (threads, reports) = threads_that_report(2);
        threads.set_job(Some(Arc::new(1)));
        assert_eq!(reports.iter().take(2).count(), 2);
        threads.set_job(None);
        threads.stop();
        assert_eq!(reports.iter().count(), 0);
    }
}
