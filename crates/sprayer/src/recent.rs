//! What has been seen during the last minutes.

use std::time::{Duration, Instant};

use hashbrown::HashSet;

/// Time after which the older half is forgotten: everything is remembered at least this long, at most twice.
const GENERATION: Duration = Duration::from_secs(120);
/// Entries of one half; at 1 Gb/s two minutes bring fourteen million announcements.
const GENERATION_MAX: usize = 16 << 20;

/// A set of 64-bit announcement prefixes in two generations, bounded in time and size.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    young: HashSet<u64>,
    old: HashSet<u64>,
    begun: Option<Instant>,
}

impl Recent {
    /// Remembers a prefix; false if it was seen lately.
    pub(crate) fn insert(&mut self, prefix: u64, now: Instant) -> bool {
        let begun = *self.begun.get_or_insert(now);
        if now.saturating_duration_since(begun) >= GENERATION || self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
            self.begun = Some(now);
        }
        !self.old.contains(&prefix) && self.young.insert(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_forgotten_after_one_to_two_generations() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        assert!(recent.insert(7, start));
        assert!(!recent.insert(7, start + GENERATION / 2));
        assert!(!recent.insert(7, start + GENERATION));
        assert!(recent.insert(7, start + 2 * GENERATION));
    }
}
