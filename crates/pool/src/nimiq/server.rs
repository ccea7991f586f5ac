//! The server's decisions about its clients: what they are told, and what their shares are worth.
//!
//! [`board`] is what there is to mine, [`session`] one registered client, [`share_difficulty`] how fast its shares shall
//! come, [`hashing`] the threads for the dear step of a check, [`seen`] the shares that counted, [`terms`] what the
//! pool offers everyone. Nothing here reads a socket: messages and times come in, messages and verdicts go out.

pub mod board;
pub mod hashing;
pub mod seen;
pub mod session;
pub mod share_difficulty;
pub mod terms;

pub use board::{Board, Work};
pub use session::Session;
pub use terms::Terms;
