//! How long to leave a server alone that does not work.

use std::time::Duration;

use rand::RngExt;

/// Doubles after each failure, up to a bound; lengthened at random by up to a quarter, so that many miners that lost
/// the same server do not come back in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// The first pause is about `first`, none is much longer than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// One more failure: how long to wait.
    pub fn failed(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(2u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        doubled.min(self.longest).mul_f64(rand::rng().random_range(1.0..1.25))
    }

    /// It works: the next failure is a first one again.
    pub fn worked(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8));
        for seconds in [1, 2, 4, 8, 8, 8] {
            let pause = backoff.failed().as_secs_f64();
            assert!(
                (f64::from(seconds)..f64::from(seconds) * 1.25).contains(&pause),
                "{pause} for {seconds}"
            );
        }
        for _ in 0..100 {
            backoff.failed();
        }
        backoff.worked();
        assert!(backoff.failed() < Duration::from_secs(2));
    }
}
