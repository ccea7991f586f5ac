//! The order of the announcement tree: by prefix, each prefix once.
//!
//! Rules: `docs/protocol/packetcrypt-blocks.md` 4.1. Prefixes are digits of a hash, so they spread evenly: one pass
//! spreads the entries over a few thousand ranges, each range fits into the second-level cache and is finished there.
//! That reads and writes every entry about twice, where sorting by comparison goes over all of them once per halving.

use crate::AnnouncementHash;

/// Entries of a range that is worth spreading once more; fewer are sorted by comparison.
const FEW: usize = 32;
/// Ranges of the first pass: as many as leave each in the cache, and no more than the processor can write to at once.
const FIRST_BITS: std::ops::RangeInclusive<u32> = 1..=12;
/// Bytes of a range that stays in the cache while it is sorted.
const CACHED: usize = 1 << 18;
/// Bits of a prefix that later passes look at.
const LATER_BITS: u32 = 8;

/// Puts entries into the order of the tree and drops those that cannot be in it: all but the first of each prefix,
/// and the prefixes 0 and 2^64 − 1.
pub fn arrange<Entry: Copy>(entries: &mut Vec<Entry>, hash_of: impl Fn(&Entry) -> &AnnouncementHash) {
    let prefix = |entry: &Entry| hash_of(entry).prefix();
    entries.retain(|entry| !matches!(prefix(entry), 0 | u64::MAX));
    sort(entries, &prefix);
    entries.dedup_by_key(|entry| prefix(entry));
}

/// Sorts by prefix; entries of one prefix stay in their order.
fn sort<Entry: Copy>(entries: &mut Vec<Entry>, prefix: &impl Fn(&Entry) -> u64) {
    let ranges = (size_of::<Entry>() * entries.len()).div_ceil(CACHED);
    if ranges <= 1 {
        let mut spare = entries.clone();
        return sort_range(entries, &mut spare, u64::BITS, prefix);
    }
    let bits = ranges.next_power_of_two().ilog2().clamp(*FIRST_BITS.start(), *FIRST_BITS.end());
    let mut spread = entries.clone();
    let ends = Ranges::below(u64::BITS, bits).spread(entries, &mut spread, prefix);
    // What is spread takes the place of what it was spread from, which serves as the spare room.
    std::mem::swap(entries, &mut spread);
    let mut start = 0;
    for end in ends {
        sort_range(&mut entries[start..end], &mut spread[start..end], u64::BITS - bits, prefix);
        start = end;
    }
}

/// Sorts entries whose prefixes differ in their lowest `unsorted` bits only. `spare` is as long as `entries`.
fn sort_range<Entry: Copy>(
    entries: &mut [Entry],
    spare: &mut [Entry],
    unsorted: u32,
    prefix: &impl Fn(&Entry) -> u64,
) {
    if entries.len() <= FEW || unsorted == 0 {
        return entries.sort_by_key(prefix);
    }
    let bits = LATER_BITS.min(unsorted);
    let ends = Ranges::below(unsorted, bits).spread(entries, spare, prefix);
    entries.copy_from_slice(spare);
    let mut start = 0;
    for end in ends {
        sort_range(&mut entries[start..end], &mut spare[start..end], unsorted - bits, prefix);
        start = end;
    }
}

/// Ranges of prefixes, told apart by some of their bits.
struct Ranges {
    shift: u32,
    mask: u64,
}

impl Ranges {
    /// By the highest `bits` of the lowest `unsorted` ones.
    fn below(unsorted: u32, bits: u32) -> Self {
        Self { shift: unsorted - bits, mask: (1 << bits) - 1 }
    }

    fn of(&self, prefix: u64) -> usize {
        (prefix >> self.shift & self.mask) as usize
    }

    /// Writes entries to another place, range by range; gives the ends of the ranges there.
    fn spread<Entry: Copy>(
        &self,
        from: &[Entry],
        to: &mut [Entry],
        prefix: &impl Fn(&Entry) -> u64,
    ) -> Vec<usize> {
        let mut places = vec![0; self.mask as usize + 1];
        for entry in from {
            places[self.of(prefix(entry))] += 1;
        }
        let mut start = 0;
        for place in &mut places {
            start += std::mem::replace(place, start);
        }
        for entry in from {
            let place = &mut places[self.of(prefix(entry))];
            to[*place] = *entry;
            *place += 1;
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(prefix: u64, tail: u8) -> AnnouncementHash {
        let mut bytes = [tail; 32];
        bytes[..8].copy_from_slice(&prefix.to_le_bytes());
        AnnouncementHash(bytes)
    }

    fn arranged(prefixes: &[u64]) -> Vec<(AnnouncementHash, u32)> {
        let mut entries: Vec<_> = prefixes.iter().map(|prefix| hash(*prefix, 0)).zip(0..).collect();
        arrange(&mut entries, |(hash, _)| hash);
        entries
    }

    fn by_comparison(prefixes: &[u64]) -> Vec<(AnnouncementHash, u32)> {
        let mut entries: Vec<_> = prefixes.iter().map(|prefix| hash(*prefix, 0)).zip(0..).collect();
        entries.retain(|(hash, _)| !matches!(hash.prefix(), 0 | u64::MAX));
        entries.sort_by_key(|(hash, _)| hash.prefix());
        entries.dedup_by_key(|(hash, _)| hash.prefix());
        entries
    }

    #[test]
    fn arranging_sorts_by_number_and_keeps_the_first_of_each() {
        let prefixes = [0x0100, u64::MAX, 2, 0, 0x0100, u64::MAX - 1];
        assert_eq!(arranged(&prefixes), [(hash(2, 0), 2), (hash(0x0100, 0), 0), (hash(u64::MAX - 1, 0), 5)]);
    }

    #[test]
    fn many_entries_go_through_several_passes() {
        let mut number = 7u64;
        let mut next = || {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            number
        };
        let spread: Vec<u64> = (0..50_000).map(|_| next()).collect();
        // A hostile miner can only choose its own hashes, but even if all began alike, all must be sorted.
        let alike: Vec<u64> = spread.iter().map(|prefix| prefix >> 40).collect();
        let repeated: Vec<u64> = spread.iter().map(|prefix| prefix >> 54 << 20).collect();
        for prefixes in [spread, alike, repeated, vec![9; 20_000]] {
            assert_eq!(arranged(&prefixes), by_comparison(&prefixes));
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_a_stable_sort(
            prefixes in proptest::collection::vec(
                prop_oneof![any::<u64>(), 0u64..40, (0u64..9).prop_map(|high| high << 56)],
                0..600,
            ),
        ) {
            prop_assert_eq!(arranged(&prefixes), by_comparison(&prefixes));
        }
    }
}
