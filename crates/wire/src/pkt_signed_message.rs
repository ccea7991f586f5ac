//! A text that a PKT wallet has signed (`signmessage`): 65 bytes in base64 from which the key can be recovered.
//!
//! As in Bitcoin, and with its prefix, which pktwallet keeps: signed is the double SHA-256 of prefix and text, each after
//! its length. The first byte tells which of the four possible keys it was, and how that is written. pktwallet writes
//! compressed keys for addresses of every kind; other wallets use bytes of their own for `pkt1…` (BIP 137).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

use crate::PktAddress;
use crate::pkt_address::ChainAddress;

const PREFIX: &[u8] = b"Bitcoin Signed Message:\n";
/// First byte of a signature: from here on four each of uncompressed, compressed, nested and native witness keys.
const FIRST: u8 = 27;
const COMPRESSED: u8 = 31;
const NATIVE_WITNESS: u8 = 39;
const END: u8 = 43;

/// Why a text does not count as signed by an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignedMessageFault {
    /// It is no signature at all.
    #[error("the signature must be 65 bytes in base64, as signmessage prints them")]
    Form,
    /// No key can have made it.
    #[error("no key can have made this signature")]
    NoKey,
    /// It was made by somebody else, or over another text.
    #[error("the signature is not of this address over this text")]
    Other,
    /// The address belongs to a script, which signs nothing.
    #[error("this address belongs to a script, and scripts cannot sign texts; use one of a single key")]
    Script,
}

/// Checks that the owner of `address` has signed `text`.
pub fn check(address: &PktAddress, text: &str, signature: &str) -> Result<(), SignedMessageFault> {
    let bytes = STANDARD.decode(signature).map_err(|_| SignedMessageFault::Form)?;
    let (first, rest) = bytes.split_first().ok_or(SignedMessageFault::Form)?;
    if !(FIRST..END).contains(first) || rest.len() != 64 {
        return Err(SignedMessageFault::Form);
    }
    let (hash, is_witness) = match address.chain_address() {
        ChainAddress::PublicKeyHash(hash) => (hash, false),
        ChainAddress::WitnessPublicKeyHash(hash) => (hash, true),
        ChainAddress::WitnessScriptHash(_) | ChainAddress::ScriptHash(_) => {
            return Err(SignedMessageFault::Script);
        }
    };
    let is_compressed = *first >= COMPRESSED;
    // Witness addresses are of compressed keys alone, and a byte of their own is for nobody else.
    if is_witness && !is_compressed || !is_witness && *first >= NATIVE_WITNESS {
        return Err(SignedMessageFault::Other);
    }
    let key = recovered(*first, rest, &digest(text)).ok_or(SignedMessageFault::NoKey)?;
    let point = key.to_sec1_point(is_compressed);
    let key_hash: [u8; 20] = Ripemd160::digest(Sha256::digest(point.as_bytes())).into();
    if key_hash == hash { Ok(()) } else { Err(SignedMessageFault::Other) }
}

fn recovered(first: u8, signature: &[u8], digest: &[u8]) -> Option<VerifyingKey> {
    let id = RecoveryId::from_byte((first - FIRST) % 4)?;
    let signature = Signature::from_slice(signature).ok()?;
    VerifyingKey::recover_from_prehash(digest, &signature, id).ok()
}

fn digest(text: &str) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(PREFIX.len() + text.len() + 6);
    for part in [PREFIX, text.as_bytes()] {
        crate::var_int::write(&mut bytes, part.len() as u64);
        bytes.extend_from_slice(part);
    }
    Sha256::digest(Sha256::digest(bytes)).into()
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::SigningKey;
    use proptest::prelude::*;

    use super::*;

    /// Signs as pktwallet does; `first` is the byte of the first key of its kind.
    fn sign(key: &SigningKey, text: &str, first: u8) -> String {
        let (signature, id) = key.sign_prehash_recoverable(&digest(text));
        let mut bytes = vec![first + id.to_byte()];
        bytes.extend_from_slice(&signature.to_bytes());
        STANDARD.encode(bytes)
    }

    fn addresses(key: &SigningKey) -> [PktAddress; 3] {
        let hash = |compressed| -> [u8; 20] {
            let point = key.verifying_key().to_sec1_point(compressed);
            Ripemd160::digest(Sha256::digest(point.as_bytes())).into()
        };
        let addresses = [
            ChainAddress::WitnessPublicKeyHash(hash(true)),
            ChainAddress::PublicKeyHash(hash(true)),
            ChainAddress::PublicKeyHash(hash(false)),
        ];
        addresses.map(|address| address.to_string().parse().unwrap())
    }

    /// A signature by another program, of a Bitcoin address: only how the hash of the key is written differs.
    #[test]
    fn a_signature_of_another_program_is_understood() {
        let text = "ECDSA is the most fun I have ever experienced";
        let signature =
            "H3x5bM2MpXK9MyLLbIGWQjZQNTP6lfuIjmPqMrU7YZ5CCm5bS9L+zCtrfIOJaloDb0mf9QBSEDIs4UCd/jou1VI=";
        let bitcoin = bs58::decode("16wrm6zJek6REbxbJSLsBHehn3Lj1vo57t").with_check(Some(0)).into_vec();
        let hash: [u8; 20] = bitcoin.unwrap()[1..].try_into().unwrap();
        let address: PktAddress = ChainAddress::PublicKeyHash(hash).to_string().parse().unwrap();
        assert_eq!(check(&address, text, signature), Ok(()));
        assert_eq!(check(&address, "ECDSA is no fun", signature), Err(SignedMessageFault::Other));
    }

    #[test]
    fn addresses_of_a_key_are_told_from_each_other() {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let [witness, compressed, uncompressed] = addresses(&key);
        let text = "tell me";
        for (address, first, expected) in [
            (&witness, COMPRESSED, Ok(())),
            (&witness, NATIVE_WITNESS, Ok(())),
            (&witness, FIRST, Err(SignedMessageFault::Other)),
            (&compressed, COMPRESSED, Ok(())),
            (&compressed, FIRST, Err(SignedMessageFault::Other)),
            (&compressed, NATIVE_WITNESS, Err(SignedMessageFault::Other)),
            (&uncompressed, FIRST, Ok(())),
        ] {
            assert_eq!(check(address, text, &sign(&key, text, first)), expected, "{address} {first}");
        }
        let other = SigningKey::from_slice(&[8; 32]).unwrap();
        assert_eq!(check(&witness, text, &sign(&other, text, COMPRESSED)), Err(SignedMessageFault::Other));
        let script: PktAddress = ChainAddress::WitnessScriptHash([1; 32]).to_string().parse().unwrap();
        assert_eq!(check(&script, text, &sign(&key, text, COMPRESSED)), Err(SignedMessageFault::Script));
    }

    proptest! {
        #[test]
        fn whatever_is_shown_is_judged(address in crate::arbitrary::pkt_address(), text in "\\PC{0,300}", bytes in prop::collection::vec(any::<u8>(), 0..70)) {
            prop_assert!(check(&address, &text, &STANDARD.encode(bytes)).is_err());
            prop_assert!(check(&address, &text, &text).is_err());
        }
    }
}
