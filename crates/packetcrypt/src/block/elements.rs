//! The PacketCrypt proof as it travels: elements `type ‖ length ‖ payload` between header and transactions.
//!
//! Rules: `docs/protocol/packetcrypt-blocks.md` 1.2 and 1.4. Our parser is stricter than the node's: each type at
//! most once, no unknown types, no content proofs, version exactly 2, nothing behind the end. What it accepts is
//! safe to hand to a node, which itself allocates by lengths that strangers wrote.

use std::fmt;

use ed25519_dalek::{Signature as Ed25519Signature, VerifyingKey};

use crate::announcement::ANNOUNCEMENT_SIZE;
use crate::{Announcement, SigningKey};

use super::var_int::{Cursor, ReadFault, write_var_int};

/// Announcements in a proof.
pub const PROOF_ANNOUNCEMENTS: usize = 4;

/// The proof version that is written, and the only one accepted.
pub const PROOF_VERSION: u64 = 2;

/// Bytes of the low nonce and the announcements; the tree proof comes on top.
const PROOF_LEAST: usize = 4 + PROOF_ANNOUNCEMENTS * ANNOUNCEMENT_SIZE;

/// The most bytes that the node accepts as payload of a proof element.
const PROOF_MOST: u64 = 131_072;

const TYPE_END: u64 = 0;
const TYPE_PROOF: u64 = 1;
const TYPE_SIGNATURES: u64 = 2;
const TYPE_VERSION: u64 = 4;

/// Which announcement of a proof: 0 to 3. Always given as in the proof, not sorted.
pub type Position = usize;

/// The four announcements that an attempt hit, the low nonce, and the proof that they are in the tree.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proof {
    /// The low nonce, which no header covers.
    pub nonce2: u32,
    /// In the order in which the attempt hit them. One can be there several times.
    pub announcements: [Announcement; PROOF_ANNOUNCEMENTS],
    /// The compact tree proof, see [`tree_proof`](super::tree_proof).
    pub tree_proof: Vec<u8>,
}

impl fmt::Debug for Proof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Proof")
            .field("nonce2", &self.nonce2)
            .field("announcements", &self.announcements.each_ref().map(Announcement::announcement_hash))
            .field("tree_proof", &hex::encode(&self.tree_proof))
            .finish()
    }
}

/// An ed25519 signature of an announcement, as transmitted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signature({})", hex::encode(self.0))
    }
}

/// Everything between a block's header and its transactions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Elements {
    /// The proof of work.
    pub proof: Proof,
    /// One signature for each announcement with a signing key, in their order.
    pub signatures: Vec<Signature>,
}

/// Why bytes are no elements that we accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElementsFault {
    /// A type, length or payload could not be read.
    #[error("element at byte {offset} behind the header: {fault}")]
    Unreadable {
        /// Where the element starts, counted from the end of the header.
        offset: usize,
        /// What is wrong with it.
        fault: ReadFault,
    },
    /// An upload must start with the proof. The text is one that reference clients know.
    #[error("First element after header must be Pcp")]
    ProofNotFirst,
    /// An element that has no place here.
    #[error(
        "unexpected element of type {0}: only a proof (1), signatures (2), a version (4) and the end (0) are \
             allowed, in an upload only 1 and then 4"
    )]
    Unexpected(u64),
    /// The same type twice.
    #[error("element of type {0} comes twice")]
    Twice(u64),
    /// The end came first.
    #[error("the element of type {0} is missing")]
    Missing(u64),
    /// The proof is too short for its nonce and four announcements and any tree proof, or longer than allowed.
    #[error("a proof has more than {PROOF_LEAST} and at most {PROOF_MOST} bytes, not {0}")]
    ProofLength(u64),
    /// Not the version of today's network.
    #[error("proof version {0}, expected {PROOF_VERSION}")]
    Version(u64),
    /// The version element is longer than the number in it.
    #[error("the version element has {0} bytes behind its number")]
    VersionLength(usize),
    /// The end element has a length.
    #[error("the end element has length {0}, expected 0")]
    EndLength(u64),
    /// Signatures are 64 bytes for each announcement with a signing key.
    #[error("{found} bytes of signatures, expected {expected}")]
    SignaturesLength {
        /// What the announcements call for.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// Bytes behind the last element of an upload.
    #[error("{0} bytes behind the version element")]
    TrailingBytes(usize),
}

/// An element's type and payload.
struct Element<'a> {
    offset: usize,
    kind: u64,
    payload: &'a [u8],
}

