//! The threads that deal with posts: cheap checks, proof of work, duplicates, outbox, reply.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use crossbeam_channel::Receiver;
use packetcrypt::Announcement;
use packetcrypt::check::{AnnouncementToCheck, Checker, ProofVersion};
use rand::RngExt;
use tokio::sync::oneshot;
use wire::announcement_post::{self, PostHeaders};
use wire::{AnnsEvent, Event, EventId, Refusal};

use super::slots::Slot;
use super::{Shared, hashing, post};
use crate::intake::Reservation;
use crate::listener::Client;
use crate::outbox::Record;

/// Posts that one thread takes at once, to hash their bodies together.
const POSTS_AT_ONCE: usize = 4;
/// How long a post waits for others to be hashed with.
const GATHERING_TIME: Duration = Duration::from_millis(3);
/// Announcements checked before looking whether one of them was bad.
const CHECKED_AT_ONCE: usize = 64;

/// What came of a post.
pub(super) type Outcome = Result<AnnsEvent, Refusal>;

/// A post that has been read.
pub(super) struct Job {
    pub headers: PostHeaders,
    pub body: Bytes,
    pub client: Client,
    pub reply: oneshot::Sender<Outcome>,
    /// Gives the body's bytes back to the budget.
    pub reservation: Reservation,
}

/// Works until the queue is closed and empty.
pub(super) fn work(shared: &Arc<Shared>, queue: &Receiver<Job>) {
    let mut worker = Worker { shared, checker: Checker::new(shared.rules), copies: Vec::new() };
    let mut jobs = Vec::with_capacity(POSTS_AT_ONCE);
    while let Ok(job) = queue.recv() {
        jobs.push(job);
        if shared.conduct.skips_all() {
            gather(&mut jobs, queue, shared);
        }
        shared.figures.waiting.set(queue.len() as i64);
        // Rule R-A10: a client that has gone will send its announcements again.
        jobs.retain(|job| !job.reply.is_closed());
        let ids = hashing::event_ids(&jobs.iter().map(|job| &job.body[..]).collect::<Vec<_>>());
        for (job, event_id) in jobs.drain(..).zip(ids) {
            worker.process(job, event_id);
        }
    }
}

/// Takes more posts, and waits a moment for those that are being received: where no proof of work is checked, hashing
/// bodies is most of the work, and several at once cost little more than one.
fn gather(jobs: &mut Vec<Job>, queue: &Receiver<Job>, shared: &Shared) {
    let until = Instant::now() + GATHERING_TIME;
    while jobs.len() < POSTS_AT_ONCE {
        let gathered: usize = jobs.iter().map(|job| job.body.len()).sum();
        let more_to_come = shared.budget.held() > gathered;
        let next = if more_to_come { queue.recv_deadline(until).ok() } else { queue.try_recv().ok() };
        let Some(job) = next else { return };
        jobs.push(job);
    }
}

struct Worker<'a> {
    shared: &'a Arc<Shared>,
    checker: Checker,
    /// Announcements being checked.
    copies: Vec<Announcement>,
}

/// A post whose announcements are all good.
struct Good {
    slot: Arc<Slot>,
    event: AnnsEvent,
    /// Hash prefixes that this post was the first to bring; they are in the duplicate table.
    new: Vec<u64>,
    /// The announcements that they belong to.
    accepted: Bytes,
}

