//! Which announcements to mine with.
//!
//! With n announcements whose worst has work w after aging, an attempt counts `w · n² / 1024` times. Adding worse
//! ones pays as long as the square of the count grows faster than the work falls; the block target plays no part.
//! Rules: `docs/protocol/packetcrypt-blocks.md` 6.1 and 6.3.

use ruint::Uint;

use crate::Height;
use crate::target::{CanonicalTarget, CompactTarget};

/// Work · count²: 257 and 128 bits.
pub type Score = Uint<448, 7>;

/// The announcements that are alike for a choice: same parent, same work bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Height of their parent block.
    pub parent: Height,
    /// Their work bits.
    pub bits: CompactTarget,
    /// How many there are.
    pub count: u64,
}

impl Class {
    /// What their work bits are worth in a block of the given height; `None` if they cannot be used there.
    ///
    /// Below height 3 bits count in full, whatever the parent. A target that is not canonical is passed over.
    pub fn aged(&self, height: Height) -> Option<CanonicalTarget> {
        aged_bits(self.bits, self.parent, height)?.try_into().ok()
    }
}

/// What is left of an announcement's work bits in a block of the given height; `None`: not usable there.
pub fn aged_bits(bits: CompactTarget, parent: Height, height: Height) -> Option<CompactTarget> {
    // A parent at or above the block wraps around to an age that nothing survives.
    if height.0 < 3 { Some(bits) } else { bits.degraded(height.0.wrapping_sub(parent.0)) }
}

/// A choice of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The classes to use, by their place in the input, best first, each with how many to take. All of every class
    /// but the last, of which memory may allow only a part.
    pub taken: Vec<(usize, u64)>,
    /// How many announcements that makes.
    pub count: u64,
    /// Aged target of the worst of them: what the commitment must say.
    pub least_work: CanonicalTarget,
}

impl Selection {
    /// What is taken, each class with the count that is taken of it. `classes` are those that were chosen among.
    pub fn classes(&self, classes: &[Class]) -> Vec<Class> {
        let taken = |&(place, count): &(usize, u64)| Some(Class { count, ..*classes.get(place)? });
        self.taken.iter().filter_map(taken).collect()
    }

    /// `work · count²`, by which selections compare.
    pub fn score(&self) -> Score {
        score(self.least_work, self.count)
    }
}

/// `work · count²` of so many announcements, of which the worst has this aged target.
pub fn score(least_work: CanonicalTarget, count: u64) -> Score {
    least_work.work().to::<Score>() * Score::from(count) * Score::from(count)
}

/// Chooses the best set of at most `most` announcements for a block of height `height`; the smaller one of equals.
///
/// `None` if nothing can be used. The count may come out even; [`super::mine::MiningSet`] makes it odd.
pub fn choose(classes: &[Class], height: Height, most: u64) -> Option<Selection> {
    let mut usable: Vec<(CanonicalTarget, usize, u64)> = classes
        .iter()
        .enumerate()
        .filter(|(_, class)| class.count > 0)
        .filter_map(|(place, class)| Some((class.aged(height)?, place, class.count)))
        .collect();
    usable.sort_by_key(|(aged, place, _)| (*aged, *place));

    let (mut taken, mut count) = (Vec::new(), 0u64);
    let mut best: Option<(Score, usize, u64, CanonicalTarget)> = None;
    for (aged, place, available) in usable {
        let take = available.min(most - count);
        if take == 0 {
            break;
        }
        count += take;
        taken.push((place, take));
        let score = score(aged, count);
        if best.as_ref().is_none_or(|(best, ..)| score > *best) {
            best = Some((score, taken.len(), count, aged));
        }
    }
    let (_, classes, count, least_work) = best?;
    taken.truncate(classes);
    Some(Selection { taken, count, least_work })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn class(parent: u32, count: u64) -> Class {
        Class { parent: Height(parent), bits: CompactTarget(0x2000_ffff), count }
    }

    #[test]
    fn a_class_of_the_next_age_pays_from_two_fifths_of_what_is_there() {
        // (1 + k/n)² > 2 iff k > 0.4142 n.
        let with = |older| choose(&[class(97, 10_000), class(96, older)], Height(100), u64::MAX).unwrap();
        assert_eq!(with(4142).taken, [(0, 10_000)]);
        assert_eq!(with(4143).taken, [(0, 10_000), (1, 4143)]);
    }

    #[test]
    fn ages_three_to_five_are_the_best_of_a_steady_inflow() {
        let classes: Vec<_> = (80..100).map(|parent| class(parent, 1000)).collect();
        let selection = choose(&classes, Height(100), u64::MAX).unwrap();
        assert_eq!(selection.taken, [(17, 1000), (16, 1000), (15, 1000)]);
        assert_eq!(selection.classes(&classes), [class(97, 1000), class(96, 1000), class(95, 1000)]);
    }

    #[test]
    fn part_of_a_class_is_taken_where_memory_ends() {
        let classes = [class(97, 1000), class(96, 1000)];
        let selection = choose(&classes, Height(100), 1500).unwrap();
        assert_eq!(selection.taken, [(0, 1000), (1, 500)]);
        assert_eq!(choose(&classes, Height(100), 400).unwrap().taken, [(0, 400)]);
        assert_eq!(choose(&classes, Height(100), 0), None);
    }

    #[test]
    fn pitfall_9_7_age_counts_to_the_block_being_mined() {
        // Tip 102, mined height 103: the youngest usable parent is 100.
        assert!(choose(&[class(100, 1)], Height(103), 9).is_some());
        assert_eq!(choose(&[class(101, 1)], Height(103), 9), None);
        assert_eq!(choose(&[class(103, 1)], Height(103), 9), None, "a parent that is not below the block");
        assert!(choose(&[class(0, 1)], Height(2), 9).is_some(), "the first blocks use what there is");
    }

    proptest! {
        #[test]
        fn no_prefix_of_the_order_is_better(
            classes in proptest::collection::vec((0u32..14, 0x1f00_8000u32..0x2080_0000, 0u64..5000), 0..12),
            most in 0u64..20_000,
        ) {
            let classes: Vec<_> = classes
                .into_iter()
                .map(|(age, bits, count)| Class {
                    parent: Height(1000 - age), bits: CompactTarget(bits), count,
                })
                .collect();
            let mut usable: Vec<_> =
                classes.iter().filter_map(|class| Some((class.aged(Height(1000))?, class.count))).collect();
            usable.sort();
            let mut best = Score::ZERO;
            let mut total = 0;
            for (aged, count) in usable {
                total = (total + count).min(most);
                best = best.max(score(aged, total));
            }
            let chosen = choose(&classes, Height(1000), most);
            prop_assert_eq!(chosen.as_ref().map(Selection::score).unwrap_or_default(), best);
            if let Some(chosen) = chosen {
                prop_assert!(chosen.count <= most);
                prop_assert_eq!(chosen.count, chosen.taken.iter().map(|(_, count)| count).sum::<u64>());
            }
        }
    }
}
