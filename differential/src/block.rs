//! The library's check of shares and blocks.

use packetcrypt::block::commitment::COMMITMENT_SIZE;
use packetcrypt::block::{Header, Proof};
use packetcrypt::{BlockHash, CompactTarget, Height, WorkHash};
use packetcrypt_sys::{
    PacketCrypt_Coinbase_t, PacketCrypt_HeaderAndProof_t, PacketCrypt_ValidateCtx_t, Validate_checkBlock,
    Validate_checkBlock_OK, Validate_checkBlock_SHARE_OK, ValidateCtx_create, ValidateCtx_destroy,
};

/// What the library says of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is a block.
    Block(WorkHash),
    /// It is a share.
    Share(WorkHash),
    /// It is neither, for the reason of this number.
    Refused(i32),
}

/// The library's validator. One for each thread.
pub struct Validator {
    context: *mut PacketCrypt_ValidateCtx_t,
}

impl Default for Validator {
    fn default() -> Self {
        packetcrypt_sys::init();
        // SAFETY: takes nothing, gives a context that is ours.
        Self { context: unsafe { ValidateCtx_create() } }
    }
}

impl Drop for Validator {
    fn drop(&mut self) {
        // SAFETY: made by `ValidateCtx_create`, not given back before.
        unsafe { ValidateCtx_destroy(self.context) }
    }
}

impl Validator {
    /// Checks a share with all that belongs to it. `parents` are those of its announcements, in their order.
    ///
    /// Ends the process on a count of 0 and on targets with bit 23 set, in header or commitment.
    pub fn check(
        &mut self,
        header: &Header,
        proof: &Proof,
        commitment: &[u8; COMMITMENT_SIZE],
        height: Height,
        share_target: CompactTarget,
        parents: &[BlockHash; 4],
    ) -> Verdict {
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend([0; 4]);
        bytes.extend(proof.nonce2.to_le_bytes());
        proof.announcements.iter().for_each(|announcement| bytes.extend(announcement.as_bytes()));
        bytes.extend(&proof.tree_proof);
        let (share, commitment) = (Aligned::new(&bytes), Aligned::new(commitment));
        let parents: Vec<u8> = parents.iter().flat_map(|parent| *parent.as_internal()).collect();
        let mut work_hash = [0; 32];
        // SAFETY: the pointers are aligned for their types, the share's bytes are as many as said, the commitment has
        // 48, the parents have 4 · 32, the hash has 32, and the context is ours alone.
        let code = unsafe {
            Validate_checkBlock(
                share.0.as_ptr().cast::<PacketCrypt_HeaderAndProof_t>(),
                bytes.len() as u32,
                height.0,
                share_target.0,
                commitment.0.as_ptr().cast::<PacketCrypt_Coinbase_t>(),
                parents.as_ptr(),
                work_hash.as_mut_ptr(),
                self.context,
            )
        };
        const BLOCK: u32 = Validate_checkBlock_OK;
        const SHARE: u32 = Validate_checkBlock_SHARE_OK;
        match code as u32 {
            BLOCK => Verdict::Block(WorkHash(work_hash)),
            SHARE => Verdict::Share(WorkHash(work_hash)),
            _ => Verdict::Refused(code),
        }
    }
}

/// Bytes at an address that suits every type here, with some room behind them: the library's struct for a share
/// ends in eight bytes of tree proof, whether there are so many or not.
struct Aligned(Vec<u64>);

impl Aligned {
    fn new(bytes: &[u8]) -> Self {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        });
        Self(words.chain([0; 2]).collect())
    }
}
