//! The ledger as a state machine: accepted events in, a distribution out. No clock, no files, no network.
//!
//! What it holds is a function of the set of accepted events (rule R-P11): neither the order of uploads nor how
//! events were spread over them changes a credit.

use wire::event::{AnnsEvent, BlockEvent, ShareEvent};
use wire::{Event, EventId, PktAddress, Refusal};

use crate::UnixMillis;
use crate::addresses::{AddressNumber, Addresses};
use crate::chain::{BlockNews, Chain, ChainBlock, Timeline};
use crate::distribution::Distribution;
use crate::event_intake::{self, Examined, Warnings};
use crate::posts::{Period, Post, Posts};
use crate::rates::Rates;
use crate::rules::Rules;
use crate::segment::{self, Record, RecordedShare};
use crate::shares::{Share, Shares};
use crate::slot::SlotSpan;
use crate::window::{AnnouncementWindow, ShareWindow};

/// A loss of one announcement is taken for each 16 KiB of content (11.4).
const CONTENT_SHIFT: u32 = 14;

/// All events within the history, and what follows from them.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) rules: Rules,
    pub(crate) addresses: Addresses,
    pub(crate) posts: Posts,
    pub(crate) shares: Shares,
    pub(crate) chain: Chain,
    newest_event: Option<UnixMillis>,
    /// End of the newest announcement slot there ever was.
    newest_slot_end: UnixMillis,
    changes: u64,
}

/// What became of an upload's lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Events that count from now on.
    pub credited: u32,
    /// Events that counted before.
    pub repeated: u32,
    /// Events before the history, or in a slot that is closed.
    pub too_late: u32,
    /// What the sender should know.
    pub warnings: Warnings,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    /// Blocks of the chain.
    pub blocks: usize,
    /// Announcement slots with an event.
    pub announcement_slots: usize,
    /// Shares.
    pub shares: usize,
}

/// What a segment gave.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    /// Uploads, each with the time of its acceptance.
    pub(crate) uploads: Vec<(EventId, UnixMillis)>,
    /// The newest event.
    pub(crate) newest: Option<UnixMillis>,
}

impl Restored {
    fn saw(&mut self, time: UnixMillis) {
        self.newest = self.newest.max(Some(time));
    }
}

/// What became of one event.
enum Outcome {
    Credited,
    Repeated,
    RepeatedWithOtherContent,
    /// A block seen by another handler, later: known, yet kept.
    Noted,
    NotedWithOtherContent,
    /// Before the history, or in a slot that takes no more.
    TooLate,
}

impl Receipt {
    fn note(&mut self, outcome: &Outcome, line: u32, time_ms: u64) {
        let line_number = line as usize;
        match outcome {
            Outcome::Credited => self.credited += 1,
            Outcome::Repeated | Outcome::Noted => self.repeated += 1,
            Outcome::RepeatedWithOtherContent | Outcome::NotedWithOtherContent => {
                self.repeated += 1;
                self.warnings.add(line, Refusal::EventIdReused { line: line_number });
            }
            Outcome::TooLate => {
                self.too_late += 1;
                self.warnings.add(line, Refusal::EventTooOld { line: line_number, time_ms });
            }
        }
    }
}

impl Ledger {
    /// An empty ledger.
    pub fn new(rules: Rules) -> Self {
        let posts = Posts::new(SlotSpan(rules.slot_span_ms));
        Self {
            rules,
            addresses: Addresses::default(),
            posts,
            shares: Shares::default(),
            chain: Chain::default(),
            newest_event: None,
            newest_slot_end: UnixMillis(0),
            changes: 0,
        }
    }

    /// The rules it accounts by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Time of the newest event accepted (rule R-P13).
    pub fn newest_event(&self) -> Option<UnixMillis> {
        self.newest_event
    }

    /// Start of the history: what lies before it is as if it had never been.
    pub fn oldest_wanted(&self) -> UnixMillis {
        self.newest_event.unwrap_or_default().minus(self.rules.history_depth_ms)
    }

    /// Grows with every upload that changed something.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Reads an upload; changes nothing.
    pub fn examine(&self, text: &str, now: UnixMillis) -> Examined {
        event_intake::examine(text, now, |address| self.addresses.known(address))
    }

