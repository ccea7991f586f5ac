//! `difficulty.json`: one table for each function of the difficulty arithmetic.

use std::path::Path;

use packetcrypt::target::{
    CanonicalTarget, CompactTarget, effective_target, hash_rate_multiplier, target_of, work_of,
};
use serde_json::Value;

use super::super::Tally;
use super::{Row, array, difference, read};

/// Runs one row: what is wrong with it, if anything.
type Check = fn(&Row) -> anyhow::Result<Option<String>>;

/// Every table with the function that runs its rows.
const TABLES: &[(&str, Check)] = &[
    ("effective_target", |row| {
        let got = effective_target(row.target(0)?, row.target(1)?, row.decimal(2)?);
        Ok(difference("effective target", row.target(3)?, got))
    }),
    ("degraded_target", |row| {
        let got = row.target(0)?.degraded(row.decimal(1)?).unwrap_or(CompactTarget(u32::MAX));
        Ok(difference("degraded target", row.target(2)?, got))
    }),
    ("min_ann_target_ok", |row| {
        let target = row.target(0)?;
        let expected = row.flag(1)? && target.is_canonical();
        Ok(difference("least work", expected, CanonicalTarget::try_from(target).is_ok()))
    }),
    ("compact_value_work_workcompact_targetofwork_compact", compact_forms),
    ("value_to_compact", |row| {
        Ok(difference("compact", row.target(1)?, CompactTarget::from_number(&row.number(0)?)))
    }),
    ("hashrate_multiplier", |row| {
        let got = hash_rate_multiplier(row.target(0)?, row.decimal(1)?);
        Ok(difference("multiplier", row.decimal(2)?, got))
    }),
    ("work_check_hash_target_packetcryptrs_pktd", |row| {
        let hash = array(row.text(0)?)?;
        Ok(difference("target met", row.flag(2)?, row.target(1)?.is_met_by(&hash)))
    }),
    ("target_to_difficulty_float", |row| {
        let (expected, got) = (row.decimal::<f64>(1)?, row.target(0)?.work_for_display());
        let close = (expected - got).abs() <= expected * 1e-12;
        Ok((!close).then(|| format!("work as a float: expected {expected}, got {got}")))
    }),
];

fn compact_forms(row: &Row) -> anyhow::Result<Option<String>> {
    let value = row.target(0)?.magnitude();
    let work = work_of(&value);
    let target = target_of(&work);
    let steps = [
        difference("value", row.number(1)?, value),
        difference("work", row.number(2)?, work),
        difference("work, compact", row.target(3)?, CompactTarget::from_number(&work)),
        difference("target of work", row.number(4)?, target),
        difference("target of work, compact", row.target(5)?, CompactTarget::from_number(&target)),
    ];
    Ok(steps.into_iter().flatten().next())
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let tables: Value = read(path)?;
    let mut tally = Tally::default();
    for (name, check) in TABLES {
        for (number, row) in Row::all(&tables, name)?.iter().enumerate() {
            tally.row(format_args!("{name} {number}"), check(row)?);
        }
    }
    Ok(tally)
}