fn next_element<'a>(cursor: &mut Cursor<'a>) -> Result<Element<'a>, ElementsFault> {
    let offset = cursor.offset();
    let unreadable = |fault| ElementsFault::Unreadable { offset, fault };
    let kind = cursor.var_int().map_err(unreadable)?;
    let length = cursor.var_int().map_err(unreadable)?;
    match kind {
        TYPE_END if length != 0 => return Err(ElementsFault::EndLength(length)),
        TYPE_PROOF if length <= PROOF_LEAST as u64 || length > PROOF_MOST => {
            return Err(ElementsFault::ProofLength(length));
        }
        TYPE_END | TYPE_PROOF | TYPE_SIGNATURES | TYPE_VERSION => {}
        _ => return Err(ElementsFault::Unexpected(kind)),
    }
    let payload = cursor.take(length).map_err(unreadable)?;
    Ok(Element { offset, kind, payload })
}

fn check_version(element: &Element<'_>) -> Result<(), ElementsFault> {
    let mut cursor = Cursor::new(element.payload);
    let version =
        cursor.var_int().map_err(|fault| ElementsFault::Unreadable { offset: element.offset, fault })?;
    match (version, cursor.rest().len()) {
        (PROOF_VERSION, 0) => Ok(()),
        (PROOF_VERSION, more) => Err(ElementsFault::VersionLength(more)),
        (other, _) => Err(ElementsFault::Version(other)),
    }
}

impl Proof {
    /// Reads what a block miner uploads behind the header: a proof element and a version element, nothing else.
    pub fn from_upload(bytes: &[u8]) -> Result<Self, ElementsFault> {
        if bytes.first() != Some(&(TYPE_PROOF as u8)) {
            return Err(ElementsFault::ProofNotFirst);
        }
        let mut cursor = Cursor::new(bytes);
        let proof = Self::from_payload(next_element(&mut cursor)?.payload)?;
        if cursor.rest().is_empty() {
            return Err(ElementsFault::Missing(TYPE_VERSION));
        }
        let version = next_element(&mut cursor)?;
        if version.kind != TYPE_VERSION {
            return Err(ElementsFault::Unexpected(version.kind));
        }
        check_version(&version)?;
        match cursor.rest().len() {
            0 => Ok(proof),
            more => Err(ElementsFault::TrailingBytes(more)),
        }
    }

    /// The proof element and the version element, as a block miner uploads them.
    pub fn to_upload(&self) -> Vec<u8> {
        let length = PROOF_LEAST + self.tree_proof.len();
        let mut bytes = Vec::with_capacity(length + 16);
        write_var_int(&mut bytes, TYPE_PROOF);
        write_var_int(&mut bytes, length as u64);
        bytes.extend(self.nonce2.to_le_bytes());
        self.announcements.iter().for_each(|announcement| bytes.extend(announcement.as_bytes()));
        bytes.extend(&self.tree_proof);
        for number in [TYPE_VERSION, 1, PROOF_VERSION] {
            write_var_int(&mut bytes, number);
        }
        bytes
    }

    /// The payload of a proof element.
    fn from_payload(payload: &[u8]) -> Result<Self, ElementsFault> {
        let length = ElementsFault::ProofLength(payload.len() as u64);
        let Some((nonce2, rest)) = payload.split_first_chunk() else { return Err(length) };
        let (chunks, _) = rest.as_chunks::<ANNOUNCEMENT_SIZE>();
        let [first, second, third, fourth, ..] = chunks else { return Err(length) };
        Ok(Self {
            nonce2: u32::from_le_bytes(*nonce2),
            announcements: [first, second, third, fourth].map(Announcement::from_bytes),
            tree_proof: payload.get(PROOF_LEAST..).unwrap_or_default().to_vec(),
        })
    }

    /// The signing keys of the announcements that have one, each with its position.
    pub fn signing_keys(&self) -> impl Iterator<Item = (Position, SigningKey)> + '_ {
        self.announcements
            .iter()
            .map(Announcement::signing_key)
            .enumerate()
            .filter_map(|(position, key)| Some((position, key?)))
    }
}

/// Why the signatures of a block do not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There are fewer signatures than announcements with a signing key.
    #[error("missing announcement signature for key {0:?}")]
    Missing(SigningKey),
    /// There are more.
    #[error("more signatures than announcements with a signing key")]
    TooMany,
    /// One is not by the key in its announcement.
    #[error("invalid announcement signature of announcement {0}")]
    Invalid(Position),
}

