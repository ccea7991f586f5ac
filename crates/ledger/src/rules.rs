//! What an operator decides about payouts: windows, fee, addresses, history.
//!
//! `docs/protocol/packetcrypt-pool.md` 11.5, 11.10 and 13. Numbers stay the decimals that were written.

use ruint::aliases::U512;
use wire::{Decimal, PktAddress};

/// A distribution is divided into this many units; an address is paid so many of them.
pub const UNITS: u64 = 1_000_000_000_000;

/// The accounting part of a PayMaker's configuration, as it is written.
#[derive(Debug, Clone)]
pub struct RulesConfig {
    /// Whether the pool has a private seed: then only signed announcements are paid.
    pub has_private_seed: bool,
    /// Part of a reward that goes to block miners, 0 to 1.
    pub block_payout_fraction: Decimal,
    /// How far back block miners are paid, in credits.
    pub pplns_block_constant: Decimal,
    /// How far back announcement miners are paid, in credits.
    pub pplns_announcement_constant: Decimal,
    /// How long an event matters, in milliseconds.
    pub history_depth_ms: u64,
    /// Length of an announcement slot, in milliseconds.
    pub slot_span_ms: u64,
    /// If set: announcement events of slots further back than this are dropped (rule R-P7).
    pub slots_to_keep_events: Option<u64>,
    /// The pool's part of a reward, above 0 and below 1; `None`: no fee.
    pub pool_fee: Option<Decimal>,
    /// Who gets the fee.
    pub pool_fee_address: Option<String>,
    /// Who gets what no window covers, all roundings, and the parts for which a block has no place.
    pub default_address: PktAddress,
    /// Addresses that a block pays for their work at most (rule R-P23).
    pub most_payees: u32,
}

/// Why a configuration cannot be accounted with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesFault {
    /// A window that ends before it starts, or one that no history could fill.
    #[error("{key} must be greater than 0 (at least 0.000000000001) and at most 1000000000, not {value}")]
    ConstantOutOfRange {
        /// Which constant.
        key: &'static str,
        /// What was written.
        value: Decimal,
    },
    /// Slots that would be countless or senseless.
    #[error("the announcement slot must last from 1000 to 86400000 milliseconds, not {0}")]
    SlotSpan(u64),
    /// A history shorter than one slot or longer than anybody keeps.
    #[error("the history must reach back from one announcement slot to ten years, not {0} milliseconds")]
    HistoryDepth(u64),
}

/// The fee, after looking at what was configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fee {
    /// Units of every distribution.
    pub units: u64,
    /// As it was written.
    pub part: Decimal,
    /// Who gets them.
    pub address: PktAddress,
}

/// Rules that can be accounted with.
#[derive(Debug, Clone)]
pub struct Rules {
    pub(crate) has_private_seed: bool,
    pub(crate) history_depth_ms: u64,
    pub(crate) slot_span_ms: u64,
    pub(crate) slots_to_keep_events: Option<u64>,
    pub(crate) block_payout_fraction: Decimal,
    pub(crate) blocks: WindowRule,
    pub(crate) announcements: WindowRule,
    pub(crate) fee: Option<Fee>,
    pub(crate) fee_warnings: Vec<String>,
    pub(crate) default_address: PktAddress,
    pub(crate) most_payees: usize,
}

/// How far one of the two windows reaches back, and what a credit inside it is worth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowRule {
    /// W of 11.10.2, in units of 2⁻⁹⁶ credits.
    pub(crate) size: u128,
    /// The constant X.
    constant: Decimal,
}

impl Rules {
    /// Checks a configuration. A fraction outside 0…1 becomes one half and an unusable fee none, with a warning
    /// in every document (11.5); anything else that cannot be accounted with is a fault.
    pub fn new(config: &RulesConfig) -> Result<Self, RulesFault> {
        let block_constant = in_range("pplnsBlkConstantX", config.pplns_block_constant)?;
        let announcement_constant = in_range("pplnsAnnConstantX", config.pplns_announcement_constant)?;
        if !(1_000..=86_400_000).contains(&config.slot_span_ms) {
            return Err(RulesFault::SlotSpan(config.slot_span_ms));
        }
        if !(config.slot_span_ms..=315_360_000_000).contains(&config.history_depth_ms) {
            return Err(RulesFault::HistoryDepth(config.history_depth_ms));
        }
        let fraction = fraction_or_half(config.block_payout_fraction);
        let (fee, fee_warnings) = fee(config);
        Ok(Self {
            has_private_seed: config.has_private_seed,
            history_depth_ms: config.history_depth_ms,
            slot_span_ms: config.slot_span_ms,
            slots_to_keep_events: config.slots_to_keep_events,
            block_payout_fraction: fraction,
            blocks: WindowRule::new(block_constant, fraction),
            announcements: WindowRule::new(announcement_constant, one_minus(fraction)),
            fee,
            fee_warnings,
            default_address: config.default_address,
            most_payees: config.most_payees as usize,
        })
    }

