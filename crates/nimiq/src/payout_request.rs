//! What a miner orders with its signature, over the nonce that the pool gave it last: to be paid at once, or from which
//! balance on it wants to be paid without asking.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 1.3 (`payout`, `payout-threshold`).

use crate::LARGEST_U64;
use crate::{Address, Luna, PrivateKey, SignatureProof};

const PREFIX: &[u8; 11] = b"POOL_PAYOUT";
const THRESHOLD_PREFIX: &[u8; 14] = b"POOL_THRESHOLD";

/// A number that a pool draws for each order; the order for it is good once. Below 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayoutNonce(u64);

/// Why a request is refused. The miner is only told that its proof is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayoutProofError {
    /// The bytes are no signature proof.
    #[error(transparent)]
    Form(#[from] crate::FormatError),
    /// The key belongs to somebody else.
    #[error("the proof is of {found}, not of {expected}")]
    Address {
        /// Who is registered.
        expected: Address,
        /// Whose key it is.
        found: Address,
    },
    /// The signature is not over this nonce, or not by this key.
    #[error("the signature is not over the nonce that was given last")]
    Signature,
}

impl PayoutNonce {
    /// `None` for a number of 2^53 or more, which JSON does not keep exactly.
    pub const fn new(number: u64) -> Option<Self> {
        if number <= LARGEST_U64 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// From any random number.
    pub const fn from_random(number: u64) -> Self {
        Self(number & LARGEST_U64)
    }

    /// The 19 bytes to sign.
    pub fn message(self) -> [u8; 19] {
        let mut message = [0; 19];
        message[..PREFIX.len()].copy_from_slice(PREFIX);
        message[PREFIX.len()..].copy_from_slice(&self.0.to_be_bytes());
        message
    }

    /// What the owner of `key` sends for this nonce.
    pub fn sign(self, key: &PrivateKey) -> SignatureProof {
        SignatureProof::sign(key, &self.message())
    }

    /// Checks that `proof` is a serialised signature proof of `address` for this nonce.
    pub fn check(self, proof: &[u8], address: &Address) -> Result<(), PayoutProofError> {
        check(&self.message(), proof, address)
    }

    /// The 30 bytes to sign for a threshold.
    pub fn threshold_message(self, threshold: Luna) -> [u8; 30] {
        let mut message = [0; 30];
        message[..14].copy_from_slice(THRESHOLD_PREFIX);
        message[14..22].copy_from_slice(&threshold.0.to_be_bytes());
        message[22..].copy_from_slice(&self.0.to_be_bytes());
        message
    }

    /// What the owner of `key` sends for a threshold.
    pub fn sign_threshold(self, threshold: Luna, key: &PrivateKey) -> SignatureProof {
        SignatureProof::sign(key, &self.threshold_message(threshold))
    }

    /// Checks that `proof` is a serialised signature proof of `address` for this threshold and nonce.
    pub fn check_threshold(
        self,
        threshold: Luna,
        proof: &[u8],
        address: &Address,
    ) -> Result<(), PayoutProofError> {
        check(&self.threshold_message(threshold), proof, address)
    }
}

fn check(message: &[u8], proof: &[u8], address: &Address) -> Result<(), PayoutProofError> {
    let proof = SignatureProof::parse(proof)?;
    let signer = proof.signer();
    if signer != *address {
        return Err(PayoutProofError::Address { expected: *address, found: signer });
    }
    let signed = proof.public_key.verifies(message, &proof.signature);
    signed.then_some(()).ok_or(PayoutProofError::Signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_good_for_one_nonce_and_one_address() {
        let key = PrivateKey::new(&[3; 32]);
        let address = key.public_key().address();
        let nonce = PayoutNonce::new(7).unwrap();
        let proof = nonce.sign(&key).to_bytes();
        assert_eq!(nonce.check(&proof, &address), Ok(()));
        assert_eq!(PayoutNonce::new(8).unwrap().check(&proof, &address), Err(PayoutProofError::Signature));
        let other = PrivateKey::new(&[4; 32]).public_key().address();
        assert!(matches!(nonce.check(&proof, &other), Err(PayoutProofError::Address { .. })));
        assert!(matches!(nonce.check(&proof[1..], &address), Err(PayoutProofError::Form(_))));
        let longer = [&proof[..], &[0]].concat();
        assert!(matches!(nonce.check(&longer, &address), Err(PayoutProofError::Form(_))));
    }

    #[test]
    fn an_order_is_good_for_what_it_says_and_for_nothing_else() {
        let key = PrivateKey::new(&[3; 32]);
        let address = key.public_key().address();
        let nonce = PayoutNonce::new(7).unwrap();
        assert_eq!(&nonce.threshold_message(Luna(258))[..14], b"POOL_THRESHOLD");
        assert_eq!(
            nonce.threshold_message(Luna(258))[14..],
            [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 7]
        );
        let proof = nonce.sign_threshold(Luna(258), &key).to_bytes();
        assert_eq!(nonce.check_threshold(Luna(258), &proof, &address), Ok(()));
        for (nonce, threshold) in [(8, 258), (7, 259)] {
            let nonce = PayoutNonce::new(nonce).unwrap();
            let verdict = nonce.check_threshold(Luna(threshold), &proof, &address);
            assert_eq!(verdict, Err(PayoutProofError::Signature));
        }
        assert_eq!(nonce.check(&proof, &address), Err(PayoutProofError::Signature));
        let request = nonce.sign(&key).to_bytes();
        assert_eq!(nonce.check_threshold(Luna(0), &request, &address), Err(PayoutProofError::Signature));
    }

    #[test]
    fn a_nonce_survives_json() {
        assert_eq!(PayoutNonce::new(1 << 53), None);
        assert_eq!(PayoutNonce::from_random(u64::MAX).get(), (1 << 53) - 1);
    }
}
