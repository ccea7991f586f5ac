//! What has been recorded and not been stored yet: sums by owner and minute.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::{Point, minute};
use crate::UnixMillis;

/// Sums by minute and owner; `K` is whatever names an owner before the store does.
#[derive(Debug)]
pub struct Recorder<K> {
    minutes: BTreeMap<UnixMillis, HashMap<K, Point>>,
    points: usize,
}

impl<K> Default for Recorder<K> {
    fn default() -> Self {
        Self { minutes: BTreeMap::new(), points: 0 }
    }
}

impl<K: std::hash::Hash + Eq + Clone> Recorder<K> {
    /// Adds work that was done at a time.
    pub fn add(&mut self, owner: K, time: UnixMillis, point: Point) {
        let owners = self.minutes.entry(minute(time)).or_default();
        let before = owners.len();
        let known = owners.entry(owner).or_default();
        *known = known.plus(point);
        self.points += owners.len() - before;
    }

    /// How many sums are held.
    pub fn len(&self) -> usize {
        self.points
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.points == 0
    }

    /// The oldest minute that is held.
    pub fn oldest(&self) -> Option<UnixMillis> {
        self.minutes.keys().next().copied()
    }

    /// What is held of an owner, oldest first.
    pub fn of<'a>(&'a self, owner: &'a K) -> impl Iterator<Item = (UnixMillis, Point)> + 'a {
        self.minutes.iter().filter_map(move |(minute, owners)| Some((*minute, *owners.get(owner)?)))
    }

    /// Takes out all minutes before one.
    pub fn take_before(&mut self, end: UnixMillis) -> Vec<(K, UnixMillis, Point)> {
        let rest = self.minutes.split_off(&end);
        let taken = std::mem::replace(&mut self.minutes, rest);
        let taken: Vec<_> = taken
            .into_iter()
            .flat_map(|(minute, owners)| owners.into_iter().map(move |(owner, point)| (owner, minute, point)))
            .collect();
        self.points -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::row::tests::point;
    use super::*;

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_counted_twice(
            added in prop::collection::vec((0u8..4, 0u64..600_000, point()), 0..60),
            cuts in prop::collection::vec(0u64..700_000, 0..5),
        ) {
            let mut recorder = Recorder::default();
            let (mut all, mut taken) = (BTreeMap::new(), BTreeMap::<_, Point>::new());
            let mut cuts = cuts.into_iter();
            for (index, (owner, time, point)) in added.into_iter().enumerate() {
                recorder.add(owner, UnixMillis(time), point);
                let sum: &mut Point = all.entry((owner, minute(UnixMillis(time)))).or_default();
                *sum = sum.plus(point);
                if index % 12 == 11 && let Some(cut) = cuts.next() {
                    for (owner, minute, point) in recorder.take_before(UnixMillis(cut)) {
                        let sum = taken.entry((owner, minute)).or_default();
                        *sum = sum.plus(point);
                    }
                }
            }
            for (owner, minute, point) in recorder.take_before(UnixMillis(u64::MAX)) {
                let sum = taken.entry((owner, minute)).or_default();
                *sum = sum.plus(point);
            }
            prop_assert_eq!(taken, all);
            prop_assert!(recorder.is_empty());
        }
    }
}
