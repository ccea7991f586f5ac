//! A second opinion: the same rules, written again from the text, slowly and without any of the ledger's code.
//!
//! It keeps a plain list of events and works everything out from the start each time, with whole fractions of
//! unbounded size instead of the ledger's shortcuts. Where the two differ by a single unit, one of them is wrong.

use std::collections::{BTreeMap, BTreeSet};

use ruint::Uint;
use wire::event::{AnnsEvent, BlockEvent, ShareEvent};
use wire::{Decimal, Event, EventId, PktAddress};

use crate::{RulesConfig, UNITS};

/// Wide enough for every product below without a thought.
type Wide = Uint<2048, 32>;

/// All that was accepted, in the order in which it came.
#[derive(Debug, Clone)]
pub struct Auditor {
    config: RulesConfig,
    events: Vec<Event>,
}

impl Auditor {
    /// Nothing accepted yet. The configuration must be one that [`Rules::new`](crate::Rules::new) takes.
    pub fn new(config: RulesConfig) -> Self {
        Self { config, events: Vec::new() }
    }

    /// An upload was accepted. An event outside the history, or known by its id, changes nothing.
    pub fn accept(&mut self, upload: &[Event]) {
        let oldest = self.oldest();
        for event in upload {
            let is_known =
                self.events.iter().any(|known| is_repetition(known, event) && known.time_ms() >= oldest);
            if event.time_ms() >= oldest && (!is_known || matches!(event, Event::Block(_))) {
                self.events.push(event.clone());
            }
        }
    }

    /// Units of every payee, as if events after `newest` did not exist.
    pub fn units(&self, newest: u64) -> BTreeMap<PktAddress, u64> {
        let fee_units = self.fee().map_or(0, |(units, _)| units);
        let fraction = self.fraction();
        let tables = [
            (self.shares(newest), self.config.pplns_block_constant, fraction),
            (self.slots(newest), self.config.pplns_announcement_constant, one_minus(fraction)),
        ];
        let mut units: BTreeMap<PktAddress, u64> = BTreeMap::new();
        for (groups, constant, fraction) in tables {
            let (width_above, width_below) = product(constant, fraction);
            let width = (width_above << 96) / width_below;
            for (address, credits) in fill(groups, width) {
                let (above, below) = product(constant, Decimal::ONE);
                let part = Wide::from(UNITS - fee_units) * credits * below / (above << 96);
                *units.entry(address).or_default() += u64::try_from(part).unwrap_or(u64::MAX);
            }
        }
        self.keep_the_greatest(&mut units);
        if let Some((fee_units, address)) = self.fee() {
            *units.entry(address).or_default() += fee_units;
        }
        let missing = UNITS - units.values().sum::<u64>();
        *units.entry(self.config.default_address).or_default() += missing;
        units.retain(|_, part| *part > 0);
        units
    }

    /// R-P23: as long as there are too many, the smallest part goes, and of equal ones that of the last address.
    fn keep_the_greatest(&self, units: &mut BTreeMap<PktAddress, u64>) {
        units.retain(|_, part| *part > 0);
        while units.len() > self.config.most_payees as usize {
            let smallest = units.iter().min_by_key(|(address, part)| (**part, std::cmp::Reverse(**address)));
            if let Some(address) = smallest.map(|(address, _)| *address) {
                units.remove(&address);
            }
        }
    }

    fn oldest(&self) -> u64 {
        let newest = self.events.iter().map(Event::time_ms).max().unwrap_or_default();
        newest.saturating_sub(self.config.history_depth_ms)
    }

    fn within(&self, newest: u64) -> impl Iterator<Item = &Event> {
        let oldest = self.oldest();
        self.events.iter().filter(move |event| (oldest..=newest).contains(&event.time_ms()))
    }

    /// Each share is a group of its own, newest first.
    fn shares(&self, newest: u64) -> Vec<Vec<(PktAddress, Wide)>> {
        let mut shares: Vec<&ShareEvent> = self
            .within(newest)
            .filter_map(|event| if let Event::Share(share) = event { Some(share) } else { None })
            .collect();
        shares.sort_by_key(|share| std::cmp::Reverse((share.time_ms, share.event_id)));
        shares
            .into_iter()
            .map(|share| vec![(share.pay_to, self.credit(share.target.0, share.time_ms, 1))])
            .collect()
    }

    /// Each announcement slot is a group, newest first.
    fn slots(&self, newest: u64) -> Vec<Vec<(PktAddress, Wide)>> {
        let mut slots: BTreeMap<u64, Vec<(PktAddress, Wide)>> = BTreeMap::new();
        for event in self.within(newest) {
            if let Event::Anns(anns) = event {
                let credit = self.credit(anns.target.0, anns.time_ms, self.payable(anns));
                slots.entry(anns.time_ms / self.config.slot_span_ms).or_default().push((anns.pay_to, credit));
            }
        }
        slots.into_values().rev().collect()
    }

