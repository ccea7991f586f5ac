//! What became of the announcements of one pool, each counted once, when its fate is known.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use serde::Serialize;

/// Different reasons that are kept apart; a handler that invents more of them is counted under [`OTHER`].
const MOST_REASONS: usize = 64;
const LONGEST_REASON: usize = 48;
const OTHER: &str = "other";

/// Running totals since the start of the process.
#[derive(Debug, Default)]
pub struct Counts {
    accepted: AtomicU64,
    duplicate: AtomicU64,
    overload: AtomicU64,
    overflow: AtomicU64,
    lost: AtomicU64,
    repeated: AtomicU64,
    uploading: AtomicU64,
    waiting: AtomicU64,
    rejected: Mutex<BTreeMap<String, u64>>,
}

/// The totals at one moment, or what was added between two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CountsAt {
    /// Valid, new and credited, as the handlers say.
    pub accepted: u64,
    /// Known to the handler already.
    pub duplicate: u64,
    /// Refused because the handler had no capacity, also at the second try.
    pub overload: u64,
    /// Never sent: too many were waiting.
    pub overflow: u64,
    /// Sent without an answer, too old when their turn came, or without a handler to send to.
    pub lost: u64,
    /// Sent a second time (not a fate: these are in one of the other counts as well).
    pub repeated: u64,
    /// Refused, by reason.
    pub rejected: BTreeMap<String, u64>,
}

impl Counts {
    /// A handler's answer about `announcements`: what it neither accepted nor knew counts as rejected.
    ///
    /// The handler's numbers are believed only as far as they can be true.
    pub fn answered(&self, announcements: u64, accepted: u64, duplicate: u64) {
        let accepted = accepted.min(announcements);
        let duplicate = duplicate.min(announcements - accepted);
        self.accepted.fetch_add(accepted, Relaxed);
        self.duplicate.fetch_add(duplicate, Relaxed);
        self.rejected("not_counted_by_handler", announcements - accepted - duplicate);
    }

    /// Refused for a reason: a code, or the first words of a handler's text.
    pub fn rejected(&self, reason: &str, announcements: u64) {
        if announcements == 0 {
            return;
        }
        let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reason: String = reason.chars().take(LONGEST_REASON).collect();
        if rejected.len() >= MOST_REASONS && !rejected.contains_key(&reason) {
            OTHER.clone_into(&mut reason);
        }
        *rejected.entry(reason).or_default() += announcements;
    }

    /// The handler had no capacity for them.
    pub fn overloaded(&self, announcements: u64) {
        self.overload.fetch_add(announcements, Relaxed);
    }

    /// There was no room to keep them until they could be sent.
    pub fn overflowed(&self, announcements: u64) {
        self.overflow.fetch_add(announcements, Relaxed);
    }

    /// Nobody will ever answer for them.
    pub fn lost(&self, announcements: u64) {
        self.lost.fetch_add(announcements, Relaxed);
    }

    /// They are sent a second time.
    pub fn repeated(&self, announcements: u64) {
        self.repeated.fetch_add(announcements, Relaxed);
    }

    /// They are on their way.
    pub fn upload_started(&self, announcements: u64) {
        self.uploading.fetch_add(announcements, Relaxed);
    }

    /// They are no longer on their way.
    pub fn upload_ended(&self, announcements: u64) {
        self.uploading.fetch_sub(announcements, Relaxed);
    }

    /// They wait to be sent.
    pub fn began_to_wait(&self, announcements: u64) {
        self.waiting.fetch_add(announcements, Relaxed);
    }

    /// They wait no longer, whether they are sent or not.
    pub fn stopped_waiting(&self, announcements: u64) {
        self.waiting.fetch_sub(announcements, Relaxed);
    }

    /// Announcements in closed batches that wait to be sent now.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }

    /// Announcements on their way now.
    pub fn uploading(&self) -> u64 {
        self.uploading.load(Relaxed)
    }

