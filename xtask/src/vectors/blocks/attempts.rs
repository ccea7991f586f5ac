//! `attempts.json`: whole attempts, some with all states on the way.

use std::path::Path;

use packetcrypt::block::attempt::Attempt;
use packetcrypt::block::{AnnouncementCount, Header};
use packetcrypt::crypto_cycle::State;
use packetcrypt::hash::{blake2b_256, blake2b_512};
use serde::Deserialize;

use anyhow::Context;

use super::super::Tally;
use super::{array, difference, read};

#[derive(Deserialize)]
struct Case {
    seed: String,
    n: u64,
    header: String,
    header_hash: String,
    nonce2: u32,
    item_numbers: Vec<String>,
    indexes: Vec<u64>,
    work_hash: String,
    #[serde(default)]
    state_digests: Vec<String>,
    #[serde(default)]
    state_heads: Vec<String>,
}

/// Announcement `number` of a set: 16 parts, each a BLAKE2b-512.
fn announcement(seed: &str, number: u64) -> [u8; 1024] {
    let mut bytes = [0; 1024];
    for (part, chunk) in bytes.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        *chunk = blake2b_512(&[format!("{seed}/{number}/{part}").as_bytes()]);
    }
    bytes
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for case in read::<Vec<Case>>(path)? {
        tally.row(&case.seed, case.check()?);
    }
    Ok(tally)
}

impl Case {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let set: Vec<_> = (0..self.n).map(|number| announcement(&self.seed, number)).collect();
        let count = AnnouncementCount::new(self.n).context("a set without announcements")?;
        let header_hash = Header::from_bytes(&array(&self.header)?).header_hash();
        let outcome = Attempt::new(&header_hash)
            .mine(self.nonce2, count, |index| set.get(index as usize))
            .context("an index outside the set")?;
        let indexes = outcome.numbers.map(|number| count.index_of(number));
        let steps = [
            difference("header hash", self.header_hash.clone(), hex::encode(header_hash.0)),
            difference(
                "item numbers",
                self.item_numbers.clone(),
                outcome.numbers.map(|n| n.to_string()).to_vec(),
            ),
            difference("indexes", self.indexes.clone(), indexes.to_vec()),
            difference("work hash", self.work_hash.clone(), hex::encode(outcome.work_hash.0)),
        ];
        let first = steps.into_iter().flatten().next();
        Ok(first.or_else(|| self.check_states(&header_hash.0, &indexes, &set)))
    }

    /// The states after the start, each update, and the scalar multiplication, where the row has them.
    fn check_states(&self, seed: &[u8; 32], indexes: &[u64], set: &[[u8; 1024]]) -> Option<String> {
        let mut state = State::init(seed, self.nonce2.into());
        let mut states = vec![state.clone()];
        for announcement in indexes.iter().filter_map(|index| set.get(*index as usize)) {
            state.update(announcement);
            states.push(state.clone());
        }
        state.multiply_scalars();
        states.push(state);
        let digest = |state: &State| hex::encode(blake2b_256(state.as_bytes()));
        let head = |state: &State| hex::encode(&state.as_bytes()[..64]);
        let expected = self.state_digests.iter().chain(&self.state_heads).cloned();
        let got = states.iter().map(digest).take(self.state_digests.len());
        let got = got.chain(states.iter().map(head).take(self.state_heads.len()));
        difference("states", expected.collect::<Vec<_>>(), got.collect())
    }
}
