//! Windows → units: whole numbers that sum exactly to [`UNITS`] (11.10.3 and 11.10.4), of no more addresses than a block
//! has place for (rule R-P23).

use wire::PktAddress;

use crate::UnixMillis;
use crate::addresses::{AddressNumber, Addresses};
use crate::posts::Period;
use crate::rules::{Rules, UNITS};
use crate::window::{AnnouncementWindow, ShareWindow};

/// Who is paid how much, as of one moment. Depends on the accepted events and the rules only, not on a clock.
#[derive(Debug)]
pub struct Distribution {
    /// Units of every payee, none of them 0: the fee address first, then by descending part.
    pub payees: Vec<(PktAddress, u64)>,
    /// The newest event that it takes into account; `None` if there is none.
    pub newest_event: Option<UnixMillis>,
    /// For whom a block has no place.
    pub left_out: LeftOut,
    pub(crate) period: Period,
    pub(crate) shares: ShareWindow,
    pub(crate) announcements: AnnouncementWindow,
}

/// Addresses that have earned the smallest parts, where there are more than a block pays. Their parts are in that of the
/// default address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub addresses: usize,
    /// What they have earned together.
    pub units: u64,
}

impl Distribution {
    pub(crate) fn new(
        rules: &Rules,
        addresses: &Addresses,
        newest_event: Option<UnixMillis>,
        period: Period,
        shares: ShareWindow,
        announcements: AnnouncementWindow,
    ) -> Self {
        let (payees, left_out) = split(rules, addresses, &shares, &announcements);
        Self { payees, newest_event, left_out, period, shares, announcements }
    }
}

fn split(
    rules: &Rules,
    addresses: &Addresses,
    shares: &ShareWindow,
    announcements: &AnnouncementWindow,
) -> (Vec<(PktAddress, u64)>, LeftOut) {
    let after_fee = rules.units_after_fee();
    let mut units = vec![0u64; addresses.len()];
    for (address, miner) in &shares.miners {
        units[address.index()] += rules.blocks.worth(after_fee, miner.credits);
    }
    for sum in announcements.miners.sums() {
        units[sum.address.index()] += rules.announcements.worth(after_fee, sum.credits);
    }
    let mut payees: Vec<_> = units
        .iter()
        .zip(0..)
        .filter(|(units, _)| **units > 0)
        .map(|(units, number)| (addresses.get(AddressNumber(number)), *units))
        .collect();
    let left_out = leave_out(&mut payees, rules.most_payees);
    let paid: u64 = payees.iter().map(|(_, units)| units).sum();
    let fee = rules.fee.map_or(0, |fee| fee.units);
    // Each table pays at most its fraction of what is left after the fee, so this is never negative.
    add(&mut payees, rules.default_address, UNITS.saturating_sub(fee).saturating_sub(paid));
    if let Some(fee) = rules.fee {
        add(&mut payees, fee.address, fee.units);
    }
    let fee_address = rules.fee.map(|fee| fee.address);
    payees
        .sort_unstable_by_key(|(address, units)| (Some(*address) != fee_address, u64::MAX - units, *address));
    (payees, left_out)
}

/// Leaves `most` payees, those with the greatest parts; of equal ones those whose addresses come first.
fn leave_out(payees: &mut Vec<(PktAddress, u64)>, most: usize) -> LeftOut {
    if payees.len() <= most {
        return LeftOut::default();
    }
    payees.sort_unstable_by_key(|(address, units)| (u64::MAX - units, *address));
    let left_out = payees.split_off(most);
    LeftOut { addresses: left_out.len(), units: left_out.iter().map(|(_, units)| units).sum() }
}

fn add(payees: &mut Vec<(PktAddress, u64)>, address: PktAddress, units: u64) {
    match payees.iter_mut().find(|(payee, _)| *payee == address) {
        Some((_, sum)) => *sum += units,
        None if units > 0 => payees.push((address, units)),
        None => {}
    }
}
