//! Who gets an announcement: which handler of a pool, or nobody.

use std::fmt;

use crate::{
    announcements::Found,
    pool_client::{Handler, PoolView},
};

/// Where an announcement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient<'a> {
    /// To the handler with this submit URL.
    Handler(&'a str),
    /// The pool has no handlers, or has not said so yet.
    Nobody,
    /// It is not sent, because it would not be accepted.
    Withheld(Withheld),
}

/// Why an announcement is not sent to a pool. It counts as rejected there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Withheld {
    /// The pool sends its announcements to `http://invalid/…`.
    HandlerInvalid,
    /// It is signed for the primary pool (rule R-N6).
    SignedForAnotherPool,
    /// It has another parent block than this pool's chain has at that height.
    OnAnotherChain,
    /// It is easier than what this pool takes.
    TooEasy,
}

impl Withheld {
    /// The reason in counts.
    pub fn code(self) -> &'static str {
        match self {
            Self::HandlerInvalid => "handler_invalid",
            Self::SignedForAnotherPool => "signed_for_another_pool",
            Self::OnAnotherChain => "on_another_chain",
            Self::TooEasy => "too_easy",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HandlerInvalid => "it sheds load, the handler that they belong to does not exist",
            Self::SignedForAnotherPool => "they are signed for the primary pool, which pays only signed ones",
            Self::OnAnotherChain => "it follows another chain than the primary pool",
            Self::TooEasy => "it wants more work per announcement than the primary pool",
        })
    }
}

/// Decides about one announcement, with the pool's newest state.
///
/// The handler list is the one that was current when the announcement's parent block was first seen (rule R-N8); for
/// a block that this pool has not told of, it is the newest.
pub fn recipient<'a>(view: Option<&'a PoolView>, found: &Found, is_primary: bool) -> Recipient<'a> {
    let Some(view) = view else { return Recipient::Nobody };
    let job = &found.job;
    let parent = view.chain.at(job.parent_height);
    if !is_primary {
        if job.signing_key.is_some() {
            return Recipient::Withheld(Withheld::SignedForAnotherPool);
        }
        if parent.is_some_and(|block| block.hash != job.parent) {
            return Recipient::Withheld(Withheld::OnAnotherChain);
        }
        if view.config.ann_target.is_some_and(|theirs| job.target.expand() > theirs.expand()) {
            return Recipient::Withheld(Withheld::TooEasy);
        }
    }
    let handlers =
        parent.filter(|block| block.hash == job.parent).map_or(&view.handlers, |block| &block.handlers);
    match handlers.for_announcement(&found.announcement, &found.hash) {
        Some(Handler::At(url)) => Recipient::Handler(url),
        Some(Handler::Nowhere) => Recipient::Withheld(Withheld::HandlerInvalid),
        None => Recipient::Nobody,
    }
}