    /// Takes in the events of an upload, each at most once. Gives those that are kept.
    pub fn admit(&mut self, examined: Examined) -> (Receipt, Vec<Event>) {
        let mut receipt = Receipt::default();
        let mut kept = Vec::with_capacity(examined.events.len());
        let oldest = self.oldest_wanted();
        for (line, event) in examined.events {
            let outcome = self.admit_event(&event, oldest);
            receipt.note(&outcome, line, event.time_ms());
            if matches!(outcome, Outcome::Credited | Outcome::Noted | Outcome::NotedWithOtherContent) {
                kept.push(event);
            }
        }
        receipt.warnings.append(&examined.faults);
        self.close_batch(kept.iter().map(|event| UnixMillis(event.time_ms())).max());
        (receipt, kept)
    }

    /// What was accepted up to `newest` (or at all), divided by the rules.
    pub fn distribution(&self, newest: Option<UnixMillis>) -> Distribution {
        let period = self.period(newest);
        let timeline = Timeline::new(&self.chain);
        let mut rates = Rates::new(timeline, self.rules.has_private_seed);
        let shares = ShareWindow::fill(self.rules.blocks.size, &self.shares, period, &mut rates);
        let announcements =
            AnnouncementWindow::fill(self.rules.announcements.size, &self.posts, period, &mut rates);
        let newest_event = self.newest_event.map(|event| event.min(period.newest));
        Distribution::new(&self.rules, &self.addresses, newest_event, period, shares, announcements)
    }

    /// How much is kept inside the history.
    pub fn holdings(&self) -> Holdings {
        let period = self.period(None);
        Holdings {
            blocks: self.chain.blocks().iter().filter(|block| period.contains(block.time)).count(),
            announcement_slots: self.posts.slot_count(period),
            shares: self.shares.newest_first(period).count(),
        }
    }

    pub(crate) fn period(&self, newest: Option<UnixMillis>) -> Period {
        Period { oldest: self.oldest_wanted(), newest: newest.unwrap_or(UnixMillis(u64::MAX)) }
    }

    fn admit_event(&mut self, event: &Event, oldest: UnixMillis) -> Outcome {
        let time = UnixMillis(event.time_ms());
        if time < oldest {
            return Outcome::TooLate;
        }
        match event {
            Event::Anns(event) => self.admit_announcements(event, time, oldest),
            Event::Share(event) => self.admit_share(event, time, oldest),
            Event::Block(event) => self.admit_block(event),
        }
    }

    fn admit_announcements(&mut self, event: &AnnsEvent, time: UnixMillis, oldest: UnixMillis) -> Outcome {
        let span = self.posts.span();
        // Slots are countable until 2106.
        let Some(slot) = span.slot_of(time) else { return Outcome::TooLate };
        if let Some((known_time, known)) = self.posts.find(event.event_id)
            && known_time >= oldest
        {
            let address = self.addresses.get(known.address);
            let same = (known_time, address, known.target, known.accepted, known.unsigned, known.content)
                == (time, event.pay_to, event.target, event.accepted, event.unsigned, content(event));
            return repeated(same);
        }
        if span.end(slot) <= self.closed_slots_end() {
            return Outcome::TooLate;
        }
        let address = self.addresses.add_event(event.pay_to);
        self.posts.insert(
            slot,
            Post {
                id: event.event_id,
                offset: span.offset(time),
                address,
                target: event.target,
                accepted: event.accepted,
                unsigned: event.unsigned,
                content: content(event),
            },
        );
        Outcome::Credited
    }

    fn admit_share(&mut self, event: &ShareEvent, time: UnixMillis, oldest: UnixMillis) -> Outcome {
        if let Some((known_time, known)) = self.shares.find(event.event_id)
            && known_time >= oldest
        {
            let address = self.addresses.get(known.address);
            let same = (known_time, address, known.target, known.won_block)
                == (time, event.pay_to, event.target, event.won_block);
            return repeated(same);
        }
        let address = self.addresses.add_event(event.pay_to);
        self.shares.insert(
            time,
            event.event_id,
            Share {
                address,
                target: event.target,
                won_block: event.won_block,
                encryptions: event.encryptions,
            },
        );
        Outcome::Credited
    }

