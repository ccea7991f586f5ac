//! Hysteresis: one thing that is well or not, believed only after several looks, and spoken of seldom.

use std::time::{Duration, Instant};

/// However often a thing changes, messages about it come no closer together than this in the end; and a thing that has
/// not changed for so long is spoken of at once again.
pub const LONGEST_QUIET: Duration = Duration::from_secs(3600);

/// One thing that is well or not.
#[derive(Debug, Clone)]
pub struct Alarm {
    bad: bool,
    since: Instant,
    /// Looks in a row that say otherwise.
    against: u32,
    /// What was said last; all is well until something else was said.
    told_bad: bool,
    told_at: Option<Instant>,
    /// The time in which nothing is said after the last message.
    quiet: Duration,
    /// Changes since the last message.
    turns: u32,
}

/// What is to be said of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Whether it is bad now.
    pub bad: bool,
    /// Since when.
    pub since: Instant,
    /// How often it changed since something was said last; more than once: it flaps.
    pub turns: u32,
}

impl Alarm {
    /// A thing that is well as far as anybody knows.
    pub fn new(now: Instant) -> Self {
        Self {
            bad: false,
            since: now,
            against: 0,
            told_bad: false,
            told_at: None,
            quiet: Duration::ZERO,
            turns: 0,
        }
    }

    /// A thing of which was said last, perhaps long ago, that it is `bad`.
    pub fn resumed(now: Instant, bad: bool) -> Self {
        Self { bad, told_bad: bad, ..Self::new(now) }
    }

    /// Takes note of a look. The state changes after `needed` looks in a row that say so.
    pub fn look(&mut self, now: Instant, bad: bool, needed: u32) {
        if bad == self.bad {
            self.against = 0;
            return;
        }
        self.against += 1;
        if self.against >= needed {
            (self.bad, self.since, self.against) = (bad, now, 0);
            self.turns += 1;
        }
    }

    /// What is to be said now, if anything: only what differs from the last message, and not within the quiet time after
    /// it. That is `quiet` after the first message and twice as long after each further one, until nothing has been said
    /// for [`LONGEST_QUIET`].
    pub fn due(&mut self, now: Instant, quiet: Duration) -> Option<Turn> {
        if self.bad == self.told_bad {
            return None;
        }
        if let Some(told_at) = self.told_at {
            let silence = now.saturating_duration_since(told_at);
            if silence < self.quiet {
                return None;
            }
            self.quiet = if silence >= LONGEST_QUIET { quiet } else { self.quiet.saturating_mul(2) };
        } else {
            self.quiet = quiet;
        }
        self.quiet = self.quiet.min(LONGEST_QUIET);
        let turn = Turn { bad: self.bad, since: self.since, turns: self.turns };
        (self.told_bad, self.told_at, self.turns) = (self.bad, Some(now), 0);
        Some(turn)
    }

    /// Whether it is bad.
    pub fn is_bad(&self) -> bool {
        self.bad
    }

    /// Since when it is as it is.
    pub fn since(&self) -> Instant {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUIET: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_state_is_believed_after_several_looks_in_a_row() {
        let now = Instant::now();
        let mut alarm = Alarm::new(now);
        for (bad, expected) in [(true, false), (false, false), (true, false), (true, true), (false, true)] {
            alarm.look(now, bad, 2);
            assert_eq!(alarm.is_bad(), expected);
        }
        let turn = alarm.due(now, QUIET).unwrap();
        assert!(turn.bad && turn.turns == 1);
        assert_eq!(alarm.due(now, QUIET), None);
    }

    #[test]
    fn the_end_of_a_trouble_is_told_when_the_quiet_time_is_over() {
        let start = Instant::now();
        let mut alarm = Alarm::new(start);
        alarm.look(start, true, 1);
        assert!(alarm.due(start, QUIET).unwrap().bad);
        alarm.look(start + seconds(10), false, 1);
        assert_eq!(alarm.due(start + seconds(59), QUIET), None);
        let turn = alarm.due(start + seconds(60), QUIET).unwrap();
        assert!(!turn.bad && turn.since == start + seconds(10));
        // After a long rest the next one is told at once.
        let later = start + seconds(60) + LONGEST_QUIET;
        alarm.look(later, true, 1);
        assert!(alarm.due(later, QUIET).is_some());
    }

    proptest! {
        /// Whatever happens: messages alternate, the first may come at once, and n messages take at least the sum of
        /// the doubling quiet times.
        #[test]
        fn nothing_flaps(looks in prop::collection::vec((0u64..120, any::<bool>()), 1..400)) {
            let start = Instant::now();
            let (mut alarm, mut now, mut told) = (Alarm::new(start), start, Vec::new());
            for (pause, bad) in looks {
                now += seconds(pause);
                alarm.look(now, bad, 2);
                if let Some(turn) = alarm.due(now, QUIET) {
                    told.push((now, turn.bad));
                }
            }
            let mut least = QUIET;
            for (index, pair) in told.windows(2).enumerate() {
                prop_assert_ne!(pair[0].1, pair[1].1);
                let pause = pair[1].0 - pair[0].0;
                if index > 0 {
                    least = if pair[0].0 - told[index - 1].0 >= LONGEST_QUIET { QUIET } else { least * 2 };
                }
                prop_assert!(pause >= least.min(LONGEST_QUIET), "{pause:?} {least:?}");
            }
            prop_assert!(told.first().is_none_or(|first| first.1));
        }

        /// Enough looks of one kind are believed and told, whatever was before.
        #[test]
        fn a_lasting_state_is_told(looks in prop::collection::vec(any::<bool>(), 0..60), last: bool) {
            let start = Instant::now();
            let (mut alarm, mut now, mut told) = (Alarm::new(start), start, false);
            let mut step = |bad: bool, alarm: &mut Alarm| {
                now += seconds(2);
                alarm.look(now, bad, 3);
                if let Some(turn) = alarm.due(now, QUIET) {
                    told = turn.bad;
                }
                told
            };
            for bad in looks {
                step(bad, &mut alarm);
            }
            let mut heard = false;
            for _ in 0..LONGEST_QUIET.as_secs() {
                heard = step(last, &mut alarm);
            }
            prop_assert_eq!(alarm.is_bad(), last);
            prop_assert_eq!(heard, last);
        }
    }
}
