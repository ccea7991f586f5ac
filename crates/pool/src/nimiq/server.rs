//! The server: it speaks with miners, decides which of their shares are good, and submits their blocks.
//!
//! Its decisions read no socket: messages and times come in, messages and verdicts go out. [`board`] is what there is to
//! mine, [`session`] one registered client, [`share_difficulty`] how fast its shares shall come, [`hashing`] the threads for
//! the dear step of a check, [`seen`] the shares that counted, [`terms`] what the pool offers everyone.
//!
//! Around them: `routes` and `connection` speak with clients whom the `door` lets in, `share_budget` is what those of one address may cost together, `heads` puts the node's work on the
//! board, `unknown_heads` waits for what is not there yet, `share_intake` takes a share through all steps onto the disk (`journal`), `delivery` carries it into the accounts,
//! `submission` a block to the node; `session_nonces` keeps connections apart. [`role`] starts and stops it all.

pub mod board;
mod clock;
mod connection;
mod delivery;
mod door;
mod figures;
pub mod hashing;
mod heads;
mod journal;
pub mod role;
mod routes;
pub mod seen;
pub mod session;
mod session_nonces;
mod share_budget;
pub mod share_difficulty;
mod share_intake;
mod submission;
pub mod terms;
#[cfg(test)]
mod tests;
mod unknown_heads;

pub use board::{Board, Work};
pub use door::AdmissionLimits;
pub use journal::exercise as exercise_share_record;
pub use role::{NimiqServer, NimiqServerConfig, NimiqServerFault, Times};
pub use session::Session;
pub use terms::Terms;