    /// The totals now.
    pub fn now(&self) -> CountsAt {
        CountsAt {
            accepted: self.accepted.load(Relaxed),
            duplicate: self.duplicate.load(Relaxed),
            overload: self.overload.load(Relaxed),
            overflow: self.overflow.load(Relaxed),
            lost: self.lost.load(Relaxed),
            repeated: self.repeated.load(Relaxed),
            rejected: self.rejected.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl CountsAt {
    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let rejected = self
            .rejected
            .iter()
            .map(|(reason, count)| {
                (reason.clone(), count.saturating_sub(earlier.rejected.get(reason).copied().unwrap_or(0)))
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        Self {
            accepted: self.accepted.saturating_sub(earlier.accepted),
            duplicate: self.duplicate.saturating_sub(earlier.duplicate),
            overload: self.overload.saturating_sub(earlier.overload),
            overflow: self.overflow.saturating_sub(earlier.overflow),
            lost: self.lost.saturating_sub(earlier.lost),
            repeated: self.repeated.saturating_sub(earlier.repeated),
            rejected,
        }
    }

    /// Rejected for whatever reason.
    pub fn rejected_in_all(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Everything whose fate is known.
    pub fn settled(&self) -> u64 {
        self.accepted + self.not_accepted()
    }

    /// Everything that will not be credited.
    pub fn not_accepted(&self) -> u64 {
        self.duplicate + self.overload + self.overflow + self.lost + self.rejected_in_all()
    }

    /// Accepted out of all whose fate became known, in percent, rounded down.
    ///
    /// Where nothing was settled there is no rate to be calculated: then it is 100 only if `pool_works`, so that a
    /// pool that cannot be reached is never shown as 100 % good.
    pub fn good_rate_percent(&self, pool_works: bool) -> u64 {
        match (self.accepted * 100).checked_div(self.settled()) {
            Some(percent) => percent,
            None if pool_works => 100,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_rate_counts_every_announcement_that_is_not_credited() {
        let counts = Counts::default();
        counts.answered(10, 6, 1);
        counts.rejected("submit_elsewhere", 2);
        counts.overloaded(5);
        counts.overflowed(3);
        counts.lost(1);
        let now = counts.now();
        assert_eq!(now.rejected_in_all(), 3 + 2);
        assert_eq!(now.settled(), 21);
        assert_eq!(now.good_rate_percent(true), 28);
    }

    #[test]
    fn an_unreachable_pool_is_not_100_percent_good() {
        assert_eq!(CountsAt::default().good_rate_percent(false), 0);
        assert_eq!(CountsAt::default().good_rate_percent(true), 100);
        let counts = Counts::default();
        counts.lost(1);
        assert_eq!(counts.now().good_rate_percent(true), 0);
    }

    #[test]
    fn reasons_are_bounded_in_number_and_length() {
        let counts = Counts::default();
        for number in 0..1000 {
            counts.rejected(&format!("{number}{}", "x".repeat(1000)), 1);
        }
        let now = counts.now();
        assert_eq!(now.rejected_in_all(), 1000);
        assert_eq!(now.rejected.len(), MOST_REASONS + 1);
        assert!(now.rejected.keys().all(|reason| reason.len() <= LONGEST_REASON));
    }

    proptest! {
        #[test]
        fn whatever_a_handler_claims_each_announcement_is_counted_once(
            size in 0u64..2000, accepted: u32, duplicate: u32,
        ) {
            let counts = Counts::default();
            counts.answered(size, accepted.into(), duplicate.into());
            prop_assert_eq!(counts.now().settled(), size);
        }

        #[test]
        fn what_was_added_is_the_difference(first in 0u64..1000, second in 0u64..1000) {
            let counts = Counts::default();
            counts.rejected("a", first);
            counts.answered(first, first, 0);
            let before = counts.now();
            counts.rejected("a", second);
            counts.rejected("b", second);
            counts.answered(second, 0, second);
            let added = counts.now().since(&before);
            prop_assert_eq!(added.rejected_in_all(), 2 * second);
            prop_assert_eq!((added.accepted, added.duplicate), (0, second));
        }
    }
}
