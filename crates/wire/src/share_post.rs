//! `POST /submit` of a block handler: the share that a block miner sends, and its name
//! (`docs/protocol/packetcrypt-pool.md` 8.3, 9.2, 9.3).

use packetcrypt::block::{
    Commitment, Header, Proof, commitment::COMMITMENT_SIZE, elements::ElementsFault, header::HEADER_SIZE,
};
use serde::{Deserialize, Serialize};

use crate::{
    EventId, PktAddress, Refusal, Reply, ShareEvent,
    announcement_post::{PAY_TO_HEADER, SHARE_VERSION_HEADER},
    json,
    refusal::Role,
};

/// The reply to a share: its result is the event that was logged.
pub type ShareReply = Reply<ShareEvent>;

/// The largest body that is taken; an honest one has 11 to 12 kB.
pub const BODY_LIMIT: usize = 65_535;

/// The warning for a miner that does not say which rules it follows.
pub const OUT_OF_DATE: &str = "Your miner is out of date and will stop working soon, please update";

const DOCUMENT: &str = "share";

/// The request headers of a share, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareHeaders {
    /// The address to credit (rule R-K5).
    pub pay_to: PktAddress,
    /// The rules that the post follows; a miner that does not say is warned with [`OUT_OF_DATE`].
    pub share_version: Option<u32>,
}

impl ShareHeaders {
    /// Reads the headers; `get` gives the value of a header by its lower-case name.
    pub fn read<'a>(get: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, Refusal> {
        let text = |name| get(name).map(String::from_utf8_lossy);
        let address = text(PAY_TO_HEADER).unwrap_or_default();
        let pay_to = PktAddress::parse(&address)
            .map_err(|fault| Refusal::invalid_pay_to(Role::BlkHandler, &address, fault))?;
        let share_version = text(SHARE_VERSION_HEADER).and_then(|version| version.parse().ok());
        Ok(Self { pay_to, share_version })
    }

    /// The headers to send, apart from those of HTTP.
    pub fn to_pairs(&self) -> [(&'static str, String); 2] {
        let version = self.share_version.unwrap_or(1);
        [(PAY_TO_HEADER, self.pay_to.to_string()), (SHARE_VERSION_HEADER, version.to_string())]
    }
}

/// A share as it is sent: what was committed to, the header that was mined, and the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharePost {
    /// The commitment that stands in the coinbase. Its least work is canonical (rule R-K2).
    pub commitment: Commitment,
    /// The header. Only its merkle root and nonce are the miner's to choose (rule R-K1).
    pub header: Header,
    /// Low nonce, announcements and tree proof.
    pub proof: Proof,
}

/// The JSON object of a post.
#[derive(Serialize, Deserialize)]
struct Members {
    coinbase_commit: String,
    header_and_proof: String,
}

impl SharePost {
    /// Reads the body of a post. No body ends the process (rule R-K2); each is answered with what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Err(Refusal::NoContent);
        }
        if body.len() > BODY_LIMIT {
            return Err(Refusal::BodyTooLarge { role: Role::BlkHandler, limit: BODY_LIMIT });
        }
        let members: Members = json::parse(DOCUMENT, body, BODY_LIMIT)
            .map_err(|error| Refusal::NotParsable { reason: error.to_string() })?;
        let (header, proof) = header_and_proof(&members.header_and_proof)?;
        Ok(Self { commitment: commitment(&members.coinbase_commit)?, header, proof })
    }

    /// The body to post.
    pub fn to_json(&self) -> String {
        json::compact(&Members {
            coinbase_commit: hex::encode(self.commitment.to_bytes()),
            header_and_proof: hex::encode([&self.header.to_bytes()[..], &self.proof.to_upload()].concat()),
        })
    }

    /// The header that counts: that of the work, with the merkle root and nonce that were sent (rule R-K1).
    pub fn header_on(&self, work: &Header) -> Header {
        Header { merkle_root: self.header.merkle_root, nonce: self.header.nonce, ..*work }
    }
}

fn commitment(digits: &str) -> Result<Commitment, Refusal> {
    let mut bytes = [0; COMMITMENT_SIZE];
    hex::decode_to_slice(digits, &mut bytes).map_err(|fault| Refusal::InvalidCommitment {
        reason: format!(
            "expected {} hexadecimal digits, found {}: {fault}",
            2 * COMMITMENT_SIZE,
            digits.len()
        ),
    })?;
    Commitment::from_bytes(&bytes).map_err(|fault| Refusal::InvalidCommitment { reason: fault.to_string() })
}

