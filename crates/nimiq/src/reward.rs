//! What a block's miner is paid, and how much money there is.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.11.

use crate::{Height, Luna};

/// All the money that there will ever be.
pub const TOTAL_SUPPLY: Luna = Luna(21 * 100_000_000_000_000);

/// What existed before block 1.
pub const INITIAL_SUPPLY: Luna = Luna(252 * 1_000_000_000_000);

/// A block is paid the missing money, divided by two to this power.
const EMISSION_SHIFT: u32 = 22;

/// From here on every block is paid the same, while there is anything left.
const TAIL_START: Height = Height(48_692_960);

/// What a block from [`TAIL_START`] on is paid.
const TAIL_REWARD: u64 = 4_000;

/// The reward of the block at `height`, without its fees; nothing at height 0.
///
/// Walks the supply from the start, about a nanosecond for each block.
pub fn block_reward(height: Height) -> Luna {
    let Some(before) = height.0.checked_sub(1) else { return Luna::ZERO };
    reward_after(supply_after(Height(before)), height)
}

/// The money that exists once the block at `height` is mined.
pub fn supply_after(height: Height) -> Luna {
    let falling = height.0.min(TAIL_START.0 - 1);
    let supply = (1..=falling).fold(INITIAL_SUPPLY.0, |supply, _| supply + falling_reward(supply));
    let tail_blocks = u64::from(height.0 - falling);
    let left = (TOTAL_SUPPLY.0 - supply) / TAIL_REWARD;
    Luna(supply + tail_blocks.min(left) * TAIL_REWARD)
}

fn reward_after(supply: Luna, height: Height) -> Luna {
    let left = TOTAL_SUPPLY.0 - supply.0;
    let is_tail = height >= TAIL_START && left >= TAIL_REWARD;
    Luna(if is_tail { TAIL_REWARD } else { falling_reward(supply.0) })
}

const fn falling_reward(supply: u64) -> u64 {
    (TOTAL_SUPPLY.0 - supply) >> EMISSION_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rewards_fall_by_and_by() {
        assert_eq!(block_reward(Height(0)), Luna(0));
        assert_eq!(block_reward(Height(1)), Luna(440_597_534));
        assert_eq!(block_reward(Height(2)).to_string(), "4405.97429 NIM");
        assert_eq!(supply_after(Height(0)), INITIAL_SUPPLY);
        assert_eq!(supply_after(Height(3)), Luna(252_001_321_792_287));
    }

    #[test]
    fn the_tail_is_level_and_ends_with_the_money() {
        assert_eq!(block_reward(TAIL_START), Luna(TAIL_REWARD));
        let before = supply_after(Height(TAIL_START.0 - 1));
        assert_eq!(supply_after(TAIL_START), before.checked_add(Luna(TAIL_REWARD)).unwrap());
        let end = supply_after(Height(u32::MAX));
        assert!(end <= TOTAL_SUPPLY && TOTAL_SUPPLY.0 - end.0 < TAIL_REWARD);
        assert_eq!(block_reward(Height(u32::MAX)), Luna(0));
    }
}
