//! A registered connection: what it was told, what of its shares is good, and what follows when one is not.
//!
//! No I/O and no clock: messages and times in, messages and verdicts out, so that every case of
//! `docs/protocol/nimiq-pool.md` 1.4 to 1.8 is a plain test. The way of a share: [`Session::weigh`] makes the cheap checks and
//! names the headers to hash; the caller looks for duplicates and hashes; [`Session::judge`] compares the proof of work and
//! tells what the share is worth and whether it is a block; [`Session::accepted`] or [`Session::refused`] ends it.

mod announcements;
mod jobs;

use std::sync::Arc;
use std::time::Instant;

use nimiq::share::{Consequence, Find, NextBlock, Placement, Refusal, check_work, dumb, nano};
use nimiq::{
    Address, Block, BlockHash, DeviceId, Header, PayoutNonce, ProofOfWork, SessionNonce, ShareTarget,
};
use nimiq::{ShareWeight, Timestamp};
use wire::nimiq::{Mode, NewBlock, Reason, Register, ServerMessage, Settings, Share};

use super::board::{Board, Work};
use super::share_difficulty::ShareDifficulty;
use super::terms::Terms;
use announcements::Announcements;
use jobs::{Job, Jobs};

/// One client, from its registration on.
#[derive(Debug)]
pub struct Session {
    terms: Arc<Terms>,
    mode: Mode,
    address: Address,
    device: DeviceId,
    difficulty: ShareDifficulty,
    announcements: Announcements,
    jobs: Jobs,
    payout_nonce: PayoutNonce,
    errors: u32,
    duplicates: u32,
}

/// A header whose proof of work decides about a share.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What to hash.
    pub header: Header,
    /// Its name, under which it counts once.
    pub hash: BlockHash,
    target: ShareTarget,
    standing: Standing,
    /// What it was mined on, where the pool made the body.
    job: Option<Job>,
}

/// Where a header stands that counts, or would have counted a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// On the head.
    OnHead,
    /// It is a block that the chain has already.
    InChain,
    /// On a head that was replaced: a nonce alone does not say so before it is hashed.
    Late,
}

/// What the cheap checks of a share say.
#[derive(Debug)]
pub enum Weighing {
    /// Hash these, one after the other, until one is good.
    Hash(Vec<Candidate>),
    /// It is on a block that is not known here: ask the node for its head, then weigh again.
    UnknownHead {
        /// That block.
        previous: BlockHash,
    },
}

/// A good share.
#[derive(Debug)]
pub struct GoodShare {
    /// The block that it builds on.
    pub previous: BlockHash,
    /// The hash of its header.
    pub hash: BlockHash,
    /// What it is worth.
    pub weight: ShareWeight,
    /// Whether it is more than a share.
    pub block: FoundBlock,
}

/// What a good share is to the chain.
#[derive(Debug)]
pub enum FoundBlock {
    /// Nothing more.
    None,
    /// A block, to be submitted.
    Whole(Box<Block>),
    /// A block whose body the client kept to itself.
    WithoutBody,
}

/// What follows a message that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequences {
    /// What the client is told.
    pub message: ServerMessage,
    /// Whether the connection ends.
    pub close: bool,
    /// Whether its address is banned.
    pub ban: bool,
}

impl Session {
    /// A client that registered, of which so many shares per second are wanted. Its first messages are those of [`greet`](Self::greet).
    pub fn new(
        terms: Arc<Terms>,
        register: &Register,
        session: SessionNonce,
        payout_nonce: PayoutNonce,
        shares_per_second: f64,
        now: Instant,
    ) -> Self {
        let usual = match register.mode {
            Mode::Dumb => terms.dumb_start_difficulty,
            Mode::Smart | Mode::Nano => terms.start_difficulty,
        };
        let start = register.start_difficulty.unwrap_or(usual);
        Self {
            mode: register.mode,
            address: register.address,
            device: register.device_id,
            difficulty: ShareDifficulty::new(terms.difficulty, start, shares_per_second, now),
            announcements: Announcements::new(terms.name.clone(), register.address, session),
            jobs: Jobs::default(),
            payout_nonce,
            errors: 0,
            duplicates: 0,
            terms,
        }
    }

