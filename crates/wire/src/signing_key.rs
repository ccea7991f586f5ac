//! The pool's signing keys for announcements, one for each height (`docs/protocol/packetcrypt-pool.md` 3.7).

use std::fmt;

use ed25519_dalek::Signer;
use packetcrypt::{Height, SigningKey};
use sha2::{Digest, Sha256};

/// The pool's secret from which every signing key is derived. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateSeed(String);

impl PrivateSeed {
    /// A seed, or `None` for the empty text that means *no signing*.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.is_empty()).then_some(Self(text))
    }

    /// The key for work of `height`: announcements whose parent has the height below it carry this key.
    ///
    /// `None` cannot be met: it would be a key of 32 zero bytes.
    pub fn signing_key(&self, height: Height) -> Option<SigningKey> {
        SigningKey::new(self.key_pair(height).verifying_key().to_bytes())
    }

    /// The signature, with the key of `height`, that a block carries for a signed announcement.
    pub fn sign(&self, height: Height, announcement: &[u8; 1024]) -> [u8; 64] {
        self.key_pair(height).sign(announcement).to_bytes()
    }

    /// The Ed25519 seed of a height: SHA-256 of the text and the height.
    pub fn key_seed(&self, height: Height) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.0.as_bytes());
        hash.update(height.0.to_le_bytes());
        hash.finalize().into()
    }

    fn key_pair(&self, height: Height) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&self.key_seed(height))
    }
}

impl fmt::Debug for PrivateSeed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateSeed(secret)")
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Verifier;

    use super::*;

    #[test]
    fn a_pool_without_seed_does_not_sign() {
        assert_eq!(PrivateSeed::new(""), None);
    }

    #[test]
    fn a_signature_is_verified_by_the_key_of_its_height() {
        let seed = PrivateSeed::new("correct horse battery staple").unwrap();
        let announcement = [7; 1024];
        let signature = ed25519_dalek::Signature::from_bytes(&seed.sign(Height(61), &announcement));
        let verifies = |height| {
            let key = seed.signing_key(height).unwrap();
            ed25519_dalek::VerifyingKey::from_bytes(key.as_bytes())
                .unwrap()
                .verify(&announcement, &signature)
                .is_ok()
        };
        assert!(verifies(Height(61)));
        assert!(!verifies(Height(62)));
    }

    #[test]
    fn the_seed_is_not_printed() {
        assert!(!format!("{:?}", PrivateSeed::new("hush")).contains("hush"));
    }
}
