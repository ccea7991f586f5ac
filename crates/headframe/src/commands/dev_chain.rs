//! `headframe dev-chain`: the embedded chain alone, and how it is started for `up`.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use node::dev_chain::{DevChain, DevChainOptions};

use node::dev_chain::rpc::{RpcUsers, ServeLimits};
use node::dev_chain::rules::ChainRules;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::{self, DevChainRules};
use crate::data_folder::DataFolder;
use crate::logging;
use crate::signals;

/// The subfolder of the data folder that the chain is kept in.
pub const FOLDER: &str = "dev-chain";

/// A chain that answers RPC.
pub struct Serving {
    /// Where it answers.
    pub address: SocketAddr,
    /// Ends when it has stopped.
    pub task: JoinHandle<()>,
}

/// Runs until ^C.
pub async fn run(arguments: &cli::DevChain) -> anyhow::Result<()> {
    let folder = DataFolder::lock(&arguments.data.join(FOLDER), "dev-chain")?;
    let shutdown = signals::shutdown("RPC calls under way")?;
    let rules = match arguments.rules {
        DevChainRules::Steady => ChainRules::steady(),
        DevChainRules::Instant => ChainRules::instant(),
        DevChainRules::Public => ChainRules::public(),
    };
    let serving = start(folder.path(), rules, arguments.listen, shutdown).await?;
    serving.task.await.context("the dev chain stopped with a panic")
}

/// Opens the chain in `folder` and answers RPC at `listen` until `shutdown`, for everybody who can reach that.
pub async fn start(
    folder: &Path,
    rules: ChainRules,
    listen: SocketAddr,
    shutdown: CancellationToken,
) -> anyhow::Result<Serving> {
    let options = DevChainOptions { rules, ..DevChainOptions::default() };
    let chain =
        DevChain::open(folder, options).with_context(|| format!("the dev chain in {}", folder.display()))?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    logging::say(format_args!(
        "dev chain: height {}, answers pktd's JSON-RPC at http://{address}",
        chain.tip().height
    ));
    let task = tokio::spawn(async move {
        chain.serve(listener, RpcUsers::default(), ServeLimits::default(), shutdown).await;
    });
    Ok(Serving { address, task })
}
