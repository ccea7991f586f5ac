//! The pool's public figures at `/metrics`: the values that the website shows, from the same [`Facts`].
//!
//! They are read from the picture of the pool that is made every few seconds, so a scrape costs no question to anybody.
//! What is not known is left out, never shown as 0. For every figure that was measured over a time,
//! `headframe_pool_window_seconds` tells how long that was.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::Facts;
use super::facts::{
    Amount, BlockStanding, Chain, Luck, Measured, NimiqFacts, PacketCryptFacts, PoolBlock, PoolFacts,
};
use crate::metrics::Metrics;

/// Every figure: the name behind `headframe_pool_`, and what it is. They are shown in this order.
const FIGURES: [(&str, &str); 17] = [
    ("chain_height", "Height of the newest block of the chain, or of the one that is being mined"),
    ("hashes_per_second", "Hashing power: hashes for Nimiq, encryptions for PacketCrypt, by what is mined"),
    ("bandwidth_bytes_per_second", "Announcements that come in"),
    ("bandwidth_sent_bytes_per_second", "Announcements that are sent to block miners"),
    ("miners", "Addresses whose work was accepted, by what they mine"),
    ("shares", "Shares accepted within the window"),
    ("blocks", "Blocks of the pool within the window"),
    ("last_block_height", "Height of the pool's newest block that is not orphaned"),
    (
        "last_block_timestamp_seconds",
        "When the pool's newest block that is not orphaned was found, since 1970",
    ),
    (
        "effort_ratio",
        "Work for a block in parts of what one takes on average, by how many blocks it is the mean of",
    ),
    ("fee_ratio", "The pool's part of each reward"),
    ("average_payout_coins", "Mean payment: of those that went out, or for PacketCrypt of the next block"),
    ("due_coins", "What miners are due: their balances, or for PacketCrypt what the next block pays"),
    ("paid_coins", "Everything that was ever paid to miners"),
    ("reserve_coins", "What the pool's own account holds"),
    ("window_seconds", "The time over which a figure was measured, by its name"),
    ("gathered_timestamp_seconds", "When these figures were gathered, since 1970"),
];

type Labels = Vec<(&'static str, String)>;

/// The figures of one moment.
#[derive(Default)]
struct Figures(Vec<(&'static str, Labels, f64)>);

/// Shows the pool whenever somebody asks.
struct PoolFigures(Facts);

impl fmt::Debug for PoolFigures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PoolFigures")
    }
}

impl Collector for PoolFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figures = Figures::of(&self.0.newest());
        for (name, help) in FIGURES {
            let samples: Vec<_> = figures.0.iter().filter(|(of, _, _)| *of == name).collect();
            if samples.is_empty() {
                continue;
            }
            let name = format!("pool_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for (_, labels, value) in samples {
                family.encode_family(labels)?.encode_gauge(value)?;
            }
        }
        Ok(())
    }
}

impl Figures {
    fn of(pool: &PoolFacts) -> Self {
        let mut figures = Self::default();
        if let Some(packetcrypt) = &pool.packetcrypt {
            figures.add_packetcrypt(packetcrypt);
        }
        if let Some(nimiq) = &pool.nimiq {
            figures.add_nimiq(nimiq);
        }
        figures.0.push(("gathered_timestamp_seconds", Vec::new(), pool.gathered_at.0 as f64 / 1000.0));
        figures
    }

