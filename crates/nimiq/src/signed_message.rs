//! A text that a wallet has signed: so that it can never be mistaken for a transaction, what is signed is the hash of a
//! prefix, the length of the text in decimal digits, and the text.
//!
//! As Nimiq's wallets do it (Hub and Keyguard, `signMessage`).

use sha2::{Digest, Sha256};

#[cfg(test)]
use crate::PrivateKey;
use crate::{Address, PublicKey, Signature};

/// Its first byte is the length of the rest.
const PREFIX: &[u8] = b"\x16Nimiq Signed Message:\n";

/// Whether the owner of `address` has signed `text` with a key that has an address of its own.
pub fn is_signed_by(address: &Address, text: &str, key: &PublicKey, signature: &Signature) -> bool {
    key.address() == *address && key.verifies(&hash(text), signature)
}

fn hash(text: &str) -> [u8; 32] {
    let hash = Sha256::new_with_prefix(PREFIX).chain_update(text.len().to_string()).chain_update(text);
    hash.finalize().into()
}

/// What a wallet gives back.
#[cfg(test)]
fn sign(key: &PrivateKey, text: &str) -> Signature {
    key.sign(&hash(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As `printf '\x16Nimiq Signed Message:\n9Headframe' | sha256sum` prints it.
    #[test]
    fn the_length_is_counted_in_bytes_and_written_in_digits() {
        let expected = "0fef2e8da502c4ba99cdc9da70a4f28615a4e6758a8a462313d04e264923d976";
        assert_eq!(hex::encode(hash("Headframe")), expected);
        assert_ne!(hash("1"), hash(""));
    }

    #[test]
    fn a_signature_is_of_one_text_and_one_address() {
        let (key, other) = (PrivateKey::new(&[7; 32]), PrivateKey::new(&[8; 32]));
        let (public, address) = (key.public_key(), key.public_key().address());
        let signature = sign(&key, "tell me");
        assert!(is_signed_by(&address, "tell me", &public, &signature));
        assert!(!is_signed_by(&address, "tell him", &public, &signature));
        assert!(!is_signed_by(&other.public_key().address(), "tell me", &public, &signature));
        assert!(!is_signed_by(&address, "tell me", &other.public_key(), &sign(&other, "tell me")));
        // The bare text is not enough: it could be a transaction.
        assert!(!is_signed_by(&address, "tell me", &public, &key.sign(b"tell me")));
    }

    proptest! {
        #[test]
        fn nothing_at_random_is_a_signature(text in "\\PC{0,100}", key: [u8; 32], signature in prop::array::uniform32(any::<[u8; 2]>())) {
            let bytes: Vec<u8> = signature.concat();
            let (key, signature) = (PublicKey(key), Signature(bytes.try_into().unwrap()));
            prop_assert!(!is_signed_by(&key.address(), &text, &key, &signature));
        }
    }
}
