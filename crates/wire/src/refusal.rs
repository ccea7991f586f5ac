//! Why a role refuses a request: the one closed list, used in replies, logs and metrics.
//!
//! A refusal has a code in snake case ([`Refusal::code`]), a status ([`Refusal::status`]) and a text
//! ([`Display`](std::fmt::Display)). The text is `code: sentence`, and the sentence contains the words that the
//! reference handlers use. Two texts are compared by the reference's clients and therefore stand alone:
//! `overloaded`, and `Share is for wrong work, expecting previous hash …`
//! (`docs/protocol/packetcrypt-pool.md` 14).

use packetcrypt::{BlockHash, Height};

use byte_reader::excerpt;

use crate::{event::EventFault, pkt_address::AddressFault};

/// The role that refuses, where that decides the status or the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Serves work and configuration.
    Master,
    /// Takes announcements.
    AnnHandler,
    /// Takes shares.
    BlkHandler,
    /// Takes events.
    PayMaker,
}

/// Writes the enum and its codes from one list, so that no reason can be without a code and no code without a reason.
macro_rules! refusals {
    ($(
        $(#[$meta:meta])*
        $name:ident $({ $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? })? = $code:literal;
    )*) => {
        /// A reason to refuse a request.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Refusal {
            $($(#[$meta])* $name $({ $($(#[$field_meta])* $field: $type),* })?,)*
        }

        impl Refusal {
            /// Every code, for the registration of metrics.
            pub const CODES: &[&str] = &[$($code),*];

            /// The name of this reason in logs and metrics.
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$name $({ $($field: _),* })? => $code,)*
                }
            }
        }
    };
}