impl Worker<'_> {
    fn process(&mut self, job: Job, event_id: EventId) {
        let started = Instant::now();
        let judged = self.judge(&job, event_id);
        self.shared.figures.post_seconds.observe(started.elapsed().as_secs_f64());
        match judged {
            // Rule R-A8: nothing to credit, nothing to log.
            Ok(good) if good.event.accepted == 0 => answer(job.reply, Ok(good.event)),
            Ok(good) => self.make_durable(good, job),
            Err(refusal) => answer(job.reply, Err(refusal)),
        }
    }

    fn judge(&mut self, job: &Job, event_id: EventId) -> Result<Good, Refusal> {
        let announcements = announcement_post::announcements(&job.body)?;
        let got = i64::from(job.headers.work_number) - 1;
        let slots = self.shared.slots.load();
        let slot = Arc::clone(slots.at(job.headers.parent_height(), got)?);
        drop(slots);
        if slot.known.len() + announcements.len() > self.shared.announcements_per_height {
            return Err(Refusal::Overloaded { role: wire::refusal::Role::AnnHandler });
        }
        let prefixes = hashing::prefixes(announcements);
        let summary = post::inspect(announcements, &prefixes, job.headers.assignment(), &slot)?;
        self.check_proofs(announcements, &prefixes, &slot, job)?;
        if !self.shared.slots.load().has(slot.height, &slot.parent) {
            return Err(Refusal::ParentReplaced);
        }
        let (new, accepted) = claim(&job.body, announcements, &prefixes, &slot);
        let event = AnnsEvent {
            accepted: new.len() as u32,
            duplicate: (announcements.len() - new.len()) as u32,
            pay_to: job.headers.pay_to,
            unsigned: summary.unsigned,
            total_length: 0,
            target: summary.easiest,
            time_ms: now_ms(),
            event_id,
        };
        Ok(Good { slot, event, new, accepted })
    }

    /// Checks the proof of work of every announcement that is not known and not sampled out (rules R-A1, R-A6).
    fn check_proofs(
        &mut self,
        announcements: &[[u8; 1024]],
        prefixes: &[u64],
        slot: &Slot,
        job: &Job,
    ) -> Result<(), Refusal> {
        let conduct = &self.shared.conduct;
        let distrusted = conduct.is_distrusted(job.client, &job.headers.pay_to, Instant::now());
        let may_skip = conduct.skips_some() && !distrusted;
        let mut wanted: Vec<usize> = (0..announcements.len())
            .filter(|&index| {
                let prefix = prefixes[index];
                let skipped = may_skip && conduct.skips(prefix);
                !skipped && !slot.known.contains(prefix)
            })
            .collect();
        self.shared.figures.checked.inc_by(wanted.len() as u64);
        let mut first = Vec::new();
        if distrusted && wanted.len() > 1 {
            first.push(wanted.swap_remove(rand::rng().random_range(0..wanted.len())));
        }
        let checked = std::iter::once(&first[..])
            .chain(wanted.chunks(CHECKED_AT_ONCE))
            .try_for_each(|indexes| self.check_some(announcements, indexes, slot));
        if checked.is_err() {
            conduct.remember(job.client, &job.headers.pay_to, Instant::now());
        }
        checked
    }

    fn check_some(
        &mut self,
        announcements: &[[u8; 1024]],
        indexes: &[usize],
        slot: &Slot,
    ) -> Result<(), Refusal> {
        self.copies.clear();
        self.copies.extend(indexes.iter().map(|&index| Announcement::from_bytes(&announcements[index])));
        let batch: Vec<_> = self
            .copies
            .iter()
            .map(|announcement| AnnouncementToCheck { announcement, parent: &slot.parent })
            .collect();
        let verdicts = self.checker.check(&batch, ProofVersion::CURRENT);
        for (&index, verdict) in indexes.iter().zip(verdicts) {
            if let Err(fault) = verdict {
                return Err(Refusal::InvalidAnnouncement { index, fault: fault.name() });
            }
        }
        Ok(())
    }

    /// Rule R-A7: the reply follows when the event is on disk; if that fails the announcements are forgotten again.
    fn make_durable(&self, good: Good, job: Job) {
        let line = Event::Anns(good.event.clone()).to_line();
        let record = Record {
            scope: good.slot.height.0,
            event: line.trim_end().as_bytes().to_vec(),
            keys: good.new.iter().flat_map(|prefix| prefix.to_le_bytes()).collect(),
        };
        let shared = Arc::clone(self.shared);
        let Job { reply, reservation, .. } = job;
        self.shared.outbox.append_then(record, move |stored| {
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

/// Enters what is new into the duplicate table; gives the new prefixes and their announcements. From here on the same
/// announcement in any other post is a duplicate.
fn claim(body: &Bytes, announcements: &[[u8; 1024]], prefixes: &[u64], slot: &Slot) -> (Vec<u64>, Bytes) {
    let mut new = Vec::with_capacity(prefixes.len());
    let mut indexes = Vec::with_capacity(prefixes.len());
    for (index, prefix) in prefixes.iter().enumerate() {
        if slot.known.insert(*prefix) {
            new.push(*prefix);
            indexes.push(index);
        }
    }
    if new.len() == prefixes.len() {
        return (new, body.clone());
    }
    // A copy, so that a few announcements do not keep a whole body in memory.
    let mut accepted = BytesMut::with_capacity(indexes.len() * 1024);
    for index in indexes {
        accepted.extend_from_slice(&announcements[index]);
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
