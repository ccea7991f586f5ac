//! `POST /submit` of an announcement handler: request headers, body, and which handler is the right one
//! (`docs/protocol/packetcrypt-pool.md` 2.1, 5.1, 5.2).

use packetcrypt::{Announcement, AnnouncementHash, AnnouncementHeader, Height};

use crate::{AnnsEvent, PktAddress, Refusal, Reply, refusal::Role};

/// The reply to a post of announcements: its result is the event that was logged.
pub type AnnouncementReply = Reply<AnnsEvent>;

/// Announcements that the public miner puts into a post at most.
pub const MAX_ANNOUNCEMENTS_OF_A_MINER: usize = 1024;
/// The largest body that is taken unless an operator chooses otherwise (rule R-A3).
pub const DEFAULT_BODY_LIMIT: usize = 4 << 20;
/// Where to post, behind the handler's URL.
pub const PATH: &str = "/submit";

/// Header with the rules that the post follows.
pub const SHARE_VERSION_HEADER: &str = "x-pc-sver";
/// Header with the parent height of all announcements plus one.
pub const WORK_NUMBER_HEADER: &str = "x-pc-worknum";
/// Header with the address to credit.
pub const PAY_TO_HEADER: &str = "x-pc-payto";
/// Header with the announcement version; sent by miners, read by nobody.
pub const ANN_VERSION_HEADER: &str = "x-pc-annver";

/// Which rule assigns announcements to handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// By announcement hash; the content hash is zero. `x-pc-sver` below 2: all public miners.
    ByHash,
    /// By hard nonce; the content hash is not zero. `x-pc-sver` 2 and above.
    ByHardNonce,
}

/// The request headers of a post, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostHeaders {
    /// The rules that the post follows.
    pub share_version: u32,
    /// Parent height of all announcements of the body plus one, as sent: may be out of any range.
    pub work_number: i32,
    /// The address to credit.
    pub pay_to: PktAddress,
}

impl PostHeaders {
    /// Reads the headers; `get` gives the value of a header by its lower-case name.
    ///
    /// Missing or malformed ones are reported in the reference's order: version, work number, address.
    pub fn read<'a>(get: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, Refusal> {
        let value = |name: &'static str| {
            let bytes = get(name).ok_or(Refusal::MissingHeader { name })?;
            std::str::from_utf8(bytes).map_err(|_| Refusal::InvalidHeader { name })
        };
        let share_version = number(SHARE_VERSION_HEADER, value(SHARE_VERSION_HEADER)?)?;
        let work_number = number(WORK_NUMBER_HEADER, value(WORK_NUMBER_HEADER)?)?;
        let address = value(PAY_TO_HEADER)?;
        let pay_to = PktAddress::parse(address)
            .map_err(|fault| Refusal::invalid_pay_to(Role::AnnHandler, address, fault))?;
        Ok(Self { share_version, work_number, pay_to })
    }

    /// The headers to send, apart from those of HTTP.
    pub fn to_pairs(&self) -> [(&'static str, String); 4] {
        [
            (PAY_TO_HEADER, self.pay_to.to_string()),
            (SHARE_VERSION_HEADER, self.share_version.to_string()),
            (ANN_VERSION_HEADER, "1".into()),
            (WORK_NUMBER_HEADER, self.work_number.to_string()),
        ]
    }

    /// Parent height of all announcements of the body; `None` below the genesis block.
    pub fn parent_height(&self) -> Option<Height> {
        self.work_number.checked_sub(1).and_then(|height| u32::try_from(height).ok()).map(Height)
    }

    /// Which rule assigns the announcements to handlers.
    pub fn assignment(&self) -> Assignment {
        if self.share_version < 2 { Assignment::ByHash } else { Assignment::ByHardNonce }
    }
}

fn number<T: std::str::FromStr>(name: &'static str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::InvalidHeader { name })
}

/// The announcements of a body: at least one, and nothing besides (rule R-A3).
pub fn announcements(body: &[u8]) -> Result<&[[u8; 1024]], Refusal> {
    match body.as_chunks() {
        ([], []) => Err(Refusal::NoAnnouncements),
        (announcements, []) => Ok(announcements),
        _ => Err(Refusal::NotAligned { length: body.len() }),
    }
}

impl Assignment {
    /// The number of the handler, among `count`, that an announcement belongs to; `None` if the announcement does
    /// not follow the rule, or if there are no handlers.
    pub fn handler(
        self,
        announcement: &Announcement,
        hash: &AnnouncementHash,
        count: usize,
    ) -> Option<usize> {
        self.handler_of_header(&announcement.header(), hash.prefix(), count)
    }

