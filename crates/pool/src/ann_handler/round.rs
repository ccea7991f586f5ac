//! What becomes of posts that are taken together: cheap checks, proof of work, duplicates, outbox, reply.
//!
//! Proofs of work are checked in waves across all posts, those of large groups first. A post is answered as soon as its
//! own announcements are through, or the first bad one of them is found; then the rest of its announcements is spared.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use packetcrypt::backend::Backend;
use packetcrypt::check::{
    AnnouncementFault, AnnouncementToCheck, Checker, CostClass, Finding, ProofVersion, Wave, waves,
};
use packetcrypt::{Announcement, BlockHash};
use rand::RngExt;
use tokio::sync::oneshot;
use wire::announcement_post;
use wire::{AnnsEvent, Event, EventId, Refusal};

use super::checking::{Job, Outcome};
use super::post::Summary;
use super::slots::Slot;
use super::{Shared, hashing, post, price};
use crate::outbox::Record;

/// A thread's means to deal with posts.
pub(super) struct Round<'a> {
    shared: &'a Arc<Shared>,
    checker: Checker,
    /// Announcements being checked.
    copies: Vec<Announcement>,
}

/// A post that has passed the cheap checks.
struct Post {
    job: Job,
    event_id: EventId,
    slot: Arc<Slot>,
    summary: Summary,
    /// Announcements whose proof of work is to be checked, by their place in the body.
    wanted: Vec<usize>,
    /// One of them that comes before all others, since the sender is distrusted.
    probe: Option<usize>,
    /// How many are still to be checked.
    unchecked: usize,
    /// The first bad one that was found, and what is wrong with it.
    bad: Option<(usize, AnnouncementFault)>,
}

/// What the cheap checks find out about a post.
struct Inspected {
    slot: Arc<Slot>,
    summary: Summary,
}

/// What a post whose announcements are all good brings.
struct Good {
    slot: Arc<Slot>,
    event: AnnsEvent,
    /// Hash prefixes that this post was the first to bring; they are in the duplicate table.
    new: Vec<u64>,
    /// The announcements that they belong to.
    accepted: Bytes,
}

/// An announcement to be checked: which post, and where in it.
#[derive(Clone, Copy)]
struct Place {
    post: usize,
    index: usize,
}