impl Elements {
    /// Reads the elements at the start of `bytes`, up to and with the end element; also gives their length.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), ElementsFault> {
        let mut cursor = Cursor::new(bytes);
        let (mut proof, mut signatures, mut version_seen) = (None, None, false);
        loop {
            let element = next_element(&mut cursor)?;
            let seen_before = match element.kind {
                TYPE_END => break,
                TYPE_PROOF => proof.replace(Proof::from_payload(element.payload)?).is_some(),
                TYPE_SIGNATURES => {
                    let proof = proof.as_ref().ok_or(ElementsFault::Missing(TYPE_PROOF))?;
                    signatures.replace(read_signatures(proof, element.payload)?).is_some()
                }
                TYPE_VERSION => {
                    check_version(&element)?;
                    std::mem::replace(&mut version_seen, true)
                }
                other => return Err(ElementsFault::Unexpected(other)),
            };
            if seen_before {
                return Err(ElementsFault::Twice(element.kind));
            }
        }
        if !version_seen {
            return Err(ElementsFault::Missing(TYPE_VERSION));
        }
        let proof = proof.ok_or(ElementsFault::Missing(TYPE_PROOF))?;
        Ok((Self { proof, signatures: signatures.unwrap_or_default() }, cursor.offset()))
    }

    /// The elements in the canonical order, with the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.proof.to_upload();
        if !self.signatures.is_empty() {
            write_var_int(&mut bytes, TYPE_SIGNATURES);
            write_var_int(&mut bytes, 64 * self.signatures.len() as u64);
            self.signatures.iter().for_each(|signature| bytes.extend(signature.0));
        }
        bytes.extend([TYPE_END as u8, 0]);
        bytes
    }

    /// Checks that each announcement with a signing key is signed by it, over its bytes as transmitted.
    pub fn check_signatures(&self) -> Result<(), SignatureFault> {
        let mut signatures = self.signatures.iter();
        for (position, key) in self.proof.signing_keys() {
            let signature = signatures.next().ok_or(SignatureFault::Missing(key))?;
            VerifyingKey::from_bytes(key.as_bytes())
                .and_then(|key| {
                    use ed25519_dalek::Verifier;
                    let message = self.proof.announcements[position].as_bytes();
                    key.verify(message, &Ed25519Signature::from_bytes(&signature.0))
                })
                .map_err(|_| SignatureFault::Invalid(position))?;
        }
        match signatures.next() {
            None => Ok(()),
            Some(_) => Err(SignatureFault::TooMany),
        }
    }
}