refusals! {
    // Any role.

    /// No such path, file or work.
    NotFound = "not_found";
    /// The path knows other methods.
    MethodNotAllowed = "method_not_allowed";
    /// The role does not yet know what it needs to serve.
    NotReady { /** Which one. */ role: Role } = "not_ready";
    /// More requests than the role takes at once; to be sent again later.
    Overloaded { /** Which one. */ role: Role } = "overloaded";
    /// This sender has been refused or has asked too often, and must wait.
    TooManyRequests { /** How long to wait. */ retry_after_seconds: u64 } = "too_many_requests";
    /// This sender, or whom it would earn for, is shut out for a time.
    Banned { /** How long it lasts. */ retry_after_seconds: u64 } = "banned";
    /// The body is larger than any honest one.
    BodyTooLarge { /** Whose body. */ role: Role, /** Bytes allowed. */ limit: usize } = "body_too_large";
    /// The body did not arrive in time.
    BodyTimeout { /** Time allowed. */ seconds: u64 } = "body_timeout";
    /// The body ended before its end.
    BodyIncomplete = "body_incomplete";
    /// A name and password are wanted, and these are not the right ones.
    Unauthorized = "unauthorized";
    /// The operator has said from which networks this may be sent, and the sender is in none of them.
    ForeignNetwork = "foreign_network";
    /// What was to be accepted could not be made durable.
    StorageFailed = "storage_failed";

    // Posts.

    /// A header that the post needs is not there.
    MissingHeader { /** Its name. */ name: &'static str } = "missing_header";
    /// A header that the post needs has no meaning.
    InvalidHeader { /** Its name. */ name: &'static str } = "invalid_header";
    /// Nobody can be paid at this address (rule R-P1).
    InvalidPayTo {
        /// Who was asked to credit it.
        role: Role,
        /// The text, cut to a readable length.
        address: String,
        /// What is wrong with it.
        fault: AddressFault,
    } = "invalid_pay_to";

    // Announcements.

    /// The parent is none of the blocks that announcements are taken for.
    HeightOutOfRange {
        /// Parent heights that are taken: the lowest.
        lowest: Height,
        /// The highest.
        highest: Height,
        /// What was sent.
        got: i64,
    } = "height_out_of_range";
    /// The block that the announcements were made for has been replaced.
    ParentReplaced = "parent_replaced";
    /// An empty body.
    NoAnnouncements = "no_announcements";
    /// The body is no whole number of announcements.
    NotAligned { /** Its length. */ length: usize } = "not_aligned";
    /// A signing key that is not the one for this parent.
    WrongSigningKey { /** Number of the announcement in the body, from 0. */ index: usize } = "wrong_signing_key";
    /// A signing key in a pool that does not sign.
    UnexpectedSigned { /** Number of the announcement. */ index: usize } = "unexpected_signed";
    /// An announcement has another parent than the header says.
    WrongParentHeight {
        /// Number of the announcement.
        index: usize,
        /// Parent height by the header.
        want: Height,
        /// Parent height in the announcement.
        got: i64,
    } = "wrong_parent_height";
    /// Work bits that are too easy, or not the canonical spelling of a target (rule R-A13).
    NotEnoughWork { /** Number of the announcement. */ index: usize } = "not_enough_work";
    /// A hash that duplicate tables cannot hold.
    ReservedHash { /** Number of the announcement. */ index: usize } = "reserved_hash";
    /// The announcement belongs to another handler of the pool.
    SubmitElsewhere { /** Number of the announcement. */ index: usize } = "submit_elsewhere";
    /// An announcement of a version that this pool does not take.
    UnsupportedAnnVersion {
        /// Number of the announcement.
        index: usize,
        /// Its version.
        version: u8,
    } = "unsupported_ann_version";
    /// This sender's announcements hardly ever have a hard nonce in common, and have cost too much checking.
    TooManyHardNonces { /** How long to wait. */ retry_after_seconds: u64 } = "too_many_hard_nonces";
    /// The proof of work of an announcement is wrong.
    InvalidAnnouncement {
        /// Number of the announcement.
        index: usize,
        /// The fault as the specification names it, such as `INVAL_ITEM4`.
        fault: &'static str,
    } = "invalid_announcement";

    // Shares.

    /// No body, or an empty one.
    NoContent = "no_content";
    /// The body is not the JSON object that a share is posted as.
    NotParsable { /** What and where. */ reason: String } = "not_parsable";
    /// The header and proof do not have the form of a share.
    MalformedShare { /** What and where. */ reason: String } = "malformed_share";
    /// The first element behind the header is no proof.
    FirstElementNotProof = "first_element_not_proof";
    /// The commitment to the announcement set is not acceptable.
    InvalidCommitment { /** What is wrong with it. */ reason: String } = "invalid_commitment";
    /// The share was mined on another block.
    WrongWork {
        /// The block that is mined on.
        expected: BlockHash,
        /// The block that the share was mined on.
        got: BlockHash,
    } = "wrong_work";
    /// An announcement in the share is too young, or its parent is not known.
    ParentOutOfRange { /** Its parent height. */ parent: i64 } = "parent_out_of_range";
    /// A signed announcement in a pool that does not sign.
    SigningKeyNotConfigured { /** Number of the announcement in the share, from 0. */ index: usize }
        = "signing_key_not_configured";
    /// An announcement signed with another key than that of this pool.
    InvalidSigningKey { /** Number of the announcement in the share. */ index: usize } = "invalid_signing_key";
    /// The proof of work of the share is wrong.
    InvalidShare { /** The fault as the check names it. */ fault: String } = "invalid_share";
    /// The share was accepted before.
    DuplicateShare = "duplicate_share";
    /// The node does not accept the share.
    NodeRefusedShare { /** First line of the node's words. */ reason: String } = "node_refused_share";
    /// The node could not be asked.
    NodeUnavailable = "node_unavailable";
    /// The node answered something that it should not.
    UnexpectedNodeAnswer { /** First line of the node's words. */ answer: String } = "unexpected_node_answer";
    /// The block that this share makes is known already.
    AlreadyHaveBlock = "already_have_block";
    /// The node does not accept the block that this share makes.
    NodeRefusedBlock { /** First line of the node's words. */ reason: String } = "node_refused_block";

    // Uploads of events.

    /// The upload is no UTF-8 text.
    NotUtf8 { /** Where it stops being one. */ offset: usize } = "not_utf8";
    /// No line of the upload is an event that can be accepted.
    NoEvents = "no_events";
    /// A line of an upload is no event; the rest may still be accepted, so this is mostly a warning.
    BadEvent { /** Line number from 1. */ line: usize, /** What is wrong. */ fault: EventFault } = "bad_event";
    /// An event that happens later than the clock allows (rule R-P13).
    EventFromTheFuture { /** Line number from 1. */ line: usize, /** Its time. */ time_ms: u64 }
        = "event_from_the_future";
    /// An event older than all that is kept.
    EventTooOld { /** Line number from 1. */ line: usize, /** Its time. */ time_ms: u64 } = "event_too_old";
    /// An event with the id of another one that says something else.
    EventIdReused { /** Line number from 1. */ line: usize } = "event_id_reused";
}

impl Refusal {
    /// The HTTP status of the reply (`docs/protocol/packetcrypt-pool.md` 2.3).
    pub fn status(&self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::ForeignNetwork | Self::Banned { .. } => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::BodyTimeout { .. } => 408,
            Self::AlreadyHaveBlock => 409,
            Self::TooManyRequests { .. } | Self::TooManyHardNonces { .. } => 429,
            Self::NodeUnavailable | Self::UnexpectedNodeAnswer { .. } => 500,
            Self::NotReady { role } => match role {
                Role::AnnHandler => 400,
                Role::Master | Role::BlkHandler | Role::PayMaker => 500,
            },
            Self::BodyTooLarge { role, .. } => match role {
                Role::BlkHandler => 400,
                Role::Master | Role::AnnHandler | Role::PayMaker => 413,
            },
            Self::Overloaded { role } => match role {
                Role::BlkHandler | Role::PayMaker => 501,
                Role::Master | Role::AnnHandler => 503,
            },
            Self::StorageFailed => 503,
            _ => 400,
        }
    }

    /// A refusal of an address, with the text cut to a readable length.
    pub fn invalid_pay_to(role: Role, address: &str, fault: AddressFault) -> Self {
        Self::InvalidPayTo { role, address: excerpt(address), fault }
    }

    /// Seconds that this sender has to wait whatever it sends; `None` where the refusal is about the request.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::TooManyRequests { retry_after_seconds }
            | Self::TooManyHardNonces { retry_after_seconds }
            | Self::Banned { retry_after_seconds } => Some(*retry_after_seconds),
            _ => None,
        }
    }

    /// Whether a client that comes back with the same request later may be served.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::NotReady { .. }
                | Self::Overloaded { .. }
                | Self::TooManyRequests { .. }
                | Self::TooManyHardNonces { .. }
                | Self::Banned { .. }
                | Self::StorageFailed
                | Self::NodeUnavailable
                | Self::UnexpectedNodeAnswer { .. }
                | Self::BodyTimeout { .. }
                | Self::BodyIncomplete
        )
    }

    fn sentence(&self) -> String {
        match self {
            Self::NotFound => "not found".into(),
            Self::MethodNotAllowed => "this path is asked with another method".into(),
            Self::NotReady { role } => match role {
                Role::Master => "Server not ready: no block template from the node yet",
                Role::AnnHandler | Role::BlkHandler => "server not ready: no work from the Master yet",
                Role::PayMaker => "500 Not ready: the recorded events are being read",
            }
            .into(),
            Self::Overloaded { .. } => "overloaded".into(),
            Self::TooManyRequests { retry_after_seconds } => {
                format!("too many requests from this address, wait {retry_after_seconds} s")
            }
            Self::Banned { retry_after_seconds } => format!(
                "this address has sent too much that no honest program sends, or its operator is unwanted; the ban ends in \
                 {retry_after_seconds} s"
            ),
            Self::BodyTooLarge { limit, .. } => format!("too big: a body has at most {limit} bytes here"),
            Self::BodyTimeout { seconds } => format!("the body must arrive within {seconds} s"),
            Self::BodyIncomplete => "the connection ended before the body did".into(),
            Self::Unauthorized => "401 Unauthorized: the password is missing or wrong".into(),
            Self::ForeignNetwork => "this address is in none of the networks that may upload".into(),
            Self::StorageFailed => "this could not be stored safely, send it again".into(),
            Self::MissingHeader { name } => format!("Missing request header {name:?}"),
            Self::InvalidHeader { name } => format!("Invalid request header {name:?}"),
            Self::InvalidPayTo { role: Role::BlkHandler, address, fault } => {
                format!("Address [{address}] is not a valid pkt address, WORK WILL NOT BE CREDITED: {fault}")
            }
            Self::InvalidPayTo { address, fault, .. } => format!("invalid payto {address}: {fault}"),
            Self::HeightOutOfRange { lowest, highest, got } => {
                format!("block number out of range, expect {lowest} to {highest} got {got}")
            }
            Self::ParentReplaced => {
                "block number out of range: the parent block was replaced meanwhile".into()
            }
            Self::NoAnnouncements => "no announcements: the body is empty".into(),
            Self::NotAligned { length } => {
                format!("size not an even multiple of 1024: the body has {length} bytes")
            }
            Self::WrongSigningKey { index } => {
                format!("wrong signing key in announcement {index}: not this pool's key for the parent block")
            }
            Self::UnexpectedSigned { index } => {
                format!("unexpected signed ann: announcement {index} has a signing key, this pool has none")
            }
            Self::WrongParentHeight { index, want, got } => {
                format!("wrong parent block height, want {want} got {got} in announcement {index}")
            }
            Self::NotEnoughWork { index } => format!(
                "not enough work: the work bits of announcement {index} are easier than the pool's target, or \
                 not in canonical form"
            ),
            Self::ReservedHash { index } => {
                format!("zero or fff hash: announcement {index} cannot be recorded")
            }
            Self::SubmitElsewhere { index } => {
                format!("submit elsewhere: announcement {index} belongs to another handler of this pool")
            }
            Self::UnsupportedAnnVersion { index, version } => {
                format!("unsupported ann version {version} of announcement {index}")
            }
            Self::TooManyHardNonces { retry_after_seconds } => format!(
                "announcements from this address are of too many hard nonces to be checked together, wait \
                 {retry_after_seconds} s; a miner makes hundreds with each hard nonce"
            ),
            Self::InvalidAnnouncement { index, fault } => {
                format!("check_ann() -> {fault} for announcement {index}")
            }
            Self::NoContent => "no content".into(),
            Self::NotParsable { reason } => format!("Upload is not parsable as json: {reason}"),
            Self::MalformedShare { reason } => reason.clone(),
            Self::FirstElementNotProof => {
                "First element after header must be Pcp: byte 80 of `header_and_proof` is not 1".into()
            }
            Self::InvalidCommitment { reason } => format!("`coinbase_commit`: {reason}"),
            Self::WrongWork { expected, got } => format!(
                "Share is for wrong work, expecting previous hash [{}] but got [{}]",
                hex::encode(expected.as_internal()),
                hex::encode(got.as_internal())
            ),
            Self::ParentOutOfRange { parent } => format!("announcement parent block [{parent}] out of range"),
            Self::SigningKeyNotConfigured { index } => {
                format!("announcement [{index}] needs signing key but no key is configured")
            }
            Self::InvalidSigningKey { index } => {
                format!(
                    "announcement [{index}] invalid signing key: not this pool's key for the parent block"
                )
            }
            Self::InvalidShare { fault } => format!("Failed validation of share [{fault}]"),
            Self::DuplicateShare => "duplicate share: it was accepted before".into(),
            Self::NodeRefusedShare { reason } => {
                format!("Failed validation of share [{reason}] by the node")
            }
            Self::NodeUnavailable => "Failed validation of share, no reply from the node".into(),
            Self::UnexpectedNodeAnswer { answer } => format!("Unexpected result from btcd [{answer}]"),
            Self::AlreadyHaveBlock => "already have block".into(),
            Self::NodeRefusedBlock { reason } => format!("error submitting block [{reason}]"),
            Self::NotUtf8 { offset } => format!("not UTF-8 from byte {offset} on"),
            Self::NoEvents => {
                "could not get most recent timestamp from file: no line is an acceptable event".into()
            }
            Self::BadEvent { line, fault } => format!("line {line}: {fault}"),
            Self::EventFromTheFuture { line, time_ms } => {
                format!("line {line}: `time` {time_ms} is more than five minutes ahead of this clock")
            }
            Self::EventTooOld { line, time_ms } => {
                format!("line {line}: `time` {time_ms} is older than all that is kept")
            }
            Self::EventIdReused { line } => {
                format!("line {line}: another event with this `eventId` was accepted before")
            }
        }
    }
}