    fn payable(&self, anns: &AnnsEvent) -> u32 {
        let unpaid = if self.config.has_private_seed { anns.unsigned } else { 0 };
        anns.accepted.saturating_sub(unpaid).saturating_sub(anns.total_length / 16_384)
    }

    /// 11.10.1, as it is written there.
    fn credit(&self, compact: u32, time: u64, pieces: u32) -> Wide {
        let Some(difficulty) = self.difficulty(time) else { return Wide::ZERO };
        let (above, below) = product(difficulty, Decimal::ONE);
        if Wide::from(4096) * above < below {
            return Wide::ZERO;
        }
        let (mantissa, exponent) = (Wide::from(compact & 0x007f_ffff), compact >> 24);
        let power = |bytes: u32| Wide::ONE << (8 * bytes as usize);
        let (target_above, target_below) = if exponent >= 3 {
            (mantissa * power(exponent - 3), Wide::ONE)
        } else {
            (mantissa, power(3 - exponent))
        };
        let numerator: Wide = (Wide::from(pieces) << 352) * target_below * below;
        let divisor = (target_above + target_below) * Wide::from(4096 * 4096) * above;
        let credit: Wide = numerator / divisor;
        credit.min(Wide::ONE << 127)
    }

    /// Of the newest block strictly before `time`. Of several reports of a block within the history the first counts.
    fn difficulty(&self, time: u64) -> Option<Decimal> {
        let oldest = self.oldest();
        let mut blocks: BTreeMap<EventId, BlockEvent> = BTreeMap::new();
        for event in &self.events {
            if let Event::Block(block) = event
                && block.time_ms >= oldest
            {
                let known = blocks.entry(block.event_id).or_insert_with(|| block.clone());
                known.time_ms = known.time_ms.min(block.time_ms);
            }
        }
        blocks
            .into_values()
            .filter(|block| block.time_ms < time)
            .max_by_key(|block| (block.time_ms, block.height.0, block.event_id))
            .map(|block| block.difficulty)
    }

    fn fraction(&self) -> Decimal {
        let written = self.config.block_payout_fraction;
        let (above, below) = product(written, Decimal::ONE);
        let is_usable = !written.is_negative() && above <= below;
        if is_usable { written } else { Decimal::new(5, -1).unwrap_or_default() }
    }

    fn fee(&self) -> Option<(u64, PktAddress)> {
        let fee = self.config.pool_fee.filter(Decimal::is_positive)?;
        let (above, below) = product(fee, Decimal::ONE);
        let address = self.config.pool_fee_address.as_ref()?.parse().ok()?;
        let units = u64::try_from(Wide::from(UNITS) * above / below).ok()?;
        (above < below).then_some((units, address))
    }
}

fn is_repetition(known: &Event, event: &Event) -> bool {
    std::mem::discriminant(known) == std::mem::discriminant(event) && known.event_id() == event.event_id()
}

/// Goes back group by group until `width` is used up; the group that does not fit is paid pro rata.
fn fill(groups: Vec<Vec<(PktAddress, Wide)>>, width: Wide) -> BTreeMap<PktAddress, Wide> {
    let mut paid: BTreeMap<PktAddress, Wide> = BTreeMap::new();
    let mut remaining = width;
    for group in groups {
        let sum: Wide = group.iter().fold(Wide::ZERO, |sum, (_, credits)| sum + credits);
        let addresses: BTreeSet<PktAddress> = group.iter().map(|(address, _)| *address).collect();
        for address in addresses {
            let own = group
                .iter()
                .filter(|(one, _)| *one == address)
                .fold(Wide::ZERO, |sum, (_, credits)| sum + credits);
            let part = if sum > remaining { own * remaining / sum } else { own };
            *paid.entry(address).or_default() += part;
        }
        if sum >= remaining {
            break;
        }
        remaining -= sum;
    }
    paid
}

fn one_minus(fraction: Decimal) -> Decimal {
    let (above, below) = product(fraction, Decimal::ONE);
    let exponent = -((below.to_string().len() - 1) as i16);
    u128::try_from(below - above)
        .ok()
        .and_then(|above| Decimal::new(above, exponent).ok())
        .unwrap_or_default()
}

/// The product of two decimals as a fraction whose divisor is a power of ten.
fn product(one: Decimal, other: Decimal) -> (Wide, Wide) {
    let mantissa = Wide::from(one.mantissa()) * Wide::from(other.mantissa());
    let exponent = i64::from(one.exponent()) + i64::from(other.exponent());
    let power = Wide::from(10).pow(Wide::from(exponent.unsigned_abs()));
    if exponent < 0 { (mantissa, power) } else { (mantissa * power, Wide::ONE) }
}
