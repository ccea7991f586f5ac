//! PPLNS: how far back each of the two tables reaches, and what every address has inside (11.10.2, rule R-P10).

use hashbrown::HashMap;
use ruint::aliases::U512;
use wire::EventId;

use crate::UnixMillis;
use crate::addresses::AddressNumber;
use crate::credit::Credits;
use crate::posts::{Period, Posts};
use crate::rates::Rates;
use crate::shares::Shares;
use crate::slot::SlotNumber;
use crate::tally::{AddressSum, Tally};

/// How a window was filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filling {
    /// Credits that fit into the window.
    pub(crate) size: Credits,
    /// What no work has filled: the default address gets it.
    pub(crate) remaining: Credits,
    /// Credits of the oldest share or slot inside, of which only a part may be paid.
    pub(crate) oldest_credits: Credits,
    /// The part that is paid.
    pub(crate) oldest_credits_paid: Credits,
}

impl Filling {
    fn new(size: Credits) -> Self {
        Self { size, remaining: size, oldest_credits: 0, oldest_credits_paid: 0 }
    }

    /// The next older work takes its place, as far as there is some left.
    fn take(&mut self, credits: Credits) -> Credits {
        let paid = credits.min(self.remaining);
        self.remaining -= paid;
        (self.oldest_credits, self.oldest_credits_paid) = (credits, paid);
        paid
    }

    pub(crate) fn is_full(&self) -> bool {
        self.remaining == 0
    }
}

/// The window over shares.
#[derive(Debug)]
pub(crate) struct ShareWindow {
    pub(crate) filling: Filling,
    pub(crate) newest: Option<UnixMillis>,
    pub(crate) oldest: Option<(UnixMillis, EventId)>,
    pub(crate) miners: HashMap<AddressNumber, BlockMiner>,
}

/// A block miner's work inside the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BlockMiner {
    pub(crate) credits: Credits,
    pub(crate) newest: UnixMillis,
}

impl ShareWindow {
    /// Goes back share by share; the last one is cut.
    pub(crate) fn fill(size: Credits, shares: &Shares, period: Period, rates: &mut Rates) -> Self {
        let mut window =
            Self { filling: Filling::new(size), newest: None, oldest: None, miners: HashMap::new() };
        rates.enter(period.oldest, period.newest);
        for (time, id, share) in shares.newest_first(period) {
            if window.filling.is_full() {
                break;
            }
            let paid = window.filling.take(rates.credit_of(time, share.target, 1));
            let miner = window.miners.entry(share.address).or_default();
            miner.credits += paid;
            miner.newest = miner.newest.max(time);
            window.newest.get_or_insert(time);
            window.oldest = Some((time, id));
        }
        window
    }
}

/// The window over announcements.
#[derive(Debug)]
pub(crate) struct AnnouncementWindow {
    pub(crate) filling: Filling,
    pub(crate) newest: Option<SlotNumber>,
    pub(crate) oldest: Option<SlotNumber>,
    /// One sum for each address; the credits are those that are paid.
    pub(crate) miners: Tally,
}

impl AnnouncementWindow {
    /// Goes back slot by slot, over whole runs of slots where they fit; the slot that does not fit is paid
    /// pro rata.
    pub(crate) fn fill(size: Credits, posts: &Posts, period: Period, rates: &mut Rates) -> Self {
        let mut window =
            Self { filling: Filling::new(size), newest: None, oldest: None, miners: Tally::new() };
        let mut in_slot = Tally::new();
        let mut run_until: Option<SlotNumber> = None;
        for slot in posts.slots(period) {
            if window.filling.is_full() {
                break;
            }
            if run_until.is_some_and(|first| slot >= first) {
                continue;
            }
            if let Some(first) = window.take_whole_run(slot, posts, period, rates) {
                run_until = Some(first);
                continue;
            }
            window.take_slot(slot, posts, period, rates, &mut in_slot);
        }
        window
    }

    /// Takes the run of slots that ends with `slot`, if it is known to fit with some room to spare; gives its
    /// first slot.
    fn take_whole_run(
        &mut self,
        slot: SlotNumber,
        posts: &Posts,
        period: Period,
        rates: &Rates,
    ) -> Option<SlotNumber> {
        let (first, sums) = posts.whole_run(slot, period, rates)?;
        if sums.total >= self.filling.remaining {
            return None;
        }
        sums.addresses.iter().for_each(|sum| self.miners.add(sum));
        self.filling.remaining -= sums.total;
        self.newest.get_or_insert(slot);
        self.oldest = Some(sums.oldest);
        (self.filling.oldest_credits, self.filling.oldest_credits_paid) =
            (sums.oldest_total, sums.oldest_total);
        Some(first)
    }

    fn take_slot(
        &mut self,
        slot: SlotNumber,
        posts: &Posts,
        period: Period,
        rates: &mut Rates,
        in_slot: &mut Tally,
    ) {
        if posts.posts_of(slot, period).next().is_none() {
            return;
        }
        let remaining = self.filling.remaining;
        let total = posts.sum_slot(slot, period, rates, in_slot);
        self.filling.take(total);
        self.newest.get_or_insert(slot);
        self.oldest = Some(slot);
        if total <= remaining {
            in_slot.sums().iter().for_each(|sum| self.miners.add(sum));
        } else {
            for sum in pro_rata(slot, remaining, posts, period, rates) {
                self.miners.add(&sum);
            }
        }
        in_slot.clear();
    }
}

/// What each address gets of the slot that does not fit: floor(credits · remaining / credits of all).
///
/// Sums are made anew, in numbers that hold the credits of any number of events without saturating.
fn pro_rata(
    slot: SlotNumber,
    remaining: Credits,
    posts: &Posts,
    period: Period,
    rates: &mut Rates,
) -> Vec<AddressSum> {
    let mut total = U512::ZERO;
    let mut credits_of: HashMap<AddressNumber, U512> = HashMap::new();
    for post in posts.posts_of(slot, period) {
        let credits = U512::from(rates.credit(posts.time_of(slot, post), post));
        total += credits;
        *credits_of.entry(post.address).or_default() += credits;
    }
    let part = |credits: U512| u128::try_from(credits * U512::from(remaining) / total).unwrap_or(remaining);
    credits_of
        .into_iter()
        .map(|(address, credits)| AddressSum::of_one_slot(address, slot, part(credits)))
        .collect()
}