    fn add_packetcrypt(&mut self, facts: &PacketCryptFacts) {
        const CHAIN: Chain = Chain::PacketCrypt;
        let (announcements, blocks) = (Some("announcements"), Some("blocks"));
        self.measured("chain_height", CHAIN, None, facts.height.map(f64::from));
        self.measured("hashes_per_second", CHAIN, announcements, facts.announcement_speed);
        self.measured("hashes_per_second", CHAIN, blocks, facts.block_speed);
        let bytes = |bandwidth: Measured<f64>| bandwidth.map(|kilobits| kilobits * 125.0);
        self.measured("bandwidth_bytes_per_second", CHAIN, None, bytes(facts.bandwidth));
        self.measured("bandwidth_sent_bytes_per_second", CHAIN, None, bytes(facts.bandwidth_sent));
        self.measured("miners", CHAIN, announcements, facts.miners.announcements.map(count));
        self.measured("miners", CHAIN, blocks, facts.miners.blocks.map(count));
        self.measured("shares", CHAIN, None, facts.shares.map(count));
        self.measured("blocks", CHAIN, None, facts.blocks_found.map(count));
        if let Some(fee) = facts.fee {
            self.add("fee_ratio", CHAIN, fee.percent() / 100.0);
        }
        self.last_block(CHAIN, &facts.blocks);
        self.effort(CHAIN, &facts.luck);
        let reward = facts.next_reward.value;
        self.coins("due_coins", CHAIN, reward);
        let payees = facts.payout_table.as_ref().and_then(|table| i64::try_from(table.payee_count).ok());
        let mean = |reward: Amount| Some(Amount { units: reward.units.checked_div(payees?)?, ..reward });
        self.coins("average_payout_coins", CHAIN, reward.and_then(mean));
    }

    fn add_nimiq(&mut self, facts: &NimiqFacts) {
        const CHAIN: Chain = Chain::Nimiq;
        let blocks = Some("blocks");
        self.measured("chain_height", CHAIN, None, facts.height.map(f64::from));
        self.measured("hashes_per_second", CHAIN, blocks, facts.speed);
        self.measured("miners", CHAIN, blocks, facts.miners.addresses.map(count));
        self.measured("shares", CHAIN, None, facts.shares.map(count));
        self.measured("blocks", CHAIN, None, facts.blocks_found.map(count));
        self.add("fee_ratio", CHAIN, facts.fee.percent() / 100.0);
        self.last_block(CHAIN, &facts.blocks);
        self.effort(CHAIN, &facts.luck);
        self.coins("average_payout_coins", CHAIN, facts.average_payout.value);
        // Nobody may have added them up yet.
        let totals = facts.totals.as_ref();
        self.coins("due_coins", CHAIN, totals.map(|totals| totals.liabilities));
        self.coins("paid_coins", CHAIN, totals.map(|totals| totals.paid));
        self.coins("reserve_coins", CHAIN, totals.and_then(|totals| totals.reserve));
    }

    fn add(&mut self, name: &'static str, chain: Chain, value: f64) {
        self.0.push((name, labels(chain, None), value));
    }

    fn measured(
        &mut self,
        name: &'static str,
        chain: Chain,
        of: Option<&'static str>,
        measured: Measured<f64>,
    ) {
        let Some(value) = measured.value else { return };
        self.0.push((name, labels(chain, of.map(|of| ("of", of))), value));
        if let Some(seconds) = measured.window_seconds {
            let labels = labels(chain, Some(("figure", name)));
            let is_new = !self.0.iter().any(|(of, known, _)| *of == "window_seconds" && *known == labels);
            if is_new {
                self.0.push(("window_seconds", labels, count(seconds)));
            }
        }
    }

    fn coins(&mut self, name: &'static str, chain: Chain, amount: Option<Amount>) {
        let Some(amount) = amount else { return };
        self.0.push((name, labels(chain, Some(("coin", amount.coin.name()))), amount.to_coins()));
    }

    fn last_block(&mut self, chain: Chain, blocks: &[PoolBlock]) {
        let newest = blocks.iter().find(|block| block.standing != BlockStanding::Orphaned);
        let Some(newest) = newest else { return };
        self.add("last_block_timestamp_seconds", chain, newest.found_at.0 as f64 / 1000.0);
        if let Some(height) = newest.height {
            self.add("last_block_height", chain, f64::from(height));
        }
    }

    fn effort(&mut self, chain: Chain, luck: &Luck) {
        if let Some(percent) = luck.current_effort.value {
            let labels = labels(chain, Some(("blocks", "current")));
            self.0.push(("effort_ratio", labels, percent / 100.0));
        }
        for window in &luck.windows {
            let Some(percent) = window.effort_percent else { continue };
            let blocks = window.blocks.map_or_else(|| "all".to_owned(), |blocks| blocks.to_string());
            self.0.push(("effort_ratio", labels(chain, Some(("blocks", blocks.as_str()))), percent / 100.0));
        }
    }
}

