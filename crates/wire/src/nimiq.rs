//! The messages of the Nimiq pool protocol: one JSON object in each text frame of a WebSocket.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 1. A client sends [`ClientMessage`]s: [`Register`] once, then [`Share`]s, perhaps
//! a [`PayoutRequest`]. A server sends [`ServerMessage`]s: `registered`, [`Settings`], [`NewBlock`] (not to smart clients),
//! [`Balance`], and an `error` with a [`Reason`] where something is wrong.

#[cfg(test)]
mod arbitrary;
mod balance;
mod client_message;
mod members;
mod new_block;
mod payout_request;
mod reason;
mod register;
mod server_message;
mod settings;
mod share;

pub use balance::Balance;
pub use client_message::{ClientMessage, ClientMessageError, ClientMessageKind, LARGEST_CLIENT_MESSAGE};
pub use new_block::{NewBlock, NewNanoBlock, PreviousBlock};
pub use payout_request::{PayoutProof, PayoutRequest, PayoutThreshold};
pub use reason::Reason;
pub use register::{DeviceData, DeviceName, Mode, Register};
pub use server_message::{LARGEST_SERVER_MESSAGE, ServerMessage};
pub use settings::{Settings, TargetText};
pub use share::Share;
