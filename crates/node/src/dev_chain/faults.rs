//! Misbehaviour on command, so that a pool can be tested against a node that fails.
//!
//! A stalled node takes calls and answers none of them until it wakes; a slow one answers each late; a refusing
//! one says that it has too many clients; one that loses answers does what is asked and hangs up. All end by themselves or are ended; commands to the dev chain itself
//! are always answered. (A node whose *tip* stands still is one that gets no blocks: run two.)

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// No fault lasts longer than this unless it is ordered again.
pub const LONGEST: Duration = Duration::from_hours(1);

/// What the node does with a call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Answers.
    Answer,
    /// Answers after this time.
    Wait(Duration),
    /// Says that it is too busy.
    Refuse,
    /// Does what is asked, and hangs up without an answer: who asks again has it done twice.
    Lose,
}

#[derive(Debug, Default)]
struct Ordered {
    stalled_until: Option<Instant>,
    refusing_until: Option<Instant>,
    delay: Duration,
    answers_to_lose: u32,
}

/// The faults that were ordered.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Ordered>);

impl Faults {
    /// Answers nothing for some time, then everything.
    pub fn stall(&self, time: Duration) {
        self.lock().stalled_until = Some(Instant::now() + time.min(LONGEST));
    }

    /// Answers that it is too busy, for some time.
    pub fn refuse(&self, time: Duration) {
        self.lock().refusing_until = Some(Instant::now() + time.min(LONGEST));
    }

    /// Answers every call so much later; zero ends it.
    pub fn slow(&self, delay: Duration) {
        self.lock().delay = delay.min(LONGEST);
    }

    /// Does what the next so many calls ask, but answers none of them.
    pub fn lose(&self, calls: u32) {
        self.lock().answers_to_lose = calls;
    }

    /// Ends all faults.
    pub fn end(&self) {
        *self.lock() = Ordered::default();
    }

    /// What to do with a call now.
    pub fn conduct(&self) -> Conduct {
        let now = Instant::now();
        let mut ordered = self.lock();
        let left = |until: Option<Instant>| until.and_then(|until| until.checked_duration_since(now));
        if left(ordered.refusing_until).is_some() {
            return Conduct::Refuse;
        }
        match left(ordered.stalled_until).unwrap_or_default() + ordered.delay {
            Duration::ZERO if ordered.answers_to_lose > 0 => {
                ordered.answers_to_lose -= 1;
                Conduct::Lose
            }
            Duration::ZERO => Conduct::Answer,
            wait => Conduct::Wait(wait),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ordered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_ordered_and_ended() {
        let faults = Faults::default();
        assert_eq!(faults.conduct(), Conduct::Answer);
        faults.slow(Duration::from_secs(2));
        assert_eq!(faults.conduct(), Conduct::Wait(Duration::from_secs(2)));
        faults.stall(Duration::from_mins(1));
        assert!(matches!(faults.conduct(), Conduct::Wait(wait) if wait > Duration::from_secs(30)));
        faults.refuse(Duration::from_mins(1));
        assert_eq!(faults.conduct(), Conduct::Refuse);
        faults.end();
        faults.lose(1);
        assert_eq!(faults.conduct(), Conduct::Lose);
        assert_eq!(faults.conduct(), Conduct::Answer);
    }

    #[test]
    fn an_absurd_time_is_bounded() {
        let faults = Faults::default();
        faults.stall(Duration::MAX);
        assert!(matches!(faults.conduct(), Conduct::Wait(wait) if wait <= LONGEST));
    }
}
