//! The `/whotopay` document (11.6, rules R-P12, R-P21 and R-P22): a distribution with the figures that explain it.
//!
//! Money comes from the [`Distribution`] alone; everything else here is for people to look at.

use hashbrown::HashMap;
use packetcrypt::BlockHash;
use wire::who_to_pay::{AnnMinerStats, BlkMinerStats, ByAddress, PaidWindow, Portion, WhoToPay};
use wire::{Decimal, EventId};

use crate::UnixMillis;
use crate::addresses::AddressNumber;
use crate::credit::encryptions;
use crate::distribution::{Distribution, LeftOut};
use crate::posts::Period;
use crate::rules::{Rules, UNITS, one_minus};
use crate::slot::SlotNumber;
use crate::state::Ledger;
use crate::tally::AddressSum;
use crate::window::Filling;

const HOUR_MS: u64 = 60 * 60 * 1000;
const HOURS: u64 = 24;
/// Shares of so long a time give a block miner's speed.
const SPEED_WINDOW_MS: u64 = 10 * 60 * 1000;
/// An announcement counts as 1 kB.
const KILOBITS_PER_ANNOUNCEMENT: u64 = 8;

impl Ledger {
    /// The document as of `now`, as if events after `newest` did not exist.
    pub fn who_to_pay(&self, now: UnixMillis, newest: Option<UnixMillis>) -> WhoToPay {
        self.describe(&self.distribution(newest), now)
    }

    /// The document of a distribution that this ledger has just made.
    pub fn describe(&self, distribution: &Distribution, now: UnixMillis) -> WhoToPay {
        let period = distribution.period;
        let latest = self.latest(period);
        let (last_won_block, last_won_block_time) = self.last_won_block(period);
        let announcements = Announcements { ledger: self, distribution };
        let ann_miner_stats = announcements.miners();
        let blk_miner_stats = self.block_miners(distribution, now);
        let since_latest = |oldest: UnixMillis| latest.0 as i64 - oldest.0 as i64;
        WhoToPay {
            error: Vec::new(),
            warn: self.warnings(distribution),
            total_kbps: ann_miner_stats.0.iter().map(|(_, miner)| miner.kbps).sum(),
            blocks_per_hour: self.blocks_per_hour(period, now),
            wins_per_hour: self.wins_per_hour(period, now),
            total_encryptions_per_second: total_speed(&ann_miner_stats, &blk_miner_stats),
            blk_payout_warmup_period: distribution.shares.oldest.map(|(time, _)| since_latest(time)),
            ann_payout_warmup_period: announcements.oldest_end().map(since_latest),
            generated_at: now.0,
            latest_payout: latest.0,
            last_won_block,
            last_won_block_time,
            ann_miner_stats,
            blk_miner_stats,
            result: payees(distribution, |units| Portion::from_units(units).unwrap_or_default().to_decimal()),
            pool_fee: self.rules.fee.map_or(Decimal::ZERO, |fee| fee.part),
            block_miners: self.rules.after_fee(self.rules.block_payout_fraction),
            ann_miners: self.rules.after_fee(one_minus(self.rules.block_payout_fraction)),
            units: Some(payees(distribution, |units| units)),
            share_window: Some(share_window(distribution)),
            ann_window: Some(announcements.window()),
        }
    }

    fn warnings(&self, distribution: &Distribution) -> Vec<String> {
        let unpaid = |kind: &str, filling: &Filling, units: u64| {
            (!filling.is_full()).then(|| {
                let percent = Decimal::new(u128::from(units), -10).unwrap_or_default();
                format!("Ran out of {kind} shares to pay paying [{percent}%] to defaultAddress")
            })
        };
        let (shares, announcements) = (&distribution.shares.filling, &distribution.announcements.filling);
        let block_units = self.rules.blocks.worth(UNITS, shares.remaining);
        let announcement_units = self.rules.announcements.worth(UNITS, announcements.remaining);
        let left_out = (distribution.left_out.addresses > 0).then(|| {
            let LeftOut { addresses, units } = distribution.left_out;
            let percent = Decimal::new(u128::from(units), -10).unwrap_or_default();
            format!("A block has no place for {addresses} more addresses, paying their [{percent}%] to defaultAddress")
        });
        [unpaid("block", shares, block_units), unpaid("ann", announcements, announcement_units), left_out]
            .into_iter()
            .flatten()
            .chain(self.rules.fee_warnings.iter().cloned())
            .collect()
    }

