//! A Master for measurements of handlers: documents of a chain that stands still, so that what was mined for it once
//! is good in every run.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use packetcrypt::block::{Header, MerkleRoot};
use packetcrypt::{BlockHash, CompactTarget, Height};
use wire::block_info::{BlockInfo, BlockInfoHeader};
use wire::pool_config::{self, PoolConfig};
use wire::work::{self, WorkFile};

use super::mined::WORK_BITS;

/// Blocks that are told about: as many as a handler can want.
const BLOCKS: u32 = 300;
/// Works that a handler of the reference looks at.
const WORKS: u32 = 16;
/// How long the next work is waited for.
const LONG_POLL: Duration = Duration::from_secs(20);

/// Serves documents by the last part of their paths. Its threads end with the program.
pub struct StandInMaster {
    address: SocketAddr,
    documents: Arc<Documents>,
}

#[derive(Default)]
struct Documents {
    by_name: Mutex<HashMap<String, Vec<u8>>>,
    changed: Condvar,
}

/// Where the handlers of a pool are.
#[derive(Debug, Clone, Default)]
pub struct HandlerUrls {
    /// Submit URLs of announcement handlers.
    pub ann: Vec<String>,
    /// Submit URLs of block handlers.
    pub blk: Vec<String>,
}

/// The block of a height on this chain.
pub fn block_hash(height: Height) -> BlockHash {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&height.0.to_le_bytes());
    bytes[4] = 0x5a;
    BlockHash::from_internal(bytes)
}

impl StandInMaster {
    /// Starts with `tip` as the newest block.
    pub fn start(tip: Height, urls: &HandlerUrls) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let master = Self { address: listener.local_addr()?, documents: Arc::default() };
        master.show(tip, urls);
        let documents = Arc::clone(&master.documents);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let documents = Arc::clone(&documents);
                // A client that breaks off ends its own thread only.
                thread::spawn(move || documents.serve(&stream));
            }
        });
        Ok(master)
    }

    /// The pool URL.
    pub fn url(&self) -> String {
        format!("http://{}/master", self.address)
    }

    /// Makes `tip` the newest block.
    pub fn show(&self, tip: Height, urls: &HandlerUrls) {
        for height in (0..BLOCKS).filter_map(|below| tip.checked_sub(below)) {
            self.put(BlockInfo::file_name(&block_hash(height)), block_info(height).to_json());
        }
        for height in (0..WORKS).filter_map(|below| Height(tip.0 + 1).checked_sub(below)) {
            self.put(work::file_name(height), work_on_nothing(height).to_bytes());
        }
        self.put("config.json", self.config(tip, urls).to_json());
    }

    /// Serves a document.
    pub fn put(&self, name: impl Into<String>, document: impl Into<Vec<u8>>) {
        self.documents.lock().insert(name.into(), document.into());
        self.documents.changed.notify_all();
    }

    fn config(&self, tip: Height, urls: &HandlerUrls) -> PoolConfig {
        PoolConfig {
            tip_hash: block_hash(tip),
            current_height: Height(tip.0 + 1),
            master_url: self.url(),
            submit_ann_urls: urls.ann.clone(),
            download_ann_urls: Vec::new(),
            submit_block_urls: urls.blk.clone(),
            // Nobody is there: events stay where they are.
            paymaker_url: "http://127.0.0.1:9".to_owned(),
            version: pool_config::VERSION,
            soft_version: pool_config::SOFT_VERSION,
            ann_versions: vec![1],
            mine_old_anns: 0,
            ann_target: Some(WORK_BITS),
            blkinfo_url: None,
        }
    }
}

fn block_info(height: Height) -> BlockInfo {
    let header = BlockInfoHeader {
        hash: block_hash(height),
        height,
        version: 0x2000_0000,
        version_hex: 0x2000_0000,
        merkle_root: BlockHash::default(),
        time: 1_600_000_000 + height.0,
        nonce: 0,
        bits: CompactTarget(0x1a00_ffff),
        difficulty: wire::Decimal::from_u64(1),
        previous_block_hash: height.checked_sub(1).map(block_hash).unwrap_or_default(),
    };
    BlockInfo { header, signing_key: None }
}

/// Work that tells on which block it is, and can be mined no further.
fn work_on_nothing(height: Height) -> WorkFile {
    let header = Header {
        version: 0x2000_0000,
        previous: height.checked_sub(1).map(block_hash).unwrap_or_default(),
        merkle_root: MerkleRoot::default(),
        time: 1_600_000_000 + height.0,
        bits: CompactTarget(0x1a00_ffff),
        nonce: 0,
    };
    WorkFile {
        header,
        signing_key: None,
        share_target: CompactTarget(0x1a00_ffff),
        ann_target: WORK_BITS,
        height,
        coinbase: Vec::new(),
        branch: Vec::new(),
    }
}

impl Documents {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request after the other.
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream).lines();
        loop {
            let request = lines.next()?.ok()?;
            while !lines.next()?.ok()?.is_empty() {}
            let path = request.split(' ').nth(1)?;
            let answer = match self.document(path.rsplit('/').next()?) {
                Some(document) => {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", document.len());
                    [head.into_bytes(), document].concat()
                }
                None => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
            };
            let mut stream = stream;
            stream.write_all(&answer).ok()?;
        }
    }

    /// A document; work that is not there yet is waited for.
    fn document(&self, name: &str) -> Option<Vec<u8>> {
        let documents = self.lock();
        if !name.starts_with("work_") {
            return documents.get(name).cloned();
        }
        let waited =
            self.changed.wait_timeout_while(documents, LONG_POLL, |documents| !documents.contains_key(name));
        waited.unwrap_or_else(PoisonError::into_inner).0.get(name).cloned()
    }
}
