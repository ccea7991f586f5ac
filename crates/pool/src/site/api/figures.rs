//! Single figures by name, for elements of foreign pages: `<pool-metric name="packetcrypt.bandwidth">`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Fault, Whole};
use super::parameters::Parameters;
use crate::site::facts::{Amount, LedgerTotals, Measured, Moment, Part, PoolFacts, Unit};

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Figure {
    /// The figure; null: not known.
    value: Option<f64>,
    /// What it is counted in.
    unit: Unit,
    /// Length of the time that it was measured over, in seconds; null: it is of one moment.
    window_seconds: Option<u64>,
    /// The moment, or the end of the window.
    as_of: Moment,
    /// What it says.
    description: &'static str,
}

/// Every figure of this moment by its name, such as `packetcrypt.bandwidth`.
#[utoipa::path(get, path = "/api/v1/metrics", tag = "pool", responses(
    (status = 200, description = "Every figure by its name", body = BTreeMap<String, Figure>),
    (status = 304, description = "Nothing has changed since the ETag that was sent"),
    (status = 400, description = "Asked wrongly", body = Fault),
    (status = 429, description = "Asked too often", body = Fault),
))]
pub(super) async fn figures(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&[])?;
    let whole = api.prepared.get("metrics", &api.facts.now(), |facts| Whole::json(&by_name(facts)))?;
    Ok(whole.answer(&headers))
}

fn by_name(facts: &PoolFacts) -> BTreeMap<String, Figure> {
    let mut figures = Figures { chain: "packetcrypt", by_name: BTreeMap::new() };
    if let Some(pool) = &facts.packetcrypt {
        figures.add("announcement_speed", "Speed of the announcement miners", pool.announcement_speed);
        figures.add("block_speed", "Speed of the block miners", pool.block_speed);
        figures.add("bandwidth", "Announcements that come in", pool.bandwidth);
        figures.add("bandwidth_sent", "Announcements sent to block miners", pool.bandwidth_sent);
        figures.count("announcement_miners", "Addresses that mine announcements", pool.miners.announcements);
        figures.count("block_miners", "Addresses that mine blocks", pool.miners.blocks);
        figures.count("shares", "Accepted shares", pool.shares);
        figures.count("blocks_found", "Blocks of the pool", pool.blocks_found);
        figures.count("chain_blocks", "Blocks of the chain", pool.chain_blocks);
        figures.add("difficulty", "Difficulty of the chain", pool.difficulty);
        figures.add(
            "effort",
            "Work since the pool's last block, of what a block takes",
            pool.luck.current_effort,
        );
        figures.count("height", "Height of the block that is mined", pool.height.map(u64::from));
        figures.add("next_reward", "Reward of the next block", pool.next_reward.map(Amount::to_coins));
        let fee = pool.fee.map(Part::percent);
        let fee = Measured::at(fee, Unit::Percent, facts.gathered_at);
        figures.add("fee", "The pool's part of each reward", fee);
        let age = pool.blocks.first().map(|block| block.found_at.age_seconds(facts.gathered_at));
        figures.count(
            "last_block_age",
            "Time since the pool's last block",
            Measured::at(age, Unit::Seconds, facts.gathered_at),
        );
    }
    figures.chain = "nimiq";
    if let Some(pool) = &facts.nimiq {
        figures.add("speed", "Speed of all miners", pool.speed);
        figures.count("miners", "Addresses that mine", pool.miners.addresses);
        figures.count("devices", "Devices that mine", pool.miners.devices);
        figures.count("shares", "Accepted shares", pool.shares);
        figures.count("blocks_found", "Blocks of the pool", pool.blocks_found);
        figures.add("difficulty", "Difficulty of the chain", pool.difficulty);
        figures.add("network_speed", "Speed of all that mine the chain", pool.network_speed);
        figures.add(
            "expected_per_day",
            "What a million hashes per second earn in a day on average",
            pool.expected_per_day.map(Amount::to_coins),
        );
        figures.add(
            "effort",
            "Work since the pool's last block, of what a block takes",
            pool.luck.current_effort,
        );
        figures.count("height", "Height of the chain", pool.height.map(u64::from));
        figures.add("average_payout", "Mean value of a payment", pool.average_payout.map(Amount::to_coins));
        let totals = pool.totals.as_ref();
        let as_of = totals.map_or(facts.gathered_at, |totals| totals.as_of);
        let sum = |of: fn(&LedgerTotals) -> Amount| {
            Measured::at(totals.map(|totals| of(totals).to_coins()), Unit::Nim, as_of)
        };
        figures.add("balances_due", "What miners are owed", sum(|totals| totals.liabilities));
        figures.add("paid", "What was paid to miners", sum(|totals| totals.paid));
        let fee = Measured::at(pool.fee.percent(), Unit::Percent, facts.gathered_at);
        figures.add("fee", "The pool's part of each reward", fee);
        let age = pool.blocks.first().map(|block| block.found_at.age_seconds(facts.gathered_at));
        figures.count(
            "last_block_age",
            "Time since the pool's last block",
            Measured::at(age, Unit::Seconds, facts.gathered_at),
        );
    }
    figures.by_name
}

struct Figures {
    chain: &'static str,
    by_name: BTreeMap<String, Figure>,
}

impl Figures {
    fn add(&mut self, name: &str, description: &'static str, measured: Measured<f64>) {
        let Measured { value, unit, window_seconds, as_of } = measured;
        let figure = Figure { value, unit, window_seconds, as_of, description };
        self.by_name.insert(format!("{}.{name}", self.chain), figure);
    }

    fn count(&mut self, name: &str, description: &'static str, measured: Measured<u64>) {
        self.add(name, description, measured.map(|count| count as f64));
    }
}
