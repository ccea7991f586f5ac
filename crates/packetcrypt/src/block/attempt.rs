//! One hash attempt of block mining: header and low nonce choose four announcements, one after the other.
//!
//! Rules: `docs/protocol/packetcrypt-blocks.md` 3.1. The first index depends on the header only; each further one
//! on the announcement before it, so an attempt costs four dependent reads of 1 KiB at random places.

use crate::WorkHash;
use crate::announcement::ANNOUNCEMENT_SIZE;
use crate::crypto_cycle::{
    BATCH_MAX, BEHIND_ITEM, Batch, BatchPair, Opening, PAIR_MAX, Source, Start, State, Template, WHOLE,
};

use super::commitment::AnnouncementCount;
use super::elements::{PROOF_ANNOUNCEMENTS, Proof};
use super::header::HeaderHash;

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The random numbers that chose the announcements, before they were reduced to indexes.
    pub numbers: [u64; PROOF_ANNOUNCEMENTS],
    /// The hash that must meet the effective target.
    pub work_hash: WorkHash,
}

/// Where a miner's attempts find announcements.
pub trait Announcements<'a> {
    /// Asks for what says where the announcement at an index is; it will be wanted soon.
    fn fetch_place(&self, index: u64);

    /// The announcement at an index.
    fn get(&self, index: u64) -> Option<&'a [u8; ANNOUNCEMENT_SIZE]>;
}

/// All attempts with one header. Reusable for many low nonces; holds the only buffers that are needed.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    template: Template,
    state: State,
}

impl Attempt {
    /// Makes ready for a header.
    pub fn new(header: &HeaderHash) -> Self {
        Self { template: Template::new(&header.0), state: State::default() }
    }

    /// Makes ready for another header.
    pub fn set_header(&mut self, header: &HeaderHash) {
        self.template.reseed(&header.0);
    }

    /// One attempt by a miner: `announcement` gives the one at an index below `count`.
    ///
    /// `None` as soon as one is not there.
    pub fn mine<'a>(
        &mut self,
        nonce2: u32,
        count: AnnouncementCount,
        announcement: impl Fn(u64) -> Option<&'a [u8; ANNOUNCEMENT_SIZE]>,
    ) -> Option<Outcome> {
        self.run(nonce2, |_, number| announcement(count.index_of(number)))
    }

    /// Many attempts by a miner, with the low nonces from `start` on, wrapping around. Each outcome goes to `take` with
    /// its low nonce; attempts that draw an announcement which is not there are left out.
    pub fn mine_many<'a>(
        &mut self,
        batches: &mut BatchPair,
        start: u32,
        attempts: usize,
        count: AnnouncementCount,
        announcements: &impl Announcements<'a>,
        mut take: impl FnMut(u32, Outcome),
    ) {
        const EMPTY: &[u8; ANNOUNCEMENT_SIZE] = &[0; ANNOUNCEMENT_SIZE];
        let first_number = self.template.first_item_number();
        let Some(first) = announcements.get(count.index_of(first_number)) else { return };
        let opening = Opening::new(&self.template, first);
        let nonce2 = |index: usize| start.wrapping_add(index as u32);
        let start = Start { opening: &opening, count: attempts, nonce_of: &|index| nonce2(index).into() };
        let mut numbers = [[first_number; PROOF_ANNOUNCEMENTS]; PAIR_MAX];
        let mut complete = [true; PAIR_MAX];
        let fetch_place = |number| announcements.fetch_place(count.index_of(number));
        batches.run(&start, Source::Store(&fetch_place), |position, index, number| {
            numbers[index][position] = number;
            announcements.get(count.index_of(number)).unwrap_or_else(|| {
                complete[index] = false;
                EMPTY
            })
        });
        batches.multiply_scalars();
        let mut work_hashes = [WorkHash::default(); PAIR_MAX];
        batches.finish(&mut work_hashes);
        for index in (0..attempts).filter(|&index| complete[index]) {
            take(nonce2(index), Outcome { numbers: numbers[index], work_hash: work_hashes[index] });
        }
    }

    /// The attempt that a proof claims to have made.
    pub fn repeat(&mut self, proof: &Proof) -> Outcome {
        self.run(proof.nonce2, |position, _| Some(proof.announcements[position].as_bytes()))
            .expect("a proof has all four announcements")
    }

    /// `announcement` is asked by position and random number.
    fn run<'a>(
        &mut self,
        nonce2: u32,
        announcement: impl Fn(usize, u64) -> Option<&'a [u8; ANNOUNCEMENT_SIZE]>,
    ) -> Option<Outcome> {
        let state = &mut self.state;
        self.template.start(u64::from(nonce2), state);
        let mut numbers = [0; PROOF_ANNOUNCEMENTS];
        for (position, number) in numbers.iter_mut().enumerate() {
            *number = state.item_number();
            let item = announcement(position, *number)?;
            if position + 1 < PROOF_ANNOUNCEMENTS {
                state.update_keeping(item, BEHIND_ITEM);
            } else {
                state.update(item);
            }
        }
        state.multiply_scalars();
        Some(Outcome { numbers, work_hash: state.finish() })
    }
}

