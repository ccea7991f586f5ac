//! Doing at once what a role does by itself later: the operator's "now".

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Ends somebody's pause; clones end the same one.
#[derive(Debug, Clone, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Ends the present pause, or the next one if nobody pauses now.
    pub fn now(&self) {
        self.0.notify_one();
    }

    /// Returns when somebody has said "now".
    pub async fn told(&self) {
        self.0.notified().await;
    }

    /// A pause that can be ended. Gives whether it was.
    pub async fn pause(&self, time: Duration) -> bool {
        self.pause_until(Instant::now() + time).await
    }

    /// The same until a moment.
    pub async fn pause_until(&self, end: Instant) -> bool {
        tokio::select! { () = tokio::time::sleep_until(end) => false, () = self.told() => true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_nudge_ends_one_pause_and_no_other() {
        let (nudge, began) = (Nudge::default(), Instant::now());
        nudge.clone().now();
        assert!(nudge.pause(Duration::from_secs(100)).await);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(!nudge.pause(Duration::from_secs(100)).await);
        assert_eq!(began.elapsed(), Duration::from_secs(100));
    }
}
