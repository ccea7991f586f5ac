//! Our side: the same work on any backend.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use packetcrypt::announcement::ANNOUNCEMENT_SIZE;
use packetcrypt::backend::Backend;
use packetcrypt::block::Header;
use packetcrypt::block::high_nonce::cheapest;
use packetcrypt::block::mine::{BlockJob, MiningSet};
use packetcrypt::check::{AnnouncementToCheck, Checker, ProofVersion, Rules};
use packetcrypt::mine::Miner;
use packetcrypt::pages::Memory;
use packetcrypt::{Announcement, AnnouncementHash, AnnouncementHeader, CanonicalTarget, CompactTarget};

use super::super::mined;
use super::super::processor_time::of_this_thread;
use super::super::stand_in_master::block_hash;
use super::Measure;

/// Hard nonces that are mined: their programs cost a factor of four more or less than the mean.
const HARD_NONCES: u32 = 32;
/// Difficulty 128: of a hard nonce's 32,768 soft nonces one in 128 makes an announcement.
const DIFFICULTY_128: CompactTarget = CompactTarget(0x2002_0000);
/// Difficulty 65,536: a hard nonce has 16,777,216 soft nonces, and tables take no time beside them.
const DIFFICULTY_65536: CompactTarget = CompactTarget(0x1f01_0000);
const SOFT_NONCES: u32 = 32_768;
const DIFFICULTY: f64 = 128.0;
/// Soft nonces that are tried where only the tables are measured.
const FEW: u32 = 1024;

/// Hard nonces of the announcements to check, and announcements of each.
const ORIGINS: usize = 128;
const OF_EACH: usize = 64;
/// Rounds of unrelated announcements that make one measurement.
const UNRELATED_BATCHES: usize = 8;

/// Announcements to mine blocks with: 4 GiB.
const STORE: usize = 4 << 20;
/// Headers to mine with, and low nonces with each.
const HEADERS: u8 = 8;
const LOW_NONCES: u32 = 4096;

/// What is measured with.
pub struct Ours {
    file: PathBuf,
    /// All announcements of the first hard nonce, then all of the second, and so on.
    announcements: Vec<Announcement>,
    store: Option<(MiningSet, Memory)>,
}

impl Ours {
    /// Prepares what these measures need.
    pub fn new(measures: &[Measure]) -> anyhow::Result<Self> {
        let (bytes, file) = mined::of_each_hard_nonce(ORIGINS, OF_EACH)?;
        let announcements = bytes.iter().map(Announcement::from_bytes).collect();
        let store = measures.contains(&Measure::BlockHashes).then(|| -> anyhow::Result<_> {
            eprintln!("filling a store of {} GiB", STORE >> 20);
            Ok((mining_set()?, filled_store(&bytes)?))
        });
        Ok(Self { file, announcements, store: store.transpose()? })
    }

    /// The file of all announcements, [`OF_EACH`] of each hard nonce one behind the other.
    pub fn announcements(&self) -> &Path {
        &self.file
    }

    /// One measurement.
    pub fn measure(&mut self, measure: Measure, backend: Backend) -> anyhow::Result<f64> {
        Ok(match measure {
            Measure::Attempts => 1.0 / mining(backend, DIFFICULTY_65536, SOFT_NONCES)?.attempt,
            Measure::HardNonce => 1e3 * mining(backend, DIFFICULTY_128, FEW)?.hard_nonce,
            Measure::Announcements => {
                let mined = mining(backend, DIFFICULTY_128, SOFT_NONCES)?;
                let soft_nonces = f64::from(SOFT_NONCES);
                soft_nonces / DIFFICULTY / (mined.hard_nonce + soft_nonces * mined.attempt)
            }
            Measure::CheckGrouped => 1e6 * check(backend, self.announcements.chunks(OF_EACH))?,
            Measure::CheckUnrelated => {
                let batches: Vec<Vec<Announcement>> = (0..UNRELATED_BATCHES)
                    .map(|first| self.announcements.iter().skip(first).step_by(OF_EACH).cloned().collect())
                    .collect();
                1e6 * check(backend, batches.iter().map(Vec::as_slice))?
            }
            Measure::BlockHashes => 1.0 / self.block_hash(backend)?,
        })
    }