/// [`Attempt::repeat`] for many proofs, each with its header.
pub fn repeat_all(batch: &mut Batch, claims: &[(HeaderHash, &Proof)]) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(claims.len());
    let mut starts = vec![State::default(); claims.len().min(BATCH_MAX)];
    for claims in claims.chunks(BATCH_MAX) {
        for ((header, proof), state) in claims.iter().zip(&mut starts) {
            Template::new(&header.0).start(proof.nonce2.into(), state);
        }
        batch.copy_from(starts[..claims.len()].iter());
        let mut numbers = vec![[0; PROOF_ANNOUNCEMENTS]; claims.len()];
        for position in 0..PROOF_ANNOUNCEMENTS {
            for (index, numbers) in numbers.iter_mut().enumerate() {
                numbers[position] = batch.item_number(index);
            }
            let kept = if position + 1 < PROOF_ANNOUNCEMENTS { BEHIND_ITEM } else { WHOLE };
            batch.update(|index| claims[index].1.announcements[position].as_bytes(), &kept);
        }
        batch.multiply_scalars();
        let mut work_hashes = [WorkHash::default(); BATCH_MAX];
        batch.finish(&mut work_hashes);
        let of_claims = numbers.into_iter().zip(work_hashes);
        outcomes.extend(of_claims.map(|(numbers, work_hash)| Outcome { numbers, work_hash }));
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Announcement;
    use crate::backend::Backend;
    use crate::hash::expand;
    use proptest::prelude::*;

    fn announcements(count: usize, seed: u8) -> Vec<[u8; ANNOUNCEMENT_SIZE]> {
        (0..count)
            .map(|number| {
                let mut bytes = [0; ANNOUNCEMENT_SIZE];
                expand(&[seed; 32], number as u32, &mut bytes);
                bytes
            })
            .collect()
    }

    #[test]
    fn the_first_number_depends_on_the_header_only() {
        let set = announcements(5, 1);
        let count = AnnouncementCount::new(5).unwrap();
        let mut attempt = Attempt::new(&HeaderHash([9; 32]));
        let mut mine = |nonce2| attempt.mine(nonce2, count, |index| set.get(index as usize)).unwrap();
        let (one, other) = (mine(0), mine(u32::MAX));
        assert_eq!(one.numbers[0], other.numbers[0]);
        assert_ne!(one.numbers[1], other.numbers[1]);
        assert_ne!(one.work_hash, other.work_hash);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_validator_repeats_what_a_miner_did(header: [u8; 32], nonce2: u32, seed: u8, size in 1usize..20) {
            let set = announcements(size, seed);
            let count = AnnouncementCount::new(size as u64).unwrap();
            let mut attempt = Attempt::new(&HeaderHash([0; 32]));
            attempt.set_header(&HeaderHash(header));
            let mined = attempt.mine(nonce2, count, |index| set.get(index as usize)).unwrap();
            let announcements =
                mined.numbers.map(|number| Announcement::from_bytes(&set[count.index_of(number) as usize]));
            let proof = Proof { nonce2, announcements, tree_proof: vec![] };
            prop_assert_eq!(Attempt::new(&HeaderHash(header)).repeat(&proof), mined);
            let other = Proof { nonce2: !nonce2, ..proof.clone() };
            for backend in Backend::ALL {
                let claims = [(HeaderHash(header), &other), (HeaderHash(header), &proof)];
                let expected = [Attempt::new(&HeaderHash(header)).repeat(&other), mined];
                prop_assert_eq!(repeat_all(&mut Batch::new(backend), &claims), expected);
            }
        }
    }
}