    /// Newest share, or end of the newest slot.
    fn latest(&self, period: Period) -> UnixMillis {
        let share = self.shares.newest_first(period).next().map(|(time, _, _)| time);
        let slot = self.posts.slots(period).find(|slot| self.posts.posts_of(*slot, period).next().is_some());
        share.max(slot.map(|slot| self.posts.span().end(slot))).unwrap_or_default()
    }

    fn last_won_block(&self, period: Period) -> (Option<BlockHash>, i64) {
        self.shares
            .newest_first(period)
            .find_map(|(time, _, share)| share.won_block.map(|hash| (Some(hash), time.0 as i64)))
            .unwrap_or((None, -1))
    }

    fn blocks_per_hour(&self, period: Period, now: UnixMillis) -> Vec<u64> {
        let times = self.chain.blocks().iter().map(|block| block.time);
        per_hour(times.filter(|time| period.contains(*time)), now)
    }

    fn wins_per_hour(&self, period: Period, now: UnixMillis) -> Vec<u64> {
        let shares = self.shares.newest_first(period);
        per_hour(shares.filter(|(_, _, share)| share.won_block.is_some()).map(|(time, _, _)| time), now)
    }

    fn block_miners(&self, distribution: &Distribution, now: UnixMillis) -> ByAddress<BlkMinerStats> {
        let window = &distribution.shares;
        let since = now.minus(SPEED_WINDOW_MS);
        let mut recent: HashMap<AddressNumber, u128> = HashMap::new();
        let paid = self.shares.newest_first(distribution.period).take_while(|(time, id, _)| {
            *time >= since && window.oldest.is_some_and(|oldest| (*time, *id) >= oldest)
        });
        for (_, _, share) in paid {
            let sum = recent.entry(share.address).or_default();
            *sum = sum.saturating_add(share.encryptions);
        }
        let mut miners: Vec<_> = window.miners.iter().collect();
        miners.sort_unstable_by_key(|(address, miner)| {
            (u64::MAX - miner.newest.0, self.addresses.get(**address))
        });
        miners
            .into_iter()
            .map(|(address, miner)| {
                let stats = BlkMinerStats {
                    current_encryptions_per_second: recent.get(address).copied().unwrap_or_default()
                        / u128::from(SPEED_WINDOW_MS / 1000),
                    last_seen: miner.newest.0,
                    credits: portion(self.rules.blocks.worth(UNITS, miner.credits)),
                };
                (self.addresses.get(*address), stats)
            })
            .collect()
    }
}

/// The announcement miners of a distribution.
struct Announcements<'a> {
    ledger: &'a Ledger,
    distribution: &'a Distribution,
}

/// What one address did in one slot.
#[derive(Default)]
struct Pace {
    announcements: u64,
    encryptions: u128,
}

impl Announcements<'_> {
    fn end(&self, slot: SlotNumber) -> UnixMillis {
        self.ledger.posts.span().end(slot)
    }

    fn oldest_end(&self) -> Option<UnixMillis> {
        self.distribution.announcements.oldest.map(|slot| self.end(slot))
    }

    /// Only addresses with work in at least two paid slots: the newest one may still grow.
    fn miners(&self) -> ByAddress<AnnMinerStats> {
        let mut sums: Vec<_> = self
            .distribution
            .announcements
            .miners
            .sums()
            .iter()
            .filter_map(|sum| sum.second_newest().map(|second| (second, sum)))
            .collect();
        let paces = self.paces(&sums);
        let address_of = |sum: &AddressSum| self.ledger.addresses.get(sum.address);
        sums.sort_unstable_by_key(|(_, sum)| (std::cmp::Reverse(sum.newest), address_of(sum)));
        sums.into_iter().map(|(_, sum)| (address_of(sum), self.stats(sum, paces.get(&sum.address)))).collect()
    }

    fn stats(&self, sum: &AddressSum, pace: Option<&Pace>) -> AnnMinerStats {
        let span_ms = self.ledger.rules.slot_span_ms;
        let (announcements, encryptions) = pace.map_or((0, 0), |pace| (pace.announcements, pace.encryptions));
        AnnMinerStats {
            kbps: announcements.saturating_mul(1000 * KILOBITS_PER_ANNOUNCEMENT) / span_ms,
            warmup_percent: self.warmup_percent(sum),
            current_encryptions_per_second: encryptions.saturating_mul(1000) / u128::from(span_ms),
            last_seen: self.end(sum.newest).0,
            credits: portion(self.ledger.rules.announcements.worth(UNITS, sum.credits)),
        }
    }

    /// How much of the window lies between an address's oldest and newest slot; more than 90 is shown as 100.
    fn warmup_percent(&self, sum: &AddressSum) -> Option<i64> {
        let window = &self.distribution.announcements;
        let all = i64::from(window.newest?.0) - i64::from(window.oldest?.0);
        let own = i64::from(sum.newest.0) - i64::from(sum.oldest.0);
        match (100 * own).checked_div(all)? {
            percent if percent > 90 => Some(100),
            percent => Some(percent),
        }
    }

    /// What every address did in its second newest slot. Each slot is looked through once.
    fn paces(&self, sums: &[(SlotNumber, &AddressSum)]) -> HashMap<AddressNumber, Pace> {
        let slot_of: HashMap<AddressNumber, SlotNumber> =
            sums.iter().map(|(second, sum)| (sum.address, *second)).collect();
        let mut slots: Vec<SlotNumber> = sums.iter().map(|(second, _)| *second).collect();
        slots.sort_unstable();
        slots.dedup();
        let mut paces: HashMap<AddressNumber, Pace> = HashMap::new();
        for slot in slots {
            for post in self.ledger.posts.posts_of(slot, self.distribution.period) {
                if slot_of.get(&post.address) == Some(&slot) {
                    let pace = paces.entry(post.address).or_default();
                    pace.announcements += u64::from(post.accepted);
                    pace.encryptions =
                        pace.encryptions.saturating_add(encryptions(post.target, post.accepted));
                }
            }
        }
        paces
    }

    fn window(&self) -> PaidWindow {
        let window = &self.distribution.announcements;
        let newest = window.newest.map(|slot| self.end(slot));
        paid_window(&window.filling, newest, self.oldest_end(), None)
    }
}