    /// Units that are not the fee.
    pub(crate) fn units_after_fee(&self) -> u64 {
        UNITS - self.fee.map_or(0, |fee| fee.units)
    }
}

impl WindowRule {
    /// `constant` is in range and `fraction` from 0 to 1, so the size stays below 2¹²⁷.
    fn new(constant: Decimal, fraction: Decimal) -> Self {
        let product = (U512::from(constant.mantissa()) * U512::from(fraction.mantissa())) << 96;
        let exponent = i32::from(constant.exponent()) + i32::from(fraction.exponent());
        Self { size: saturated(&scaled(product, exponent)), constant }
    }

    /// floor(whole · credits / (2⁹⁶ · X)): what `credits` inside the window are worth of `whole` units (11.10.3).
    pub(crate) fn worth(&self, whole: u64, credits: u128) -> u64 {
        let product = U512::from(whole) * U512::from(credits);
        let exponent = self.constant.exponent();
        // X = mantissa · 10^exponent stands below the fraction bar.
        let numerator = if exponent < 0 { scaled(product, -i32::from(exponent)) } else { product };
        let divisor = U512::from(self.constant.mantissa());
        let divisor = if exponent > 0 { scaled(divisor, i32::from(exponent)) } else { divisor };
        saturated(&((numerator >> 96) / divisor)) as u64
    }
}

/// `number · 10^exponent`, rounded down. All numbers here have far fewer than the 512 bits available, because
/// constants and fractions are bounded in size and digits.
fn scaled(number: U512, exponent: i32) -> U512 {
    let power = U512::from(10).saturating_pow(U512::from(exponent.unsigned_abs().min(150)));
    if exponent < 0 { number / power } else { number.saturating_mul(power) }
}

fn saturated(number: &U512) -> u128 {
    u128::try_from(*number).unwrap_or(u128::MAX)
}

fn in_range(key: &'static str, value: Decimal) -> Result<Decimal, RulesFault> {
    let parts = if value.is_negative() { 0 } else { trillionths(value) };
    match parts {
        1..=1_000_000_000_000_000_000_000 => Ok(value),
        _ => Err(RulesFault::ConstantOutOfRange { key, value }),
    }
}

/// floor(10¹² · value), at most `u128::MAX`.
fn trillionths(value: Decimal) -> u128 {
    Decimal::new(value.mantissa(), value.exponent().saturating_add(12))
        .map_or(0, |scaled| scaled.floor_saturating())
}

fn fraction_or_half(fraction: Decimal) -> Decimal {
    let outside = fraction.is_negative() || (!fraction.is_zero() && is_above_one(fraction));
    // Fractions finer than a unit's trillionth are as good as written with fewer digits.
    let too_fine = fraction.exponent() < -30;
    if outside || too_fine { Decimal::new(5, -1).unwrap_or_default() } else { fraction }
}

fn is_above_one(number: Decimal) -> bool {
    number != Decimal::ONE && number.floor_saturating() >= 1
}

/// 1 − `fraction`, exactly; `fraction` is from 0 to 1 with at most 30 decimals.
pub(crate) fn one_minus(fraction: Decimal) -> Decimal {
    let decimals = fraction.exponent().min(0);
    let one = 10u128.pow(u32::from(decimals.unsigned_abs()).min(30));
    Decimal::new(one.saturating_sub(fraction.mantissa()), decimals).unwrap_or_default()
}

/// The fee and, if one was set that cannot be taken, why (11.5.3).
fn fee(config: &RulesConfig) -> (Option<Fee>, Vec<String>) {
    let Some(part) = config.pool_fee.filter(|part| !part.is_zero()) else { return (None, Vec::new()) };
    if part.is_negative() || part.floor_saturating() >= 1 {
        return (None, vec![format!("invalid poolFee {part} must be between 0 and 1")]);
    }
    let written = config.pool_fee_address.as_deref().unwrap_or_default();
    match written.parse() {
        Ok(address) => (Some(Fee { units: trillionths(part) as u64, part, address }), Vec::new()),
        Err(_) => (None, vec![format!("invalid poolFeeAddress {written}")]),
    }
}
