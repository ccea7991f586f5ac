//! Announcements by the age of their parents: what the announcement handlers have accepted, added up, and what can be done
//! with it now.

use std::collections::BTreeMap;

use packetcrypt::CompactTarget;
use packetcrypt::target::ANNOUNCEMENT_WAIT_PERIOD;

use crate::ann_handler::AcceptedOfParent;
use crate::site::facts::{AnnouncementClass, ClassState, Measured, Moment, Unit};

/// Older ones are worth nothing to anybody, whatever the pool's target is.
const OLDEST_SHOWN: u32 = 24;

/// What each handler told last, by its place in the configuration.
#[derive(Debug, Default)]
pub(super) struct Classes {
    by_handler: BTreeMap<usize, Vec<AcceptedOfParent>>,
    as_of: Option<Moment>,
}

impl Classes {
    /// A handler has told.
    pub(super) fn told(&mut self, handler: usize, accepted: Vec<AcceptedOfParent>, at: Moment) {
        self.by_handler.insert(handler, accepted);
        self.as_of = Some(at);
    }

    /// The classes while a block of `height` is being mined and announcements of `target` are accepted, youngest first.
    pub(super) fn at(&self, height: u32, target: CompactTarget) -> Vec<AnnouncementClass> {
        let mut sums: BTreeMap<u32, u64> = BTreeMap::new();
        for one in self.by_handler.values().flatten() {
            *sums.entry(one.parent_height).or_default() += one.accepted;
        }
        let classes = sums.into_iter().rev().filter_map(|(parent_height, accepted)| {
            let age_blocks = height.checked_sub(parent_height).filter(|age| *age <= OLDEST_SHOWN)?;
            let (state, worth_percent) = class(age_blocks, target);
            let accepted = Measured::at(accepted, Unit::Announcements, self.as_of?);
            Some(AnnouncementClass { parent_height, age_blocks, state, accepted, worth_percent })
        });
        classes.collect()
    }
}

/// What can be done with an announcement of an age, and what it is worth: half as much with every block.
fn class(age: u32, target: CompactTarget) -> (ClassState, Option<f64>) {
    match age.checked_sub(ANNOUNCEMENT_WAIT_PERIOD) {
        None => (ClassState::Fresh, None),
        Some(_) if target.degraded(age).is_none() => (ClassState::Spoiled, Some(0.0)),
        Some(halvings) => (ClassState::Mature, Some(100.0 / 2f64.powi(halvings as i32))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_added_up_and_age_decides_what_an_announcement_is_worth() {
        let one = |parent_height, accepted| AcceptedOfParent { parent_height, accepted };
        let mut classes = Classes::default();
        assert!(classes.at(1000, CompactTarget(0x2000_ffff)).is_empty());
        classes.told(0, vec![one(900, 1), one(989, 2), one(990, 3), one(996, 5), one(998, 7)], Moment(1));
        classes.told(1, vec![one(996, 10), one(1001, 1)], Moment(2));
        let shown = classes.at(1000, CompactTarget(0x2000_ffff));
        let shown: Vec<_> = shown
            .iter()
            .map(|class| (class.age_blocks, class.accepted.value, class.state, class.worth_percent))
            .collect();
        assert_eq!(
            shown,
            [
                (2, Some(7), ClassState::Fresh, None),
                (4, Some(15), ClassState::Mature, Some(50.0)),
                (10, Some(3), ClassState::Mature, Some(100.0 / 128.0)),
                (11, Some(2), ClassState::Spoiled, Some(0.0)),
            ]
        );
    }
}
