//! Above which confirmed balance a miner is paid without asking: the pool's own threshold, or the miner's within the
//! operator's limits (`docs/protocol/nimiq-pool.md` 4.4).

use nimiq::Luna;

/// What the operator decides about thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Of a miner who has said nothing.
    pub usual: Luna,
    /// The least that a miner may choose: every payout costs a transaction.
    pub least: Luna,
    /// The most that a miner may choose: the pool does not keep money for ever.
    pub most: Luna,
}

impl Thresholds {
    /// Whether a miner may choose this one. Nothing stands for the pool's own.
    pub fn allow(&self, chosen: Luna) -> bool {
        chosen == Luna::ZERO || (self.least..=self.most).contains(&chosen)
    }

    /// The threshold in force for a miner who has chosen `chosen`. Limits that came later hold for earlier choices too.
    pub fn of(&self, chosen: Option<Luna>) -> Luna {
        match chosen {
            None | Some(Luna::ZERO) => self.usual,
            Some(chosen) => chosen.min(self.most).max(self.least),
        }
    }

    /// A balance up to this is paid to nobody who does not ask.
    pub fn least_of_all(&self) -> Luna {
        self.usual.min(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Thresholds = Thresholds { usual: Luna(50), least: Luna(10), most: Luna(100) };

    #[test]
    fn a_miner_chooses_within_the_limits_or_takes_the_usual_one() {
        let allowed = [0, 9, 10, 100, 101].map(|chosen| LIMITS.allow(Luna(chosen)));
        assert_eq!(allowed, [true, false, true, true, false]);
        let in_force = [None, Some(0), Some(5), Some(10), Some(70), Some(1000)];
        let in_force = in_force.map(|chosen| LIMITS.of(chosen.map(Luna)).0);
        assert_eq!(in_force, [50, 50, 10, 10, 70, 100]);
        assert_eq!(LIMITS.least_of_all(), Luna(10));
        assert_eq!(Thresholds { usual: Luna(2), ..LIMITS }.least_of_all(), Luna(2));
    }
}