fn read_signatures(proof: &Proof, payload: &[u8]) -> Result<Vec<Signature>, ElementsFault> {
    let expected = 64 * proof.signing_keys().count();
    match payload.as_chunks::<64>() {
        (signatures, []) if payload.len() == expected => {
            Ok(signatures.iter().copied().map(Signature).collect())
        }
        _ => Err(ElementsFault::SignaturesLength { expected, found: payload.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey as PrivateKey};
    use proptest::prelude::*;

    fn proof(keys: [Option<[u8; 32]>; 4]) -> Proof {
        let announcements = keys.map(|key| {
            let mut bytes = [0x11; ANNOUNCEMENT_SIZE];
            bytes[56..88].copy_from_slice(&key.unwrap_or_default());
            Announcement::from_bytes(&bytes)
        });
        Proof { nonce2: 0x0102_0304, announcements, tree_proof: vec![9; 40] }
    }

    fn element(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        write_var_int(&mut bytes, payload.len() as u64);
        bytes.extend(payload);
        bytes
    }

    /// The proof element alone.
    fn proof_element() -> Vec<u8> {
        let mut upload = proof([None; 4]).to_upload();
        upload.truncate(upload.len() - 3);
        upload
    }

    #[test]
    fn an_upload_survives_the_round_trip() {
        let proof = proof([None; 4]);
        assert_eq!(Proof::from_upload(&proof.to_upload()), Ok(proof));
    }

    #[test]
    fn r_k2_every_upload_that_ends_the_reference_handler_is_only_refused() {
        let whole = proof([None; 4]).to_upload();
        for length in 0..whole.len() {
            assert!(Proof::from_upload(&whole[..length]).is_err(), "cut to {length}");
        }
        let huge = [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Proof::from_upload(&huge), Err(ElementsFault::ProofLength(u64::MAX)));
        let short = element(1, &[0; 60]);
        assert_eq!(Proof::from_upload(&short), Err(ElementsFault::ProofLength(60)));
    }

    #[test]
    fn an_upload_is_a_proof_and_a_version_and_nothing_else() {
        let proof = proof_element();
        let cases = [
            (element(4, &[2]), ElementsFault::ProofNotFirst),
            (proof.clone(), ElementsFault::Missing(TYPE_VERSION)),
            ([proof.clone(), element(4, &[1])].concat(), ElementsFault::Version(1)),
            ([proof.clone(), element(4, &[2, 0])].concat(), ElementsFault::VersionLength(1)),
            ([proof.clone(), element(4, &[2]), vec![0]].concat(), ElementsFault::TrailingBytes(1)),
            ([proof.clone(), element(2, &[])].concat(), ElementsFault::Unexpected(2)),
            ([proof.clone(), element(3, &[])].concat(), ElementsFault::Unexpected(3)),
            ([proof, element(9, &[])].concat(), ElementsFault::Unexpected(9)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Proof::from_upload(&bytes), Err(expected));
        }
    }

    #[test]
    fn blocks_may_order_their_elements_but_not_repeat_them() {
        let (proof, version, end) = (proof_element(), element(4, &[2]), element(0, &[]));
        let orders = [
            [proof.clone(), version.clone(), end.clone()].concat(),
            [version.clone(), proof.clone(), end.clone()].concat(),
            [proof.clone(), element(2, &[]), version.clone(), end.clone()].concat(),
        ];
        for bytes in orders {
            let with_transactions = [bytes.as_slice(), &[1, 2, 3]].concat();
            let (elements, length) = Elements::read(&with_transactions).unwrap();
            assert_eq!(length, bytes.len());
            assert!(elements.signatures.is_empty());
        }
        let refused = [
            ([proof.clone(), proof.clone(), version.clone(), end.clone()].concat(), ElementsFault::Twice(1)),
            (
                [proof.clone(), version.clone(), version.clone(), end.clone()].concat(),
                ElementsFault::Twice(4),
            ),
            ([version.clone(), end.clone()].concat(), ElementsFault::Missing(1)),
            ([proof.clone(), end].concat(), ElementsFault::Missing(4)),
            ([proof.clone(), version.clone(), vec![0, 1, 0]].concat(), ElementsFault::EndLength(1)),
            (
                [proof.clone(), element(2, &[0; 64]), version.clone()].concat(),
                ElementsFault::SignaturesLength { expected: 0, found: 64 },
            ),
            ([proof, version, element(5, &[])].concat(), ElementsFault::Unexpected(5)),
        ];
        for (bytes, expected) in refused {
            assert_eq!(Elements::read(&bytes), Err(expected));
        }
    }

    #[test]
    fn pitfall_9_16_signatures_cover_the_announcement_as_transmitted() {
        let private = PrivateKey::from_bytes(&[5; 32]);
        let proof = proof([None, Some(private.verifying_key().to_bytes()), None, None]);
        let sign = |announcement: &Announcement| Signature(private.sign(announcement.as_bytes()).to_bytes());
        let good = Elements { signatures: vec![sign(&proof.announcements[1])], proof: proof.clone() };
        assert_eq!(good.check_signatures(), Ok(()));
        assert_eq!(Elements::read(&good.to_bytes()), Ok((good.clone(), good.to_bytes().len())));

        let other = Elements { signatures: vec![sign(&proof.announcements[0])], proof: proof.clone() };
        assert_eq!(other.check_signatures(), Err(SignatureFault::Invalid(1)));
        let key = SigningKey::new(private.verifying_key().to_bytes()).unwrap();
        let none = Elements { signatures: vec![], proof };
        assert_eq!(none.check_signatures(), Err(SignatureFault::Missing(key)));
        let more = Elements { signatures: [good.signatures, other.signatures].concat(), ..none };
        assert_eq!(more.check_signatures(), Err(SignatureFault::TooMany));
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes: Vec<u8>, start in 0usize..3) {
            let bytes = [[&[][..], &[1, 0xfd, 5, 0x10], &[1, 0xfe, 0, 0, 2, 0]][start], bytes.as_slice()].concat();
            let _ = Proof::from_upload(&bytes);
            let _ = Elements::read(&bytes);
        }

        #[test]
        fn what_is_accepted_is_written_back_the_same(
            flips in proptest::collection::vec((0usize..4200, any::<u8>()), 0..4),
        ) {
            let mut bytes = proof([None; 4]).to_upload();
            for (place, with) in flips {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= with;
                }
            }
            if let Ok(proof) = Proof::from_upload(&bytes) {
                prop_assert_eq!(proof.to_upload(), bytes);
            }
        }
    }
}
