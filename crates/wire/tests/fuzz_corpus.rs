//! Every parser with the seeds in `fuzz/corpus/`, mutations of them, and random bytes: none may panic.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use wire::fuzz::{TARGETS, Target};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// The seeds of a target that people chose; what a fuzzer has added has a name of 40 digits.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = corpus().join(target.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.file_name().unwrap().len() != 40)
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

#[test]
fn every_target_has_seeds_and_none_of_them_panics() {
    for target in TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        seeds.iter().for_each(|seed| (target.exercise)(seed));
    }
}

#[test]
fn every_folder_of_seeds_has_a_target() {
    for entry in std::fs::read_dir(corpus()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|target| target.name == name), "no target is called {name}");
    }
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..2100)) {
        TARGETS.iter().for_each(|target| (target.exercise)(&bytes));
    }

    /// A byte changed, a part cut out, a part doubled: close enough to a message to get deep into its parser.
    #[test]
    fn damaged_seeds_do_not_panic(
        target in prop::sample::select(TARGETS.iter().collect::<Vec<_>>()),
        seed: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, any::<u8>()), 1..6),
    ) {
        let mut seed = seed.get(&seeds(target)).clone();
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