    fn admit_block(&mut self, event: &BlockEvent) -> Outcome {
        match self.chain.report(ChainBlock::new(event)) {
            BlockNews::Changed => {
                self.posts.reconsider(UnixMillis(event.time_ms), UnixMillis(u64::MAX));
                Outcome::Credited
            }
            BlockNews::AnotherTime { differs: false } => Outcome::Noted,
            BlockNews::AnotherTime { differs: true } => Outcome::NotedWithOtherContent,
            BlockNews::Known { differs } => repeated(!differs),
        }
    }

    /// Slots that end here or before take no more events, if the configuration says so.
    fn closed_slots_end(&self) -> UnixMillis {
        match self.rules.slots_to_keep_events {
            Some(slots) => self.newest_slot_end.minus(slots.saturating_mul(self.rules.slot_span_ms)),
            None => UnixMillis(0),
        }
    }

    /// Takes in a whole segment, which holds events that were admitted before; gives the uploads they are from.
    /// [`finish_restoring`](Self::finish_restoring) must follow the last segment.
    pub(crate) fn restore(&mut self, segment: &[u8]) -> Restored {
        let mut restored = Restored::default();
        let records: Vec<Record> = segment::records(segment).collect();
        let mut numbers = Vec::new();
        for record in &records {
            restored.uploads.push((record.upload, record.accepted_at));
            numbers.extend(record.addresses.iter().map(|text| self.addresses.number_of_text(text)));
            for block in &record.blocks {
                self.chain.report(ChainBlock::new(block));
                restored.saw(UnixMillis(block.time_ms));
            }
            for share in &record.shares {
                self.restore_share(share, &numbers);
                restored.saw(share.time);
            }
        }
        let (span, addresses) = (self.posts.span(), &mut self.addresses);
        self.posts.append(records.iter().flat_map(Record::posts).filter_map(|post| {
            restored.saw(post.time);
            let address = numbers.get(post.address as usize).copied().flatten()?;
            addresses.add_event_of(address);
            Some((
                span.slot_of(post.time)?,
                Post {
                    id: post.id,
                    offset: span.offset(post.time),
                    address,
                    target: post.target,
                    accepted: post.accepted,
                    unsigned: post.unsigned,
                    content: post.content,
                },
            ))
        }));
        restored
    }

    /// Everything has been restored; `newest` is the newest event of all segments.
    pub(crate) fn finish_restoring(&mut self, newest: Option<UnixMillis>) {
        self.close_batch(newest);
        self.posts.index_all();
    }

    fn restore_share(&mut self, share: &RecordedShare, numbers: &[Option<AddressNumber>]) {
        if let Some(address) = numbers.get(share.address as usize).copied().flatten() {
            self.addresses.add_event_of(address);
            self.shares.insert(
                share.time,
                share.id,
                Share {
                    address,
                    target: share.target,
                    won_block: share.won_block,
                    encryptions: share.encryptions,
                },
            );
        }
    }

    /// The limits move only between uploads, so the order of lines does not matter.
    pub(crate) fn close_batch(&mut self, newest: Option<UnixMillis>) {
        let Some(newest) = newest else { return };
        self.newest_event = self.newest_event.max(Some(newest));
        let everything = Period { oldest: UnixMillis(0), newest: UnixMillis(u64::MAX) };
        if let Some(slot) = self.posts.slots(everything).next() {
            self.newest_slot_end = self.newest_slot_end.max(self.posts.span().end(slot));
        }
        let oldest = self.oldest_wanted();
        self.posts.forget_before(oldest, &mut self.addresses);
        self.shares.forget_before(oldest, &mut self.addresses);
        if let Some(until) = self.chain.forget_before(oldest) {
            self.posts.reconsider(UnixMillis(0), until);
        }
        self.changes += 1;
    }

    /// An address that an event names, from its text.
    pub fn known_address(&self, text: &str) -> Option<PktAddress> {
        self.addresses.known(text)
    }
}

fn repeated(same: bool) -> Outcome {
    if same { Outcome::Repeated } else { Outcome::RepeatedWithOtherContent }
}

pub(crate) fn content(event: &AnnsEvent) -> u32 {
    event.total_length >> CONTENT_SHIFT
}