impl std::fmt::Display for Refusal {
    /// The text for the `error` or `warn` list of a reply.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Overloaded { .. } | Self::WrongWork { .. } => formatter.write_str(&self.sentence()),
            _ => write!(formatter, "{}: {}", self.code(), self.sentence()),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn texts_that_reference_clients_compare_stand_alone() {
        assert_eq!(Refusal::Overloaded { role: Role::AnnHandler }.to_string(), "overloaded");
        let wrong_work = Refusal::WrongWork {
            expected: BlockHash::from_internal([0xab; 32]),
            got: BlockHash::from_internal([0x01; 32]),
        };
        let text = format!(
            "Share is for wrong work, expecting previous hash [{}] but got [{}]",
            "ab".repeat(32),
            "01".repeat(32)
        );
        assert_eq!(wrong_work.to_string(), text);
    }

    #[test]
    fn every_other_text_starts_with_its_code() {
        let refusal = Refusal::NotAligned { length: 1023 };
        assert_eq!(
            refusal.to_string(),
            "not_aligned: size not an even multiple of 1024: the body has 1023 bytes"
        );
    }

    #[test]
    fn codes_are_distinct_and_in_snake_case() {
        let distinct: HashSet<_> = Refusal::CODES.iter().collect();
        assert_eq!(distinct.len(), Refusal::CODES.len());
        let snake = |code: &str| {
            code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        assert!(Refusal::CODES.iter().all(|code| snake(code)));
    }

    #[test]
    fn overload_and_not_ready_have_the_status_of_the_role() {
        let statuses = [Role::Master, Role::AnnHandler, Role::BlkHandler, Role::PayMaker]
            .map(|role| (Refusal::Overloaded { role }.status(), Refusal::NotReady { role }.status()));
        assert_eq!(statuses, [(503, 500), (503, 400), (501, 500), (501, 500)]);
    }

    #[test]
    fn foreign_text_in_a_refusal_is_short_and_printable() {
        let refusal =
            Refusal::invalid_pay_to(Role::AnnHandler, &"\u{1b}[31m".repeat(1000), AddressFault::Form);
        let text = refusal.to_string();
        assert!(text.len() < 1000 && !text.contains('\u{1b}'), "{text}");
    }
}
