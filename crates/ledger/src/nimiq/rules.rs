//! What an operator decides about credits.

use super::split::FeePpm;
use super::window::WindowRule;

/// How blocks are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreditRules {
    /// The pool's part.
    pub fee: FeePpm,
    /// How far back a block pays.
    pub window: WindowRule,
    /// Blocks on top of a block that make its credits payable.
    pub confirmations: u32,
    /// How long a block waits for the share that it was, which may still be on its way from a server, before its
    /// window is cut without it.
    pub settle_after_ms: u64,
}

impl CreditRules {
    /// The reference's window and depth, its fee of 1 %, and a minute for shares on their way.
    pub const fn new(fee: FeePpm, window: WindowRule) -> Self {
        Self { fee, window, confirmations: 10, settle_after_ms: 60_000 }
    }
}