    /// Seconds for one block hash.
    fn block_hash(&self, backend: Backend) -> anyhow::Result<f64> {
        let Some((set, store)) = &self.store else { anyhow::bail!("there is no store") };
        let (store, _) = store.bytes().as_chunks();
        let mut finds = Vec::new();
        let mut seconds = 0.0;
        for header in 0..HEADERS {
            let header = cheapest(&Header::from_bytes(&[header; 80]), 1);
            let mut job = BlockJob::on(backend, &header, set, store, CompactTarget(0x1d00_ffff));
            let start = of_this_thread();
            job.attempt(0, LOW_NONCES, &mut finds);
            seconds += of_this_thread() - start;
        }
        Ok(seconds / (f64::from(HEADERS) * f64::from(LOW_NONCES)))
    }
}

/// Seconds to check one announcement. Each batch has a checker that has seen none of its hard nonces.
fn check<'a>(backend: Backend, batches: impl Iterator<Item = &'a [Announcement]>) -> anyhow::Result<f64> {
    let parent = block_hash(mined::PARENT);
    let (mut count, mut seconds) = (0, 0.0);
    for batch in batches {
        let mut checker = Checker::on(Rules::PKT, backend);
        let batch: Vec<_> =
            batch.iter().map(|announcement| AnnouncementToCheck { announcement, parent: &parent }).collect();
        let start = of_this_thread();
        let verdicts = checker.check(&batch, ProofVersion::CURRENT);
        seconds += of_this_thread() - start;
        anyhow::ensure!(verdicts.iter().all(Result::is_ok), "an announcement is refused");
        count += batch.len();
    }
    Ok(seconds / count as f64)
}

/// Seconds for a part of mining.
struct Mined {
    /// From a new hard nonce to its first attempt.
    hard_nonce: f64,
    /// For one attempt.
    attempt: f64,
}

/// Mines some hard nonces, chosen as the miner does, so many attempts with each.
fn mining(backend: Backend, work_bits: CompactTarget, attempts: u32) -> anyhow::Result<Mined> {
    let (mut miner, stop) = (Miner::on(backend), AtomicBool::new(false));
    let (mut preparing, mut attempting, mut found) = (0.0, 0.0, 0u32);
    let header = AnnouncementHeader { work_bits, ..mined::header(0) };
    let parent = block_hash(mined::PARENT);
    let mut next_hard_nonce = 0;
    let mut hard_nonces = || {
        next_hard_nonce += 1;
        next_hard_nonce
    };
    for _ in 0..HARD_NONCES {
        let start = of_this_thread();
        let mut job = miner.choose(&header, &parent, &mut hard_nonces, &stop)?;
        let prepared = of_this_thread();
        job.attempt(0..attempts, |_| found += 1);
        attempting += of_this_thread() - prepared;
        preparing += prepared - start;
    }
    anyhow::ensure!(found > 0, "nothing was found");
    let hard_nonces = f64::from(HARD_NONCES);
    Ok(Mined {
        hard_nonce: preparing / hard_nonces,
        attempt: attempting / (hard_nonces * f64::from(attempts)),
    })
}

/// Announcements at distinct places of memory; that many are the same makes no difference.
fn filled_store(announcements: &[[u8; ANNOUNCEMENT_SIZE]]) -> anyhow::Result<Memory> {
    let mut store = Memory::new(STORE * ANNOUNCEMENT_SIZE)?;
    let places = store.bytes_mut().as_chunks_mut().0;
    for (place, announcement) in places.iter_mut().zip(announcements.iter().cycle()) {
        *place = *announcement;
    }
    Ok(store)
}

/// A set over all slots. The hashes, by which slots are ordered, are random numbers.
fn mining_set() -> anyhow::Result<MiningSet> {
    let entries = (0..STORE as u32).map(|slot| {
        let mut hash = [0; 32];
        // An odd factor: all hashes differ, in their most significant bytes too.
        let number = (u64::from(slot) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash.as_chunks_mut::<8>().0.fill(number.to_le_bytes());
        (AnnouncementHash(hash), slot)
    });
    let set = MiningSet::build(entries.collect(), CanonicalTarget::EASIEST);
    set.ok_or_else(|| anyhow::anyhow!("the set is empty"))
}
