//! The truth: Argon2d of the crate `argon2`, on any processor, in memory that is used again.

use argon2::{Algorithm, Argon2, Block, Params, Version};

use super::{BLOCKS, Header, LANES, PASSES, SALT, TAG_SIZE};
use crate::hash::ProofOfWork;

/// The blocks of one hash.
pub(super) struct Memory {
    argon2: Argon2<'static>,
    blocks: Vec<Block>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl Memory {
    pub(super) fn new() -> Self {
        let params =
            Params::new(BLOCKS as u32, PASSES, LANES, Some(TAG_SIZE)).expect("within Argon2's bounds");
        Self {
            argon2: Argon2::new(Algorithm::Argon2d, Version::V0x13, params),
            blocks: vec![Block::default(); BLOCKS],
        }
    }
}

pub(super) fn hash(memory: &mut Memory, header: &Header) -> ProofOfWork {
    let mut tag = [0; TAG_SIZE];
    let Memory { argon2, blocks } = memory;
    argon2
        .hash_password_into_with_memory(header, SALT, &mut tag, blocks)
        .expect("lengths within Argon2's bounds");
    ProofOfWork(tag)
}
