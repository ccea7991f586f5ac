//! `selection.json`: the best choice among classes of announcements.

use std::path::Path;

use packetcrypt::Height;
use packetcrypt::block::selection::{Class, Score, choose};
use packetcrypt::target::{effective_target, hash_rate_multiplier};
use serde::Deserialize;

use super::super::Tally;
use super::{difference, read, target};

#[derive(Deserialize)]
struct Case {
    next_height: u32,
    max_anns: u64,
    classes: Vec<(u32, String, u64)>,
    peer: Option<Peer>,
    exact: Option<Exact>,
}

/// What the reference chooses: only its arithmetic is compared.
#[derive(Deserialize)]
struct Peer {
    count: u64,
    least_work: String,
    effective_target_at_1c160000: String,
}

/// The best cut.
#[derive(Deserialize)]
struct Exact {
    count: u64,
    least_work: String,
    work_times_count_squared: String,
    multiplier: String,
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for (number, case) in read::<Vec<Case>>(path)?.iter().enumerate() {
        tally.row(number, case.check()?);
    }
    Ok(tally)
}

impl Case {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let classes = self.classes.iter().map(|(parent, bits, count)| {
            Ok(Class { parent: Height(*parent), bits: target(bits)?, count: *count })
        });
        let classes = classes.collect::<anyhow::Result<Vec<_>>>()?;
        let chosen = choose(&classes, Height(self.next_height), self.max_anns).map(|chosen| {
            let multiplier = hash_rate_multiplier(chosen.least_work.compact(), chosen.count);
            (chosen.count, chosen.least_work.compact(), chosen.score(), multiplier)
        });
        let expected = self.exact.as_ref().map(Exact::columns).transpose()?;
        let peer = self.peer.as_ref().map(Peer::check).transpose()?.flatten();
        Ok(difference("choice", expected, chosen).or(peer))
    }
}

impl Exact {
    fn columns(&self) -> anyhow::Result<(u64, packetcrypt::CompactTarget, Score, u64)> {
        let score = Score::from_str_radix(&self.work_times_count_squared, 10)
            .map_err(|error| anyhow::anyhow!("{:?}: {error}", self.work_times_count_squared))?;
        Ok((self.count, target(&self.least_work)?, score, self.multiplier.parse()?))
    }
}

impl Peer {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let got = effective_target(target("1c160000")?, target(&self.least_work)?, self.count);
        Ok(difference("effective target", target(&self.effective_target_at_1c160000)?, got))
    }
}
