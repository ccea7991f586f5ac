//! `cargo xtask fuzz`: feeds every parser with mutations of real messages, and of nothing, and expects no panic.
//!
//! It needs no nightly compiler: the inputs come from the test vectors and a seeded generator, so a failure is
//! found again by running the same target; the input that failed is written to a file. A *canary* target that
//! must fail shows first that a fault would be seen.

mod nimiq;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::vectors::collect_files;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// One parser, or one family of them.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Files under `vectors/` whose names contain one of these give the first inputs.
    pub seeds: &'static [&'static str],
    /// Feeds one input. Any result is fine, a panic is not.
    pub feed: fn(&[u8]),
}

/// Inputs are at most this long; parsers with greater limits are fed by their own tests.
const LONGEST: usize = 64 << 10;
/// At most this many seeds for a target, so that all are mutated often.
const MOST_SEEDS: usize = 2000;

/// Fuzzes one target, or all of them, for so long each.
pub fn run(only: Option<&str>, seconds: u64) -> anyhow::Result<()> {
    let targets = targets::all();
    // Panics are caught, and told by whoever catches them.
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = feed_chosen(&targets, only, Duration::from_secs(seconds));
    std::panic::set_hook(loud);
    result
}

fn feed_chosen(targets: &[Target], only: Option<&str>, time: Duration) -> anyhow::Result<()> {
    anyhow::ensure!(
        fails(&canary(), Duration::from_secs(5))?.is_some(),
        "the canary did not fail: fuzzing is blind"
    );
    let chosen: Vec<&Target> =
        targets.iter().filter(|target| only.is_none_or(|only| target.name == only)).collect();
    let names = || targets.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    anyhow::ensure!(!chosen.is_empty(), "there is no such target; there are: {}", names());
    let failed = feed_all(&chosen, time)?;
    anyhow::ensure!(failed.is_empty(), "panics in: {}", failed.join(", "));
    Ok(())
}

/// Feeds targets for so long each, one on each processor; names those that panicked.
fn feed_all(targets: &[&Target], time: Duration) -> anyhow::Result<Vec<&'static str>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = Vec::new();
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some((input, message)) = fails(target, time)? {
                let path = std::env::temp_dir().join(format!("headframe-fuzz-{}", target.name));
                std::fs::write(&path, input)?;
                println!("{}: PANIC on {}: {message}", target.name, path.display());
                failed.push(target.name);
            }
        }
        anyhow::Ok(failed)
    };
    let processors = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let mut failed = Vec::new();
        for worker in workers {
            failed.extend(worker.join().map_err(|_| anyhow::anyhow!("a thread that fed parsers panicked"))??);
        }
        Ok(failed)
    })
}

/// A parser with a fault that takes some luck to find.
fn canary() -> Target {
    let feed =
        |input: &[u8]| assert!(input.len() < 8 || !input.starts_with(&[0xff, 0xff]), "found the canary");
    Target { name: "canary", seeds: &[], feed }
}

/// Feeds a target for so long; gives the input at which it panicked, if any, and what the panic said.
fn fails(target: &Target, time: Duration) -> anyhow::Result<Option<(Vec<u8>, String)>> {
    let seeds = seeds(target)?;
    let mut random = SmallRng::seed_from_u64(0x6865_6164_6672_616d);
    let (start, mut inputs) = (Instant::now(), 0u64);
    let found = loop {
        let seed = &seeds[random.random_range(0..seeds.len())];
        let input = if inputs < seeds.len() as u64 {
            seeds[inputs as usize].clone()
        } else {
            mutate(seed, &mut random)
        };
        inputs += 1;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.feed)(&input))) {
            break Some((input, message(panic.as_ref())));
        }
        if start.elapsed() > time {
            break None;
        }
    };
    println!("{}: {} seeds, {inputs} inputs", target.name, seeds.len());
    Ok(found)
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
}

/// A few random changes: bytes replaced by telling ones, parts cut, doubled or moved, numbers made huge.
fn mutate(seed: &[u8], random: &mut SmallRng) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..random.random_range(1..=8) {
        let at = random.random_range(0..=input.len());
        let end = (at + random.random_range(1..=64)).min(input.len());
        match random.random_range(0..8) {
            0 => input.truncate(at),
            1 => input.insert(at, random.random()),
            2 if at < input.len() => input[at] = random.random(),
            3 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            4 => input[at..end]
                .fill(*[0x00, 0xff, 0x7f, 0x80, b'9', b'"'].get(random.random_range(0..6)).unwrap_or(&0)),
            5 => {
                let part = input[at..end].to_vec();
                input.splice(at..at, part);
            }
            6 => drop(input.drain(at..end)),
            _ => {
                let texts: [&[u8]; 8] = [
                    b"null",
                    b"-1",
                    b"1e999",
                    b"18446744073709551616",
                    b"[[[[",
                    b"{}",
                    b"\\u0000",
                    b"\xfe\xff",
                ];
                let text = texts[random.random_range(0..texts.len())];
                input.splice(at..end, text.iter().copied());
            }
        }
        input.truncate(LONGEST);
    }
    input
}

/// The first inputs: the target's corpus, and from the vectors whole files, their lines, and every hexadecimal text
/// in them as bytes.
fn seeds(target: &Target) -> anyhow::Result<Vec<Vec<u8>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    let corpus = root.join("fuzz/corpus").join(target.name);
    if corpus.exists() {
        collect_files(&corpus, &mut files)?;
    }
    let mut vectors = Vec::new();
    collect_files(&root.join("vectors"), &mut vectors)?;
    files.sort();
    vectors.sort();
    let wanted = |path: &PathBuf| target.seeds.iter().any(|name| path.to_string_lossy().contains(name));
    files.extend(vectors.into_iter().filter(wanted));
    let mut seeds = vec![Vec::new(), vec![0; 1024]];
    for file in files {
        let bytes = std::fs::read(&file)?;
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
        let texts = bytes.split(|byte| *byte == b'"').filter_map(|text| hex::decode(text).ok());
        let all = std::iter::once(bytes.clone()).chain(lines).chain(texts);
        seeds.extend(all.filter(|seed| !seed.is_empty() && seed.len() <= LONGEST));
    }
    seeds.truncate(MOST_SEEDS);
    Ok(seeds)
}