impl<'a> Round<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>) -> Self {
        let programs = Arc::clone(&shared.programs);
        let checker = Checker::with_programs(shared.rules, Backend::chosen(), programs);
        Self { shared, checker, copies: Vec::new() }
    }

    /// Deals with posts, each of which gets its own reply.
    pub(super) fn deal_with(&mut self, jobs: Vec<Job>) {
        let started = Instant::now();
        for job in &jobs {
            self.shared.figures.wait.took(started.saturating_duration_since(job.received));
        }
        let ids = hashing::event_ids(&jobs.iter().map(|job| &job.body[..]).collect::<Vec<_>>());
        let mut posts: Vec<Option<Post>> = Vec::with_capacity(jobs.len());
        for (job, event_id) in jobs.into_iter().zip(ids) {
            match self.inspect(&job) {
                Ok(inspected) => posts.push(Some(self.open(job, event_id, inspected))),
                Err(refusal) => self.refuse(job, refusal, started),
            }
        }
        self.check(&mut posts, started);
        // Where nothing was to be checked.
        posts.into_iter().flatten().for_each(|post| self.accept(post, started));
    }

    /// The cheap checks.
    fn inspect(&self, job: &Job) -> Result<Inspected, Refusal> {
        self.shared.check_budget(job.client, &job.headers.pay_to)?;
        let announcements = announcement_post::announcements(&job.body)?;
        let got = i64::from(job.headers.work_number) - 1;
        let slots = self.shared.slots.load();
        let slot = Arc::clone(slots.at(job.headers.parent_height(), got)?);
        drop(slots);
        if slot.known.len() + announcements.len() > self.shared.announcements_per_height {
            return Err(Refusal::Overloaded { role: wire::refusal::Role::AnnHandler });
        }
        let summary = post::inspect(announcements, &job.prefixes, job.headers.assignment(), &slot)?;
        Ok(Inspected { slot, summary })
    }

    fn open(&self, job: Job, event_id: EventId, inspected: Inspected) -> Post {
        let Inspected { slot, summary } = inspected;
        let (wanted, probe) = self.wanted(&job, &slot);
        let unchecked = wanted.len();
        Post { job, event_id, slot, summary, wanted, probe, unchecked, bad: None }
    }

    /// The announcements whose proof of work is to be checked: every one that is not known and not sampled out (rules
    /// R-A1, R-A6).
    fn wanted(&self, job: &Job, slot: &Slot) -> (Vec<usize>, Option<usize>) {
        let prefixes = &job.prefixes;
        let conduct = &self.shared.conduct;
        let distrusted = conduct.is_distrusted(job.client, &job.headers.pay_to, Instant::now());
        let may_skip = conduct.skips_some() && !distrusted;
        let is_spared = |prefix: u64| (may_skip && conduct.skips(prefix)) || slot.known.contains(prefix);
        let wanted: Vec<usize> = (0..prefixes.len()).filter(|&index| !is_spared(prefixes[index])).collect();
        let probe =
            (distrusted && wanted.len() > 1).then(|| wanted[rand::rng().random_range(0..wanted.len())]);
        (wanted, probe)
    }

    /// Checks the proofs of work of all posts; takes out those that are dealt with.
    fn check(&mut self, posts: &mut [Option<Post>], started: Instant) {
        let mut copies = std::mem::take(&mut self.copies);
        let places = places(posts, &mut copies);
        let parents: Vec<BlockHash> = posts
            .iter()
            .map(|post| post.as_ref().map_or_else(BlockHash::default, |post| post.slot.parent))
            .collect();
        let batch: Vec<_> = copies
            .iter()
            .zip(&places)
            .map(|(announcement, place)| AnnouncementToCheck { announcement, parent: &parents[place.post] })
            .collect();
        let mut done = vec![false; batch.len()];
        for Wave { members, cost } in probes(posts, &places).into_iter().chain(waves(&batch)) {
            let is_due = |&member: &usize| !done[member] && posts[places[member].post].is_some();
            let members: Vec<usize> = members.into_iter().filter(is_due).collect();
            if members.is_empty() {
                continue;
            }
            for &member in &members {
                done[member] = true;
            }
            let to_check: Vec<_> = members.iter().map(|&member| batch[member]).collect();
            let of_members: Vec<Place> = members.iter().map(|&member| places[member]).collect();
            let before = Instant::now();
            let findings = self.checker.check(&to_check, ProofVersion::CURRENT);
            self.count(cost, &of_members, posts, before.elapsed());
            self.settle(posts, &of_members, &findings, started);
        }
        self.copies = copies;
        self.shared.figures.programs_kept.set(self.shared.programs.figures().kept as i64);
    }

    /// Counts what was checked, and charges the senders of ungrouped announcements for the time that it took.
    fn count(&self, cost: CostClass, places: &[Place], posts: &[Option<Post>], time: Duration) {
        let figures = &self.shared.figures;
        figures.checked.inc_by(places.len() as u64);
        if cost == CostClass::Grouped {
            return;
        }
        figures.ungrouped.inc_by(places.len() as u64);
        for (number, post) in posts.iter().enumerate() {
            let count = places.iter().filter(|place| place.post == number).count();
            if let Some(post) = post
                && count > 0
            {
                let time = time.mul_f64(count as f64 / places.len() as f64);
                self.shared.charge_ungrouped(post.job.client, &post.job.headers.pay_to, count, time);
            }
        }
    }

    /// Answers the posts of which a bad announcement was found, or all are through.
    fn settle(&self, posts: &mut [Option<Post>], places: &[Place], findings: &[Finding], started: Instant) {
        for (place, finding) in places.iter().zip(findings) {
            let Some(post) = &mut posts[place.post] else { continue };
            post.unchecked -= 1;
            if let Err(fault) = finding
                && post.bad.is_none_or(|(index, _)| place.index < index)
            {
                post.bad = Some((place.index, *fault));
            }
        }
        for settled in posts {
            let is_settled = |post: &mut Post| post.unchecked == 0 || post.bad.is_some();
            let Some(post) = settled.take_if(is_settled) else { continue };
            match post.bad {
                None => self.accept(post, started),
                Some((index, fault)) => {
                    let Job { client, headers, .. } = &post.job;
                    self.shared.conduct.remember(*client, &headers.pay_to, Instant::now());
                    let checked = post.wanted.len() - post.unchecked;
                    self.shared.admission.pay(*client, price::GROUPED_ANNOUNCEMENT * checked as u32);
                    let refusal = Refusal::InvalidAnnouncement { index, fault: fault.name() };
                    self.refuse(post.job, refusal, started);
                }
            }
        }
    }

    fn refuse(&self, job: Job, refusal: Refusal, started: Instant) {
        self.shared.figures.check.since(started);
        answer(job.reply, Err(refusal));
    }

    /// Takes a post whose announcements are all good.
    fn accept(&self, post: Post, started: Instant) {
        let Post { job, event_id, slot, summary, .. } = post;
        if !self.shared.slots.load().has(slot.height, &slot.parent) {
            return self.refuse(job, Refusal::ParentReplaced, started);
        }
        self.shared.figures.check.since(started);
        let claiming = Instant::now();
        let (new, accepted) = claim(&job.body, &job.prefixes, &slot);
        self.shared.figures.duplicate.since(claiming);
        let event = AnnsEvent {
            accepted: new.len() as u32,
            duplicate: (job.prefixes.len() - new.len()) as u32,
            pay_to: job.headers.pay_to,
            unsigned: summary.unsigned,
            total_length: 0,
            target: summary.easiest,
            time_ms: now_ms(),
            event_id,
        };
        if event.accepted == 0 {
            // Rule R-A8: nothing to credit, nothing to log.
            answer(job.reply, Ok(event));
        } else {
            self.make_durable(Good { slot, event, new, accepted }, job);
        }
    }

    /// Rule R-A7: the reply follows when the event is on disk; if that fails the announcements are forgotten again.
    fn make_durable(&self, good: Good, job: Job) {
        let line = Event::Anns(good.event.clone()).to_line();
        let record = Record {
            scope: good.slot.height.0,
            event: line.trim_end().as_bytes().to_vec(),
            keys: good.new.iter().map(|prefix| prefix.to_le_bytes()).collect::<Vec<_>>().into_flattened(),
        };
        let shared = Arc::clone(self.shared);
        let Job { reply, reservation, .. } = job;
        let storing = Instant::now();
        self.shared.outbox.append_then(record, move |stored| {
            shared.figures.store.since(storing);
            match stored {
                Ok(()) => {
                    shared.distribute(&good.slot, good.accepted);
                    answer(reply, Ok(good.event));
                }
                Err(fault) => {
                    tracing::error!(%fault, "a post was refused: its event could not be stored");
                    good.new.iter().for_each(|prefix| good.slot.known.remove(*prefix));
                    answer(reply, Err(Refusal::StorageFailed));
                }
            }
            drop(reservation);
        });
    }
}

