//! What things cost to look at, in processor time, and what an honest program never sends.
//!
//! The prices are rounded from `docs/performance.md`. They need not be exact: they keep the means of many clients in
//! proportion, and whoever mines honestly pays next to nothing, since work that is accepted is free.

use std::time::Duration;

use wire::Refusal;

/// A request, before anything is known of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// A document of the Master, or a place among those who wait for one.
    Document,
    /// A post of announcements: headers, and the hash of the body.
    Announcements,
    /// A share: headers and JSON.
    Share,
    /// A WebSocket: handshake and registration.
    Connection,
    /// A look at what the API shows.
    Look,
}

impl Request {
    /// What it costs.
    pub const fn price(self) -> Duration {
        Duration::from_micros(match self {
            Self::Document => 50,
            Self::Announcements => 200,
            Self::Share | Self::Look => 100,
            Self::Connection => 300,
        })
    }
}

/// One announcement that was checked together with others of its hard nonce.
pub const GROUPED_ANNOUNCEMENT: Duration = Duration::from_micros(20);
/// The proof of work of a share.
pub const SHARE_PROOF: Duration = Duration::from_micros(310);
/// The proof of work of a Nimiq share.
pub const NIMIQ_PROOF: Duration = Duration::from_micros(90);

/// Whether a refusal is for something that no honest program sends, whatever its luck and however slow its network.
/// Late, repeated or misdirected work is not among it.
pub fn is_mistake(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::InvalidAnnouncement { .. }
            | Refusal::NotAligned { .. }
            | Refusal::InvalidShare { .. }
            | Refusal::InvalidCommitment { .. }
            | Refusal::MalformedShare { .. }
            | Refusal::FirstElementNotProof
            | Refusal::NotParsable { .. }
            | Refusal::Unauthorized
    )
}
