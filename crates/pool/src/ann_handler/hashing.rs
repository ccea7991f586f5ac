//! BLAKE2b-256 of many messages at once: announcements of a post, and the bodies of several posts.
//!
//! The vector units hash four messages in little more than the time of one; on the way of announcements whose proof
//! of work is not checked, hashing is most of the work.

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, MAX_DEGREE, hash_many};
use wire::EventId;

fn params() -> Params {
    let mut params = Params::new();
    params.hash_length(32);
    params
}

/// The first eight bytes of each announcement's hash, as a little-endian number.
pub(super) fn prefixes(announcements: &[[u8; 1024]]) -> Vec<u64> {
    let params = params();
    let mut prefixes = Vec::with_capacity(announcements.len());
    let mut jobs = Vec::with_capacity(MAX_DEGREE);
    for group in announcements.chunks(MAX_DEGREE) {
        jobs.clear();
        jobs.extend(group.iter().map(|announcement| HashManyJob::new(&params, announcement)));
        hash_many(jobs.iter_mut());
        prefixes.extend(jobs.iter().map(|job| {
            job.to_hash().as_bytes().first_chunk().map_or(0, |prefix| u64::from_le_bytes(*prefix))
        }));
    }
    prefixes
}

/// The event id of each body.
pub(super) fn event_ids<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> Vec<EventId> {
    let params = params();
    let mut jobs: Vec<_> = bodies.map(|body| HashManyJob::new(&params, body)).collect();
    hash_many(jobs.iter_mut());
    jobs.iter().map(|job| event_id(job.to_hash().as_bytes())).collect()
}

fn event_id(hash: &[u8]) -> EventId {
    let mut half = [0; 16];
    half.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
    EventId::from_bytes(half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use packetcrypt::Announcement;

    #[test]
    fn many_at_once_are_the_same_as_one_by_one() {
        let announcements: Vec<[u8; 1024]> = (0..11).map(|number| [number; 1024]).collect();
        let one_by_one =
            announcements.iter().map(|bytes| Announcement::from_bytes(bytes).announcement_hash().prefix());
        assert_eq!(prefixes(&announcements), one_by_one.collect::<Vec<_>>());
        let bodies = [&b"a"[..], &[7; 5000], &[]];
        let expected = bodies.map(EventId::of_announcement_post);
        assert_eq!(event_ids(bodies.into_iter()), expected);
    }
}
