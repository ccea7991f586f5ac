//! Accepted events in a compact form, so that a ledger starts without reading its uploads again.
//!
//! A segment is a file of records, one for each upload, in the order of acceptance. A record holds the upload's id,
//! when it was accepted, the addresses that this segment has not named before, and the events that were credited.
//! Segments are only a shortcut: they are not synced, a torn or damaged end is cut off, and what is missing is read
//! from the uploads.
//!
//! All integers are little-endian. File: [`MAGIC`], records. Record: length of the rest (u32), CRC-32 of the
//! payload (u32), payload.

use packetcrypt::{BlockHash, CompactTarget, Height};
use wire::event::{AnnsEvent, BlockEvent, ShareEvent};
use wire::{Event, EventId, PktAddress};

use hashbrown::HashMap;

use crate::UnixMillis;
use crate::state::content;

/// First bytes of a segment: name and version of the form.
pub(crate) const MAGIC: &[u8; 16] = b"headframe-seg-1\n";

/// Bytes of an announcement event in a record.
const POST_LENGTH: usize = 44;

/// Makes records, and knows which addresses the segment has named.
#[derive(Debug, Default)]
pub(crate) struct SegmentEncoder {
    addresses: HashMap<PktAddress, u32>,
}

/// One record, taken apart as far as is needed to go through it once.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) upload: EventId,
    pub(crate) accepted_at: UnixMillis,
    /// They follow those of the earlier records; events name addresses by position.
    pub(crate) addresses: Vec<&'a str>,
    posts: &'a [u8],
    pub(crate) shares: Vec<RecordedShare>,
    pub(crate) blocks: Vec<BlockEvent>,
}

/// An announcement event in a record; its address by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordedPost {
    pub(crate) time: UnixMillis,
    pub(crate) id: EventId,
    pub(crate) address: u32,
    pub(crate) target: CompactTarget,
    pub(crate) accepted: u32,
    pub(crate) unsigned: u32,
    pub(crate) content: u32,
}

/// A share in a record; its address by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordedShare {
    pub(crate) time: UnixMillis,
    pub(crate) id: EventId,
    pub(crate) address: u32,
    pub(crate) target: CompactTarget,
    pub(crate) encryptions: u128,
    pub(crate) won_block: Option<BlockHash>,
}

impl SegmentEncoder {
    /// The record of an upload, ready to be appended.
    pub(crate) fn encode(&mut self, upload: EventId, accepted_at: UnixMillis, events: &[Event]) -> Vec<u8> {
        let mut named = Vec::new();
        let (mut posts, mut shares, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
        let mut counts = [0u32; 3];
        for event in events {
            match event {
                Event::Anns(event) => {
                    counts[0] += 1;
                    put_post(&mut posts, event, self.number(event.pay_to, &mut named));
                }
                Event::Share(event) => {
                    counts[1] += 1;
                    put_share(&mut shares, event, self.number(event.pay_to, &mut named));
                }
                Event::Block(event) => {
                    counts[2] += 1;
                    put_block(&mut blocks, event);
                }
            }
        }
        let mut payload =
            Vec::with_capacity(64 + 64 * named.len() + posts.len() + shares.len() + blocks.len());
        payload.extend(upload.as_bytes());
        payload.extend(accepted_at.0.to_le_bytes());
        payload.extend((named.len() as u32).to_le_bytes());
        for address in &named {
            put_text(&mut payload, &address.to_string());
        }
        for (count, events) in counts.iter().zip([posts, shares, blocks]) {
            payload.extend(count.to_le_bytes());
            payload.extend(events);
        }
        let mut record = Vec::with_capacity(payload.len() + 8);
        record.extend((payload.len() as u32).to_le_bytes());
        record.extend(crc32fast::hash(&payload).to_le_bytes());
        record.extend(payload);
        record
    }

    fn number(&mut self, address: PktAddress, named: &mut Vec<PktAddress>) -> u32 {
        let next = self.addresses.len() as u32;
        *self.addresses.entry(address).or_insert_with(|| {
            named.push(address);
            next
        })
    }
}

/// The records of a segment, up to its end or to the first damage.
pub(crate) fn records(segment: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut reader = Reader(segment.strip_prefix(MAGIC).unwrap_or_default());
    std::iter::from_fn(move || {
        let length = reader.u32()?;
        let checksum = reader.u32()?;
        let payload = reader.bytes(length as usize)?;
        (crc32fast::hash(payload) == checksum).then(|| Record::decode(payload)).flatten()
    })
    .fuse()
}

impl<'a> Record<'a> {
    fn decode(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(payload);
        let upload = reader.event_id()?;
        let accepted_at = reader.time()?;
        let addresses = reader.list(Reader::text)?;
        let post_count = reader.u32()? as usize;
        let posts = reader.bytes(post_count.checked_mul(POST_LENGTH)?)?;
        let shares = reader.list(Reader::share)?;
        let blocks = reader.list(Reader::block)?;
        reader.0.is_empty().then_some(Self { upload, accepted_at, addresses, posts, shares, blocks })
    }

