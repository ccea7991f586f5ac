//! The window of a block: which shares it pays, found by walking back from its newest one
//! (`docs/protocol/nimiq-pool.md` 4.3, "Ours").
//!
//! The walk asks for the sums of a span of shares, adds them up, and asks for the next; where a span holds more than
//! is missing it is halved, until the oldest share is found. So a window over a million shares takes a few dozen
//! sums, which a database is good at, and the rule stays here.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use nimiq::ShareWeight;

use super::{Sequence, UserId};

/// How far back a block pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowRule {
    /// The last N shares, whatever each of them weighs.
    Shares(NonZeroU64),
    /// Shares that weigh N times the block's expected work; of the oldest one only the weight still missing.
    Work(NonZeroU64),
}

impl Default for WindowRule {
    /// The last 1000 shares, as the reference.
    fn default() -> Self {
        Self::Shares(NonZeroU64::MIN.saturating_add(999))
    }
}

impl std::fmt::Display for WindowRule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shares(count) => write!(formatter, "last {count} shares"),
            Self::Work(times) => write!(formatter, "last {times} times the block's work"),
        }
    }
}

impl std::str::FromStr for WindowRule {
    type Err = String;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number =
            |text: &str| text.parse::<NonZeroU64>().map_err(|_| format!("{text:?} is no number above 0"));
        let words = text.strip_prefix("last ").unwrap_or_default();
        if let Some(count) = words.strip_suffix(" shares") {
            number(count).map(Self::Shares)
        } else if let Some(times) = words.strip_suffix(" times the block's work") {
            number(times).map(Self::Work)
        } else {
            Err(format!("a window is \"last N shares\" or \"last N times the block's work\", not {text:?}"))
        }
    }
}

/// Shares from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The oldest one.
    pub first: Sequence,
    /// The newest one.
    pub last: Sequence,
}

/// What one user has in a span, of shares that count: those whose predecessor is on the main chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanSum {
    /// Whose shares.
    pub user: UserId,
    /// How many, at least one.
    pub shares: u64,
    /// What they weigh together.
    pub weight: u128,
    /// The oldest of them.
    pub oldest: Sequence,
}

/// What one user has in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowPart {
    /// Shares, the one that is counted in part included.
    pub shares: u64,
    /// What they weigh.
    pub weight: u128,
}

/// The shares that a block pays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// The oldest and the newest share; `None` if there was none.
    pub span: Option<Span>,
    /// What each user has in it.
    pub parts: BTreeMap<UserId, WindowPart>,
}

impl Window {
    /// The weights to split by.
    pub fn weights(&self) -> BTreeMap<UserId, u128> {
        self.parts.iter().map(|(user, part)| (*user, part.weight)).collect()
    }
}

/// The most sequence numbers of one question, so that no single query takes long.
const LONGEST_SPAN: u64 = 1 << 17;

/// A walk from the newest share back to where the window ends.
#[derive(Debug)]
pub struct WindowWalk {
    rule: WindowRule,
    /// Shares or weight that is not found yet.
    missing: u128,
    /// The newest share that is not looked at yet.
    next: Sequence,
    /// No share is older than this one.
    oldest_kept: Sequence,
    /// Length of the next question.
    length: u64,
    /// Whether the end is known to lie within the last span.
    closing_in: bool,
    newest: Sequence,
    window: Window,
}

impl WindowWalk {
    /// Starts at `newest`, the block's own share or what stands for it. Shares older than `oldest_kept` do not exist.
    pub fn new(rule: WindowRule, block_work: ShareWeight, newest: Sequence, oldest_kept: Sequence) -> Self {
        let (missing, length) = match rule {
            WindowRule::Shares(count) => (count.get().into(), count.get()),
            WindowRule::Work(times) => (u128::from(times.get()) * u128::from(block_work.0), 4096),
        };
        Self {
            rule,
            missing,
            next: newest,
            oldest_kept,
            length: length.clamp(1, LONGEST_SPAN),
            closing_in: false,
            newest,
            window: Window::default(),
        }
    }

    /// The span whose sums are needed next; `None`: the window is complete.
    pub fn question(&self) -> Option<Span> {
        if self.missing == 0 || self.next < self.oldest_kept || self.next.0 == 0 {
            return None;
        }
        let first = (self.next.0 + 1).saturating_sub(self.length).max(self.oldest_kept.0).max(1);
        Some(Span { first: Sequence(first), last: self.next })
    }

    /// Takes the sums of the span that was asked for, one for each user.
    pub fn answer(&mut self, span: Span, sums: &[SpanSum]) {
        let measure: u128 = match self.rule {
            WindowRule::Shares(_) => sums.iter().map(|sum| u128::from(sum.shares)).sum(),
            WindowRule::Work(_) => sums.iter().map(|sum| sum.weight).sum(),
        };
        if measure <= self.missing {
            self.missing -= measure;
            for sum in sums {
                self.take(sum, sum.weight);
            }
            self.next = Sequence(span.first.0.saturating_sub(1));
            self.length =
                if self.closing_in { self.length.div_ceil(2) } else { (self.length * 4).min(LONGEST_SPAN) };
        } else if span.first < span.last {
            self.closing_in = true;
            self.length = (span.last.0 - span.first.0).div_ceil(2);
        } else {
            // One share that weighs more than is missing.
            for sum in sums {
                self.take(sum, self.missing);
            }
            self.missing = 0;
        }
    }

