//! The 48 bytes in the coinbase that commit to a set of announcements, and their place there.
//!
//! Rules: `docs/protocol/packetcrypt-blocks.md` 2 and 3.6.

use std::fmt;

use crate::target::{CanonicalTarget, CompactTarget, TargetFault};

use super::transaction::{Transaction, TransactionFault};

/// Bytes of a commitment.
pub const COMMITMENT_SIZE: usize = 48;

/// The first bytes of every commitment (u32 0x0211f909).
pub const MAGIC: [u8; 4] = [0x09, 0xf9, 0x11, 0x02];

/// OP_RETURN and a push of 48 bytes, with which the script of a commitment output starts.
const SCRIPT_START: [u8; 2] = [0x6a, 0x30];

/// The script of a commitment that has not been filled in: OP_RETURN, push of 48, magic, and 44 times `fc`.
pub const PLACEHOLDER: [u8; SCRIPT_START.len() + COMMITMENT_SIZE] = {
    let mut script = [0xfc; SCRIPT_START.len() + COMMITMENT_SIZE];
    script[0] = SCRIPT_START[0];
    script[1] = SCRIPT_START[1];
    let mut index = 0;
    while index < MAGIC.len() {
        script[SCRIPT_START.len() + index] = MAGIC[index];
        index += 1;
    }
    script
};

/// Root of the announcement tree: one hash above its top node.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeRoot(pub [u8; 32]);

impl fmt::Debug for TreeRoot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TreeRoot({})", hex::encode(self.0))
    }
}

/// How many announcements a tree has: at least 1, less than 2^63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnnouncementCount(u64);

impl AnnouncementCount {
    /// `None` for 0, and for 2^63 and more.
    pub const fn new(count: u64) -> Option<Self> {
        if count == 0 || count >= 1 << 63 { None } else { Some(Self(count)) }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The index that a random number selects.
    pub const fn index_of(self, number: u64) -> u64 {
        number % self.0
    }
}

/// Why 48 bytes are no commitment that we accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitmentFault {
    /// It does not start with `09f91102`.
    #[error("a commitment starts with 09f91102, this one with {}", hex::encode(.0))]
    WrongMagic([u8; 4]),
    /// The least work is no usable target, or not in its canonical form (pitfall 9.1).
    #[error("least work of the commitment: {0}")]
    LeastWork(TargetFault),
    /// Count 0, or 2^63 and more.
    #[error("a commitment counts at least 1 and less than 2^63 announcements, this one {0}")]
    Count(u64),
}

/// What a block miner promises about its set of announcements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commitment {
    /// The target of the worst announcement in the set, after aging.
    pub least_work: CanonicalTarget,
    /// Root of the tree over the set.
    pub root: TreeRoot,
    /// How many announcements the tree has.
    pub count: AnnouncementCount,
}

impl Commitment {
    /// Reads and checks a commitment.
    pub fn from_bytes(bytes: &[u8; COMMITMENT_SIZE]) -> Result<Self, CommitmentFault> {
        let [magic, least_work] =
            [0, 4].map(|offset| [bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]]);
        if magic != MAGIC {
            return Err(CommitmentFault::WrongMagic(magic));
        }
        let least_work = CompactTarget(u32::from_le_bytes(least_work));
        let least_work = CanonicalTarget::try_from(least_work).map_err(CommitmentFault::LeastWork)?;
        let (mut root, mut count) = ([0; 32], [0; 8]);
        root.copy_from_slice(&bytes[8..40]);
        count.copy_from_slice(&bytes[40..]);
        let count = u64::from_le_bytes(count);
        let count = AnnouncementCount::new(count).ok_or(CommitmentFault::Count(count))?;
        Ok(Self { least_work, root: TreeRoot(root), count })
    }

    /// The bytes as they stand in the coinbase.
    pub fn to_bytes(&self) -> [u8; COMMITMENT_SIZE] {
        let mut bytes = [0; COMMITMENT_SIZE];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.least_work.compact().0.to_le_bytes());
        bytes[8..40].copy_from_slice(&self.root.0);
        bytes[40..].copy_from_slice(&self.count.get().to_le_bytes());
        bytes
    }

    /// Writes the commitment over the placeholder of a serialised coinbase, with or without witness.
    ///
    /// `None`, and nothing is changed, where there is no placeholder. No other byte moves.
    pub fn place_into(&self, coinbase: &mut [u8]) -> Option<()> {
        let start = find_placeholder(coinbase)? + SCRIPT_START.len();
        coinbase.get_mut(start..start + COMMITMENT_SIZE)?.copy_from_slice(&self.to_bytes());
        Some(())
    }
}

