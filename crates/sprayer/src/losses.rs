//! What is missing of what a sender has sent.

use std::collections::VecDeque;

/// Counters that are looked at together for what is missing.
const WINDOW: u64 = 1024;
/// A counter that jumps by more windows than this has been started anew by the sender.
const LONGEST_GAP: u64 = 64;

/// The counters of one sender, which rise by one for each record that it meant to send. Records may come in another
/// order, so what is missing from a window of counters is known when the second one after it has begun.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// The oldest window that may still be filled.
    oldest: u64,
    newest: u64,
    /// Records that arrived of each window from the oldest on.
    counts: VecDeque<u64>,
}

impl Arrived {
    /// Takes note of a record. The result: how many are known to be missing because of it.
    pub(crate) fn record(&mut self, counter: u64) -> u64 {
        let window = counter / WINDOW;
        if self.counts.is_empty() || window.abs_diff(self.newest) > LONGEST_GAP {
            // What the sender counted before we heard of it was not for us.
            *self = Self { oldest: window, newest: window, counts: VecDeque::from([counter % WINDOW]) };
        }
        self.newest = self.newest.max(window);
        self.counts.resize((self.newest - self.oldest + 1) as usize, 0);
        let place = window.checked_sub(self.oldest).and_then(|place| self.counts.get_mut(place as usize));
        if let Some(count) = place {
            *count += 1;
        }
        let mut lost = 0;
        while self.counts.len() > 2 {
            self.oldest += 1;
            lost += self.counts.pop_front().map_or(0, |arrived| WINDOW.saturating_sub(arrived));
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(arrived: &mut Arrived, counters: impl IntoIterator<Item = u64>) -> u64 {
        counters.into_iter().map(|counter| arrived.record(counter)).sum()
    }

    #[test]
    fn gaps_in_the_counters_are_losses_but_another_order_is_not() {
        let mut arrived = Arrived::default();
        // Two by two in the wrong order.
        assert_eq!(lost(&mut arrived, (0..10_000).map(|counter| counter ^ 1)), 0);
        // 500 are missing, which is known for sure two windows later.
        assert_eq!(lost(&mut arrived, 10_500..20_000), 500);
    }

    #[test]
    fn what_was_sent_before_the_first_record_is_not_lost() {
        let mut arrived = Arrived::default();
        assert_eq!(lost(&mut arrived, 5_000_100..5_010_000), 0);
    }

    #[test]
    fn a_sender_that_starts_anew_has_lost_nothing() {
        let mut arrived = Arrived::default();
        let counters = (5_000_000..5_005_000).chain(0..5000).chain([u64::MAX, 7, u64::MAX / 2]);
        assert_eq!(lost(&mut arrived, counters), 0);
    }
}
