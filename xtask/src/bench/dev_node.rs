//! A node for measurements: the dev chain in this process, which makes blocks when it is told to.

use std::net::SocketAddr;

use node::dev_chain::rpc::{RpcUsers, ServeLimits};
use node::dev_chain::{DevChain, DevChainOptions};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::program::folder;

/// Blocks at the start, so that announcements of every age have a parent.
const BLOCKS: u32 = 8;

/// A dev chain that answers RPC on threads of its own; stopped when dropped.
pub struct DevNode {
    chain: DevChain,
    address: SocketAddr,
    _runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl DevNode {
    /// Starts one with some blocks.
    pub fn start() -> anyhow::Result<Self> {
        let folder = folder()?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let chain = DevChain::open(folder.path(), DevChainOptions::default())?;
        chain.extend(BLOCKS)?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let served = chain.clone();
        runtime.spawn(async move {
            served
                .serve(listener, RpcUsers::default(), ServeLimits::default(), CancellationToken::new())
                .await;
        });
        Ok(Self { chain, address, _runtime: runtime, _folder: folder })
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The chain.
    pub fn chain(&self) -> &DevChain {
        &self.chain
    }
}