fn labels(chain: Chain, other: Option<(&'static str, &str)>) -> Labels {
    let chain = [("chain", chain.name().to_owned())];
    chain.into_iter().chain(other.map(|(key, value)| (key, value.to_owned()))).collect()
}

fn count(number: u64) -> f64 {
    number as f64
}

impl Metrics {
    /// Shows the pool's public figures too.
    pub fn show_pool(&self, facts: Facts) {
        self.collect("pool", PoolFigures(facts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::facts::{Unit, sample};

    #[test]
    fn the_figures_are_the_facts() {
        let (metrics, facts) = (Metrics::new(), Facts::sample());
        metrics.show_pool(facts.clone());
        let (text, pool) = (metrics.text(), facts.now());
        let (packetcrypt, nimiq) = (pool.packetcrypt.as_ref().unwrap(), pool.nimiq.as_ref().unwrap());
        let value = |series: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{series} in\n{text}")).parse().unwrap()
        };
        for (series, expected) in [
            (
                r#"hashes_per_second{chain="packetcrypt",of="announcements"}"#,
                packetcrypt.announcement_speed.value.unwrap(),
            ),
            (r#"hashes_per_second{chain="nimiq",of="blocks"}"#, nimiq.speed.value.unwrap()),
            (r#"miners{chain="packetcrypt",of="blocks"}"#, 12.0),
            (r#"miners{chain="nimiq",of="blocks"}"#, 58.0),
            (r#"shares{chain="nimiq"}"#, 16_204.0),
            (r#"blocks{chain="packetcrypt"}"#, 19.0),
            (r#"fee_ratio{chain="nimiq"}"#, 0.01),
            (r#"due_coins{chain="nimiq",coin="NIM"}"#, nimiq.totals.as_ref().unwrap().liabilities.to_coins()),
            (r#"due_coins{chain="packetcrypt",coin="PKT"}"#, 2_042.0),
            (r#"average_payout_coins{chain="packetcrypt",coin="PKT"}"#, 2_042.0 / 3.0),
            (r#"last_block_height{chain="nimiq"}"#, 1_412_003.0),
            (r#"bandwidth_bytes_per_second{chain="packetcrypt"}"#, 322_250.0),
            (r#"bandwidth_sent_bytes_per_second{chain="packetcrypt"}"#, 1_208_500.0),
            (r#"window_seconds{chain="nimiq",figure="shares"}"#, 86_400.0),
            (
                r#"effort_ratio{chain="nimiq",blocks="current"}"#,
                nimiq.luck.current_effort.value.unwrap() / 100.0,
            ),
        ] {
            let shown = value(&format!("headframe_pool_{series}"));
            assert!((shown - expected).abs() < expected * 1e-9, "{series} is {shown}, not {expected}");
        }
        // Nobody has told it.
        assert!(!text.contains("headframe_pool_reserve_coins"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut pool = sample::pool();
        let packetcrypt = pool.packetcrypt.as_mut().unwrap();
        packetcrypt.announcement_speed = Measured::over(None, Unit::EncryptionsPerSecond, 60, sample::NOW);
        packetcrypt.next_reward.value = None;
        packetcrypt.blocks.clear();
        pool.nimiq = None;
        let figures = Figures::of(&pool);
        for name in ["due_coins", "average_payout_coins", "last_block_height", "last_block_timestamp_seconds"]
        {
            assert!(!figures.0.iter().any(|(of, _, _)| *of == name), "{name}");
        }
        let speeds: Vec<_> = figures.0.iter().filter(|(of, _, _)| *of == "hashes_per_second").collect();
        assert_eq!(speeds.len(), 1, "that of block miners is known");
        assert!(figures.0.iter().all(|(_, labels, _)| !labels.iter().any(|(_, value)| value == "nimiq")));
    }

    #[test]
    fn every_figure_is_described() {
        let figures = Figures::of(&sample::pool());
        for (name, ..) in &figures.0 {
            assert!(FIGURES.iter().any(|(described, _)| described == name), "{name}");
        }
    }
}
