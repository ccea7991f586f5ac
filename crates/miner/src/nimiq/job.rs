//! One thing to mine: a header whose nonce is tried, and what a share of it looks like.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nimiq::header::HEADER_SIZE;
use nimiq::interlink::Interlink;
use nimiq::share::{NanoShare, NextBlock, SmartShare};
use nimiq::{
    AccountsHash, Block, Body, BodyHash, CompactTarget, Header, LightBlock, MerklePath, Target, Timestamp,
};
use wire::nimiq::Share;

/// Nonces that a thread tries between two looks at whether there is something else to do.
const PORTION: u32 = 32;

/// Hands out nonces to all threads. It goes on from one job to the next, since two jobs may have the same header: a
/// nonce that was tried with it must not come again.
#[derive(Debug, Default)]
pub struct Nonces(AtomicU64);

impl Nonces {
    /// How many were handed out.
    pub fn taken(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// The next ones: how many went before them, and they.
    fn take(&self) -> (u64, RangeInclusive<u32>) {
        let before = self.0.fetch_add(PORTION.into(), Relaxed);
        // What is beyond 32 bits begins again; portions divide them evenly.
        let first = before as u32;
        (before, first..=first + (PORTION - 1))
    }
}

/// What becomes of a header when its proof of work is good enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A light block.
    Nano(Interlink),
    /// Proofs of whom it pays, and the whole block if it is one.
    Smart {
        /// What stands between header and body.
        interlink: Interlink,
        /// The body.
        body: Box<Body>,
        /// The path of the miner's address in it.
        miner_proof: MerklePath,
        /// The path of the extra data.
        extra_data_proof: MerklePath,
    },
    /// Its nonce.
    Dumb,
}

/// Something to mine. The nonce, and the time where the pool leaves it to us, are each portion's own.
#[derive(Debug)]
pub struct Job {
    header: Header,
    target: Target,
    form: Form,
    /// The connection on which the pool gave it, counted from the start of the miner.
    connection: u64,
    /// How many nonces had been handed out before.
    since: u64,
}

/// A header with some nonces to try.
pub struct Portion {
    /// The header; its nonce is to be replaced.
    pub header: Header,
    /// The nonces.
    pub nonces: RangeInclusive<u32>,
}

impl Job {
    /// A header on top of `next`, of a body that the pool made.
    pub fn nano(next: NextBlock, body_hash: BodyHash, accounts_hash: AccountsHash, target: Target) -> Self {
        let header = header(&next, body_hash, accounts_hash);
        Self { header, target, form: Form::Nano(next.interlink), connection: 0, since: 0 }
    }

    /// A block of our own on top of `next`.
    pub fn smart(next: NextBlock, body: Body, accounts_hash: AccountsHash, target: Target) -> Self {
        let header = header(&next, body.hash(), accounts_hash);
        let (miner_proof, extra_data_proof) = (body.miner_proof(), body.extra_data_proof());
        let (interlink, body) = (next.interlink, Box::new(body));
        let form = Form::Smart { interlink, body, miner_proof, extra_data_proof };
        Self { header, target, form, connection: 0, since: 0 }
    }

    /// A header of the pool's.
    pub fn dumb(header: Header, target: Target) -> Self {
        Self { header, target, form: Form::Dumb, connection: 0, since: 0 }
    }

    /// The same, as begun on a connection when so many nonces had been handed out.
    #[must_use]
    pub fn begun(self, connection: u64, since: u64) -> Self {
        Self { connection, since, ..self }
    }

    /// Whether both mine the same on the same connection.
    pub fn is_like(&self, other: &Self) -> bool {
        let what = |job: &Self| (job.header, job.target, job.connection);
        what(self) == what(other) && self.form == other.form
    }

    /// The header, without nonce and perhaps without its time.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What a share must meet.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The connection on which the pool gave it.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Whether a header is in the network's eyes a block.
    pub fn network_target(&self) -> CompactTarget {
        self.header.target
    }

    /// Something to try; `None` where everything has been tried: a header of the pool's has only its nonce.
    pub fn portion(&self, nonces: &Nonces, now: Timestamp) -> Option<Portion> {
        let (before, nonces) = nonces.take();
        let timestamp = match self.form {
            Form::Dumb if before.saturating_sub(self.since) > u64::from(u32::MAX) => return None,
            Form::Dumb => self.header.timestamp,
            Form::Nano(_) | Form::Smart { .. } => now.max(self.header.timestamp),
        };
        Some(Portion { header: Header { timestamp, ..self.header }, nonces })
    }

