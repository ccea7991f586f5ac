//! The chain as a whole: how much mines it, and what a part of that earns (`docs/protocol/nimiq-pool.md` 4.7, "Ours").

use nimiq::difficulty::BLOCK_SECONDS;
use nimiq::reward::block_reward;
use nimiq::{Height, Luna, ShareWeight};

use crate::site::facts::{Amount, Measured, Moment, Part, Unit};

/// What the expected income is told for, in hashes per second.
const EXAMPLE_SPEED: u64 = 1_000_000;
const DAY_SECONDS: u64 = 86_400;

/// What is known of the chain's newest block and of the work that the next one takes.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// The reward of the block after the newest, which takes a walk over all blocks to find.
    next_reward: Option<(u32, Luna)>,
}

impl Network {
    /// Hashes per second of all that mine, at a difficulty that holds while a block is found every minute.
    pub(super) fn speed(work_of_one: u64, at: Moment) -> Measured<f64> {
        let hashes = work_of_one as f64 / ShareWeight::PER_HASH as f64;
        Measured::at(hashes / f64::from(BLOCK_SECONDS), Unit::HashesPerSecond, at)
    }

    /// What a million hashes per second earn in a day on average: their part of the blocks' rewards, after the pool's fee. Where
    /// less than that mines the chain they earn all rewards, and not more: the difficulty would follow.
    pub(super) fn expected_per_day(
        &mut self,
        height: Measured<u32>,
        work_of_one: u64,
        fee: Part,
    ) -> Measured<Amount> {
        let amount = height.value.filter(|_| work_of_one > 0).map(|height| {
            let reward = match self.next_reward {
                Some((of, reward)) if of == height => reward,
                _ => block_reward(Height(height.saturating_add(1))),
            };
            self.next_reward = Some((height, reward));
            let weight = |seconds: u64| u128::from(EXAMPLE_SPEED * seconds * ShareWeight::PER_HASH);
            let of_block = u128::from(work_of_one).max(weight(BLOCK_SECONDS.into()));
            let whole = u128::from(reward.0) * weight(DAY_SECONDS) / of_block;
            let kept = u128::from(Part::WHOLE.0.saturating_sub(fee.0));
            let after_fee = whole.saturating_mul(kept) / u128::from(Part::WHOLE.0);
            Amount::luna(i64::try_from(after_fee).unwrap_or(i64::MAX))
        });
        Measured { value: amount, unit: Unit::Nim, window_seconds: Some(DAY_SECONDS), as_of: height.as_of }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mines_all_of_a_chain_earns_all_of_its_rewards() {
        let at = Moment(1);
        // As many hashes as the example makes in a minute.
        let work = EXAMPLE_SPEED * u64::from(BLOCK_SECONDS) * ShareWeight::PER_HASH;
        assert_eq!(Network::speed(work, at).value, Some(EXAMPLE_SPEED as f64));
        let mut network = Network::default();
        let height = Measured::at(99, Unit::Blocks, at);
        let reward = block_reward(Height(100)).0 * DAY_SECONDS / u64::from(BLOCK_SECONDS);
        let earned = |network: &mut Network, work, fee| {
            network.expected_per_day(height, work, fee).value.map(|amount| amount.units.cast_unsigned())
        };
        assert_eq!(earned(&mut network, work, Part(0)), Some(reward));
        assert_eq!(
            earned(&mut network, 10 * work, Part(0)),
            Some(reward / 10),
            "of a chain ten times as hard"
        );
        assert_eq!(earned(&mut network, work / 10, Part(0)), Some(reward), "no more than there is");
        let hundredth = Part(Part::WHOLE.0 / 100);
        assert_eq!(earned(&mut network, work, hundredth), Some(reward * 99 / 100));
        assert_eq!(network.expected_per_day(Measured::at(None, Unit::Blocks, at), work, Part(0)).value, None);
        assert_eq!(earned(&mut network, 0, Part(0)), None);
    }
}
