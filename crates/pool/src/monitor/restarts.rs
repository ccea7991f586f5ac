//! When something that died may be started again: at once the first time, then later and later, and so often in an hour.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

/// How often something is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartRules {
    /// In any hour; 0: never.
    pub per_hour: u32,
    /// Between the first restart and the second; doubled after each.
    pub first_wait: Duration,
    /// The longest such time. What has lived for so long starts with the first wait again.
    pub longest_wait: Duration,
}

/// The restarts of one thing.
#[derive(Debug, Clone, Default)]
pub struct Restarts {
    /// Those of the last hour, the oldest first.
    at: VecDeque<Instant>,
    wait: Duration,
}

/// Whether something may be started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Now; it has been counted.
    Now,
    /// Not yet.
    Later,
    /// It was started so often that a person must look.
    Exhausted,
}

impl Restarts {
    /// It is dead at `now`: may it be started?
    pub fn ask(&mut self, now: Instant, rules: &RestartRules) -> Verdict {
        while self.at.front().is_some_and(|at| now.saturating_duration_since(*at) >= HOUR) {
            self.at.pop_front();
        }
        if self.at.len() >= rules.per_hour as usize {
            return Verdict::Exhausted;
        }
        let since_last = self.at.back().map(|last| now.saturating_duration_since(*last));
        if since_last.is_some_and(|since| since < self.wait) {
            return Verdict::Later;
        }
        let starts_anew = since_last.is_none_or(|since| since >= self.wait + rules.longest_wait);
        let next = if starts_anew { rules.first_wait } else { self.wait.saturating_mul(2) };
        self.wait = next.min(rules.longest_wait);
        self.at.push_back(now);
        Verdict::Now
    }

    /// Restarts within the last hour, as of the last question.
    pub fn count(&self) -> usize {
        self.at.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: RestartRules = RestartRules {
        per_hour: 6,
        first_wait: Duration::from_secs(10),
        longest_wait: Duration::from_secs(600),
    };

    #[test]
    fn waits_grow_and_an_hour_has_a_limit() {
        let start = Instant::now();
        let mut restarts = Restarts::default();
        let mut taken = Vec::new();
        let mut exhausted = None;
        for second in 0..3600 {
            match restarts.ask(start + Duration::from_secs(second), &RULES) {
                Verdict::Now => taken.push(second),
                Verdict::Exhausted => exhausted = exhausted.or(Some(second)),
                Verdict::Later => {}
            }
        }
        assert_eq!(taken, [0, 10, 30, 70, 150, 310]);
        assert_eq!(exhausted, Some(311));
        assert_eq!(restarts.ask(start + HOUR, &RULES), Verdict::Now, "the first has left the hour");
    }

    #[test]
    fn never_is_never() {
        let rules = RestartRules { per_hour: 0, ..RULES };
        assert_eq!(Restarts::default().ask(Instant::now(), &rules), Verdict::Exhausted);
    }

    proptest! {
        #[test]
        fn no_hour_has_more_than_its_limit(pauses in prop::collection::vec(0u64..900, 1..300)) {
            let (mut restarts, mut now, mut taken) = (Restarts::default(), Instant::now(), Vec::new());
            for pause in pauses {
                now += Duration::from_secs(pause);
                if restarts.ask(now, &RULES) == Verdict::Now {
                    taken.push(now);
                }
            }
            for window in taken.windows(RULES.per_hour as usize + 1) {
                prop_assert!(window[window.len() - 1] - window[0] >= HOUR);
            }
            for pair in taken.windows(2) {
                prop_assert!(pair[1] - pair[0] >= RULES.first_wait);
            }
        }
    }
}
