//! Measures the reference library for `cargo xtask bench kernels`: reads the name of a measure in each line, writes
//! its figure in the line of the answer.
//!
//! The argument is a file of announcements, 64 of each hard nonce one behind the other.

use std::io::{BufRead, Write};

use differential::announcement::Checker;
use differential::kernels::{Attempts, BlockHashes, HardNonces};
use packetcrypt::{Announcement, BlockHash};

/// Announcements of each hard nonce in the file.
const OF_EACH: usize = 64;
/// Of unrelated announcements, so many of each hard nonce.
const UNRELATED_OF_EACH: usize = 4;
/// Attempts with a hard nonce at difficulty 128, and announcements that come of them.
const SOFT_NONCES: f64 = 32_768.0;
const ANNOUNCEMENTS: f64 = 256.0;

fn main() {
    let file = std::env::args_os().nth(1).expect("an argument: the file of announcements");
    let bytes = std::fs::read(&file).expect("the file of announcements can be read");
    let announcements: Vec<Announcement> = bytes.as_chunks().0.iter().map(Announcement::from_bytes).collect();
    let attempts = Attempts::default();
    let mut block_hashes = None;
    for line in std::io::stdin().lock().lines() {
        let measure = line.expect("a line of UTF-8");
        let figure = match measure.as_str() {
            "attempts" => 1.0 / attempts.seconds(),
            "hard-nonce" => 1e3 * HardNonces::default().seconds(),
            "announcements" => {
                ANNOUNCEMENTS / (HardNonces::default().seconds() + SOFT_NONCES * attempts.seconds())
            }
            "check-grouped" => 1e6 * check(announcements.iter()),
            "check-unrelated" => {
                let turns = (0..UNRELATED_OF_EACH)
                    .flat_map(|first| announcements.iter().skip(first).step_by(OF_EACH));
                1e6 * check(turns)
            }
            "block-hashes" => 1.0 / block_hashes.get_or_insert_with(BlockHashes::default).seconds(),
            _ => panic!("there is no measure {measure:?}"),
        };
        println!("{figure}");
        std::io::stdout().flush().expect("the answer can be written");
    }
}

/// Seconds to check one announcement.
fn check<'a>(announcements: impl Iterator<Item = &'a Announcement>) -> f64 {
    let mut checker = Checker::default();
    let parent = parent();
    let (mut count, start) = (0, differential::kernels::processor_seconds());
    for announcement in announcements {
        checker.check(announcement, &parent).expect("the file has valid announcements");
        count += 1;
    }
    (differential::kernels::processor_seconds() - start) / f64::from(count)
}

/// The block that the announcements of the file are based on.
fn parent() -> BlockHash {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&200_000u32.to_le_bytes());
    bytes[4] = 0x5a;
    BlockHash::from_internal(bytes)
}
