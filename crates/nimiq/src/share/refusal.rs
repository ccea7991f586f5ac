//! Why a share is refused: the reason that its sender is told, and what follows for the connection.
//!
//! Rules: the table "Ours: answer by step" of `docs/protocol/nimiq-pool.md` 1.6.

/// What follows a refusal, besides that nothing is credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Consequence {
    /// Nothing: an honest client cannot avoid it.
    None,
    /// It counts towards the errors after which the connection is closed.
    Error,
    /// The sender is banned and the connection closed: no honest client does this.
    Ban,
}

/// Why a share is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// It is on a block that was the head a moment ago, or meets a target that came after its job.
    #[error("share expired")]
    Expired,
    /// Its predecessor is unknown, or height or target do not follow from it.
    #[error("invalid share: bad prev")]
    BadPrevious,
    /// Its interlink does not follow from the predecessor.
    #[error("invalid share: bad interlink")]
    BadInterlink,
    /// It is older than its predecessor, or too far in the future.
    #[error("invalid share: bad timestamp")]
    BadTimestamp,
    /// Its block does not pay the pool.
    #[error("invalid share: miner address mismatch")]
    MinerAddressMismatch,
    /// Its block does not carry extra data that this connection was given.
    #[error("invalid share: extra data mismatch")]
    ExtraDataMismatch,
    /// Its proofs lead from the right leaves to its body hash, but as no body's do. The reason does not say so.
    #[error("invalid share: miner address mismatch")]
    ForgedProof,
    /// Its body is none that this connection was given.
    #[error("invalid share: wrong body hash")]
    WrongBodyHash,
    /// Its body is known, with another accounts hash.
    #[error("invalid share: wrong accounts hash")]
    WrongAccountsHash,
    /// The header was credited before.
    #[error("submitted share twice")]
    Duplicate,
    /// Its proof of work misses the share target.
    #[error("invalid share: invalid pow")]
    InvalidProofOfWork,
    /// The whole block that came with it is another one.
    #[error("invalid block")]
    InvalidBlock,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Expired,
        Self::BadPrevious,
        Self::BadInterlink,
        Self::BadTimestamp,
        Self::MinerAddressMismatch,
        Self::ExtraDataMismatch,
        Self::ForgedProof,
        Self::WrongBodyHash,
        Self::WrongAccountsHash,
        Self::Duplicate,
        Self::InvalidProofOfWork,
        Self::InvalidBlock,
    ];

    /// The code in logs and metrics, which tells more than the reason.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Expired => "share_expired",
            Self::BadPrevious => "bad_prev",
            Self::BadInterlink => "bad_interlink",
            Self::BadTimestamp => "bad_timestamp",
            Self::MinerAddressMismatch => "miner_address_mismatch",
            Self::ExtraDataMismatch => "extra_data_mismatch",
            Self::ForgedProof => "forged_proof",
            Self::WrongBodyHash => "wrong_body_hash",
            Self::WrongAccountsHash => "wrong_accounts_hash",
            Self::Duplicate => "duplicate_share",
            Self::InvalidProofOfWork => "invalid_pow",
            Self::InvalidBlock => "invalid_block",
        }
    }

    /// What follows. The second [`Duplicate`](Self::Duplicate) of a connection is a ban, which only the server can count.
    pub const fn consequence(self) -> Consequence {
        match self {
            Self::Expired => Consequence::None,
            Self::ForgedProof | Self::InvalidBlock => Consequence::Ban,
            _ => Consequence::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_refusal_has_a_code_of_its_own() {
        let codes: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
        assert_eq!(codes.len(), Refusal::ALL.len());
    }

    #[test]
    fn a_forger_is_not_told_what_was_noticed() {
        assert_eq!(Refusal::ForgedProof.to_string(), Refusal::MinerAddressMismatch.to_string());
        assert_eq!(Refusal::ForgedProof.consequence(), Consequence::Ban);
        assert_eq!(Refusal::MinerAddressMismatch.consequence(), Consequence::Error);
        assert_eq!(Refusal::Expired.consequence(), Consequence::None);
    }
}
