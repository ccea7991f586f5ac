//! Recorded chains and shares, from the vectors of this project.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use packetcrypt::{BlockHash, CompactTarget, Height};
use serde_json::Value;
use wire::block_info::{BlockInfo, BlockInfoHeader};
use wire::work::WorkFile;

fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors")
}

/// A file of the vectors.
pub(super) fn read(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(vectors().join(path)).unwrap()).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn block_hash(value: &Value) -> BlockHash {
    BlockHash::from_display_hex(value.as_str().unwrap()).unwrap()
}

/// What a Master knows at one moment.
#[derive(Clone)]
pub(in super::super) struct Chain {
    pub work: Vec<u8>,
    pub template: Vec<u8>,
    /// Newest first.
    pub blocks: Vec<Arc<BlockInfo>>,
}

impl Chain {
    /// Seconds in the header of every block here.
    pub(super) const TIME: u64 = 1_700_000_000;

    /// The chain that the requests in `pool/blkhandler` are for.
    pub(super) fn of_submit_cases() -> Self {
        let file = |name: &str| std::fs::read(vectors().join("pool/master").join(name)).unwrap();
        let work = file("work_67.bin");
        let below = WorkFile::parse(&file("work_65.bin")).unwrap().header.previous;
        Self::new(work, file("bt_67.bin"), &[(64, below)])
    }

    /// The work that several recorded shares are for.
    pub(in super::super) fn at_114926() -> Self {
        Self::of_recorded_block("blocks-real/pool-114926.json", &[])
    }

    /// The work that came after it.
    pub(super) fn at_114927() -> Self {
        let tip_before = WorkFile::parse(&Self::at_114926().work).unwrap().header.previous;
        Self::of_recorded_block("blocks-real/pool-114927.json", &[(114_925, tip_before)])
    }

    fn of_recorded_block(path: &str, known: &[(u32, BlockHash)]) -> Self {
        let block = read(path);
        let parent = &block["announcements"][0];
        let height = parent["parent_height"].as_u64().unwrap() as u32;
        let hash = block_hash(&parent["parent_hash"]);
        let known = [known, &[(height, hash)]].concat();
        Self::new(unhex(&block["work_file"]), unhex(&block["template_file"]), &known)
    }

    /// A chain up to the work's previous block, with some blocks known by their hash and the others made up.
    fn new(work: Vec<u8>, template: Vec<u8>, known: &[(u32, BlockHash)]) -> Self {
        let parsed = WorkFile::parse(&work).unwrap();
        let tip = parsed.height.0 - 1;
        let hash = |height: u32| {
            let known = known.iter().find(|(known, _)| *known == height).map(|(_, hash)| *hash);
            if height == tip { parsed.header.previous } else { known.unwrap_or_else(|| made_up(height)) }
        };
        let blocks =
            (tip - 6..=tip).rev().map(|height| block(height, hash(height), hash(height - 1))).collect();
        Self { work, template, blocks }
    }

    pub(super) fn height(&self) -> Height {
        WorkFile::parse(&self.work).unwrap().height
    }

    /// The Master does not know blocks below a height. Gives the hash of the newest one forgotten.
    pub(super) fn forget_below(&mut self, height: Height) -> BlockHash {
        self.blocks.retain(|block| block.header.height >= height);
        self.blocks.last().unwrap().header.previous_block_hash
    }

    /// The same chain with more blocks, and work on top of them that nobody has shares for.
    pub(super) fn grown_by(mut self, more: u32) -> Self {
        let mut work = WorkFile::parse(&self.work).unwrap();
        for _ in 0..more {
            let below = &self.blocks[0].header;
            let height = below.height.0 + 1;
            self.blocks.insert(0, block(height, made_up(height), below.hash));
        }
        work.height = Height(work.height.0 + more);
        work.header.previous = self.blocks[0].header.hash;
        self.work = work.to_bytes();
        self
    }
}

fn made_up(height: u32) -> BlockHash {
    let mut bytes = [0x99; 32];
    bytes[..4].copy_from_slice(&height.to_le_bytes());
    BlockHash::from_internal(bytes)
}

fn block(height: u32, hash: BlockHash, previous_block_hash: BlockHash) -> Arc<BlockInfo> {
    let header = BlockInfoHeader {
        hash,
        height: Height(height),
        version: 1,
        version_hex: 1,
        merkle_root: BlockHash::default(),
        time: Chain::TIME as u32,
        nonce: 0,
        bits: CompactTarget::EASIEST,
        difficulty: "1.5".parse().unwrap(),
        previous_block_hash,
    };
    Arc::new(BlockInfo { header, signing_key: None })
}

/// A recorded request to the reference handler, and what that answered.
pub(super) struct SubmitCase {
    pub name: String,
    pub body: String,
    request: Value,
    upload: Vec<u8>,
}

/// The requests in a file of `pool/blkhandler`.
pub(super) fn submit_cases(file: &str) -> Vec<SubmitCase> {
    let folder = vectors().join("pool/blkhandler");
    let cases = read(&format!("pool/blkhandler/{file}"));
    let case = |case: &Value| {
        let request = case["request"].clone();
        let upload = match request["body_file"].as_str() {
            Some(name) => std::fs::read(folder.join("body").join(name)).unwrap(),
            None => vec![b'x'; request["body_bytes"].as_u64().unwrap() as usize],
        };
        SubmitCase {
            name: case["name"].as_str().unwrap().to_owned(),
            body: case["response"]["body"].as_str().unwrap_or_default().to_owned(),
            request,
            upload,
        }
    };
    cases.as_array().unwrap().iter().map(case).collect()
}

impl SubmitCase {
    pub(super) fn request(&self) -> Request {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut request = Request::builder()
            .method(text(&self.request["method"]).as_str())
            .uri(text(&self.request["path"]));
        for (name, value) in self.request["headers"].as_object().unwrap() {
            request = request.header(name, text(value));
        }
        request.body(Body::from(self.upload.clone())).unwrap()
    }
}

/// A recorded share.
#[derive(Clone)]
pub(super) struct Post {
    path: String,
    pay_to: String,
    body: String,
}

impl Post {
    /// One that is no block.
    pub(super) fn ordinary() -> Self {
        Self::of("blocks-real/share-ok-0.json")
    }

    /// One that is a block.
    pub(super) fn winning() -> Self {
        Self::of("blocks-real/pool-114926.json")
    }

    /// One of the work that came after.
    pub(super) fn winning_at_114927() -> Self {
        Self::of("blocks-real/pool-114927.json")
    }

    /// Another one of that.
    pub(super) fn also_winning_at_114927() -> Self {
        Self::of("blocks-real/share-ok-2.json")
    }

    fn of(path: &str) -> Self {
        let post = &read(path)["share_post"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            path: "/submit".to_owned(),
            pay_to: text(&post["headers"]["x-pc-payto"]),
            body: text(&post["body"]),
        }
    }

    pub(super) fn at(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    pub(super) fn pay_to(self, address: &str) -> Self {
        Self { pay_to: address.to_owned(), ..self }
    }

    /// With another least work in the commitment, as it stands in the hexadecimal text.
    pub(super) fn with_least_work(mut self, digits: &str) -> Self {
        let start = self.body.find("09f91102").unwrap() + 8;
        self.body.replace_range(start..start + 8, digits);
        self
    }

    pub(super) fn request(&self) -> Request {
        Request::builder()
            .method("POST")
            .uri(self.path.as_str())
            .header("x-pc-payto", self.pay_to.as_str())
            .header("x-pc-sver", "1")
            .body(Body::from(self.body.clone()))
            .unwrap()
    }
}
