//! Work as a number, in doubles as the reference pool computes it (`docs/protocol/packetcrypt-pool.md` 4.3, 9.5, 11.4).
//!
//! Operators write difficulties as work numbers ("an announcement of work 128", "a sixty-fourth of a block").
//! The same numbers must give the same compact targets as in the reference, so this follows its doubles to the
//! last bit. Nothing here decides a credit: credits are computed from the compact target, exactly.

use packetcrypt::CompactTarget;

use crate::event::MOST_ENCRYPTIONS;

/// Nominal work that difficulty 1 stands for.
const WORK_PER_DIFFICULTY: f64 = 4096.0;
/// The easiest target there is.
const EASIEST: CompactTarget = CompactTarget(0x207f_ffff);

fn two_to_the_256() -> f64 {
    256f64.powi(32)
}

/// The target that a compact one stands for. A sign bit is ignored.
fn target(compact: CompactTarget) -> f64 {
    let exponent = (compact.0 >> 24) as i32 - 3;
    f64::from(compact.0 & 0x007f_ffff) * 256f64.powi(exponent)
}

/// Mean number of hashes until one meets a target.
pub fn work(compact: CompactTarget) -> f64 {
    two_to_the_256() / (target(compact) + 1.0)
}

/// The easiest compact target of at least about this much work. Work below 1 gives the easiest target.
pub fn target_for_work(work: f64) -> CompactTarget {
    let target = if work > 0.0 { (two_to_the_256() - work) / work } else { two_to_the_256() };
    let (mut mantissa, mut exponent) = (target, 3u32);
    while mantissa > f64::from(0x007f_ffff) {
        mantissa /= 256.0;
        exponent += 1;
        if exponent > 0x20 {
            return EASIEST;
        }
    }
    CompactTarget((exponent << 24) | mantissa as u32)
}

/// The share target of a pool that divides the work of a block by `divisor`.
pub fn share_target(block_bits: CompactTarget, divisor: f64) -> CompactTarget {
    // The same two steps as in the reference: rounding differs otherwise.
    let multiple = work(block_bits) / WORK_PER_DIFFICULTY;
    target_for_work(WORK_PER_DIFFICULTY * (multiple / divisor))
}

/// Estimated hash operations that a share stands for. May be 0; only ever shown.
pub fn estimated_encryptions(
    share_target: CompactTarget,
    announcement_min_work: CompactTarget,
    announcement_count: u64,
) -> u128 {
    let share_work = work(share_target).floor();
    let announcement_work = work(announcement_min_work).floor();
    let count = announcement_count as f64;
    let cubed = (share_work * share_work * share_work / 1024.0).floor();
    let estimate = 2.0 * ((cubed / announcement_work).floor() / (count * count)).floor();
    // Division by zero gives no finite number.
    if estimate.is_finite() { (estimate as u128).min(MOST_ENCRYPTIONS) } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn work_that_no_target_has_gives_the_nearest() {
        for work in [0.0, -1.0, 0.5, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(target_for_work(work), EASIEST, "{work}");
        }
        assert_eq!(target_for_work(f64::INFINITY), CompactTarget(0x0300_0000));
    }

    #[test]
    fn a_set_without_announcements_has_no_estimate() {
        assert_eq!(estimated_encryptions(CompactTarget(0x1f01_fffe), CompactTarget(0x2020_0000), 0), 0);
    }

    proptest! {
        #[test]
        fn any_numbers_are_answered(share: u32, least: u32, count: u64, divisor: f64) {
            let _ = estimated_encryptions(CompactTarget(share), CompactTarget(least), count);
            let _ = share_target(CompactTarget(share), divisor);
        }

        #[test]
        fn a_target_has_the_work_that_was_asked_for(work_number in 2.0..1e30f64) {
            let ratio = work(target_for_work(work_number)) / work_number;
            prop_assert!((0.999..1.001).contains(&ratio), "{}", ratio);
        }
    }
}