fn share_window(distribution: &Distribution) -> PaidWindow {
    let window = &distribution.shares;
    let oldest = window.oldest.map(|(time, _)| time);
    paid_window(&window.filling, window.newest, oldest, window.oldest.map(|(_, id)| id))
}

fn paid_window(
    filling: &Filling,
    newest: Option<UnixMillis>,
    oldest: Option<UnixMillis>,
    oldest_event_id: Option<EventId>,
) -> PaidWindow {
    PaidWindow {
        newest_time: newest.map(|time| time.0),
        oldest_time: oldest.map(|time| time.0),
        oldest_event_id,
        full: filling.is_full(),
        width: filling.size.to_string(),
        credits: (filling.size - filling.remaining).to_string(),
        oldest_credits: filling.oldest_credits.to_string(),
        oldest_credits_paid: filling.oldest_credits_paid.to_string(),
    }
}

impl Rules {
    /// A part of what is left when the fee is taken, exactly where a decimal can hold it.
    fn after_fee(&self, part: Decimal) -> Decimal {
        let left = self.fee.map_or(Decimal::ONE, |fee| one_minus(fee.part));
        let exponent = part.exponent() + left.exponent();
        let exact = part.mantissa().checked_mul(left.mantissa());
        exact
            .and_then(|mantissa| Decimal::new(mantissa, exponent).ok())
            .or_else(|| Decimal::from_f64(part.to_f64() * left.to_f64()))
            .unwrap_or_default()
    }
}

fn portion(units: u64) -> Decimal {
    Decimal::new(u128::from(units), -12).unwrap_or_default()
}

fn payees<T>(distribution: &Distribution, value: impl Fn(u64) -> T) -> ByAddress<T> {
    distribution.payees.iter().map(|(address, units)| (*address, value(*units))).collect()
}

fn total_speed(announcements: &ByAddress<AnnMinerStats>, blocks: &ByAddress<BlkMinerStats>) -> u128 {
    let announcements = announcements.0.iter().map(|(_, miner)| miner.current_encryptions_per_second);
    let blocks = blocks.0.iter().map(|(_, miner)| miner.current_encryptions_per_second);
    announcements.chain(blocks).fold(0, u128::saturating_add)
}

/// Counts by hour of UTC: 24 entries, oldest first, the hour of `now` last.
fn per_hour(times: impl Iterator<Item = UnixMillis>, now: UnixMillis) -> Vec<u64> {
    let mut counts = vec![0; HOURS as usize];
    let this_hour = now.0 / HOUR_MS;
    for time in times {
        let age = this_hour.checked_sub(time.0 / HOUR_MS);
        if let Some(count) =
            age.and_then(|age| HOURS.checked_sub(age + 1)).and_then(|hour| counts.get_mut(hour as usize))
        {
            *count += 1;
        }
    }
    counts
}