    /// The share of a header of this job, which may be a block in the network's eyes.
    pub fn share(&self, header: Header, is_block: bool) -> Share {
        match &self.form {
            Form::Nano(interlink) => {
                Share::Nano(NanoShare { block: LightBlock { header, interlink: interlink.clone() } })
            }
            Form::Smart { miner_proof, extra_data_proof, .. } => Share::Smart(SmartShare {
                header,
                miner_proof: miner_proof.clone(),
                extra_data_proof: extra_data_proof.clone(),
                block: self.block(header).filter(|_| is_block).map(|block| block.to_bytes()),
            }),
            Form::Dumb => Share::Dumb { nonce: header.nonce },
        }
    }

    /// The whole block of a header, where this miner has its body.
    pub fn block(&self, header: Header) -> Option<Block> {
        let Form::Smart { interlink, body, .. } = &self.form else { return None };
        Some(Block { header, interlink: interlink.clone(), body: (**body).clone() })
    }
}

/// Dated a second after the predecessor, the earliest that all clients keep to.
fn header(next: &NextBlock, body_hash: BodyHash, accounts_hash: AccountsHash) -> Header {
    Header {
        previous: next.previous,
        interlink_hash: next.interlink_hash,
        body_hash,
        accounts_hash,
        target: next.target,
        height: next.height,
        timestamp: Timestamp(next.earliest.0.saturating_add(1)),
        nonce: 0,
    }
}

impl Portion {
    /// What is hashed, but for the nonce.
    pub fn header_bytes(&self) -> [u8; HEADER_SIZE] {
        self.header.to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use nimiq::{BlockHash, InterlinkHash, Network, ProofOfWork};

    use super::*;

    fn next() -> NextBlock {
        let genesis = Network::Dev.genesis_block().to_light();
        let target = CompactTarget::EASIEST;
        NextBlock::on(&genesis, ProofOfWork([0; 32]), target, &Network::Dev.genesis_hash())
    }

    fn nano() -> Job {
        Job::nano(next(), BodyHash([1; 32]), AccountsHash([2; 32]), Target::EASIEST)
    }

    #[test]
    fn no_header_is_tried_twice_also_when_all_nonces_have_been() {
        let nonces = Nonces(AtomicU64::new(u64::from(u32::MAX) + 1 - 2 * u64::from(PORTION)));
        let job = nano();
        let mut tried = HashSet::new();
        for now in [0, 2_000_000_000] {
            for _ in 0..2 {
                let portion = job.portion(&nonces, Timestamp(now)).unwrap();
                tried.extend(portion.nonces.map(|nonce| (portion.header.timestamp, nonce)));
            }
        }
        assert_eq!(tried.len(), 4 * PORTION as usize);
    }

    #[test]
    fn a_header_of_the_pools_is_over_when_all_its_nonces_have_been_tried() {
        let header = Header {
            previous: BlockHash([0; 32]),
            interlink_hash: InterlinkHash([0; 32]),
            timestamp: Timestamp(7),
            ..*nano().header()
        };
        let since = 64;
        let job = Job::dumb(header, Target::EASIEST).begun(1, since);
        let nonces = Nonces(AtomicU64::new(since + u64::from(u32::MAX) + 1 - u64::from(PORTION)));
        let last = job.portion(&nonces, Timestamp(100)).unwrap();
        assert_eq!((last.header.timestamp, *last.nonces.start()), (Timestamp(7), 32));
        assert!(job.portion(&nonces, Timestamp(100)).is_none());
    }

    #[test]
    fn a_block_is_not_dated_before_its_predecessor() {
        let job = nano();
        let earliest = job.header().timestamp;
        assert_eq!(earliest.0, next().earliest.0 + 1);
        let dated = |now| job.portion(&Nonces::default(), Timestamp(now)).unwrap().header.timestamp.0;
        assert_eq!(dated(0), earliest.0);
        assert_eq!(dated(1_900_000_000), 1_900_000_000);
    }
}
