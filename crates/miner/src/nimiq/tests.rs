//! The whole miner against a pool that judges its shares by the rules.

mod changes;
mod modes;
mod refusals;

use std::num::NonZeroUsize;
use std::sync::Arc;

use nimiq::argon2d::Hasher;
use nimiq::share::{
    Announced, NanoJob, NanoShare, NextBlock, SmartShare, check_work, dumb, nano, smart::PoolLeaf,
};
use nimiq::{
    AccountsHash, Address, BodyHash, CompactTarget, DeviceId, ExtraData, Header, LightBlock, Luna, Network,
    PayoutNonce, ShareTarget,
};
use node::dev_chain::rpc::{RpcUsers, ServeLimits};
use node::{Credentials, NimiqDevChain, NodeAddress, TlsTrust};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;
use wire::nimiq::{
    Balance, DeviceName, Mode, NewBlock, NewNanoBlock, Reason, ServerMessage, Settings, Share,
};

use super::fake_pool::{Client, FakePool};
use super::mining::now;
use super::*;
use crate::mining_threads::Placement;

const POOL: Address = Address([5; 20]);
/// About one hash in 256 meets it.
const EASY: CompactTarget = CompactTarget(0x2000_ffff);
const NETWORK: Network = Network::Dev;

/// A running miner and what it says of itself.
struct Running {
    statuses: UnboundedReceiver<NimiqStatus>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), NimiqMinerError>>,
}

struct Statuses(UnboundedSender<NimiqStatus>);

impl StatusOutput for Statuses {
    fn status(&self, status: &Status) {
        if let Status::Nimiq(status) = status {
            let _ = self.0.send(status.clone());
        }
    }
}

fn start(pool: &FakePool, mode: MiningMode) -> Running {
    let config = NimiqMinerConfig {
        trust: pool.trust(),
        mode,
        network: NETWORK,
        device: DeviceName::new("rig"),
        placement: Placement::of(NonZeroUsize::new(2).unwrap()),
        reconnect_after: Duration::from_millis(20),
        status_interval: Duration::from_millis(20),
        ..NimiqMinerConfig::new(pool.url(), Address([9; 20]))
    };
    let (sender, statuses) = unbounded_channel();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run(config, Arc::new(Statuses(sender)), shutdown.clone()));
    Running { statuses, shutdown, task }
}

impl Running {
    /// The first status that is so.
    async fn status(&mut self, is_so: impl Fn(&NimiqStatus) -> bool) -> NimiqStatus {
        let found = async {
            loop {
                let status = self.statuses.recv().await.expect("the miner runs");
                if is_so(&status) {
                    return status;
                }
            }
        };
        tokio::time::timeout(Duration::from_mins(2), found).await.expect("such a status")
    }

    /// The last status.
    async fn stop(mut self) -> NimiqStatus {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        let mut last = NimiqStatus::default();
        while let Ok(status) = self.statuses.try_recv() {
            last = status;
        }
        last
    }
}

fn share_target(compact: CompactTarget) -> ShareTarget {
    ShareTarget::new(compact).unwrap()
}

fn settings(extra_data: &[u8], target: CompactTarget) -> ServerMessage {
    let nonce = PayoutNonce::from_random(7);
    let fee = "0.01".parse().unwrap();
    ServerMessage::Settings(Settings::new(
        POOL,
        ExtraData::cut(extra_data),
        &share_target(target),
        nonce,
        fee,
    ))
}

/// What nano clients mine on the genesis block, told apart by `body`.
fn nano_job(body: u8, target: CompactTarget) -> NanoJob {
    NanoJob {
        body_hash: BodyHash([body; 32]),
        accounts_hash: AccountsHash([2; 32]),
        target: share_target(target),
    }
}

fn new_block(job: &NanoJob, previous: LightBlock) -> ServerMessage {
    ServerMessage::NewBlock(Box::new(NewBlock::Nano(NewNanoBlock {
        body_hash: job.body_hash,
        accounts_hash: job.accounts_hash,
        previous: previous.into(),
        next_target: Some(CompactTarget::EASIEST),
    })))
}

fn genesis() -> LightBlock {
    NETWORK.genesis_block().to_light()
}

fn next_on(block: &LightBlock) -> NextBlock {
    let proof_of_work = Hasher::new().hash(&block.header.to_bytes());
    NextBlock::on(block, proof_of_work, CompactTarget::EASIEST, &NETWORK.genesis_hash())
}

/// The next share, which must be a nano client's.
async fn nano_share(client: &mut Client) -> NanoShare {
    match client.share().await {
        Share::Nano(share) => share,
        other => panic!("not a nano share: {other:?}"),
    }
}

/// Panics unless the share is good for one of the jobs on a block.
fn judge_nano(share: &NanoShare, on: &LightBlock, jobs: &[NanoJob]) -> NanoJob {
    let mined = share.check(&next_on(on), jobs, now()).expect("a share on one of the jobs").clone();
    let proof_of_work = Hasher::new().hash(&share.block.header.to_bytes());
    assert_eq!(nano::check_work(&proof_of_work, &mined, &mined.target), Ok(()));
    mined
}

fn header(share: &Share) -> Header {
    match share {
        Share::Nano(share) => share.block.header,
        Share::Smart(share) => share.header,
        Share::Dumb { .. } => panic!("a nonce alone"),
    }
}

/// A dev chain that answers RPC.
struct Node {
    chain: NimiqDevChain,
    address: NodeAddress,
    _stop: DropGuard,
    _folder: tempfile::TempDir,
}

async fn node() -> Node {
    let folder = tempfile::tempdir().unwrap();
    let chain = NimiqDevChain::open(folder.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (served, stop) = (chain.clone(), CancellationToken::new());
    let stopped = stop.clone();
    tokio::spawn(async move {
        served.serve(listener, RpcUsers::default(), ServeLimits::default(), stopped).await;
    });
    let address = NodeAddress { url, credentials: Credentials::None, trust: TlsTrust::default() };
    Node { chain, address, _stop: stop.drop_guard(), _folder: folder }
}
