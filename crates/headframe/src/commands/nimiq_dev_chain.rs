//! `headframe nimiq dev-chain`: the embedded Nimiq chain alone, and how it is started for `up`.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use node::NimiqDevChain;
use node::dev_chain::rpc::{RpcUsers, ServeLimits};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::dev_chain::{FOLDER, Serving};
use crate::cli;
use crate::data_folder::DataFolder;
use crate::logging;
use crate::roles::nimiq;
use crate::signals;

/// Runs until ^C.
pub async fn run(arguments: &cli::NimiqDevChain) -> anyhow::Result<()> {
    let folder = arguments.data.join(nimiq::FOLDER).join(FOLDER);
    let folder = DataFolder::lock(&folder, "nimiq dev-chain")?;
    let shutdown = signals::shutdown("RPC calls under way")?;
    let serving = start(folder.path(), arguments.listen, shutdown).await?;
    serving.task.await.context("the Nimiq dev chain stopped with a panic")
}

/// Opens the chain in `folder` and answers RPC at `listen` until `shutdown`, for everybody who can reach that.
pub async fn start(
    folder: &Path,
    listen: SocketAddr,
    shutdown: CancellationToken,
) -> anyhow::Result<Serving> {
    let chain = NimiqDevChain::open(folder)
        .with_context(|| format!("the Nimiq dev chain in {}", folder.display()))?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    logging::say(format_args!(
        "Nimiq dev chain: height {}, answers the node's JSON-RPC at http://{address}",
        chain.head().height
    ));
    let task = tokio::spawn(async move {
        chain.serve(listener, RpcUsers::default(), ServeLimits::default(), shutdown).await;
    });
    Ok(Serving { address, task })
}
