//! What became of shares. A pool answers only those that it refuses, and its answer does not say which share it means: so a
//! share counts as accepted when nothing was said for a while, and as lost when the connection ended before.

use std::collections::{BTreeMap, VecDeque};

use nimiq::share::Refusal;
use serde::Serialize;
use tokio::time::{Duration, Instant};
use wire::nimiq::Reason;

/// A share that nothing was said about for so long is accepted.
const ANSWER: Duration = Duration::from_secs(10);
/// Shares that are waited for; beyond that the oldest count as accepted earlier.
const MOST_UNANSWERED: usize = 1 << 16;
/// The code of a reason that is none of the protocol's.
const OTHER: &str = "other";

/// Shares found, by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ShareCounts {
    /// Found by the mining threads.
    pub found: u64,
    /// Sent to the pool.
    pub sent: u64,
    /// Of these, not refused.
    pub accepted: u64,
    /// Of these, too young to be sure that they are not refused.
    pub unanswered: u64,
    /// Of these, refused because the head or the job had changed.
    pub expired: u64,
    /// Of these, refused for another reason: how many, by its code.
    pub refused: BTreeMap<&'static str, u64>,
    /// Of these, without a known fate because the connection ended.
    pub lost: u64,
    /// Not sent, since their head, or the connection that they were mined for, was over.
    pub stale: u64,
    /// Found shares that met the network's target.
    pub blocks: u64,
}

impl ShareCounts {
    /// All that were refused for a reason other than time.
    pub fn refused_in_all(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// Keeps the counts.
#[derive(Debug, Default)]
pub struct Fates {
    counts: ShareCounts,
    /// When the unanswered ones were sent.
    unanswered: VecDeque<Instant>,
}

impl Fates {
    /// The counts now.
    pub fn counts(&self) -> ShareCounts {
        ShareCounts { unanswered: self.unanswered.len() as u64, ..self.counts.clone() }
    }

    /// A mining thread found one.
    pub fn found(&mut self, is_block: bool) {
        self.counts.found += 1;
        self.counts.blocks += u64::from(is_block);
    }

    /// It is not sent.
    pub fn stale(&mut self) {
        self.counts.stale += 1;
    }

    /// It is sent.
    pub fn sent(&mut self, now: Instant) {
        self.counts.sent += 1;
        if self.unanswered.len() >= MOST_UNANSWERED && self.unanswered.pop_front().is_some() {
            self.counts.accepted += 1;
        }
        self.unanswered.push_back(now);
    }

    /// The pool says that something is wrong. Whether that is about a share, and why it was refused: its code.
    pub fn refused(&mut self, reason: &str) -> Option<&'static str> {
        let code = match known(reason) {
            Some(reason @ (Reason::Share(_) | Reason::ShareNotStored | Reason::TooManyShares)) => {
                reason.code()
            }
            Some(_) => return None,
            None => OTHER,
        };
        self.unanswered.pop_front()?;
        if code == Refusal::Expired.code() {
            self.counts.expired += 1;
        } else {
            *self.counts.refused.entry(code).or_default() += 1;
        }
        Some(code)
    }

    /// Time has passed.
    pub fn settle(&mut self, now: Instant) {
        while self.unanswered.front().is_some_and(|sent| now.duration_since(*sent) >= ANSWER) {
            self.unanswered.pop_front();
            self.counts.accepted += 1;
        }
    }

    /// The connection ended: what is unanswered will be.
    pub fn disconnected(&mut self) {
        self.counts.lost += self.unanswered.len() as u64;
        self.unanswered.clear();
    }
}

/// The reason of the protocol that has these words.
fn known(words: &str) -> Option<Reason> {
    let others = [
        Reason::RegistrationRequired,
        Reason::AlreadyRegistered,
        Reason::DifferentGenesis,
        Reason::ShareNotStored,
        Reason::TooManyShares,
        Reason::PayoutWithoutProof,
        Reason::ThresholdWithoutProof,
        Reason::ThresholdOutOfRange,
        Reason::InvalidPayoutProof,
        Reason::Banned,
        Reason::TooManyConnections,
    ];
    let all = Refusal::ALL.into_iter().map(Reason::Share).chain(others);
    all.into_iter().find(|reason| reason.to_string() == words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_that_is_not_refused_is_accepted_after_a_while() {
        let (mut fates, start) = (Fates::default(), Instant::now());
        for seconds in [0, 1, 2, 3] {
            fates.sent(start + Duration::from_secs(seconds));
        }
        fates.settle(start + ANSWER);
        assert_eq!((fates.counts().accepted, fates.counts().unanswered), (1, 3));
        assert_eq!(fates.refused("invalid share: invalid pow"), Some("invalid_pow"));
        assert_eq!(fates.refused("share expired"), Some("share_expired"));
        fates.disconnected();
        let counts = fates.counts();
        assert_eq!((counts.sent, counts.accepted, counts.expired, counts.lost), (4, 1, 1, 1));
        assert_eq!(counts.refused, BTreeMap::from([("invalid_pow", 1)]));
    }

    #[test]
    fn what_is_not_about_a_share_refuses_none() {
        let mut fates = Fates::default();
        assert_eq!(fates.refused("invalid block"), None, "nothing was sent");
        fates.sent(Instant::now());
        assert_eq!(fates.refused("Banned"), None);
        assert_eq!(fates.refused("different genesis block"), None);
        assert_eq!(fates.counts().unanswered, 1);
        assert_eq!(fates.refused("no such thing"), Some("other"));
    }

    proptest! {
        #[test]
        fn every_share_that_is_sent_has_one_fate(events in prop::collection::vec(0u8..5, 0..300)) {
            let (mut fates, mut now) = (Fates::default(), Instant::now());
            for event in events {
                match event {
                    0 | 1 => fates.sent(now),
                    2 => drop(fates.refused("share expired")),
                    3 => drop(fates.refused("submitted share twice")),
                    _ => {
                        now += Duration::from_secs(4);
                        fates.settle(now);
                    }
                }
            }
            let counts = fates.counts();
            let known = counts.accepted + counts.expired + counts.refused_in_all() + counts.lost;
            prop_assert_eq!(counts.sent, known + counts.unanswered);
            fates.disconnected();
            prop_assert_eq!(fates.counts().unanswered, 0);
            prop_assert_eq!(fates.counts().lost, counts.unanswered + counts.lost);
        }
    }
}