    /// How it mines.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Who is credited.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Which of the miner's devices it is.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The difficulty that it was told last.
    pub fn share_difficulty(&self) -> f64 {
        self.difficulty.current()
    }

    /// So many shares per second are wanted of it from the next review on.
    pub fn want(&mut self, shares_per_second: f64) {
        self.difficulty.want(shares_per_second);
    }

    /// What a client is told when it registers, but for its balance.
    pub fn greet(&mut self, board: &Board, now: Instant, clock: Timestamp) -> Vec<ServerMessage> {
        if let Some(work) = &board.work {
            // Brings the difficulty below the network's before anything is announced.
            self.difficulty.review(work.difficulty, now);
        }
        let mut messages = vec![ServerMessage::Registered];
        self.announce(board, now, clock, &mut messages);
        messages
    }

    /// What it is told when there is new work.
    pub fn turn_to(&mut self, board: &Board, now: Instant, clock: Timestamp) -> Vec<ServerMessage> {
        let mut messages = Vec::new();
        let Some(work) = &board.work else { return messages };
        if self.difficulty.current() > work.difficulty {
            self.difficulty.review(work.difficulty, now);
            self.announce(board, now, clock, &mut messages);
        } else {
            self.give_work(work, clock, &mut messages);
        }
        messages
    }

    /// What it is told when the rate of its shares asks for another difficulty.
    pub fn review_difficulty(&mut self, board: &Board, now: Instant, clock: Timestamp) -> Vec<ServerMessage> {
        let mut messages = Vec::new();
        let Some(work) = &board.work else { return messages };
        if self.difficulty.review(work.difficulty, now).is_some() {
            self.announce(board, now, clock, &mut messages);
        }
        messages
    }

    /// Another nonce for the next payout request; the client is told with `settings`, which change nothing else.
    pub fn renew_payout_nonce(&mut self, nonce: PayoutNonce) -> Option<ServerMessage> {
        self.payout_nonce = nonce;
        let (extra_data, target) = self.announcements.newest()?;
        let settings = Settings::new(self.terms.address, extra_data.clone(), target, nonce, self.terms.fee);
        Some(ServerMessage::Settings(settings))
    }

    /// What a payout request must sign.
    pub fn payout_nonce(&self) -> PayoutNonce {
        self.payout_nonce
    }

    /// The cheap checks of a share (steps 2 to 5).
    pub fn weigh(&self, share: &Share, board: &Board, clock: Timestamp) -> Result<Weighing, Refusal> {
        match share {
            Share::Smart(smart) => place(smart.header, board, |next| {
                let announced = smart.check(next, &self.terms.leaf, self.announcements.current(), clock)?;
                Ok((*announced.target(), None))
            }),
            Share::Nano(light) => place(light.block.header, board, |next| {
                let job = self.jobs.check_nano(light, next, clock)?;
                Ok((job.target(), Some(job)))
            }),
            Share::Dumb { nonce } => {
                let candidates = self.weigh_nonce(*nonce, board);
                if candidates.is_empty() { Err(Refusal::Expired) } else { Ok(Weighing::Hash(candidates)) }
            }
        }
    }

    /// What a proof of work makes of a share (steps 7 and 8).
    pub fn judge(
        &self,
        share: &Share,
        candidate: &Candidate,
        proof_of_work: &ProofOfWork,
    ) -> Result<GoodShare, Refusal> {
        let find = match share {
            Share::Smart(smart) => {
                check_work(proof_of_work, &candidate.target)?;
                Find::of_smart(smart, proof_of_work)?
            }
            Share::Nano(_) => {
                let last = self.announcements.newest().map_or(candidate.target, |(_, target)| *target);
                let job = candidate.job.as_ref().ok_or(Refusal::WrongBodyHash)?;
                nano::check_work(proof_of_work, job.nano(), &last)?;
                Find::of_header(&candidate.header, proof_of_work)
            }
            Share::Dumb { .. } => {
                check_work(proof_of_work, &candidate.target)?;
                if candidate.standing == Standing::Late {
                    return Err(Refusal::Expired);
                }
                Find::of_header(&candidate.header, proof_of_work)
            }
        };
        let block = match (find, &candidate.job) {
            _ if candidate.standing == Standing::InChain => FoundBlock::None,
            (Find::Block(block), _) => FoundBlock::Whole(block),
            (Find::Header, Some(job)) => FoundBlock::Whole(Box::new(job.block(candidate.header))),
            (Find::WithoutBody | Find::Header, _) => FoundBlock::WithoutBody,
            (Find::Share, _) => FoundBlock::None,
        };
        let weight = candidate.target.weight();
        Ok(GoodShare { previous: candidate.header.previous, hash: candidate.hash, weight, block })
    }

