//! Announcements with a valid proof of work for a fixed parent, mined once and kept for later runs.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use packetcrypt::announcement::ANNOUNCEMENT_SIZE;
use packetcrypt::mine::{End, Miner};
use packetcrypt::{AnnouncementHeader, CompactTarget, Height};

use super::program::cache_folder;
use super::stand_in_master::block_hash;

/// Their work bits: eight attempts for each.
pub const WORK_BITS: CompactTarget = CompactTarget(0x201f_ffff);
/// Height of their parent, above all gates of the public chain.
pub const PARENT: Height = Height(200_000);

/// The bytes of an announcement.
pub type Bytes = [u8; ANNOUNCEMENT_SIZE];

/// Distinct announcements on the block at [`PARENT`] of the stand-in Master's chain.
pub fn announcements(count: usize) -> anyhow::Result<Vec<Bytes>> {
    let file = cache_folder()?.join(format!("announcements-{PARENT}-{count}"));
    if let Ok(bytes) = fs::read(&file)
        && let (announcements, []) = bytes.as_chunks()
        && announcements.len() == count
    {
        return Ok(announcements.to_vec());
    }
    eprintln!("mining {count} announcements; kept for later runs in {}", file.display());
    let announcements = mine(count)?;
    fs::write(&file, announcements.as_flattened())?;
    Ok(announcements)
}

/// `of_each` announcements of each of the first hard nonces, one hard nonce behind the other; also the file where they
/// are kept.
pub fn of_each_hard_nonce(hard_nonces: usize, of_each: usize) -> anyhow::Result<(Vec<Bytes>, PathBuf)> {
    let file = cache_folder()?.join(format!("announcements-{PARENT}-{hard_nonces}-hard-nonces-{of_each}"));
    if let Ok(bytes) = fs::read(&file)
        && let (announcements, []) = bytes.as_chunks()
        && announcements.len() == hard_nonces * of_each
    {
        return Ok((announcements.to_vec(), file));
    }
    eprintln!("mining announcements of {hard_nonces} hard nonces; kept for later runs in {}", file.display());
    let (mut miner, stop) = (Miner::new(), AtomicBool::new(false));
    let mut found = Vec::with_capacity(hard_nonces * of_each);
    for hard_nonce in 0.. {
        if found.len() == hard_nonces * of_each {
            break;
        }
        let mut job = match miner.prepare(&header(hard_nonce), &block_hash(PARENT), &stop) {
            Ok(job) => job,
            Err(fault) if fault.is_of_this_hard_nonce_only() => continue,
            Err(fault) => return Err(fault.into()),
        };
        let mut of_this = Vec::new();
        job.attempt(job.soft_nonces(), |one| of_this.push(*one.as_bytes()));
        if of_this.len() >= of_each {
            found.extend_from_slice(&of_this[..of_each]);
        }
    }
    fs::write(&file, found.as_flattened())?;
    Ok((found, file))
}

/// The header of announcements with a hard nonce.
pub fn header(hard_nonce: u32) -> AnnouncementHeader {
    AnnouncementHeader {
        version: 1,
        hard_nonce,
        work_bits: WORK_BITS,
        parent_height: PARENT,
        content_type: 0,
        content_length: 0,
        content_hash: [0; 32],
        signing_key: None,
    }
}

fn mine(count: usize) -> anyhow::Result<Vec<Bytes>> {
    let (found, hard_nonce) = (Mutex::new(Vec::with_capacity(count)), AtomicU32::new(0));
    let lock = || found.lock().unwrap_or_else(PoisonError::into_inner);
    let mine = || -> anyhow::Result<()> {
        let mut miner = Miner::new();
        while lock().len() < count {
            let header = header(hard_nonce.fetch_add(1, Ordering::Relaxed));
            let stop = AtomicBool::new(false);
            let mined = miner.mine(&header, &block_hash(PARENT), &stop, |one| lock().push(*one.as_bytes()));
            if let End::Unusable(fault) = mined.end
                && !fault.is_of_this_hard_nonce_only()
            {
                return Err(fault.into());
            }
        }
        Ok(())
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let miners: Vec<_> = (0..threads).map(|_| scope.spawn(mine)).collect();
        miners
            .into_iter()
            .try_for_each(|miner| miner.join().unwrap_or_else(|_| anyhow::bail!("a miner panicked")))
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.truncate(count);
    Ok(found)
}
