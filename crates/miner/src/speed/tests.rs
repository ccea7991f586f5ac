//! Measurements on the smallest scale: that they measure what they say.

use std::{num::NonZeroUsize, sync::Mutex};

use super::*;

fn trial(threads: usize) -> Trial {
    let placement = Placement::of(NonZeroUsize::new(threads).unwrap());
    Trial { placement, time: Duration::from_millis(60) }
}

/// What was told while something was measured.
fn told(measure: impl FnOnce(&Progress<'_>)) -> Vec<(String, f64)> {
    let told: Mutex<Vec<(String, f64)>> = Mutex::default();
    measure(&|what, part| told.lock().unwrap().push((what.to_owned(), part)));
    let told = told.into_inner().unwrap();
    assert!(told.iter().all(|(_, part)| (0.0..=1.0).contains(part)), "{told:?}");
    told
}

#[test]
fn a_difficulty_is_the_attempts_that_its_target_takes() {
    for difficulty in [2, 8, 128, 2048, 1 << 20] {
        let work = target_of_difficulty(difficulty).unwrap().work_for_display();
        assert!((work / difficulty as f64 - 1.0).abs() < 0.01, "{work} for {difficulty}");
    }
    assert_eq!(target_of_difficulty(0), None);
    assert_eq!(target_of_difficulty(1), Some(CompactTarget::EASIEST));
}

#[test]
fn mined_announcements_are_as_many_as_their_difficulty_lets_expect() {
    let told = told(|progress| {
        let speed = announcements::measure(&trial(2), target_of_difficulty(4).unwrap(), progress);
        assert!(speed.hard_nonces >= 2, "each thread has made tables at least once");
        let expected = speed.attempts as f64 / 4.0;
        assert!(speed.attempts >= 2 * 1024);
        assert!((speed.found as f64 - expected).abs() < expected / 4.0, "{speed:?}");
        assert!(speed.tables < speed.elapsed.processor);
        assert!(speed.attempts_with_tables_ready() > speed.attempts());
    });
    assert_eq!(told.last().unwrap(), &("mining announcements".to_owned(), 1.0));
}

#[test]
fn what_is_checked_is_valid() {
    told(|progress| {
        let sample = check::Sample::mine(progress);
        for measure in [check::measure_grouped, check::measure_unrelated] {
            let speed = measure(&trial(1), &sample, progress);
            assert!(speed.checked > 0);
            assert_eq!(speed.refused, 0);
        }
    });
}

#[test]
fn blocks_are_mined_with_all_announcements_that_there_is_room_for() {
    told(|progress| {
        let speed = blocks::measure(&trial(2), 4 << 20, progress).unwrap();
        assert!((3000..4096).contains(&speed.announcements), "{}", speed.announcements);
        assert!(speed.attempts > 0 && speed.pages.is_some());
        assert!(speed.seconds_per_million(speed.tree) > 0.0);
    });
}

#[test]
fn every_thread_hashes_for_nimiq() {
    let told = told(|progress| {
        let speed = nimiq::measure(&trial(2), progress);
        assert!(speed.hashes >= 2 * u64::from(nimiq::PORTION));
        assert!(speed.hashes_per_second() > 0.0 && speed.in_all() > 0.0);
    });
    assert_eq!(told.last().unwrap(), &("hashing".to_owned(), 1.0));
}