/// The value of each character that is a hexadecimal digit; of all others 255.
const DIGITS: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        let character = b"0123456789abcdef"[value];
        values[character as usize] = value as u8;
        values[character.to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    values
};

/// As [`hex::decode`], which asks of each digit whether it is a letter: on random digits a processor guesses wrong every
/// other time, and a share has twelve thousand.
fn decode_digits(digits: &str) -> Result<Vec<u8>, hex::FromHexError> {
    let (pairs, rest) = digits.as_bytes().as_chunks();
    let mut seen = 0;
    let byte = |[high, low]: &[u8; 2]| {
        let [high, low] = [high, low].map(|digit| DIGITS[usize::from(*digit)]);
        seen |= high | low;
        high << 4 | low & 15
    };
    let bytes = pairs.iter().map(byte).collect();
    if rest.is_empty() && seen < 16 { Ok(bytes) } else { hex::decode(digits) }
}

fn header_and_proof(digits: &str) -> Result<(Header, Proof), Refusal> {
    let malformed =
        |reason: String| Refusal::MalformedShare { reason: format!("`header_and_proof`: {reason}") };
    let bytes = decode_digits(digits).map_err(|fault| malformed(fault.to_string()))?;
    let Some((header, elements)) = bytes.split_first_chunk::<HEADER_SIZE>() else {
        return Err(malformed(format!(
            "expected a header of 80 bytes and a proof, found {} bytes",
            bytes.len()
        )));
    };
    let proof = Proof::from_upload(elements).map_err(|fault| match fault {
        ElementsFault::ProofNotFirst if !elements.is_empty() => Refusal::FirstElementNotProof,
        other => malformed(other.to_string()),
    })?;
    Ok((Header::from_bytes(header), proof))
}

/// The name of a share: BLAKE2b-256 of its header, with the low nonce worked into the first four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShareId([u8; 16]);

impl ShareId {
    /// The name of the share with this header and low nonce. For credit the header must be the one after
    /// replacement ([`SharePost::header_on`]): otherwise one share would have many names.
    pub fn new(header: &Header, low_nonce: u32) -> Self {
        let mut id = *EventId::first_half(&header.header_hash().0).as_bytes();
        id.iter_mut().zip(low_nonce.to_le_bytes()).for_each(|(byte, nonce)| *byte ^= nonce);
        Self(id)
    }

    /// The id of the share's event.
    pub fn event_id(&self) -> EventId {
        EventId::from_bytes(self.0)
    }

    /// The number, among `count`, of the block handler that a miner sends this share to; `None` if there are none.
    pub fn handler(&self, count: usize) -> Option<usize> {
        let [a, b, c, d, ..] = self.0;
        (u32::from_le_bytes([a, b, c, d]) as usize).checked_rem(count)
    }
}

#[cfg(test)]
mod tests {
    use packetcrypt::Announcement;
    use packetcrypt::block::{AnnouncementCount, TreeRoot};
    use packetcrypt::{CanonicalTarget, CompactTarget};
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    fn share_post() -> impl Strategy<Value = SharePost> {
        let tree_proof = prop::collection::vec(any::<u8>(), 1..600);
        (arbitrary::header(), any::<[u8; 32]>(), any::<u32>(), tree_proof).prop_map(
            |(header, root, nonce2, tree_proof)| SharePost {
                commitment: Commitment {
                    least_work: CanonicalTarget::EASIEST,
                    root: TreeRoot(root),
                    count: AnnouncementCount::new(4097).unwrap(),
                },
                header,
                proof: Proof {
                    nonce2,
                    announcements: [1, 2, 3, 4].map(|byte| Announcement::from_bytes(&[byte; 1024])),
                    tree_proof,
                },
            },
        )
    }

    proptest! {
        #[test]
        fn digits_are_read_as_by_the_library(bytes: Vec<u8>, text in "[0-9a-fA-F]{0,9}\\PC?[0-9a-fA-F]{0,4}") {
            let digits = hex::encode(&bytes);
            prop_assert_eq!(decode_digits(&digits.to_uppercase()), Ok(bytes.clone()));
            prop_assert_eq!(decode_digits(&digits), Ok(bytes));
            prop_assert_eq!(decode_digits(&text), hex::decode(&text));
        }
    }

