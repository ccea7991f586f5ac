//! `paymaker/<case>/`: uploads, documents, restarts and statistics of the reference PayMaker, run through our ledger.
//! `paymaker_live/`: what a recorded pool answered and told its node.
//!
//! Payout tables must be the reference's where it counted right (`peer_result_agrees`), else `recommended_result`,
//! within 10⁻⁹ for each address. Other members of the document are compared where no rule R-… changes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use ledger::{AcceptError, DurableLedger, Retention, Rules, RulesConfig, UNITS, UnixMillis};
use serde_json::Value;
use wire::pay_maker::PayMakerStats;
use wire::who_to_pay::{BlkMinerStats, WhoToPay};
use wire::{Decimal, PktAddress};

use super::Tally;

/// How far two parts of a reward may differ.
const TOLERANCE: f64 = 1e-9;

/// Runs a file if it belongs to a PayMaker case or to the recording of a live one.
pub fn check(path: &Path) -> Option<anyhow::Result<Tally>> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?;
    let in_case = || folder.join("case.json").exists();
    let is_live = || folder.join("configureminingpayouts.json").exists();
    match name {
        "case.json" if is_pay_maker_case(path) => Some(run_case(path)),
        "configureminingpayouts.json" => Some(check_live_call(path)),
        "whotopay.json" if is_live() => Some(check_live_document(path)),
        "stats.json" if is_live() => Some(check_live_statistics(path)),
        _ if in_case()
            && (is_numbered(name, "events_", ".ndjson") || is_numbered(name, "whotopay_", ".json")) =>
        {
            Some(Ok(Tally::companion("case.json")))
        }
        _ => None,
    }
}

