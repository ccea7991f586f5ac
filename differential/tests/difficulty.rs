//! All difficulty arithmetic, on random compact targets.

use differential::difficulty as reference;
use packetcrypt::target::{
    CanonicalTarget, CompactTarget, TargetFault, effective_target, hash_rate_multiplier,
};
use proptest::prelude::*;

/// Any compact number without its sign bit, small ones and large ones alike.
fn unsigned() -> impl Strategy<Value = CompactTarget> {
    prop_oneof![0u32..0x2200_0000, 0x1b00_0000u32..0x2080_0000, any::<u32>()]
        .prop_map(|bits| CompactTarget(bits & !0x0080_0000))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn effective_targets_agree(block in unsigned(), least in unsigned(), count: u64, shift in 0u32..64) {
        let count = count >> shift;
        prop_assert_eq!(effective_target(block, least, count), reference::effective_target(block, least, count));
    }

    #[test]
    fn multipliers_agree(least in unsigned(), count: u64, shift in 0u32..64) {
        let count = count >> shift;
        prop_assert_eq!(hash_rate_multiplier(least, count), reference::hash_rate_multiplier(least, count));
    }

    #[test]
    fn aging_agrees(target in unsigned(), age in prop_oneof![0u32..300, any::<u32>()]) {
        prop_assert_eq!(target.degraded(age), reference::degraded(target, age));
    }

    #[test]
    fn least_work_is_the_references_but_for_the_canonical_form(bits: u32) {
        for bits in [bits, bits & 0x3fff_ffff, 0x2000_0000 | bits >> 8] {
            let target = CompactTarget(bits);
            let ours = match CanonicalTarget::try_from(target) {
                Ok(_) | Err(TargetFault::NotCanonical { .. }) => true,
                Err(_) => false,
            };
            prop_assert_eq!(ours, reference::is_least_work(target), "{}", target);
        }
    }
}