    /// The announcement events, in order of acceptance.
    pub(crate) fn posts(&self) -> impl Iterator<Item = RecordedPost> + use<'a> {
        self.posts.chunks_exact(POST_LENGTH).filter_map(|post| Reader(post).post())
    }
}

fn put_post(to: &mut Vec<u8>, event: &AnnsEvent, address: u32) {
    to.extend(event.time_ms.to_le_bytes());
    to.extend(event.event_id.as_bytes());
    for number in [address, event.target.0, event.accepted, event.unsigned, content(event)] {
        to.extend(number.to_le_bytes());
    }
}

fn put_share(to: &mut Vec<u8>, event: &ShareEvent, address: u32) {
    to.extend(event.time_ms.to_le_bytes());
    to.extend(event.event_id.as_bytes());
    to.extend(address.to_le_bytes());
    to.extend(event.target.0.to_le_bytes());
    to.extend(event.encryptions.to_le_bytes());
    put_hash(to, event.won_block);
}

fn put_block(to: &mut Vec<u8>, event: &BlockEvent) {
    to.extend(event.time_ms.to_le_bytes());
    to.extend(event.event_id.as_bytes());
    to.extend(event.height.0.to_le_bytes());
    put_text(to, &event.difficulty.to_string());
    put_hash(to, event.hash);
}

/// A text of at most 255 bytes, which addresses and decimal numbers are.
fn put_text(to: &mut Vec<u8>, text: &str) {
    to.push(text.len() as u8);
    to.extend(text.as_bytes());
}

fn put_hash(to: &mut Vec<u8>, hash: Option<BlockHash>) {
    to.push(u8::from(hash.is_some()));
    to.extend(hash.unwrap_or_default().as_internal());
}

/// Reads from the front; `None` where the bytes end or mean nothing.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn time(&mut self) -> Option<UnixMillis> {
        self.array().map(u64::from_le_bytes).map(UnixMillis)
    }

    fn event_id(&mut self) -> Option<EventId> {
        self.array().map(EventId::from_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let [length] = self.array()?;
        str::from_utf8(self.bytes(usize::from(length))?).ok()
    }

    /// Whether there is a hash, and which.
    fn hash(&mut self) -> Option<(bool, BlockHash)> {
        let [is_there] = self.array()?;
        Some((is_there == 1, BlockHash::from_internal(self.array()?)))
    }

    /// A count and so many items. Nothing is reserved by the count: it may be damaged.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()?;
        (0..count).map(|_| item(self)).collect()
    }

    fn post(&mut self) -> Option<RecordedPost> {
        Some(RecordedPost {
            time: self.time()?,
            id: self.event_id()?,
            address: self.u32()?,
            target: CompactTarget(self.u32()?),
            accepted: self.u32()?,
            unsigned: self.u32()?,
            content: self.u32()?,
        })
    }

    fn share(&mut self) -> Option<RecordedShare> {
        Some(RecordedShare {
            time: self.time()?,
            id: self.event_id()?,
            address: self.u32()?,
            target: CompactTarget(self.u32()?),
            encryptions: self.array().map(u128::from_le_bytes)?,
            won_block: self.hash().map(|(is_there, hash)| is_there.then_some(hash))?,
        })
    }

    fn block(&mut self) -> Option<BlockEvent> {
        Some(BlockEvent {
            time_ms: self.time()?.0,
            event_id: self.event_id()?,
            height: Height(self.u32()?),
            difficulty: self.text()?.parse().ok()?,
            hash: self.hash().map(|(is_there, hash)| is_there.then_some(hash))?,
        })
    }
}
