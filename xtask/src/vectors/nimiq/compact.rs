//! `compact.json`: targets, difficulties and the peers' arithmetic between them.

use std::path::Path;

use anyhow::{Context, anyhow};
use nimiq::decimal::Number;
use nimiq::difficulty::Window;
use nimiq::{CompactTarget, Decimal, Difficulty, Height, ProofOfWork, Target, Timestamp};
use serde::Deserialize;

use super::super::Tally;
use super::{array, difference, first, read, shown};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    compact_to_target: Vec<CompactToTarget>,
    target_to_compact: Vec<Converted>,
    difficulty: Vec<OfDifficulty>,
    proof_of_work: Vec<Judged>,
    vardiff_up_big_number: Vec<Step>,
    vardiff_down_big_number_min1: Vec<Step>,
    vardiff_up_rounded3: Vec<Step>,
    next_target: Vec<AtHead>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CompactToTarget {
    compact: u32,
    target: String,
    target_hex: String,
    difficulty: String,
    valid: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Converted {
    target: String,
    target_to_compact: u32,
    target_height: i32,
    target_depth: i32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OfDifficulty {
    difficulty: String,
    target: String,
    settings_target_json: String,
    difficulty_to_compact: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Judged {
    pow: String,
    hash_depth: i32,
    real_difficulty: String,
    compact: u32,
    is_proof_of_work: bool,
    #[serde(default, rename = "note")]
    _note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// A text, or a number in the sequence that is rounded.
    difficulty: serde_json::Value,
    compact: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AtHead {
    head_height: u32,
    head_timestamp: u32,
    tail_height: u32,
    tail_timestamp: u32,
    delta_total_difficulty: String,
    next_compact: u32,
    next_target: String,
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let file: File = read(path)?;
    let mut tally = Tally::default();
    for row in &file.compact_to_target {
        tally.row(format_args!("compact {:#x}", row.compact), row.check());
    }
    for row in &file.target_to_compact {
        tally.row(format_args!("target {}", row.target), row.check()?);
    }
    for row in &file.difficulty {
        tally.row(format_args!("difficulty {}", row.difficulty), row.check()?);
    }
    for row in &file.proof_of_work {
        tally.row(format_args!("proof of work {}", row.pow), row.check()?);
    }
    sequence(&mut tally, "up", &file.vardiff_up_big_number, |before| before.checked_mul(tenths(12)?))?;
    sequence(&mut tally, "down", &file.vardiff_down_big_number_min1, |before| {
        Some(before.checked_div(tenths(12)?)?.max(Decimal::ONE))
    })?;
    sequence(&mut tally, "up, rounded", &file.vardiff_up_rounded3, |before| {
        rounded3(before.checked_mul(tenths(12)?)?)
    })?;
    for row in &file.next_target {
        tally.row(format_args!("next target at {}", row.head_height), row.check()?);
    }
    Ok(tally)
}

fn decimal(text: &str) -> anyhow::Result<Decimal> {
    text.parse().map_err(|error| anyhow!("{error}"))
}

fn tenths(tenths: u64) -> Option<Decimal> {
    Decimal::from_u64(tenths).checked_div(Decimal::from_u64(10))
}

/// To three places, half up.
fn rounded3(number: Decimal) -> Option<Decimal> {
    let thousand = Decimal::from_u64(1000);
    let half_up = number.checked_mul(thousand)?.checked_add(tenths(5)?)?;
    Decimal::from_number(half_up.whole())?.checked_div(thousand)
}

/// The compact target that a difficulty is announced with.
fn compact_of(difficulty: Decimal) -> Option<u32> {
    Some(Difficulty::new(difficulty)?.compact()?.0)
}

/// Each difficulty follows from the one before it.
fn sequence(
    tally: &mut Tally,
    name: &str,
    steps: &[Step],
    step: impl Fn(Decimal) -> Option<Decimal>,
) -> anyhow::Result<()> {
    let mut expected = None;
    for (index, row) in steps.iter().enumerate() {
        let text = row.difficulty.as_str().map_or_else(|| row.difficulty.to_string(), str::to_owned);
        let difficulty = decimal(&text)?;
        let problem = first([
            difference("difficulty", difficulty, expected.unwrap_or(difficulty)),
            difference("compact", Some(row.compact), compact_of(difficulty)),
        ]);
        tally.row(format_args!("vardiff {name} {index}"), problem);
        expected = step(difficulty);
    }
    Ok(())
}

impl CompactToTarget {
    fn check(&self) -> Option<String> {
        let compact = CompactTarget(self.compact);
        let target = compact.target();
        first([
            shown("target", &self.target, target),
            shown("target in hexadecimal", &self.target_hex, format_args!("{:x}", target.number())),
            shown("difficulty", &self.difficulty, compact.difficulty()),
            difference("valid", self.valid, compact.is_valid_in_header()),
        ])
    }
}

impl Converted {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let number: Number =
            self.target.parse().ok().with_context(|| format!("no number {:?}", self.target))?;
        let decimal = Decimal::from_number(number).context("the target is too large")?;
        let power = 240 - Target::new(number).depth();
        // The peers take the logarithm of a double, which is the power itself for what is just above one.
        let double = decimal.to_f64();
        let just_above = double / 2f64.powi(power - 1) < 1.0 + 1e-14;
        let height = if just_above { double.log2().ceil() as i32 } else { power };
        Ok(first([
            difference("compact", self.target_to_compact, CompactTarget::nearest(decimal).0),
            difference("height", self.target_height, height),
            difference("depth", self.target_depth, 240 - height),
        ]))
    }
}

impl OfDifficulty {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let difficulty: Difficulty = self.difficulty.parse().map_err(|error| anyhow!("{error}"))?;
        let target = difficulty.target().context("the target is too large")?;
        let sent: String = serde_json::from_str(&self.settings_target_json)?;
        Ok(first([
            shown("target", &self.target, target),
            difference("target as sent", decimal(&sent)?, target),
            shown("text that is sent", &sent, with_exponent(&target.to_string())),
            difference("compact", Some(self.difficulty_to_compact), compact_of(difficulty.to_decimal())),
        ]))
    }
}

/// As the reference writes a large number: one digit, the others, and an exponent from 21 on.
fn with_exponent(plain: &str) -> String {
    let (whole, part) = plain.split_once('.').unwrap_or((plain, ""));
    if whole.len() <= 21 {
        return plain.to_owned();
    }
    let digits = format!("{}{part}", &whole[1..]);
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    format!("{}{point}{digits}e+{}", &whole[..1], whole.len() - 1)
}

impl Judged {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let proof_of_work = ProofOfWork(array(&self.pow)?);
        let met = CompactTarget(self.compact).target().is_met_by(&proof_of_work);
        let difficulty = Difficulty::of_target(&Target::new(proof_of_work.number()));
        Ok(first([
            difference("depth", self.hash_depth, proof_of_work.depth()),
            shown("difficulty", &self.real_difficulty, difficulty),
            difference("is proof of work", self.is_proof_of_work, met),
        ]))
    }
}

impl AtHead {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let window = Window {
            head: Height(self.head_height),
            head_timestamp: Timestamp(self.head_timestamp),
            tail_timestamp: Timestamp(self.tail_timestamp),
            difficulty: decimal(&self.delta_total_difficulty)?,
        };
        let next = window.next_target().context("no next target")?;
        Ok(first([
            difference("tail", self.tail_height, Window::tail(window.head).0),
            difference("compact", CompactTarget(self.next_compact), next),
            shown("target", &self.next_target, next.target()),
        ]))
    }
}