    fn take(&mut self, sum: &SpanSum, weight: u128) {
        let part = self.window.parts.entry(sum.user).or_default();
        part.shares += sum.shares;
        part.weight += weight;
        let first = self.window.span.map_or(sum.oldest, |span| span.first.min(sum.oldest));
        self.window.span = Some(Span { first, last: self.newest });
    }

    /// The window, once there is no question left.
    pub fn finish(self) -> Window {
        self.window
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A share: its sequence number, whose it is, and what it weighs.
    type Share = (u64, u64, u64);

    fn sums(shares: &[Share], span: Span) -> Vec<SpanSum> {
        let mut sums: BTreeMap<UserId, SpanSum> = BTreeMap::new();
        for (sequence, user, weight) in shares {
            let sequence = Sequence(*sequence);
            if (span.first..=span.last).contains(&sequence) {
                let user = UserId(*user);
                let sum =
                    sums.entry(user).or_insert(SpanSum { user, shares: 0, weight: 0, oldest: sequence });
                sum.shares += 1;
                sum.weight += u128::from(*weight);
                sum.oldest = sum.oldest.min(sequence);
            }
        }
        sums.into_values().collect()
    }

    fn walk(shares: &[Share], rule: WindowRule, work: u64, newest: u64) -> (Window, usize) {
        let mut walk = WindowWalk::new(rule, ShareWeight(work), Sequence(newest), Sequence(1));
        let mut questions = 0;
        while let Some(span) = walk.question() {
            walk.answer(span, &sums(shares, span));
            questions += 1;
        }
        (walk.finish(), questions)
    }

    /// The rule as it is written: share by share from the newest.
    fn by_hand(shares: &[Share], rule: WindowRule, work: u64, newest: u64) -> Window {
        let mut missing = match rule {
            WindowRule::Shares(count) => u128::from(count.get()),
            WindowRule::Work(times) => u128::from(times.get()) * u128::from(work),
        };
        let mut window = Window::default();
        for (sequence, user, weight) in shares.iter().rev().filter(|(sequence, ..)| *sequence <= newest) {
            if missing == 0 {
                break;
            }
            let weight = u128::from(*weight);
            let (used, counted) = match rule {
                WindowRule::Shares(_) => (1, weight),
                WindowRule::Work(_) => (weight.min(missing), weight.min(missing)),
            };
            missing -= used;
            let part = window.parts.entry(UserId(*user)).or_default();
            part.shares += 1;
            part.weight += counted;
            window.span = Some(Span { first: Sequence(*sequence), last: Sequence(newest) });
        }
        window
    }

    fn count(number: u64) -> NonZeroU64 {
        NonZeroU64::new(number).unwrap()
    }

    proptest! {
        #[test]
        fn a_walk_finds_what_going_share_by_share_finds(
            steps in prop::collection::vec((1u64..4, 1u64..5, 1u64..1000), 0..400),
            number in 1u64..500,
            work in 1u64..2000,
            by_work in any::<bool>(),
            behind in 0u64..5,
        ) {
            // Sequence numbers have holes: shares on orphaned blocks do not count.
            let mut sequence = 0;
            let shares: Vec<Share> =
                steps.iter().map(|(gap, user, weight)| { sequence += gap; (sequence, *user, *weight) }).collect();
            let rule = if by_work { WindowRule::Work(count(number)) } else { WindowRule::Shares(count(number)) };
            let newest = sequence.saturating_sub(behind);
            prop_assert_eq!(walk(&shares, rule, work, newest).0, by_hand(&shares, rule, work, newest));
        }
    }

    #[test]
    fn the_oldest_share_counts_with_the_weight_that_is_missing() {
        let shares = [(1, 7, 100), (2, 7, 100), (3, 8, 30)];
        let (window, _) = walk(&shares, WindowRule::Work(count(2)), 40, 3);
        assert_eq!(window.weights(), BTreeMap::from([(UserId(7), 50), (UserId(8), 30)]));
        assert_eq!(window.span, Some(Span { first: Sequence(2), last: Sequence(3) }));
    }

    #[test]
    fn a_long_window_takes_few_questions() {
        let shares: Vec<Share> = (1..=200_000).map(|sequence| (sequence, sequence % 7, 10)).collect();
        let (window, questions) = walk(&shares, WindowRule::Work(count(1)), 1_234_567, 200_000);
        assert_eq!(window.weights().values().sum::<u128>(), 1_234_567);
        assert!(questions < 40, "{questions} questions");
    }

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        for rule in [WindowRule::default(), WindowRule::Work(count(3))] {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        for wrong in ["", "last 0 shares", "last shares", "1000", "last 2 blocks"] {
            assert!(wrong.parse::<WindowRule>().is_err(), "{wrong}");
        }
    }
}