/// Offset of the first placeholder script in a serialised coinbase.
pub fn find_placeholder(coinbase: &[u8]) -> Option<usize> {
    coinbase.windows(PLACEHOLDER.len()).position(|window| window == PLACEHOLDER)
}

/// Why no commitment was found in a coinbase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindCommitmentFault {
    /// The coinbase is no transaction.
    #[error("coinbase: {0}")]
    Coinbase(#[from] TransactionFault),
    /// No output carries one.
    #[error("missing packetcrypt commitment: no output script of the coinbase starts with 6a3009f91102")]
    Missing,
}

/// The commitment bytes that the chain finds in a coinbase: in the first output whose script begins with
/// `6a 30 09f91102` and is longer than that. What a shorter script lacks is zero; more is ignored; the value of
/// the output does not matter.
pub fn find_in(coinbase: &Transaction<'_>) -> Result<[u8; COMMITMENT_SIZE], FindCommitmentFault> {
    let start = [SCRIPT_START.as_slice(), &MAGIC].concat();
    let script = coinbase
        .outputs
        .iter()
        .map(|output| output.script)
        .find(|script| script.len() > start.len() && script.starts_with(&start))
        .ok_or(FindCommitmentFault::Missing)?;
    let mut bytes = [0; COMMITMENT_SIZE];
    let payload = script.get(SCRIPT_START.len()..).unwrap_or_default();
    for (to, from) in bytes.iter_mut().zip(payload) {
        *to = *from;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::transaction::Output;
    use super::*;

    fn commitment() -> Commitment {
        Commitment {
            least_work: CanonicalTarget::EASIEST,
            root: TreeRoot([7; 32]),
            count: AnnouncementCount::new(4097).unwrap(),
        }
    }

    fn coinbase<'a>(scripts: &[&'a [u8]]) -> Transaction<'a> {
        let mut coinbase = Transaction::default();
        coinbase.outputs.extend(scripts.iter().map(|script| Output { value: 5, script }));
        coinbase
    }

    #[test]
    fn a_commitment_survives_the_round_trip() {
        assert_eq!(Commitment::from_bytes(&commitment().to_bytes()), Ok(commitment()));
    }

    #[test]
    fn pitfall_9_1_a_claimed_least_work_of_20000001_is_refused() {
        let mut bytes = commitment().to_bytes();
        bytes[4..8].copy_from_slice(&0x2000_0001u32.to_le_bytes());
        let fault = Commitment::from_bytes(&bytes).unwrap_err();
        assert!(matches!(fault, CommitmentFault::LeastWork(TargetFault::NotCanonical { .. })), "{fault}");
    }

    #[test]
    fn pitfall_9_4_count_zero_and_absurd_counts_are_refused() {
        for count in [0, 1 << 63, u64::MAX] {
            let mut bytes = commitment().to_bytes();
            bytes[40..].copy_from_slice(&count.to_le_bytes());
            assert_eq!(Commitment::from_bytes(&bytes), Err(CommitmentFault::Count(count)));
        }
    }

    #[test]
    fn pitfall_9_14_the_pattern_is_found_wherever_it_stands() {
        for before in [0, 2, 63] {
            let mut coinbase = vec![0x6a; before];
            coinbase.extend(PLACEHOLDER);
            coinbase.extend([0; 4]);
            let length = coinbase.len();
            commitment().place_into(&mut coinbase).unwrap();
            assert_eq!(coinbase.len(), length);
            assert_eq!(coinbase[before + 2..before + 50], commitment().to_bytes());
            assert_eq!(commitment().place_into(&mut coinbase), None, "the pattern is gone");
        }
    }

    #[test]
    fn the_chain_takes_the_first_output_that_begins_like_one() {
        let (short, other_push) =
            ([&[0x6a, 0x30][..], &MAGIC, &[1]].concat(), [0x6a, 0x4c, 0x30, 9, 0xf9, 0x11, 2]);
        let long = [&[0x6a, 0x30][..], &commitment().to_bytes(), &[9, 9]].concat();
        let bare = [&[0x6a, 0x30][..], &MAGIC].concat();
        assert_eq!(find_in(&coinbase(&[&other_push, &bare, &long])), Ok(commitment().to_bytes()));
        let padded = find_in(&coinbase(&[&short, &long])).unwrap();
        assert_eq!((&padded[..5], &padded[5..]), (&[9, 0xf9, 0x11, 2, 1][..], &[0; 43][..]));
        assert_eq!(find_in(&coinbase(&[&bare])), Err(FindCommitmentFault::Missing));
    }
}
