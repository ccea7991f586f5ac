//! A Master for tests: hands out whatever documents it is given, and counts who asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use http::StatusCode;
use packetcrypt::block::{Header, MerkleRoot};
use packetcrypt::{BlockHash, CompactTarget, Height};
use wire::block_info::{BlockInfo, BlockInfoHeader};
use wire::pool_config::PoolConfig;
use wire::work::WorkFile;

/// Documents by name, and how often each was asked for.
#[derive(Default)]
pub(crate) struct FakeMaster {
    documents: Mutex<BTreeMap<String, Vec<u8>>>,
    asked: Mutex<BTreeMap<String, usize>>,
}

impl FakeMaster {
    pub(crate) async fn start() -> (Arc<Self>, String) {
        let master = Arc::new(Self::default());
        let router = Router::new().route("/master/{name}", get(document)).with_state(Arc::clone(&master));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/master", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (master, url)
    }

    pub(crate) fn put(&self, name: &str, document: impl Into<Vec<u8>>) {
        self.documents.lock().unwrap().insert(name.to_owned(), document.into());
    }

    pub(crate) fn put_block(&self, branch: u8, height: u32) {
        let info = block(branch, height);
        self.put(&BlockInfo::file_name(&info.header.hash), info.to_json());
    }

    pub(crate) fn put_config(&self, branch: u8, tip: u32) {
        self.put("config.json", config(branch, tip).to_json());
    }

    pub(crate) fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

async fn document(State(master): State<Arc<FakeMaster>>, Path(name): Path<String>) -> (StatusCode, Vec<u8>) {
    *master.asked.lock().unwrap().entry(name.clone()).or_default() += 1;
    match master.documents.lock().unwrap().get(&name) {
        Some(document) => (StatusCode::OK, document.clone()),
        None => (StatusCode::NOT_FOUND, Vec::new()),
    }
}

pub(crate) fn hash(branch: u8, height: u32) -> BlockHash {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&[if height < 3 { 0 } else { branch }, 1]);
    bytes[28..].copy_from_slice(&height.to_be_bytes());
    BlockHash::from_internal(bytes)
}

pub(crate) fn block(branch: u8, height: u32) -> BlockInfo {
    BlockInfo {
        header: BlockInfoHeader {
            hash: hash(branch, height),
            height: Height(height),
            version: 1,
            version_hex: 1,
            merkle_root: BlockHash::default(),
            time: 0,
            nonce: 0,
            bits: CompactTarget(0x207f_ffff),
            difficulty: "1".parse().unwrap(),
            previous_block_hash: height
                .checked_sub(1)
                .map_or_else(BlockHash::default, |below| hash(branch, below)),
        },
        signing_key: None,
    }
}

pub(crate) fn config(branch: u8, tip: u32) -> PoolConfig {
    PoolConfig {
        tip_hash: hash(branch, tip),
        current_height: Height(tip + 1),
        master_url: String::new(),
        submit_ann_urls: Vec::new(),
        download_ann_urls: Vec::new(),
        submit_block_urls: Vec::new(),
        paymaker_url: "http://paymaker".to_owned(),
        version: 3,
        soft_version: 1,
        ann_versions: vec![1],
        mine_old_anns: 2,
        ann_target: Some(CompactTarget(0x2020_0000)),
        blkinfo_url: None,
    }
}

pub(crate) fn work_on(branch: u8, tip: u32) -> WorkFile {
    let header = Header {
        version: 4,
        previous: hash(branch, tip),
        merkle_root: MerkleRoot::default(),
        time: 0,
        bits: CompactTarget(0x207f_ffff),
        nonce: 0,
    };
    WorkFile {
        header,
        signing_key: None,
        share_target: CompactTarget(0x207f_ffff),
        ann_target: CompactTarget(0x2020_0000),
        height: Height(tip + 1),
        coinbase: Vec::new(),
        branch: Vec::new(),
    }
}
