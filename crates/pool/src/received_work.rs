//! What became of the work that each address sent in over a day: a handler's part of the address's page on the website.
//!
//! Sums by the hour, for as many addresses as there is room for; those that have been silent longest make room for
//! others. It is lost with the process, since nothing but pages is made of it.

use std::collections::VecDeque;
use std::hash::Hash;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::response::{IntoResponse, Response};
use hashbrown::HashMap;
use http::StatusCode;

use crate::site::facts::{Conduct, RefusalCount};

/// The last part of the path under which a handler tells it: `GET …/conduct.json?address=`.
pub(crate) const NAME: &str = "conduct.json";
/// Addresses that there is room for.
const MOST: usize = 20_000;
const HOUR: Duration = Duration::from_secs(3600);
/// Hours that are added up.
const HOURS: u64 = 24;

/// What one handler has received.
#[derive(Debug)]
pub(crate) struct ReceivedWork<A> {
    began: Instant,
    sums: Mutex<Sums<A>>,
}

#[derive(Debug)]
struct Sums<A> {
    by_address: HashMap<A, VecDeque<Hour>>,
    most: usize,
    /// The hour in which room was made last; whoever comes later in that hour finds none.
    made_room: Option<u64>,
}

/// One hour of an address.
#[derive(Debug, Default)]
struct Hour {
    number: u64,
    accepted: u64,
    duplicate: u64,
    refused: Vec<(&'static str, u64)>,
}

impl<A: Copy + Eq + Hash> Default for ReceivedWork<A> {
    fn default() -> Self {
        Self::with_room_for(MOST)
    }
}

impl<A: Copy + Eq + Hash> ReceivedWork<A> {
    fn with_room_for(most: usize) -> Self {
        let sums = Sums { by_address: HashMap::new(), most, made_room: None };
        Self { began: Instant::now(), sums: Mutex::new(sums) }
    }

    /// Work was taken, and some of it was known already.
    pub(crate) fn accepted(&self, address: A, accepted: u64, duplicate: u64) {
        self.add(address, Instant::now(), |hour| {
            hour.accepted += accepted;
            hour.duplicate += duplicate;
        });
    }

    /// Work was not taken, for a reason of the closed list.
    pub(crate) fn refused(&self, address: A, code: &'static str, pieces: u64) {
        self.add(address, Instant::now(), |hour| {
            match hour.refused.iter_mut().find(|(known, _)| *known == code) {
                Some((_, count)) => *count += pieces,
                None => hour.refused.push((code, pieces)),
            }
        });
    }

    fn hour_of(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs() / HOUR.as_secs()
    }

    fn add(&self, address: A, now: Instant, note: impl FnOnce(&mut Hour)) {
        let number = self.hour_of(now);
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if !sums.has_room_for(&address, number) {
            return;
        }
        let hours = sums.by_address.entry(address).or_default();
        if hours.back().is_none_or(|hour| hour.number != number) {
            hours.retain(|hour| hour.number + HOURS > number);
            hours.push_back(Hour { number, ..Hour::default() });
        }
        if let Some(hour) = hours.back_mut() {
            note(hour);
        }
    }

    /// What became of an address's work in the last 24 hours, or since this process began.
    pub(crate) fn of(&self, address: &A) -> Conduct {
        self.at(address, Instant::now())
    }

    fn at(&self, address: &A, now: Instant) -> Conduct {
        let number = self.hour_of(now);
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_duration_since(self.began).as_secs().max(1);
        let window_seconds = age.min(HOURS * HOUR.as_secs());
        let Some(hours) = sums.by_address.get(address) else {
            // Of an address that may have been forgotten nothing is known.
            let nothing = sums.made_room.is_none().then_some(0);
            return Conduct {
                window_seconds,
                accepted: nothing,
                duplicate: nothing,
                refused: nothing,
                refusals: Vec::new(),
            };
        };
        let (mut accepted, mut duplicate) = (0, 0);
        let mut refusals: Vec<RefusalCount> = Vec::new();
        for hour in hours.iter().filter(|hour| hour.number + HOURS > number) {
            accepted += hour.accepted;
            duplicate += hour.duplicate;
            hour.refused.iter().for_each(|(code, count)| add_refusals(&mut refusals, code, *count));
        }
        refusals.sort_by_key(|refusal| std::cmp::Reverse(refusal.count));
        let refused = refusals.iter().map(|refusal| refusal.count).sum();
        Conduct {
            window_seconds,
            accepted: Some(accepted),
            duplicate: Some(duplicate),
            refused: Some(refused),
            refusals,
        }
    }

