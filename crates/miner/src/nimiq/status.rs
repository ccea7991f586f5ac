//! The Nimiq miner's figures.

use nimiq::Luna;
use serde::Serialize;

use super::fates::ShareCounts;
use crate::status_line::in_thousands;

/// Figures of the Nimiq miner.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NimiqStatus {
    /// The pool's URL.
    pub pool: String,
    /// The mode in which it is mined.
    pub mode: String,
    /// Whether the pool has registered this miner.
    pub registered: bool,
    /// What is waited for while nothing is mined.
    pub waiting_for: Option<&'static str>,
    /// Height of the block that is mined; `None` while nothing is mined.
    pub height: Option<u32>,
    /// The share difficulty; `None` while nothing is mined.
    pub difficulty: Option<f64>,
    /// Hashes per second since the last status.
    pub hashes_per_second: u64,
    /// What became of the shares, since the start.
    pub shares: ShareCounts,
    /// What the pool owes the address, once it has said so.
    pub balance: Option<NimiqBalance>,
    /// Threads that mine.
    pub threads: usize,
}

/// What the pool owes, in luna.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct NimiqBalance {
    /// All credits less what was paid.
    pub luna: u64,
    /// The part of it that enough blocks confirm.
    pub confirmed_luna: u64,
}

impl NimiqStatus {
    /// One line for people.
    pub fn line(&self) -> String {
        let shares = &self.shares;
        let at = match (self.height, self.waiting_for) {
            (Some(height), _) => format!("block {height}"),
            (None, Some(waiting_for)) => waiting_for.to_owned(),
            (None, None) => "waiting for the pool".to_owned(),
        };
        let difficulty = self.difficulty.map_or_else(|| "?".to_owned(), short);
        let balance = self.balance.map_or_else(
            || "?".to_owned(),
            |balance| format!("{} ({} confirmed)", Luna(balance.luna), Luna(balance.confirmed_luna)),
        );
        format!(
            "{at}: {}h/s  difficulty {difficulty}  shares accepted/refused/expired/lost: [{}/{}/{}/{}]{}  blocks: {}  balance: {balance}",
            in_thousands(self.hashes_per_second.into()),
            shares.accepted,
            shares.refused_in_all(),
            shares.expired + shares.stale,
            shares.lost,
            reasons(shares),
            shares.blocks,
        )
    }
}

/// Why shares were refused, the reason with its count.
fn reasons(shares: &ShareCounts) -> String {
    let each: Vec<String> = shares.refused.iter().map(|(code, count)| format!("{code} {count}")).collect();
    if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) }
}

/// A difficulty with three digits that matter.
fn short(difficulty: f64) -> String {
    let decimals = if difficulty >= 100.0 { 0 } else { 2 };
    if difficulty >= 0.01 { format!("{difficulty:.decimals$}") } else { format!("{difficulty:.2e}") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_line_says_what_is_mined_and_what_became_of_it() {
        let status = NimiqStatus {
            height: Some(67),
            difficulty: Some(1.5),
            hashes_per_second: 18_300,
            shares: ShareCounts {
                accepted: 5,
                refused: BTreeMap::from([("bad_prev", 2), ("invalid_pow", 1)]),
                expired: 1,
                lost: 4,
                blocks: 2,
                ..ShareCounts::default()
            },
            balance: Some(NimiqBalance { luna: 1_234_500, confirmed_luna: 100_000 }),
            ..NimiqStatus::default()
        };
        assert_eq!(
            status.line(),
            "block 67: 18 Kh/s  difficulty 1.50  shares accepted/refused/expired/lost: [5/3/1/4] \
             (bad_prev 2, invalid_pow 1)  blocks: 2  balance: 12.345 NIM (1 NIM confirmed)"
        );
    }

    #[test]
    fn an_idle_miner_says_what_it_waits_for() {
        assert!(NimiqStatus::default().line().starts_with("waiting for the pool"));
        let waiting = NimiqStatus { waiting_for: Some("waiting for the node"), ..NimiqStatus::default() };
        assert!(waiting.line().starts_with("waiting for the node:"));
        assert_eq!([0.0004, 0.5, 1234.5].map(short), ["4.00e-4", "0.50", "1234"]);
    }
}
