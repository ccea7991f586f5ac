//! Every parser with the seeds in `fuzz/corpus/`, mutations of them, and random bytes: none may panic.

use std::io;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use wire::fuzz::{TARGETS, Target};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// The seeds of a target that people chose; what a fuzzer has added has a name of 40 digits.
fn seeds(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(corpus().join(target.name))? {
        let entry = entry?;
        if entry.file_name().len() != 40 {
            seeds.push(std::fs::read(entry.path())?);
        }
    }
    Ok(seeds)
}

#[test]
fn every_target_has_seeds_and_none_of_them_panics() -> io::Result<()> {
    for target in TARGETS {
        let seeds = seeds(target)?;
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for seed in seeds {
            (target.exercise)(&seed);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..2100)) {
        for target in TARGETS {
            (target.exercise)(&bytes);
        }
    }

    /// A byte changed, a part cut out, a part doubled: close enough to a message to get deep into its parser.
    #[test]
    fn damaged_seeds_do_not_panic(
        target in prop::sample::select(TARGETS.iter().collect::<Vec<_>>()),
        seed: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, any::<u8>()), 1..6),
    ) {
        let seeds = seeds(target).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut seed = seed.get(&seeds).clone();
        for (at, length, byte) in damage {
            if seed.is_empty() {
                break;
            }
            let start = at.index(seed.len());
            let end = (start + length).min(seed.len());
            match byte % 3 {
                0 => seed[start] = byte,
                1 => drop(seed.drain(start..end)),
                _ => {
                    let part = seed[start..end].to_vec();
                    seed.splice(start..start, part);
                }
            }
        }
        (target.exercise)(&seed);
    }
}
