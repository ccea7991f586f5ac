//! `policy.json`: rewards and supplies by height.

use std::path::Path;

use nimiq::{Height, reward};
use serde::Deserialize;

use super::super::Tally;
use super::{difference, first, read};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    block_reward: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Row {
    height: u32,
    reward: u64,
    supply_after: u64,
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let file: File = read(path)?;
    let mut tally = Tally::default();
    for row in &file.block_reward {
        let height = Height(row.height);
        let problem = first([
            difference("reward", row.reward, reward::block_reward(height).0),
            difference("supply after it", row.supply_after, reward::supply_after(height).0),
        ]);
        tally.row(format_args!("height {height}"), problem);
    }
    Ok(tally)
}
