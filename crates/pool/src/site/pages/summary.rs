//! The figures of a whole pool, one list for each chain: what Home and Statistics show, from the same source as the API.

use super::super::facts::{
    Chain, ClassState, Condition, Luck, Measured, NimiqFacts, PacketCryptFacts, PoolBlock, PoolFacts, Unit,
};
use super::figure::{Accent, Figure, Figures};
use super::numbers::{Quantity, grouped, money, percent};

/// The figures that everybody looks at first.
pub fn packetcrypt<'a>(make: Figures<'a>, facts: &PacketCryptFacts) -> Vec<Figure<'a>> {
    vec![
        make.measured("announcement_speed", Accent::Announcement, &facts.announcement_speed),
        make.measured("block_speed", Accent::Block, &facts.block_speed),
        make.measured("bandwidth", Accent::Announcement, &facts.bandwidth),
        make.measured("bandwidth_sent", Accent::Announcement, &facts.bandwidth_sent),
        make.measured("announcement_miners", Accent::Announcement, &facts.miners.announcements),
        make.measured("block_miners", Accent::Block, &facts.miners.blocks),
        last_block(make, &facts.blocks, &facts.blocks_found),
        effort(make, &facts.luck),
        make.given("fee", Accent::Money, facts.fee.map(percent), make.t.get("time.of_each_reward")),
    ]
}

/// The rest of what is known of the PacketCrypt pool.
pub fn packetcrypt_more<'a>(make: Figures<'a>, facts: &PacketCryptFacts) -> Vec<Figure<'a>> {
    vec![
        make.measured("next_reward", Accent::Money, &facts.next_reward),
        make.measured("height", Accent::Block, &facts.height),
        make.measured("difficulty", Accent::Block, &facts.difficulty),
        in_use(make, facts),
        make.measured("announcement_work", Accent::Announcement, &facts.announcement_work),
        make.measured("shares", Accent::Block, &facts.shares),
        make.measured("blocks_found", Accent::Block, &facts.blocks_found),
        make.measured("chain_blocks", Accent::Block, &facts.chain_blocks),
        make.measured("block_interval", Accent::Block, &block_interval(&facts.chain_blocks)),
    ]
}

/// How long a block took on average, by how many there were; after none nobody knows.
fn block_interval(blocks: &Measured<u64>) -> Measured<f64> {
    let interval = blocks
        .window_seconds
        .zip(blocks.value.filter(|count| *count > 0))
        .map(|(seconds, count)| seconds as f64 / count as f64);
    Measured {
        value: interval,
        unit: Unit::Seconds,
        window_seconds: blocks.window_seconds,
        as_of: blocks.as_of,
    }
}

/// The figures that everybody looks at first.
pub fn nimiq<'a>(make: Figures<'a>, facts: &NimiqFacts) -> Vec<Figure<'a>> {
    vec![
        make.measured("hash_rate", Accent::Block, &facts.speed),
        make.measured("addresses", Accent::Block, &facts.miners.addresses),
        make.measured("devices", Accent::Block, &facts.miners.devices),
        last_block(make, &facts.blocks, &facts.blocks_found),
        effort(make, &facts.luck),
        make.given("fee", Accent::Money, Some(percent(facts.fee)), make.t.get("time.of_each_reward")),
    ]
}

/// The rest of what is known of the Nimiq pool.
pub fn nimiq_more<'a>(make: Figures<'a>, facts: &NimiqFacts) -> Vec<Figure<'a>> {
    vec![
        make.measured("height", Accent::Block, &facts.height),
        make.measured("difficulty", Accent::Block, &facts.difficulty),
        make.measured("network_speed", Accent::Block, &facts.network_speed),
        make.measured("network_part", Accent::Block, &part_of_network(facts)),
        make.estimated("expected_per_day", Accent::Money, &facts.expected_per_day),
        make.measured("shares", Accent::Block, &facts.shares),
        make.measured("blocks_found", Accent::Block, &facts.blocks_found),
        make.measured("smart", Accent::Plain, &facts.miners.smart),
        make.measured("nano", Accent::Plain, &facts.miners.nano),
        make.measured("dumb", Accent::Plain, &facts.miners.dumb),
        make.measured("average_payout", Accent::Money, &facts.average_payout),
        make.given(
            "automatic_above",
            Accent::Money,
            Some(money(facts.automatic_above)),
            make.t.get("time.set_by_operator"),
        ),
    ]
}

/// How much of all that mines the chain mines here.
fn part_of_network(facts: &NimiqFacts) -> Measured<f64> {
    let whole = facts.network_speed.value.filter(|whole| *whole > 0.0);
    let part = facts.speed.value.zip(whole).map(|(speed, whole)| 100.0 * speed / whole);
    Measured { value: part, unit: Unit::Percent, ..facts.speed }
}

/// What stands behind a chain: how busy its handlers are, and how many of its nodes can be used.
pub fn machinery<'a>(make: Figures<'a>, facts: &PoolFacts, chain: Chain) -> Vec<Figure<'a>> {
    let nodes: Vec<_> = facts.components.iter().filter(|component| component.is_node_of(chain)).collect();
    let up = nodes.iter().filter(|node| node.condition == Condition::Ready).count();
    let unit = make.t.fill("time.of_nodes", &[("n", &nodes.len())]);
    let in_use = (!nodes.is_empty()).then(|| Quantity { number: up.to_string(), unit });
    let asked = nodes.iter().map(|node| node.checked_at).max();
    vec![
        make.measured("handler_load", Accent::Plain, &facts.handler_load(chain)),
        make.asked("nodes", Accent::Plain, in_use, asked),
    ]
}

/// Announcements that blocks can be mined with now.
fn in_use<'a>(make: Figures<'a>, facts: &PacketCryptFacts) -> Figure<'a> {
    let usable = facts.announcement_classes.iter().filter(|class| class.state == ClassState::Mature);
    let sum = usable.map(|class| class.accepted.value).sum::<Option<u64>>();
    let sum = sum.filter(|_| !facts.announcement_classes.is_empty());
    let as_of = facts.announcement_classes.first().map_or(facts.height.as_of, |class| class.accepted.as_of);
    make.measured("in_use", Accent::Announcement, &Measured::<u64>::at(sum, Unit::Announcements, as_of))
}

/// That there is none is known where the pool knows how many it has found.
fn last_block<'a>(make: Figures<'a>, blocks: &[PoolBlock], found: &Measured<u64>) -> Figure<'a> {
    if blocks.is_empty() && found.value == Some(0) {
        let none = Quantity { number: make.t.get("blocks.none").to_owned(), unit: String::new() };
        return make.given("last_block", Accent::Block, Some(none), make.t.get("time.recorded"));
    }
    let height = blocks.first().and_then(|block| block.height);
    let height = height.map(|height| grouped(u64::from(height)));
    let note = height.map(|height| make.t.fill("time.height", &[("height", &height)])).unwrap_or_default();
    make.since("last_block", Accent::Block, blocks.first().map(|block| block.found_at), note)
}

fn effort<'a>(make: Figures<'a>, luck: &Luck) -> Figure<'a> {
    make.measured("effort", Accent::Block, &luck.current_effort)
}

/// What is shown where the amount of something is known only in sum.
pub fn total(amount: Option<super::super::facts::Amount>) -> Option<Quantity> {
    amount.map(money)
}
