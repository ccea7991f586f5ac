//! The reasons of `error` messages: the closed list of `docs/protocol/nimiq-pool.md` 1.3, 1.6 and 1.9.

use nimiq::share::Refusal;

/// Why something that a client sent was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// It sent something else before it registered.
    #[error("registration required")]
    RegistrationRequired,
    /// It registered a second time.
    #[error("already registered")]
    AlreadyRegistered,
    /// It is on another network.
    #[error("different genesis block")]
    DifferentGenesis,
    /// A share is refused.
    #[error(transparent)]
    Share(#[from] Refusal),
    /// A share is good, and the pool's disk does not take it: it is not credited.
    #[error("share not stored")]
    ShareNotStored,
    /// The client's address is too far beyond what it is granted: its share is not looked at.
    #[error("too many shares from this address")]
    TooManyShares,
    /// The stock client's request, which has no proof.
    #[error("payout request requires a signature proof")]
    PayoutWithoutProof,
    /// Another threshold for payouts, without a proof.
    #[error("payout threshold requires a signature proof")]
    ThresholdWithoutProof,
    /// The operator allows no such threshold.
    #[error("payout threshold out of range")]
    ThresholdOutOfRange,
    /// The proof is none, or of another nonce or address.
    #[error("invalid payout proof")]
    InvalidPayoutProof,
    /// The operator does not want this address.
    #[error("Banned")]
    Banned,
    /// The limits of 1.10.
    #[error("too many consecutive or total connections per IP")]
    TooManyConnections,
}

impl Reason {
    /// The code in logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::RegistrationRequired => "registration_required",
            Self::AlreadyRegistered => "already_registered",
            Self::DifferentGenesis => "different_genesis",
            Self::Share(refusal) => refusal.code(),
            Self::ShareNotStored => "share_not_stored",
            Self::TooManyShares => "too_many_shares",
            Self::PayoutWithoutProof => "payout_without_proof",
            Self::ThresholdWithoutProof => "threshold_without_proof",
            Self::ThresholdOutOfRange => "threshold_out_of_range",
            Self::InvalidPayoutProof => "invalid_payout_proof",
            Self::Banned => "banned",
            Self::TooManyConnections => "too_many_connections",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_that_clients_know() {
        assert_eq!(Reason::from(Refusal::Expired).to_string(), "share expired");
        assert_eq!(Reason::from(Refusal::Expired).code(), "share_expired");
        assert_eq!(Reason::Banned.to_string(), "Banned");
    }
}
