//! `work_<n>.bin`: everything that a block miner needs to mine height *n*
//! (`docs/protocol/packetcrypt-pool.md` 3.2).

use packetcrypt::{
    BlockHash, CompactTarget, Height, SigningKey,
    block::{
        Commitment, Header, MerkleRoot,
        header::{HEADER_SIZE, double_sha256},
    },
};

use byte_reader::ByteReader;

use crate::FormatError;

/// The largest work file that is read.
pub const LIMIT: usize = 4 << 20;

const DOCUMENT: &str = "work file";

/// Work that a pool hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkFile {
    /// Header of the node's template, with the root of the unfilled commitment and nonce 0.
    pub header: Header,
    /// The public key for announcements whose parent is the block before.
    pub signing_key: Option<SigningKey>,
    /// What a share must meet.
    pub share_target: CompactTarget,
    /// The easiest announcement target that the pool takes.
    pub ann_target: CompactTarget,
    /// Height of the block to be mined.
    pub height: Height,
    /// The coinbase in the encoding without witness. Empty in work of old heights that only tells a hash.
    pub coinbase: Vec<u8>,
    /// Merkle branch of the coinbase, lowest level first, in internal order.
    pub branch: Vec<[u8; 32]>,
}

/// What makes work the same work (rule R-M2): the height alone does not, after a reorganisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkId {
    /// Height of the block to be mined.
    pub height: Height,
    /// The block below it.
    pub previous: BlockHash,
}

/// A commitment cannot be placed: the coinbase has no pattern for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the coinbase of the work has no place for a commitment")]
pub struct NoPlaceForCommitment;

/// A block height: an `i32` that is not negative.
fn height(reader: &mut ByteReader<'_>) -> Result<Height, FormatError> {
    let start = reader.offset();
    let height = reader.u32_le("height")?;
    if i32::try_from(height).is_err() {
        return Err(reader
            .error_at(start, "height", "a height from 0 to 2147483647", height.to_string())
            .into());
    }
    Ok(Height(height))
}

impl WorkFile {
    /// Reads a work file.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        FormatError::check_length(DOCUMENT, bytes.len(), LIMIT)?;
        let mut reader = ByteReader::new(DOCUMENT, bytes);
        let header = Header::from_bytes(&reader.array::<HEADER_SIZE>("block header")?);
        let signing_key = SigningKey::new(reader.array("signing key")?);
        let share_target = CompactTarget(reader.u32_le("share target")?);
        let ann_target = CompactTarget(reader.u32_le("announcement target")?);
        let height = height(&mut reader)?;
        let length = reader.u32_le("coinbase length")?;
        let coinbase = reader.take("coinbase", length as usize)?.to_vec();
        let branch = match reader.rest().as_chunks() {
            (hashes, []) => hashes.to_vec(),
            (_, rest) => {
                let found = format!("{} bytes behind the last one", rest.len());
                return Err(reader.error("merkle branch", "hashes of 32 bytes", found).into());
            }
        };
        Ok(Self { header, signing_key, share_target, ann_target, height, coinbase, branch })
    }

    /// The bytes to serve.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.to_bytes().to_vec();
        bytes.extend(self.signing_key.map_or([0; 32], |key| *key.as_bytes()));
        bytes.extend(self.share_target.0.to_le_bytes());
        bytes.extend(self.ann_target.0.to_le_bytes());
        bytes.extend(self.height.0.to_le_bytes());
        bytes.extend((self.coinbase.len() as u32).to_le_bytes());
        bytes.extend(&self.coinbase);
        self.branch.iter().for_each(|hash| bytes.extend(hash));
        bytes
    }

    /// What makes this the same work as another.
    pub fn id(&self) -> WorkId {
        WorkId { height: self.height, previous: self.header.previous }
    }

    /// The root that the header should have with the coinbase as it is.
    pub fn merkle_root(&self) -> MerkleRoot {
        MerkleRoot::of_coinbase(double_sha256(&[&self.coinbase]), &self.branch)
    }

    /// The coinbase with a commitment in its place, and the header that goes with it, nonce 0.
    pub fn committed(&self, commitment: &Commitment) -> Result<(Vec<u8>, Header), NoPlaceForCommitment> {
        let mut coinbase = self.coinbase.clone();
        commitment.place_into(&mut coinbase).ok_or(NoPlaceForCommitment)?;
        let merkle_root = MerkleRoot::of_coinbase(double_sha256(&[&coinbase]), &self.branch);
        Ok((coinbase, Header { merkle_root, nonce: 0, ..self.header }))
    }
}

