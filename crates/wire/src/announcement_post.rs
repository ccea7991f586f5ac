//! `POST /submit` of an announcement handler: request headers, body, and which handler is the right one
//! (`docs/protocol/packetcrypt-pool.md` 2.1, 5.1, 5.2).

use packetcrypt::{Announcement, AnnouncementHash, Height};

use crate::{AnnsEvent, PktAddress, Refusal, Reply};

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
        let pay_to = PktAddress::parse(address).map_err(|fault| Refusal::invalid_pay_to(address, fault))?;
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
        let has_content = *announcement.content_hash() != [0; 32];
        let spread = match (self, has_content) {
            (Self::ByHash, false) => hash.prefix(),
            (Self::ByHardNonce, true) => u64::from(announcement.hard_nonce()),
            (Self::ByHash, true) | (Self::ByHardNonce, false) => return None,
        };
        // Both are at most `count`, so the conversions lose nothing.
        spread.checked_rem(count as u64).map(|number| number as usize)
    }
}
