//! `chain.json` and `addresses.json`: the chain's arithmetic and what it can pay, as the dev chain has them.

use std::path::Path;

use anyhow::Context;
use node::dev_chain::coinbase::{declared_height, template};
use node::dev_chain::payouts::{Payee, Payouts, split};
use node::dev_chain::rules::{
    BlockPlace, Branch, ChainRules, issued_before, median_time, steward_share, subsidy,
};
use node::dev_chain::store::Origin;
use packetcrypt::block::{Header, Transaction};
use packetcrypt::{CompactTarget, Height};
use serde::Deserialize;
use serde_json::{Map, Value};
use wire::pkt_address::ChainAddress;

use super::super::Tally;
use super::{Row, array, difference, read};

/// Runs one row: what is wrong with it, if anything.
type Check = fn(&Row) -> anyhow::Result<Option<String>>;

/// Every table with the function that runs its rows.
const TABLES: &[(&str, Check)] = &[
    ("subsidy_height_subsidy_steward_totalbefore", |row| {
        let height = Height(row.decimal(0)?);
        let expected: (u64, u64, u64) = (row.decimal(1)?, row.decimal(2)?, row.decimal(3)?);
        let got = (subsidy(height), steward_share(subsidy(height)), issued_before(height));
        Ok(difference("subsidy, steward share, sum before", expected, got))
    }),
    ("retarget_bits_timespan_newbits", |row| {
        let period = OnePeriod { bits: row.target(0)?, span: row.decimal(1)? };
        Ok(difference("new bits", row.target(2)?, ChainRules::public().required_bits(&period, 0)))
    }),
    ("coinbase_script_height_script", |row| {
        let coinbase = template(Height(row.decimal(0)?), &[]);
        let coinbase = Transaction::from_bytes(&coinbase)?;
        let script = coinbase.inputs.first().map(|input| hex::encode(input.script));
        Ok(difference("script", Some(row.text(1)?.to_owned()), script))
    }),
    ("coinbase_height_parse_script_height_or_null", |row| {
        let script = hex::decode(row.text(0)?)?;
        let expected = if row.value(1)?.is_null() { None } else { Some(row.decimal(1)?) };
        Ok(difference("height", expected, declared_height(&script)))
    }),
    ("difficulty_bits_base_value", |row| {
        let got = row.target(0)?.difficulty(row.target(1)?);
        Ok(difference("difficulty", Some(row.decimal(2)?), got))
    }),
    ("header_blockhash_pchash", |row| {
        let header = Header::from_bytes(&array(row.text(0)?)?);
        let id = difference("block id", row.text(1)?.to_owned(), header.block_hash().to_string());
        Ok(id.or(difference("hash", row.text(2)?.to_owned(), hex::encode(header.header_hash().0))))
    }),
    ("past_median_times_median", |row| {
        let times: Vec<u32> = serde_json::from_value(row.value(0)?.clone())?;
        Ok(difference("median", row.decimal(1)?, median_time(&Times(times))))
    }),
];

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let tables: Value = read(path)?;
    let mut tally = Tally::default();
    for (name, check) in TABLES {
        for (number, row) in Row::all(&tables, name)?.iter().enumerate() {
            tally.row(format_args!("{name} {number}"), check(row)?);
        }
    }
    let payouts = tables.get("payouts").context("no table \"payouts\"")?;
    for (number, recorded) in Vec::<RecordedPayout>::deserialize(payouts)?.iter().enumerate() {
        tally.row(format_args!("payouts {number}"), recorded.check()?);
    }
    Ok(tally)
}

fn place(height: u32, bits: CompactTarget, time: u32) -> BlockPlace {
    let header = Header { bits, time, ..Header::from_bytes(&[0; 80]) };
    BlockPlace { height: Height(height), origin: Origin::Mined, header }
}

/// The first period of the main network, which took `span` seconds.
struct OnePeriod {
    bits: CompactTarget,
    span: u32,
}

impl OnePeriod {
    const LAST: u32 = 2015;
}

impl Branch for OnePeriod {
    fn tip(&self) -> BlockPlace {
        place(Self::LAST, self.bits, self.span)
    }

    fn ancestors(&self) -> impl Iterator<Item = BlockPlace> {
        let time = |height| if height == 0 { 0 } else { self.span };
        (0..=Self::LAST).rev().map(move |height| place(height, self.bits, time(height)))
    }
}

/// A branch of which only the times matter, oldest first.
struct Times(Vec<u32>);

impl Branch for Times {
    fn tip(&self) -> BlockPlace {
        place(0, CompactTarget::EASIEST, self.0.last().copied().unwrap_or_default())
    }

    fn ancestors(&self) -> impl Iterator<Item = BlockPlace> {
        self.0.iter().rev().map(|time| place(0, CompactTarget::EASIEST, *time))
    }
}

/// What a node made of a payout table.
#[derive(Deserialize)]
struct RecordedPayout {
    coins: String,
    weights: Map<String, Value>,
    outputs: Vec<(String, String)>,
}

impl RecordedPayout {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let payouts = Payouts::parse(&self.weights)?;
        let payee = |address: &String| {
            let script = ChainAddress::parse(address)?.script();
            payouts.payees().iter().find(|payee| payee.script == script).context("an output to nobody")
        };
        let in_order = self.outputs.iter().map(|(address, _)| payee(address));
        let in_order = in_order.collect::<anyhow::Result<Vec<&Payee>>>()?;
        let amounts = split(self.coins.parse()?, &in_order)?;
        let got = amounts.iter().map(|amount| amount.units.to_string()).collect();
        let expected: Vec<String> = self.outputs.iter().map(|(_, units)| units.clone()).collect();
        Ok(difference("outputs", expected, got))
    }
}

/// A text that may be an address.
#[derive(Deserialize)]
struct AddressCase {
    address: String,
    note: String,
    script: Option<String>,
    canonical: Option<String>,
    payable: bool,
}

pub fn run_addresses(path: &Path) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for (number, case) in read::<Vec<AddressCase>>(path)?.iter().enumerate() {
        tally.row(format_args!("{number}, {}", case.note), case.check());
    }
    Ok(tally)
}

impl AddressCase {
    fn check(&self) -> Option<String> {
        let parsed = ChainAddress::parse(&self.address);
        let payable = difference("payable", self.payable, parsed.is_ok());
        payable.or_else(|| {
            let parsed = parsed.ok()?;
            let script = difference("script", self.script.clone(), Some(hex::encode(parsed.script())));
            script.or(difference("canonical", self.canonical.clone(), Some(parsed.to_string())))
        })
    }
}