/// The end of the path that the work for `height` is served under.
pub fn file_name(height: Height) -> String {
    format!("work_{height}.bin")
}

/// The height in the name of a work file; `None` if the name is no work file's.
pub fn parse_file_name(name: &str) -> Option<Height> {
    height_in_name(name, "work_")
}

/// The height between a prefix and `.bin`: at most ten digits, leading zeros allowed as in the reference.
pub(crate) fn height_in_name(name: &str, prefix: &str) -> Option<Height> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(".bin")?;
    if digits.len() > 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let height = digits.parse::<i32>().ok()?;
    u32::try_from(height).ok().map(Height)
}

#[cfg(test)]
mod tests {
    use packetcrypt::block::commitment::PLACEHOLDER;
    use packetcrypt::block::{AnnouncementCount, TreeRoot};
    use packetcrypt::{CanonicalTarget, block::commitment};
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    fn work_file() -> impl Strategy<Value = WorkFile> {
        let lists =
            (prop::collection::vec(any::<u8>(), 0..200), prop::collection::vec(any::<[u8; 32]>(), 0..4));
        let key = any::<[u8; 32]>();
        (arbitrary::header(), key, any::<[u32; 2]>(), arbitrary::height(), lists).prop_map(
            |(header, key, targets, height, (coinbase, branch))| WorkFile {
                header,
                signing_key: SigningKey::new(key),
                share_target: CompactTarget(targets[0]),
                ann_target: CompactTarget(targets[1]),
                height,
                coinbase,
                branch,
            },
        )
    }

    fn sample() -> WorkFile {
        WorkFile {
            header: Header::from_bytes(&[1; HEADER_SIZE]),
            signing_key: None,
            share_target: CompactTarget(0x1f01_fffe),
            ann_target: CompactTarget(0x2020_0000),
            height: Height(67),
            coinbase: [&[5; 9], &PLACEHOLDER[..], &[6; 4]].concat(),
            branch: vec![[7; 32], [8; 32]],
        }
    }

    #[test]
    fn a_fault_is_said_with_its_field_and_place() {
        let bytes = sample().to_bytes();
        let fault = |bytes: &[u8]| WorkFile::parse(bytes).unwrap_err().to_string();
        assert_eq!(fault(&bytes[..90]), "work file, byte 80: signing key: expected 32 bytes, found 10");
        assert_eq!(fault(&bytes[..130]), "work file, byte 128: coinbase: expected 63 bytes, found 2");
        assert_eq!(
            fault(&bytes[..bytes.len() - 1]),
            "work file, byte 191: merkle branch: expected hashes of 32 bytes, found 31 bytes behind the last one"
        );
        let mut negative = bytes;
        negative[123] = 0x80;
        assert!(fault(&negative).starts_with("work file, byte 120: height: expected a height from 0"));
    }

    #[test]
    fn a_commitment_changes_the_coinbase_and_the_root_only() {
        let commitment = Commitment {
            least_work: CanonicalTarget::EASIEST,
            root: TreeRoot([3; 32]),
            count: AnnouncementCount::new(4097).unwrap(),
        };
        let work = sample();
        let (coinbase, header) = work.committed(&commitment).unwrap();
        assert_eq!(coinbase[11..59], commitment.to_bytes());
        assert_eq!(commitment::find_placeholder(&coinbase), None);
        let filled = WorkFile { coinbase, ..work.clone() };
        assert_eq!(header, Header { merkle_root: filled.merkle_root(), nonce: 0, ..work.header });
        assert_eq!(filled.committed(&commitment), Err(NoPlaceForCommitment));
    }

    #[test]
    fn names_hold_heights_that_exist() {
        for (name, height) in [
            ("work_67.bin", Some(67)),
            ("work_068.bin", Some(68)),
            ("work_2147483647.bin", Some(2_147_483_647)),
            ("work_2147483648.bin", None),
            ("work_00000000067.bin", None),
            ("work_999999999999999999999.bin", None),
            ("work_-1.bin", None),
            ("work_.bin", None),
            ("work_67", None),
            ("bt_67.bin", None),
        ] {
            assert_eq!(parse_file_name(name), height.map(Height), "{name}");
        }
        assert_eq!(file_name(Height(67)), "work_67.bin");
    }

    proptest! {
        #[test]
        fn round_trip(work in work_file()) {
            prop_assert_eq!(WorkFile::parse(&work.to_bytes()), Ok(work));
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400), name: String) {
            let _ = WorkFile::parse(&bytes);
            let _ = parse_file_name(&name);
        }
    }
}
