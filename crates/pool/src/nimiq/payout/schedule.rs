//! When balances above the limit are paid: at the start, and then at the same times of every day.

use std::time::Duration;

use ledger::UnixMillis;

/// Spans of equal length since 1970; one run in each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// In milliseconds; zero: always.
    span: u64,
    /// The span of the last run.
    last: Option<u64>,
}

impl Schedule {
    pub(super) fn new(every: Duration) -> Self {
        Self { span: every.as_millis() as u64, last: None }
    }

    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        self.number(now).is_none_or(|number| self.last != Some(number))
    }

    /// Somebody wants a run now, whether or not this span has had one.
    pub(super) fn order(&mut self) {
        self.last = None;
    }

    /// A run that was due at `now` has succeeded.
    pub(super) fn done(&mut self, now: UnixMillis) {
        self.last = self.number(now);
    }

    fn number(&self, now: UnixMillis) -> Option<u64> {
        now.0.checked_div(self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_run_at_the_start_and_one_in_each_span() {
        let mut schedule = Schedule::new(Duration::from_secs(10));
        let mut runs = Vec::new();
        for now in (25_000..60_000).step_by(1000).map(UnixMillis) {
            if schedule.is_due(now) {
                runs.push(now.0);
                schedule.done(now);
            }
        }
        assert_eq!(runs, [25_000, 30_000, 40_000, 50_000]);
    }

    #[test]
    fn a_run_that_is_ordered_is_due_once() {
        let mut schedule = Schedule::new(Duration::from_secs(10));
        schedule.done(UnixMillis(21_000));
        assert!(!schedule.is_due(UnixMillis(22_000)));
        schedule.order();
        assert!(schedule.is_due(UnixMillis(22_000)));
        schedule.done(UnixMillis(22_000));
        assert!(!schedule.is_due(UnixMillis(29_000)) && schedule.is_due(UnixMillis(30_000)));
    }

    #[test]
    fn a_run_that_failed_stays_due_and_without_a_span_it_always_is() {
        let schedule = Schedule::new(Duration::from_secs(10));
        assert!(schedule.is_due(UnixMillis(5)) && schedule.is_due(UnixMillis(6)));
        let mut always = Schedule::new(Duration::ZERO);
        always.done(UnixMillis(5));
        assert!(always.is_due(UnixMillis(5)));
    }
}
