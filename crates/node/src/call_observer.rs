//! Who is told how long the calls to nodes take: whoever makes figures of it. This crate makes none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::json_rpc::NodeError;

/// Is told of every call to a node when it has ended.
pub trait CallObserver: fmt::Debug + Send + Sync {
    /// A call of `method` ended `time` after it was asked for, the wait for a free connection included.
    fn ended(&self, method: &'static str, time: Duration, outcome: Result<(), &NodeError>);
}

/// Nobody, or one observer for several nodes.
pub type Observer = Option<Arc<dyn CallObserver>>;
