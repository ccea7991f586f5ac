//! Whether anybody looks at the pool: while nobody does, its roles are asked seldom.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Whoever has looked is counted as present for so long.
const PRESENT_FOR: Duration = Duration::from_secs(60);
/// At the start the other roles come up, too, and so long they are asked as if somebody looked.
const STARTING: Duration = Duration::from_secs(8);

/// Who looks.
#[derive(Debug)]
pub(super) struct Audience {
    began: Instant,
    /// When somebody looked last, in seconds since `began`, counted from 1; 0: nobody has.
    looked: AtomicU64,
    arrived: Notify,
}

impl Default for Audience {
    /// Nobody has looked yet.
    fn default() -> Self {
        Self { began: Instant::now(), looked: AtomicU64::new(0), arrived: Notify::new() }
    }
}

impl Audience {
    /// Somebody looks.
    pub(super) fn note(&self) {
        self.note_at(self.began.elapsed());
    }

    /// Whether somebody has looked a moment ago.
    pub(super) fn is_present(&self) -> bool {
        self.is_present_at(self.began.elapsed())
    }

    /// Returns when somebody looks after nobody did, now or before this was called.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    fn note_at(&self, now: Duration) {
        if !self.is_present_at(now) {
            self.arrived.notify_one();
        }
        // Written seldom, since every page reads it.
        let second = now.as_secs() + 1;
        if self.looked.load(Ordering::Relaxed) != second {
            self.looked.store(second, Ordering::Relaxed);
        }
    }

    fn is_present_at(&self, now: Duration) -> bool {
        let looked = self.looked.load(Ordering::Relaxed);
        now < STARTING || (looked > 0 && now.as_secs() + 1 < looked + PRESENT_FOR.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_comes_after_a_silence_is_noticed_once() {
        let (audience, minute) = (Audience::default(), Duration::from_secs(60));
        assert!(audience.is_present_at(STARTING / 2) && !audience.is_present_at(STARTING));
        audience.note_at(STARTING / 2);
        assert!(audience.is_present_at(minute) && audience.arrived().now_or_never().is_none());
        assert!(!audience.is_present_at(3 * minute));
        audience.note_at(3 * minute);
        audience.note_at(3 * minute);
        assert!(audience.is_present_at(3 * minute));
        assert!(audience.arrived().now_or_never().is_some(), "somebody came");
        assert!(audience.arrived().now_or_never().is_none(), "and stayed");
    }
}