    /// Answers the website, which asks with the address in the query.
    pub(crate) fn answer(&self, query: Option<&str>) -> Response
    where
        A: FromStr,
    {
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let address =
            pairs.filter(|(name, _)| *name == "address").find_map(|(_, text)| text.parse::<A>().ok());
        match address {
            Some(address) => Json(self.of(&address)).into_response(),
            None => (StatusCode::BAD_REQUEST, "`address` is none of this chain").into_response(),
        }
    }
}

impl<A: Eq + Hash> Sums<A> {
    /// Whether an address is known or can be; once an hour, those that were silent in it and the one before are
    /// forgotten if that is needed.
    fn has_room_for(&mut self, address: &A, number: u64) -> bool {
        if self.by_address.len() < self.most || self.by_address.contains_key(address) {
            return true;
        }
        if self.made_room != Some(number) {
            self.made_room = Some(number);
            let is_recent =
                |hours: &VecDeque<Hour>| hours.back().is_some_and(|hour| hour.number + 1 >= number);
            self.by_address.retain(|_, hours| is_recent(hours));
        }
        self.by_address.len() < self.most
    }
}

fn add_refusals(refusals: &mut Vec<RefusalCount>, code: &str, count: u64) {
    match refusals.iter_mut().find(|known| known.code == code) {
        Some(known) => known.count += count,
        None => refusals.push(RefusalCount { code: code.to_owned(), count }),
    }
}

/// What several handlers say of one address. Nothing is known if one of them says nothing.
pub(crate) fn together(told: impl IntoIterator<Item = Option<Conduct>>) -> Option<Conduct> {
    let mut all: Option<Conduct> = None;
    for one in told {
        let one = one?;
        all = Some(match all {
            None => one,
            Some(mut all) => {
                let sum = |one: Option<u64>, other: Option<u64>| Some(one? + other?);
                all.window_seconds = all.window_seconds.min(one.window_seconds);
                all.accepted = sum(all.accepted, one.accepted);
                all.duplicate = sum(all.duplicate, one.duplicate);
                all.refused = sum(all.refused, one.refused);
                for refusal in &one.refusals {
                    add_refusals(&mut all.refusals, &refusal.code, refusal.count);
                }
                all
            }
        });
    }
    all
}

/// Why work of any kind was refused, as far as handlers tell; the most frequent reason first.
pub(crate) fn refusals<'a>(told: impl IntoIterator<Item = &'a Option<Conduct>>) -> Vec<RefusalCount> {
    let mut all = Vec::new();
    for refusal in told.into_iter().flatten().flat_map(|conduct| &conduct.refusals) {
        add_refusals(&mut all, &refusal.code, refusal.count);
    }
    all.sort_by_key(|refusal| std::cmp::Reverse(refusal.count));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_added_up_over_a_day_and_then_forgotten() {
        let received = ReceivedWork::<u8>::default();
        received.accepted(1, 90, 10);
        received.refused(1, "stale", 3);
        received.refused(1, "bad_target", 5);
        received.refused(1, "stale", 4);
        let conduct = received.of(&1);
        assert_eq!((conduct.accepted, conduct.duplicate, conduct.refused), (Some(90), Some(10), Some(12)));
        let reasons: Vec<_> = conduct.refusals.iter().map(|one| (one.code.as_str(), one.count)).collect();
        assert_eq!(reasons, [("stale", 7), ("bad_target", 5)]);
        assert_eq!(received.of(&2).accepted, Some(0), "nothing came, and that is known");
        let next_day = Instant::now() + 25 * HOUR;
        received.add(1, next_day, |hour| hour.accepted += 1);
        let conduct = received.at(&1, next_day);
        assert_eq!((conduct.accepted, conduct.refused, conduct.window_seconds), (Some(1), Some(0), 86_400));
    }

    #[test]
    fn made_up_addresses_take_no_more_than_their_room() {
        let received = ReceivedWork::<u32>::with_room_for(10);
        (0..100).for_each(|address| received.accepted(address, 1, 0));
        assert_eq!(received.sums.lock().unwrap().by_address.len(), 10);
        assert_eq!(received.of(&99).accepted, None, "there was no room for it");
        let later = Instant::now() + 2 * HOUR;
        received.add(99, later, |hour| hour.accepted += 1);
        assert_eq!(received.at(&99, later).accepted, Some(1), "the silent ones made room");
    }

    #[test]
    fn handlers_are_added_up_unless_one_is_silent() {
        let one = ReceivedWork::<u8>::default();
        one.accepted(1, 5, 1);
        one.refused(1, "stale", 1);
        let (first, second) = (one.of(&1), one.of(&1));
        let sum = together([Some(first.clone()), Some(second)]).unwrap();
        assert_eq!((sum.accepted, sum.duplicate, sum.refused), (Some(10), Some(2), Some(2)));
        assert_eq!(sum.refusals.len(), 1);
        let reasons = refusals([&Some(first.clone()), &None, &Some(sum)]);
        assert_eq!((reasons.len(), reasons[0].count), (1, 3));
        assert_eq!(together([Some(first), None]), None);
        assert_eq!(together([]), None);
    }
}
