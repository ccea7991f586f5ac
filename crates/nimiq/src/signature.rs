//! Ed25519 keys, and proofs that a message was signed by the owner of an address.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.9.

use std::fmt;

use ed25519_dalek::{Signer, Verifier};
use zeroize::Zeroizing;

use crate::merkle::MerklePath;
use crate::{Address, FormatError, MerkleHash};
use byte_reader::ByteReader;

/// A key that checks signatures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// A signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 64]);

/// A key that signs. It is never shown, not even for debugging.
#[derive(Clone)]
pub struct PrivateKey(ed25519_dalek::SigningKey);

/// Why a text is no wallet seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WalletSeedError {
    /// Neither 64 hexadecimal digits, which are a private key, nor 130.
    #[error("a wallet seed is 64 hexadecimal digits (private key) or 130 (private key, public key, 00)")]
    Form,
    /// The two keys do not belong together.
    #[error("the public key of this wallet seed is not that of its private key")]
    PublicKey,
}

impl PublicKey {
    /// The address that belongs to this key alone.
    pub fn address(&self) -> Address {
        Address::of_public_key(&self.0)
    }

    /// Whether this key made `signature` over `message`.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        ed25519_dalek::VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify(message, &signature).is_ok())
    }
}

impl PrivateKey {
    /// From the 32 bytes of RFC 8032's seed.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// From the node's `wallet.seed`, or from a private key alone, in hexadecimal digits.
    pub fn from_wallet_seed(digits: &str) -> Result<Self, WalletSeedError> {
        let mut bytes = Zeroizing::new([0; 65]);
        let length = digits.len() / 2;
        let place = bytes.get_mut(..length).filter(|place| place.len() == 32 || place.len() == 65);
        hex::decode_to_slice(digits, place.ok_or(WalletSeedError::Form)?)
            .map_err(|_| WalletSeedError::Form)?;
        let (seed, rest) = bytes.split_first_chunk().ok_or(WalletSeedError::Form)?;
        let key = Self::new(seed);
        match rest {
            _ if length == 32 => Ok(key),
            [.., 0] if rest[..32] == key.public_key().0 => Ok(key),
            [.., 0] => Err(WalletSeedError::PublicKey),
            _ => Err(WalletSeedError::Form),
        }
    }

    /// The key that checks this one's signatures.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The signature over `message`; the same each time.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey(of {})", self.public_key().address())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", hex::encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signature({})", hex::encode(self.0))
    }
}

/// A signature, and what ties its key to an address: nothing more for one key, a Merkle path for one of several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignatureProof {
    /// The key.
    pub public_key: PublicKey,
    /// From the key's hash to the address's.
    pub path: MerklePath,
    /// What the key signed.
    pub signature: Signature,
}

impl SignatureProof {
    /// Signs `message` with a key that has an address of its own.
    pub fn sign(key: &PrivateKey, message: &[u8]) -> Self {
        Self { public_key: key.public_key(), path: MerklePath::default(), signature: key.sign(message) }
    }

    /// Reads a proof.
    pub fn read(reader: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            public_key: PublicKey(reader.array("public key")?),
            path: MerklePath::read(reader)?,
            signature: Signature(reader.array("signature")?),
        })
    }

    /// Reads a proof that is all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = ByteReader::new("signature proof", bytes);
        let proof = Self::read(&mut reader)?;
        reader.end()?;
        Ok(proof)
    }

    /// The serialised form: 97 bytes for a single key.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.public_key.0[..], &self.path.to_bytes(), &self.signature.0].concat()
    }

    /// Whose signature it would be.
    pub fn signer(&self) -> Address {
        Address::from_hash(&self.path.fold(MerkleHash::of_leaf(&self.public_key.0)).0)
    }

    /// Whether the owner of `address` signed `message`.
    pub fn proves(&self, address: &Address, message: &[u8]) -> bool {
        self.signer() == *address && self.public_key.verifies(message, &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_message_and_one_address() {
        let key = PrivateKey::new(&[1; 32]);
        let proof = SignatureProof::sign(&key, b"message");
        let address = key.public_key().address();
        assert!(proof.proves(&address, b"message"));
        assert!(!proof.proves(&address, b"another"));
        assert!(!proof.proves(&PrivateKey::new(&[2; 32]).public_key().address(), b"message"));
        assert_eq!(proof.to_bytes().len(), 97);
        assert_eq!(SignatureProof::parse(&proof.to_bytes()), Ok(proof));
    }

    #[test]
    fn a_wallet_seed_is_two_keys_that_belong_together() {
        let key = PrivateKey::new(&[1; 32]);
        let (private, public) = (hex::encode([1; 32]), hex::encode(key.public_key().0));
        for seed in [private.clone(), format!("{private}{public}00")] {
            assert_eq!(PrivateKey::from_wallet_seed(&seed).unwrap().public_key(), key.public_key());
        }
        let error = |seed: &str| PrivateKey::from_wallet_seed(seed).unwrap_err();
        assert_eq!(error(&format!("{public}{public}00")), WalletSeedError::PublicKey);
        for wrong in ["", "01", &private[1..], &format!("{private}{public}01"), &"zz".repeat(32)] {
            assert_eq!(error(wrong), WalletSeedError::Form, "{wrong}");
        }
    }

    #[test]
    fn a_private_key_is_never_shown() {
        let shown = format!("{:?}", PrivateKey::new(&[1; 32]));
        assert_eq!(shown, "PrivateKey(of NQ32 QPH1 MCE9 XQ12 T0E3 N9F3 8DNB FUEY EYUN)");
    }
}