fn is_numbered(name: &str, before: &str, after: &str) -> bool {
    let number = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

fn is_pay_maker_case(path: &Path) -> bool {
    read_json(path).is_ok_and(|case| case["config"]["payMaker"].is_object() && case["steps"].is_array())
}

fn read_json(path: &Path) -> anyhow::Result<Value> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

/// One case: a PayMaker with a configuration, a clock that stands still, and a folder of its own.
struct Case {
    folder: std::path::PathBuf,
    rules: Rules,
    now: UnixMillis,
    has_defect: bool,
    default_address: PktAddress,
    data: tempfile::TempDir,
    ledger: Option<DurableLedger>,
}

fn run_case(path: &Path) -> anyhow::Result<Tally> {
    let case = read_json(path)?;
    let folder = path.parent().context("a case is in a folder")?.to_owned();
    let config = rules_config(&case["config"])?;
    let (rules, default_address) = (Rules::new(&config)?, config.default_address);
    let now = UnixMillis(case["clock_ms"].as_u64().context("clock_ms")?);
    let data = tempfile::tempdir()?;
    let has_defect = case.get("differs_because").is_some();
    let mut run = Case { folder, rules, now, has_defect, default_address, data, ledger: None };
    run.restart()?;
    let mut tally = Tally::default();
    for (step, number) in case["steps"].as_array().context("steps")?.iter().zip(1..) {
        let op = step["op"].as_str().context("op")?;
        let problem = run.step(op, step).err().map(|error| format!("{error:#}"));
        tally.row(format_args!("step {number} ({op})"), problem);
    }
    Ok(tally)
}

fn rules_config(config: &Value) -> anyhow::Result<RulesConfig> {
    let pay_maker = &config["payMaker"];
    let decimal = |key: &str| -> anyhow::Result<Decimal> {
        serde_json::from_value(pay_maker[key].clone()).with_context(|| key.to_owned())
    };
    let slots = &pay_maker["annCompressor"];
    Ok(RulesConfig {
        has_private_seed: config["privateSeed"].as_str().is_some_and(|seed| !seed.is_empty()),
        block_payout_fraction: decimal("blockPayoutFraction")?,
        pplns_block_constant: decimal("pplnsBlkConstantX")?,
        pplns_announcement_constant: decimal("pplnsAnnConstantX")?,
        history_depth_ms: 1000 * pay_maker["historyDepth"].as_u64().context("historyDepth")?,
        slot_span_ms: slots["timespanMs"].as_u64().unwrap_or(60_000),
        slots_to_keep_events: slots["slotsToKeepEvents"].as_u64(),
        pool_fee: pay_maker.get("poolFee").map(|_| decimal("poolFee")).transpose()?,
        pool_fee_address: pay_maker["poolFeeAddress"].as_str().map(str::to_owned),
        default_address: pay_maker["defaultAddress"].as_str().context("defaultAddress")?.parse()?,
        most_payees: 10_000,
    })
}

impl Case {
    fn ledger(&self) -> anyhow::Result<&DurableLedger> {
        self.ledger.as_ref().context("the ledger is open")
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        self.ledger = None;
        self.ledger = Some(DurableLedger::open(self.data.path(), self.rules.clone(), Retention::Delete)?.0);
        Ok(())
    }

    fn step(&mut self, op: &str, step: &Value) -> anyhow::Result<()> {
        match op {
            "upload" => self.upload(step),
            "restart" => self.restart(),
            "whotopay" => self.who_to_pay(step),
            "stats" => self.statistics(step),
            "stored_files" => self.stored_files(step),
            other => bail!("unknown step {other:?}"),
        }
    }

    fn upload(&self, step: &Value) -> anyhow::Result<()> {
        let body = fs::read(self.folder.join(step["file"].as_str().context("file")?))?;
        let reply = &step["reply"];
        match (self.ledger()?.accept(&body, self.now), step["status"].as_u64()) {
            (Ok(accepted), Some(200)) => {
                let expected = &reply["result"]["eventId"];
                ensure!(
                    accepted.id.to_string() == expected.as_str().unwrap_or_default(),
                    "id {} is not {expected}",
                    accepted.id
                );
            }
            // The reference looks only at the end of a file for a time; a good line anywhere is enough for us.
            (Ok(_), Some(400)) => ensure!(has_good_line(&body), "accepted without a good line"),
            (Err(error @ AcceptError::Refused { .. }), Some(400)) => {
                let expected = reply["error"][0].as_str().unwrap_or_default();
                ensure!(error.to_string().contains(expected), "refused with {error}, not {expected:?}");
            }
            // Every event of it is refused by a rule (a future time, say) that the reference does not have.
            (Err(AcceptError::Refused { warnings, .. }), Some(200)) => {
                ensure!(warnings.count() > 0, "refused without a reason");
            }
            (outcome, status) => bail!("{outcome:?}, where the reference answered {status:?}"),
        }
        Ok(())
    }

    fn who_to_pay(&self, step: &Value) -> anyhow::Result<()> {
        let newest = max_time(step["query"].as_str().unwrap_or_default());
        let document = self.ledger()?.read().who_to_pay(self.now, newest);
        let units: u64 = document.units.iter().flat_map(|units| &units.0).map(|(_, units)| units).sum();
        ensure!(units == UNITS, "the parts sum to {units}, not to {UNITS}");
        let recorded = fs::read(self.folder.join(step["file"].as_str().context("file")?))?;
        let recorded = WhoToPay::parse(&recorded).context("the reference's document")?;
        let agrees = step["peer_result_agrees"].as_bool().unwrap_or(false);
        let expected: BTreeMap<PktAddress, f64> = if agrees {
            recorded.result.0.iter().map(|(address, part)| (*address, part.to_f64())).collect()
        } else {
            serde_json::from_value(step["recommended_result"].clone()).context("recommended_result")?
        };
        same_parts(&expected, &document)?;
        self.same_figures(&recorded, &document, agrees && newest.is_none())
    }

    /// Compares what no rule changes; with `same_work` also what the two windows over the same work give.
    fn same_figures(&self, recorded: &WhoToPay, ours: &WhoToPay, same_work: bool) -> anyhow::Result<()> {
        let near = |name: &str, recorded: Decimal, ours: Decimal| {
            let (recorded, ours) = (recorded.to_f64(), ours.to_f64());
            ensure!((recorded - ours).abs() <= TOLERANCE, "{name} is {ours}, not {recorded}");
            Ok(())
        };
        near("poolFee", recorded.pool_fee, ours.pool_fee)?;
        near("blockMiners", recorded.block_miners, ours.block_miners)?;
        near("annMiners", recorded.ann_miners, ours.ann_miners)?;
        ensure!(
            recorded.error == ours.error && recorded.generated_at == ours.generated_at,
            "error or generatedAt"
        );
        if same_work {
            same_warnings(&recorded.warn, &ours.warn)?;
            self.same_block_miners(recorded, ours)?;
        }
        Ok(())
    }

    fn same_block_miners(&self, recorded: &WhoToPay, ours: &WhoToPay) -> anyhow::Result<()> {
        // The reference adds what is left over to the default address's entry, and shows miners without credit.
        let compared = |(address, theirs): &&(PktAddress, BlkMinerStats)| {
            *address != self.default_address && !theirs.credits.is_zero()
        };
        for (address, theirs) in recorded.blk_miner_stats.0.iter().filter(compared) {
            let miner =
                ours.blk_miner_stats.get(address).with_context(|| format!("blkMinerStats: no {address}"))?;
            let credits = (theirs.credits.to_f64() - miner.credits.to_f64()).abs() <= TOLERANCE;
            let same = theirs.last_seen == miner.last_seen
                && theirs.current_encryptions_per_second == miner.current_encryptions_per_second;
            ensure!(credits && same, "blkMinerStats of {address}: {miner:?}, not {theirs:?}");
        }
        Ok(())
    }

    fn statistics(&self, step: &Value) -> anyhow::Result<()> {
        let expected = &step["reply_without_memory"];
        let holdings = self.ledger()?.read().holdings();
        // Slots lie elsewhere by rule R-P8, and a defect changes what is kept.
        if !self.has_defect {
            let ours = [holdings.blocks, holdings.shares].map(|count| count as u64);
            let theirs = ["blocks", "shares"].map(|key| expected[key].as_u64().unwrap_or_default());
            ensure!(ours == theirs, "blocks and shares are {ours:?}, not {theirs:?}");
        }
        Ok(())
    }

    /// The reference names a file after its last line, we after its newest event, so only ids are compared.
    fn stored_files(&self, step: &Value) -> anyhow::Result<()> {
        let stored = self.ledger()?.stored_uploads()?;
        for name in step["names"].as_array().context("names")? {
            let id = name.as_str().and_then(|name| name.rsplit_once('_')).context("a name with an id")?.1;
            ensure!(
                stored.iter().any(|upload| upload.file_name().ends_with(id)),
                "no file for {name}, only {stored:?}"
            );
        }
        Ok(())
    }
}

/// `maxtime` as JavaScript reads it: an empty value is 0, text that is no number is ignored.
fn max_time(query: &str) -> Option<UnixMillis> {
    let value = query.trim_start_matches('?').split('&').find_map(|pair| pair.strip_prefix("maxtime="))?;
    if value.is_empty() {
        return Some(UnixMillis(0));
    }
    let number: Decimal = value.parse().ok()?;
    Some(UnixMillis(u64::try_from(number.floor_saturating()).unwrap_or(u64::MAX)))
}

fn has_good_line(body: &[u8]) -> bool {
    body.split(|byte| *byte == b'\n').any(|line| wire::Event::parse_line(line).is_ok())
}

fn same_parts(expected: &BTreeMap<PktAddress, f64>, document: &WhoToPay) -> anyhow::Result<()> {
    let ours: BTreeMap<PktAddress, f64> =
        document.result.0.iter().map(|(address, part)| (*address, part.to_f64())).collect();
    for address in expected.keys().chain(ours.keys()) {
        let part = |table: &BTreeMap<PktAddress, f64>| table.get(address).copied().unwrap_or_default();
        let (expected, ours) = (part(expected), part(&ours));
        ensure!((expected - ours).abs() <= TOLERANCE, "{address} gets {ours}, not {expected}");
    }
    Ok(())
}

/// The same warnings; the percentages in them may differ by rounding.
fn same_warnings(recorded: &[String], ours: &[String]) -> anyhow::Result<()> {
    let split = |warning: &str| -> (String, f64) {
        let (before, rest) = warning.split_once('[').unwrap_or((warning, ""));
        let percent = rest.split_once('%').map_or("", |(percent, _)| percent);
        (before.to_owned(), percent.parse().unwrap_or_default())
    };
    let same = recorded.len() == ours.len()
        && recorded.iter().zip(ours).all(|(recorded, ours)| {
            let ((recorded, their_percent), (ours, our_percent)) = (split(recorded), split(ours));
            recorded == ours && (their_percent - our_percent).abs() <= 1e-6
        });
    ensure!(same, "warn is {ours:?}, not {recorded:?}");
    Ok(())
}

fn check_live_call(path: &Path) -> anyhow::Result<Tally> {
    let call = read_json(path)?;
    let table: BTreeMap<String, f64> = serde_json::from_value(call["request"]["params"][0].clone())?;
    let mut tally = Tally::default();
    let sum: f64 = table.values().sum();
    tally.row("the parts sum to 1", ((sum - 1.0).abs() > TOLERANCE).then(|| format!("they sum to {sum}")));
    for address in table.keys() {
        tally.row(address, address.parse::<PktAddress>().err().map(|fault| fault.to_string()));
    }
    Ok(tally)
}

fn check_live_document(path: &Path) -> anyhow::Result<Tally> {
    let document = WhoToPay::parse(&fs::read(path)?)?;
    let mut tally = Tally::default();
    let sum: f64 = document.result.0.iter().map(|(_, part)| part.to_f64()).sum();
    tally.row("result sums to 1", ((sum - 1.0).abs() > TOLERANCE).then(|| format!("it sums to {sum}")));
    let parts = document.pool_fee.to_f64() + document.block_miners.to_f64() + document.ann_miners.to_f64();
    let problem = ((parts - 1.0).abs() > TOLERANCE).then(|| format!("they sum to {parts}"));
    tally.row("poolFee, blockMiners and annMiners sum to 1", problem);
    tally.row("members", missing_members(&read_json(path)?, &serde_json::to_value(&document)?));
    Ok(tally)
}

fn check_live_statistics(path: &Path) -> anyhow::Result<Tally> {
    let statistics = PayMakerStats::parse(&fs::read(path)?)?;
    let mut tally = Tally::default();
    tally.row("members", missing_members(&read_json(path)?, &serde_json::from_str(&statistics.to_json())?));
    Ok(tally)
}

/// Members of a recorded document that ours lacks.
fn missing_members(recorded: &Value, ours: &Value) -> Option<String> {
    let missing: Vec<_> =
        recorded.as_object()?.keys().filter(|key| ours.get(key.as_str()).is_none()).collect();
    (!missing.is_empty()).then(|| format!("ours lacks {missing:?}"))
}