    fn post(commit: &str, share: &str) -> String {
        format!(r#"{{"coinbase_commit":"{commit}","header_and_proof":"{share}"}}"#)
    }

    fn refusal(body: &str) -> String {
        SharePost::parse(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn r_k2_posts_that_end_the_reference_handler_are_answered() {
        let good = "00".repeat(80);
        for (share, words) in [
            (String::new(), "malformed_share: `header_and_proof`: expected a header of 80 bytes"),
            ("00".repeat(79), "malformed_share: `header_and_proof`: expected a header of 80 bytes"),
            (good.clone(), "malformed_share: "),
            (format!("{good}02"), "first_element_not_proof: First element after header must be Pcp"),
            (
                format!("{good}0104deadbeef040102"),
                "malformed_share: `header_and_proof`: a proof has more than",
            ),
            (
                format!("{good}01ffffffffffffffffff"),
                "malformed_share: `header_and_proof`: a proof has more than",
            ),
            (format!("{good}0"), "malformed_share: `header_and_proof`: Odd number of digits"),
            (format!("{good}zz"), "malformed_share: `header_and_proof`: Invalid character"),
        ] {
            let text = refusal(&post("", &share));
            assert!(text.starts_with(words), "{text}");
        }
    }

    #[test]
    fn r_k5_a_share_for_nobody_is_refused() {
        for address in [None, Some("nobody")] {
            let get = |name: &str| address.filter(|_| name == PAY_TO_HEADER).map(str::as_bytes);
            let text = ShareHeaders::read(get).unwrap_err().to_string();
            let words = format!(
                "invalid_pay_to: Address [{}] is not a valid pkt address, WORK WILL NOT BE CREDITED",
                address.unwrap_or_default()
            );
            assert!(text.starts_with(&words), "{text}");
        }
    }

    #[test]
    fn bodies_that_are_no_share_at_all() {
        assert_eq!(SharePost::parse(b""), Err(Refusal::NoContent));
        let huge = vec![b' '; BODY_LIMIT + 1];
        assert_eq!(SharePost::parse(&huge).unwrap_err().status(), 400);
        for body in ["not json", "[]", "{}", r#"{"coinbase_commit":1,"header_and_proof":2}"#] {
            let text = refusal(body);
            assert!(text.starts_with("not_parsable: Upload is not parsable as json: "), "{text}");
        }
    }

    #[test]
    fn r_a13_a_least_work_that_is_not_canonical_is_refused() {
        let mut share = share_post_sample();
        share.commitment.least_work = CanonicalTarget::try_from(CompactTarget(0x2020_0000)).unwrap();
        let body = share.to_json().replace("09f9110200002020", "09f9110201000020");
        let text = refusal(&body);
        assert!(text.starts_with("invalid_commitment: `coinbase_commit`: "), "{text}");
    }

    #[test]
    fn r_k1_one_share_has_one_name_whatever_header_was_sent() {
        let share = share_post_sample();
        let work = Header { nonce: 0, ..share.header };
        let altered = SharePost { header: Header { time: 7, version: 9, ..share.header }, ..share.clone() };
        let name = |post: &SharePost| ShareId::new(&post.header_on(&work), post.proof.nonce2);
        assert_eq!(name(&share), name(&altered));
        assert_eq!(name(&share), ShareId::new(&share.header, share.proof.nonce2), "honest miners: as sent");
    }

    fn share_post_sample() -> SharePost {
        SharePost {
            commitment: Commitment {
                least_work: CanonicalTarget::EASIEST,
                root: TreeRoot([5; 32]),
                count: AnnouncementCount::new(3).unwrap(),
            },
            header: Header::from_bytes(&[1; HEADER_SIZE]),
            proof: Proof {
                nonce2: 77,
                announcements: [1, 2, 3, 4].map(|byte| Announcement::from_bytes(&[byte; 1024])),
                tree_proof: vec![1; 100],
            },
        }
    }

    proptest! {
        #[test]
        fn headers_round_trip(pay_to in arbitrary::pkt_address(), share_version: u32) {
            let headers = ShareHeaders { pay_to, share_version: Some(share_version) };
            let pairs = headers.to_pairs();
            let get = |name: &str| pairs.iter().find(|(one, _)| *one == name).map(|(_, value)| value.as_bytes());
            prop_assert_eq!(ShareHeaders::read(get), Ok(headers));
        }

        #[test]
        fn round_trip(share in share_post()) {
            prop_assert_eq!(SharePost::parse(share.to_json().as_bytes()), Ok(share));
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>, commit in "[0-9a-g]{90,100}", share in "[0-9a-f]{0,400}") {
            let _ = SharePost::parse(&bytes);
            let _ = SharePost::parse(post(&commit, &share).as_bytes());
        }

        #[test]
        fn a_share_goes_to_one_handler(header in arbitrary::header(), low_nonce: u32, count in 0usize..9) {
            let handler = ShareId::new(&header, low_nonce).handler(count);
            prop_assert_eq!(handler.is_some(), count > 0);
            prop_assert!(handler.is_none_or(|number| number < count));
        }
    }
}
