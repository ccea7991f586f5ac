//! BLAKE2b-256 of many messages at once: the announcements of a post, and the bodies of several posts.
//!
//! Vector units hash several messages in little more than the time of one; on the way of announcements whose proof
//! of work is not checked, hashing is most of the work.

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};
use packetcrypt::AnnouncementHash;
use packetcrypt::hash::{blake2b_256_many, blake2b_256_side_by_side};
use wire::EventId;

/// The first eight bytes of the hash of each announcement of a body, as little-endian numbers. They are made while
/// the body arrives: then the announcements are still in the processor's cache, which saves a third of the time.
#[derive(Debug, Default)]
pub(super) struct Prefixes(Vec<u64>);

impl Prefixes {
    /// Takes in what is new of the body, of which so much has come.
    pub(super) fn extend_to(&mut self, so_far: &[u8]) {
        let announcements: &[[u8; 1024]] = so_far.as_chunks().0.get(self.0.len()..).unwrap_or_default();
        // The rest when there is more of it: lanes are best full.
        self.extend(announcements.as_chunks::<WIDE>().0.as_flattened());
    }

    /// The prefixes of all announcements of the whole body.
    pub(super) fn of_whole(mut self, body: &[u8]) -> Vec<u64> {
        self.extend(body.as_chunks().0.get(self.0.len()..).unwrap_or_default());
        self.0
    }

    fn extend(&mut self, announcements: &[[u8; 1024]]) {
        let mut hashes = vec![[0; 32]; announcements.len()];
        blake2b_256_many(announcements, &mut hashes);
        self.0.extend(hashes.into_iter().map(|hash| AnnouncementHash(hash).prefix()));
    }
}

/// Bodies of one length from which on the lanes that hash announcements are the faster ones.
const WIDE_FROM: usize = 12;
/// Messages that they hash at once.
pub(super) const WIDE: usize = 16;

/// The event id of each body.
pub(super) fn event_ids(bodies: &[&[u8]]) -> Vec<EventId> {
    // A miner fills its posts, so most are of one length.
    let one_length = bodies.iter().all(|body| body.len() == bodies[0].len() && !body.is_empty());
    let groups = bodies.chunks(WIDE);
    let ids = groups
        .map(|bodies| if one_length && bodies.len() >= WIDE_FROM { wide(bodies) } else { narrow(bodies) });
    ids.flatten().collect()
}

/// Of bodies of one length.
fn wide(bodies: &[&[u8]]) -> Vec<EventId> {
    let mut hashes = vec![[0; 32]; bodies.len()];
    blake2b_256_side_by_side(bodies, &mut hashes);
    hashes.iter().map(|hash| first_half(hash)).collect()
}

/// Of few bodies, of whatever length: four side by side; the lanes would only slow down a single one.
fn narrow(bodies: &[&[u8]]) -> Vec<EventId> {
    if let [body] = bodies {
        return vec![EventId::of_announcement_post(body)];
    }
    let mut params = Params::new();
    params.hash_length(32);
    let mut jobs: Vec<_> = bodies.iter().map(|body| HashManyJob::new(&params, body)).collect();
    hash_many(jobs.iter_mut());
    jobs.iter().map(|job| first_half(job.to_hash().as_bytes())).collect()
}

fn first_half(hash: &[u8]) -> EventId {
    let mut half = [0; 16];
    half.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
    EventId::from_bytes(half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use packetcrypt::Announcement;

    #[test]
    fn a_body_may_come_in_any_parts() {
        let announcements: Vec<[u8; 1024]> = (0..40).map(|number| [number; 1024]).collect();
        let body = announcements.as_flattened();
        let one_by_one =
            announcements.iter().map(|bytes| Announcement::from_bytes(bytes).announcement_hash().prefix());
        let one_by_one: Vec<u64> = one_by_one.collect();
        for parts in [&[][..], &[0, 1000, 1024, 17_000, 17_001, 39_000], &[16 << 10, 40 << 10], &[40 << 10]] {
            let mut prefixes = Prefixes::default();
            for end in parts {
                prefixes.extend_to(&body[..*end]);
            }
            assert_eq!(prefixes.of_whole(body), one_by_one, "{parts:?}");
        }
        assert!(Prefixes::default().of_whole(&[1; 1023]).is_empty());
    }

    #[test]
    fn many_at_once_are_the_same_as_one_by_one() {
        let bodies = [&b"a"[..], &[7; 5000], &[]];
        let expected = bodies.map(EventId::of_announcement_post);
        assert_eq!(event_ids(&bodies), expected);
        assert_eq!(event_ids(&bodies[1..2]), expected[1..2]);
        assert_eq!(event_ids(&[]), []);
        let bodies: Vec<Vec<u8>> = (0..40).map(|number| vec![number; 3072]).collect();
        for count in [WIDE_FROM - 1, WIDE_FROM, WIDE, WIDE + 1, 2 * WIDE + WIDE_FROM] {
            let bodies: Vec<&[u8]> = bodies.iter().take(count).map(Vec::as_slice).collect();
            let one_by_one: Vec<_> = bodies.iter().map(|body| EventId::of_announcement_post(body)).collect();
            assert_eq!(event_ids(&bodies), one_by_one, "{count} bodies");
        }
    }
}
