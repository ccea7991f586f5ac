//! A simulation that shows the pace of [`Retarget::EveryBlock`](super::rules::Retarget::EveryBlock): miners of
//! very different machines, announcements that age, a set that grows while one waits.

use packetcrypt::{CompactTarget, target::Number};

use super::{made_up_branch::Headers, rules::ChainRules};

/// Quarter seconds: the step of the simulation.
const STEP: f64 = 0.25;
/// The announcement miner learns of a new block this late.
const NOTICE: f64 = 1.0;
/// Parents are this many blocks below the tip.
const PARENT_DEPTH: u32 = 2;

/// Machines, in announcements per second, their work, and block attempts per second.
struct Machine {
    announcements: f64,
    work: f64,
    attempts: f64,
}

/// A xorshift generator, so that every run is the same.
struct Luck(u64);

impl Luck {
    /// How many times the expected work the next block takes.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        -((self.0 >> 11) as f64 / (1u64 << 53) as f64).max(1e-12).ln()
    }
}

/// Announcements found, by the height of their parent.
#[derive(Default)]
struct Announcements(Vec<f64>);

impl Announcements {
    fn add(&mut self, parent: u32, count: f64) {
        let parent = parent as usize;
        if self.0.len() <= parent {
            self.0.resize(parent + 1, 0.0);
        }
        self.0[parent] += count;
    }

    /// The largest work · count² of any set, for the block at `height`.
    fn best_set(&self, height: u32, work: f64) -> f64 {
        let (mut count, mut best) = (0.0, 0.0f64);
        for (parent, found) in self.0.iter().enumerate().rev() {
            let age = height.saturating_sub(parent as u32);
            let aged =
                if height < 3 { work } else { work / f64::from(1u32 << age.saturating_sub(3).min(30)) };
            if (height >= 3 && age < 3) || aged < 2.0 {
                continue;
            }
            count += found.floor();
            best = best.max(aged * count * count);
        }
        best
    }
}

fn block_work(bits: CompactTarget) -> f64 {
    f64::from(bits.work().unwrap_or(Number::ZERO))
}

/// Seconds that each of so many blocks took.
fn intervals(machine: &Machine, blocks: u32, seed: u64) -> Vec<f64> {
    let rules = ChainRules::steady();
    let mut branch = Headers(vec![(rules.limit.compact(), 0)]);
    let (mut announcements, mut luck) = (Announcements::default(), Luck(seed));
    let (mut now, mut parent, mut intervals) = (1_000_000.0, 0, Vec::new());
    for height in 1..=blocks {
        let bits = rules.required_bits(&branch, now as u32);
        let (start, needed, mut done) = (now, luck.next(), 0.0);
        while done < needed {
            if now - start >= NOTICE {
                parent = (height - 1).saturating_sub(PARENT_DEPTH);
            }
            announcements.add(parent, machine.announcements * STEP);
            let set = announcements.best_set(height, machine.work);
            if set > 0.0 {
                let attempts = (block_work(bits).powi(3) / (1024.0 * set)).max(2.0);
                done += machine.attempts * STEP / attempts;
            }
            now += STEP;
            assert!(now - start < 600.0, "block {height} takes for ever");
        }
        intervals.push(now - start);
        // The pool fetched the template when the block before was found.
        branch.0.push((bits, start as u32));
    }
    intervals
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn blocks_come_at_a_steady_pace_on_any_machine_and_soon_after_the_start() {
    let machines = [
        Machine { announcements: 5.0, work: 256.0, attempts: 2_000.0 },
        Machine { announcements: 50.0, work: 16.0, attempts: 15_000.0 },
        Machine { announcements: 500.0, work: 4.0, attempts: 15_000.0 },
        Machine { announcements: 20_000.0, work: 128.0, attempts: 200_000.0 },
    ];
    for machine in &machines {
        for seed in 1..=4 {
            let intervals = intervals(machine, 150, 0x9e37_79b9_7f4a_7c15 + seed);
            let (start, later) = intervals.split_at(30);
            assert!(start[0] < 10.0, "the first block took {} s", start[0]);
            assert!(start[..8].iter().sum::<f64>() < 120.0, "{start:?}");
            let pace = mean(later);
            assert!((7.0..14.0).contains(&pace), "{pace} s with {} announcements/s", machine.announcements);
            let slowest = later.iter().copied().fold(0.0, f64::max);
            assert!(slowest < 120.0, "a block took {slowest} s");
        }
    }
}