    /// As [`handler`](Self::handler), for an announcement whose header has been read already.
    pub fn handler_of_header(
        self,
        header: &AnnouncementHeader,
        hash_prefix: u64,
        count: usize,
    ) -> Option<usize> {
        let has_content = header.content_hash != [0; 32];
        let spread = match (self, has_content) {
            (Self::ByHash, false) => hash_prefix,
            (Self::ByHardNonce, true) => u64::from(header.hard_nonce),
            (Self::ByHash, true) | (Self::ByHardNonce, false) => return None,
        };
        // Both are at most `count`, so the conversions lose nothing.
        spread.checked_rem(count as u64).map(|number| number as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    fn read(pairs: &[(&str, &str)]) -> Result<PostHeaders, Refusal> {
        PostHeaders::read(|name| {
            pairs.iter().find(|(one, _)| *one == name).map(|(_, value)| value.as_bytes())
        })
    }

    const GOOD: [(&str, &str); 3] = [
        ("x-pc-sver", "1"),
        ("x-pc-worknum", "61"),
        ("x-pc-payto", "pkt1q5lhplx6swyfq6h7202u6lmfhw3ey26d7m5qm9w"),
    ];

    #[test]
    fn headers_are_missed_in_the_order_of_the_reference() {
        for (count, text) in [
            (0, "missing_header: Missing request header \"x-pc-sver\""),
            (1, "missing_header: Missing request header \"x-pc-worknum\""),
            (2, "missing_header: Missing request header \"x-pc-payto\""),
        ] {
            assert_eq!(read(&GOOD[..count]).unwrap_err().to_string(), text);
        }
        assert_eq!(read(&GOOD).unwrap().parent_height(), Some(Height(60)));
    }

    #[test]
    fn r_a4_an_address_that_cannot_be_paid_is_refused() {
        let mut pairs = GOOD;
        pairs[2].1 = "pkt1-abc";
        let text = read(&pairs).unwrap_err().to_string();
        assert!(text.starts_with("invalid_pay_to: invalid payto pkt1-abc: "), "{text}");
    }

    #[test]
    fn work_numbers_below_one_have_no_parent() {
        for number in ["0", "-5", "-2147483648"] {
            let mut pairs = GOOD;
            pairs[1].1 = number;
            assert_eq!(read(&pairs).unwrap().parent_height(), None, "{number}");
        }
    }

    #[test]
    fn r_a3_a_body_is_one_announcement_or_more() {
        assert_eq!(announcements(&[]), Err(Refusal::NoAnnouncements));
        for length in [1, 1023, 1025] {
            assert_eq!(announcements(&vec![0; length]), Err(Refusal::NotAligned { length }));
        }
        assert_eq!(announcements(&[0; 2048]).unwrap().len(), 2);
    }

    #[test]
    fn r_a2_without_handlers_an_announcement_belongs_to_none() {
        let announcement = Announcement::from_bytes(&[0; 1024]);
        let hash = announcement.announcement_hash();
        assert_eq!(Assignment::ByHash.handler(&announcement, &hash, 0), None);
    }

    #[test]
    fn content_decides_which_rule_an_announcement_follows() {
        let mut bytes = [0; 1024];
        bytes[4] = 7;
        let plain = Announcement::from_bytes(&bytes);
        bytes[24] = 1;
        let with_content = Announcement::from_bytes(&bytes);
        let hash = AnnouncementHash([5; 32]);
        assert_eq!(Assignment::ByHash.handler(&plain, &hash, 4), Some(1));
        assert_eq!(Assignment::ByHash.handler(&with_content, &hash, 4), None);
        assert_eq!(Assignment::ByHardNonce.handler(&plain, &hash, 4), None);
        assert_eq!(Assignment::ByHardNonce.handler(&with_content, &hash, 4), Some(3));
    }

    proptest! {
        #[test]
        fn headers_round_trip(share_version: u32, work_number: i32, pay_to in arbitrary::pkt_address()) {
            let headers = PostHeaders { share_version, work_number, pay_to };
            let pairs = headers.to_pairs();
            let get = |name: &str| pairs.iter().find(|(one, _)| *one == name).map(|(_, value)| value.as_bytes());
            prop_assert_eq!(PostHeaders::read(get), Ok(headers));
        }

        #[test]
        fn any_headers_are_answered(values: [Option<Vec<u8>>; 3]) {
            let get = |name: &str| {
                let place = GOOD.iter().position(|(one, _)| *one == name)?;
                values[place].as_deref()
            };
            let _ = PostHeaders::read(get);
        }
    }
}
