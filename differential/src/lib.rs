//! The reference library behind safe functions, for the tests beside this crate to compare
//! with, and for measurements.
//!
//! Some exported functions of the library end the process on input that they do not expect; callers keep to
//! what each function here says it takes.

pub mod announcement;
pub mod block;
pub mod kernels;

/// The library's difficulty arithmetic. Rust functions that its C code calls by these names.
pub mod difficulty {
    use packetcrypt::CompactTarget;

    /// The library itself, so that it is linked.
    use packetcrypt_sys as _;

    unsafe extern "Rust" {
        safe fn pc_get_effective_target(block_target: u32, announcement_target: u32, count: u64) -> u32;
        safe fn pc_get_hashrate_multiplier(announcement_target: u32, count: u64) -> u64;
        safe fn pc_degrade_announcement_target(announcement_target: u32, age: u32) -> u32;
        safe fn pc_is_min_ann_diff_ok(announcement_target: u32) -> bool;
    }

    /// `EFFTARGET`. Aborts on targets with bit 23 set.
    pub fn effective_target(block: CompactTarget, least_work: CompactTarget, count: u64) -> CompactTarget {
        CompactTarget(pc_get_effective_target(block.0, least_work.0, count))
    }

    /// `MULT`. Aborts on targets with bit 23 set.
    pub fn hash_rate_multiplier(least_work: CompactTarget, count: u64) -> u64 {
        pc_get_hashrate_multiplier(least_work.0, count)
    }

    /// `DEGRADE`. Aborts on targets with bit 23 set.
    pub fn degraded(target: CompactTarget, age: u32) -> Option<CompactTarget> {
        Some(pc_degrade_announcement_target(target.0, age))
            .filter(|bits| *bits != u32::MAX)
            .map(CompactTarget)
    }

    /// Whether the library takes a target as least work of a commitment.
    pub fn is_least_work(target: CompactTarget) -> bool {
        pc_is_min_ann_diff_ok(target.0)
    }
}
