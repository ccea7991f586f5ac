//! How long to wait before the next try: longer after each failure, never in step with others.

use std::time::Duration;

use rand::RngExt;

/// Doubles from `first` to `longest`, each time lengthened or shortened at random by up to a quarter.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first`, ends at `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The wait after one more failure.
    pub fn after_failure(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.longest);
        wait.mul_f64(rand::rng().random_range(0.75..1.25))
    }

    /// Something worked: the next failure waits the shortest time again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_again_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8));
        for expected in [1.0, 2.0, 4.0, 8.0, 8.0] {
            let wait = backoff.after_failure().as_secs_f64();
            assert!((expected * 0.75..expected * 1.25).contains(&wait), "{wait} is not about {expected}");
        }
        backoff.reset();
        assert!(backoff.after_failure() < Duration::from_millis(1250));
    }
}
