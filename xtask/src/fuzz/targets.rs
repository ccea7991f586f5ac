//! What is fuzzed: one target for each family of messages.

use super::Target;

/// Every target.
pub fn all() -> Vec<Target> {
    vec![]
}
