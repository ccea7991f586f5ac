//! Every byte that crosses the network, parsed and built once.
//!
//! One file for each message of `docs/protocol/packetcrypt-pool.md`. Every parser is *total* (it answers any
//! bytes with a value or with an error that names the field, where it stands and what was expected),
//! *bounded* (nothing is allocated by a number that the sender chose) and *lenient where the peers vary*
//! (unknown members are ignored). Every builder writes what the reference programs read.
//!
//! In the order in which a pool meets them:
//!
//! - Master: [`pool_config`], [`work`], [`template`], [`block_info`];
//! - announcement handler: [`announcement_post`], [`batch`], [`sprayer`];
//! - block handler: [`share_post`];
//! - PayMaker: [`event`], [`who_to_pay`], [`pay_maker`];
//! - Nimiq pool: [`nimiq`];
//! - proxies in front: [`proxy_protocol`], [`forwarded`];
//! - everybody: [`reply`], [`refusal`], [`pkt_address`], [`signing_key`], [`work_number`], [`decimal`].
//!
//! [`fuzz`] feeds every parser with any bytes.

pub mod announcement_post;
#[cfg(test)]
mod arbitrary;
pub mod batch;
pub mod block_info;
pub mod decimal;
pub mod event;
pub mod format_error;
pub mod forwarded;
pub mod fuzz;
mod json;
pub mod nimiq;
pub mod pay_maker;
pub mod pkt_address;
pub mod pkt_signed_message;
pub mod pool_config;
pub mod proxy_protocol;
pub mod refusal;
pub mod reply;
pub mod share_post;
pub mod signing_key;
pub mod sprayer;
pub mod template;
pub mod var_int;
pub mod who_to_pay;
pub mod work;
pub mod work_number;

pub use decimal::Decimal;
pub use event::{AnnsEvent, BlockEvent, Event, EventId, ShareEvent};
pub use format_error::FormatError;
pub use pkt_address::PktAddress;
pub use refusal::Refusal;
pub use reply::Reply;