    /// A share counts.
    pub fn accepted(&mut self) {
        self.difficulty.accepted();
    }

    /// A share does not count, and what follows.
    pub fn refused(&mut self, refusal: Refusal) -> Consequences {
        let mut consequence = refusal.consequence();
        if refusal == Refusal::Duplicate {
            self.duplicates += 1;
            if self.duplicates > 1 {
                consequence = Consequence::Ban;
            }
        }
        if consequence == Consequence::Error {
            self.errors += 1;
        }
        let ban = consequence == Consequence::Ban;
        Consequences {
            message: Reason::Share(refusal).into(),
            close: ban || self.errors > self.terms.allowed_errors,
            ban,
        }
    }

    /// Settings for the difficulty in force, and the work with them.
    fn announce(&mut self, board: &Board, now: Instant, clock: Timestamp, messages: &mut Vec<ServerMessage>) {
        let ceiling = board.work.as_ref().map(|work| work.next.target);
        let Some((extra_data, target)) = self.announcements.announce(self.difficulty.current(), ceiling, now)
        else {
            return;
        };
        let settings =
            Settings::new(self.terms.address, extra_data, &target, self.payout_nonce, self.terms.fee);
        messages.push(ServerMessage::Settings(settings));
        self.errors = 0;
        if let Some(work) = &board.work {
            self.give_work(work, clock, messages);
        }
    }

    /// The work in the form of the mode; smart clients follow the chain themselves.
    fn give_work(&mut self, work: &Arc<Work>, clock: Timestamp, messages: &mut Vec<ServerMessage>) {
        let Some((extra_data, target)) = self.announcements.newest() else { return };
        let job = Job::new(Arc::clone(work), extra_data.clone(), *target, clock);
        let block = match self.mode {
            Mode::Smart => return,
            Mode::Nano => job.for_nano().map(NewBlock::Nano),
            Mode::Dumb => Some(NewBlock::Dumb(job.header())),
        };
        // Without the head's interlink a nano client cannot begin; it is told when that is known.
        let Some(block) = block else { return };
        self.jobs.give(job);
        self.errors = 0;
        messages.push(ServerMessage::NewBlock(Box::new(block)));
    }

    fn weigh_nonce(&self, nonce: u32, board: &Board) -> Vec<Candidate> {
        let dumb_jobs: Vec<_> = self.jobs.newest_first().map(Job::for_dumb).collect();
        let candidates = dumb::candidates(nonce, &dumb_jobs).zip(self.jobs.newest_first());
        candidates
            .filter_map(|(candidate, job)| {
                let (header, target) = (candidate.header, candidate.target);
                let hash = header.hash();
                let standing = match board.heads.place(&header, &hash) {
                    Placement::OnHead(_) => Standing::OnHead,
                    Placement::IsHead(_) => Standing::InChain,
                    Placement::Expired => Standing::Late,
                    Placement::Unknown => return None,
                };
                Some(Candidate { header, hash, target, standing, job: Some(job.clone()) })
            })
            .collect()
    }
}

/// Where a header stands, and if that is on a head that counts, what `check` says of it there.
fn place(
    header: Header,
    board: &Board,
    check: impl FnOnce(&NextBlock) -> Result<(ShareTarget, Option<Job>), Refusal>,
) -> Result<Weighing, Refusal> {
    let hash = header.hash();
    let (next, standing) = match board.heads.place(&header, &hash) {
        Placement::OnHead(next) => (next, Standing::OnHead),
        Placement::IsHead(next) => (next, Standing::InChain),
        Placement::Expired => return Err(Refusal::Expired),
        Placement::Unknown => return Ok(Weighing::UnknownHead { previous: header.previous }),
    };
    let (target, job) = check(next)?;
    Ok(Weighing::Hash(vec![Candidate { header, hash, target, standing, job }]))
}

#[cfg(test)]
mod tests;
