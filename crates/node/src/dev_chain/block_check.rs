//! Everything that a block must fulfil except its proof of work, stage by stage as pktd does it.
//!
//! Source: `docs/protocol/packetcrypt-blocks.md` 7.4 and 8.

use packetcrypt::{Height, block::Transaction};

use super::{
    coinbase::declared_height,
    rules::{Branch, ChainRules, MAX_SECONDS_AHEAD, STEWARD_SCRIPT, median_time, steward_share, subsidy},
    submitted_block::{LARGEST_BLOCK, SubmittedBlock},
    violation::Violation,
};

/// The oldest version of a block that is still valid.
const LEAST_VERSION: i32 = 4;

/// What can be seen without knowing the chain; `now` in unix seconds.
pub fn check_sanity(block: &SubmittedBlock<'_>, rules: &ChainRules, now: u32) -> Result<(), Violation> {
    let header = &block.header;
    let target = header.bits.expand().filter(|target| !target.is_zero());
    let target = target.ok_or(Violation::NoTarget(header.bits))?;
    if target > rules.limit.number() {
        return Err(Violation::TargetAboveLimit { found: header.bits, limit: rules.limit.compact() });
    }
    if header.time > now.saturating_add(MAX_SECONDS_AHEAD) {
        return Err(Violation::TimeTooNew(header.time));
    }
    let (coinbase, others) = block.transactions.split_first().ok_or(Violation::NoTransactions)?;
    if block.bytes.len() > LARGEST_BLOCK {
        return Err(Violation::TooBig { found: block.bytes.len(), max: LARGEST_BLOCK });
    }
    if !coinbase.is_coinbase() {
        return Err(Violation::FirstNotCoinbase);
    }
    if let Some(index) = others.iter().position(Transaction::is_coinbase) {
        return Err(Violation::MultipleCoinbases(index + 1));
    }
    let script_length = input_script(coinbase).len();
    if !(2..=100).contains(&script_length) {
        return Err(Violation::CoinbaseScriptLength(script_length));
    }
    let outputs = block.transactions.iter().flat_map(|transaction| &transaction.outputs);
    if let Some(output) = outputs.into_iter().find(|output| output.value < 0) {
        return Err(Violation::NegativeOutput(output.value));
    }
    let calculated = block.merkle_root();
    if calculated != header.merkle_root {
        return Err(Violation::MerkleRoot { header: header.merkle_root, calculated });
    }
    Ok(())
}

/// The height that the coinbase declares; the proof of work is judged by it.
pub fn height_of(block: &SubmittedBlock<'_>) -> Result<i64, Violation> {
    let coinbase = block.transactions.first().ok_or(Violation::NoTransactions)?;
    declared_height(input_script(coinbase)).ok_or(Violation::MissingHeight)
}

/// Whether the block may follow the tip of `branch`.
pub fn check_place(
    block: &SubmittedBlock<'_>,
    branch: &impl Branch,
    rules: &ChainRules,
) -> Result<(), Violation> {
    let header = &block.header;
    let expected = Height(branch.tip().height.0.saturating_add(1));
    let found = height_of(block)?;
    if found != i64::from(expected.0) {
        return Err(Violation::CoinbaseHeight { found, expected });
    }
    let required = rules.required_bits(branch, header.time);
    if header.bits != required {
        return Err(Violation::UnexpectedBits { found: header.bits, expected: required });
    }
    let median = median_time(branch);
    if header.time <= median {
        return Err(Violation::TimeTooOld { found: header.time, median });
    }
    if header.version < LEAST_VERSION {
        return Err(Violation::VersionTooOld(header.version));
    }
    Ok(())
}

/// Whether the block spends only what it may.
pub fn check_money(block: &SubmittedBlock<'_>, height: Height) -> Result<(), Violation> {
    let (coinbase, others) = block.transactions.split_first().ok_or(Violation::NoTransactions)?;
    if !others.is_empty() {
        return Err(Violation::Spends(others.len()));
    }
    let subsidy = subsidy(height);
    let paid: u128 = coinbase.outputs.iter().map(|output| u128::from(output.value.unsigned_abs())).sum();
    if paid > u128::from(subsidy) {
        return Err(Violation::CoinbaseValue { found: paid, expected: subsidy });
    }
    let due = steward_share(subsidy);
    let steward_is_paid = coinbase
        .outputs
        .iter()
        .any(|output| output.script == STEWARD_SCRIPT && u64::try_from(output.value) == Ok(due));
    if steward_is_paid { Ok(()) } else { Err(Violation::Steward) }
}

fn input_script<'a>(coinbase: &Transaction<'a>) -> &'a [u8] {
    coinbase.inputs.first().map_or(&[], |input| input.script)
}