/// All announcements that are to be checked: where they are, and copies of them.
fn places(posts: &[Option<Post>], copies: &mut Vec<Announcement>) -> Vec<Place> {
    let mut places = Vec::new();
    copies.clear();
    for (number, post) in posts.iter().enumerate() {
        let Some(post) = post else { continue };
        let announcements = post.job.body.as_chunks().0;
        for &index in &post.wanted {
            places.push(Place { post: number, index });
            copies.push(Announcement::from_bytes(&announcements[index]));
        }
    }
    places
}

/// The announcements that are to be checked before all others.
fn probes(posts: &[Option<Post>], places: &[Place]) -> Option<Wave> {
    let is_probe =
        |place: &Place| posts[place.post].as_ref().is_some_and(|post| post.probe == Some(place.index));
    let members: Vec<usize> = (0..places.len()).filter(|&member| is_probe(&places[member])).collect();
    (!members.is_empty()).then_some(Wave { members, cost: CostClass::Ungrouped })
}

/// Enters what is new into the duplicate table; gives the new prefixes and their announcements. From here on the same
/// announcement in any other post is a duplicate.
fn claim(body: &Bytes, prefixes: &[u64], slot: &Slot) -> (Vec<u64>, Bytes) {
    let is_new = slot.known.insert_all(prefixes);
    if !is_new.contains(&false) {
        return (prefixes.to_vec(), body.clone());
    }
    let new_of = |(prefix, is_new): (&u64, &bool)| is_new.then_some(*prefix);
    let new: Vec<u64> = prefixes.iter().zip(&is_new).filter_map(new_of).collect();
    // A copy, so that a few announcements do not keep a whole body in memory.
    let mut accepted = BytesMut::with_capacity(new.len() * 1024);
    for (announcement, _) in body.as_chunks::<1024>().0.iter().zip(is_new).filter(|(_, is_new)| *is_new) {
        accepted.extend_from_slice(announcement);
    }
    (new, accepted.freeze())
}

/// Answers a client; one that has gone meanwhile is credited all the same (rule R-A10).
fn answer(reply: oneshot::Sender<Outcome>, outcome: Outcome) {
    let _ = reply.send(outcome);
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
