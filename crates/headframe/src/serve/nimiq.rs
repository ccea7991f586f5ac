//! The roles of the Nimiq pool, started like the others: each by a function of its own, those first that others ask.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use ledger::nimiq::Accounts;
use miner::status_line::StatusOutput;
use node::NimiqClient;
use pool::listener;
use pool::listener::{Tls, TrustedProxies};
use pool::nimiq::duty::holder_name;
use pool::nimiq::payout::{self, PayoutConfig};
use pool::nimiq::server::{NimiqServer, NimiqServerConfig};
use pool::nimiq::service;
use tokio::net::TcpListener;

use super::reload::Prepare;
use super::restartable::{Instance, Start};
use super::{Place, Pool, names};
use crate::commands::{dev_chain, nimiq_dev_chain};
use crate::logging;
use crate::roles;
use crate::roles::nimiq::ServerAddress;
use crate::sockets;
use crate::supervision::Stage;

/// What miners of this process are told.
pub(super) struct Started {
    server: ServerAddress,
    chain: Option<SocketAddr>,
}

impl Pool {
    /// Starts the whole Nimiq pool, and its chain where no node is configured; gives its accounts.
    pub(super) async fn start_nimiq(&mut self) -> anyhow::Result<Accounts> {
        let chain =
            if self.config.nimiq_nodes.is_empty() { Some(self.start_nimiq_dev_chain().await?) } else { None };
        let (accounts, node) = self.nimiq_base(chain).await?;
        self.start_nimiq_service(accounts.clone(), node.clone()).await?;
        if roles::nimiq::can_sign(&self.config)? {
            self.start_nimiq_payout(accounts.clone(), node.clone()).await?;
        } else {
            logging::say(format_args!(
                "Nimiq payout: not here, since there is neither `key_file` nor `signing_command`"
            ));
        }
        for name in names(self.config.nimiq_servers.iter().map(roles::nimiq::server_name)) {
            let server = self.start_nimiq_server(&name, accounts.clone(), node.clone()).await?;
            self.nimiq.get_or_insert(Started { server, chain });
        }
        Ok(accounts)
    }

    /// The embedded chain; gives its address.
    async fn start_nimiq_dev_chain(&mut self) -> anyhow::Result<SocketAddr> {
        let folder = self.nimiq_folder(dev_chain::FOLDER)?;
        let stop = self.supervisor.stop_signal(Stage::DevChain);
        let serving = nimiq_dev_chain::start(&folder, self.config.nimiq_dev_chain.listen, stop).await?;
        self.supervisor.run(Stage::DevChain, "Nimiq dev chain", async { Ok(serving.task.await?) });
        Ok(serving.address)
    }

    /// What the roles of the Nimiq pool stand on; `chain` is the embedded chain, if it runs here.
    pub(super) async fn nimiq_base(
        &self,
        chain: Option<SocketAddr>,
    ) -> anyhow::Result<(Accounts, NimiqClient)> {
        let accounts = roles::nimiq::open_accounts(&self.config).await?;
        Ok((accounts, roles::nimiq::node(&self.config, chain, &self.metrics)?))
    }

    pub(super) async fn start_nimiq_service(
        &mut self,
        accounts: Accounts,
        node: NimiqClient,
    ) -> anyhow::Result<()> {
        let folder = self.nimiq_folder("service")?;
        let config = roles::nimiq::service(&self.config, &folder)?;
        logging::say(format_args!(
            "Nimiq service: credits miners for the blocks that pay {}",
            config.pool_address
        ));
        let metrics = self.metrics.clone();
        let start: Start = Box::new(move |stop| {
            let (config, accounts, node) = (config.clone(), accounts.clone(), node.clone());
            let service = service::start(config, accounts, node, &metrics, &stop);
            let instance = Instance::new(Router::new(), service.health(), service.stopped());
            Box::pin(async { Ok(instance) })
        });
        self.run_role(Stage::PayMaker, "Nimiq service".to_owned(), Place::Nowhere, start).await
    }

    pub(super) async fn start_nimiq_payout(
        &mut self,
        accounts: Accounts,
        node: NimiqClient,
    ) -> anyhow::Result<()> {
        let folder = self.nimiq_folder("payout")?;
        let config = PayoutConfig {
            rounds: self.offer("nimiq-payouts", "Nimiq payout".to_owned()),
            ..roles::nimiq::payout(&self.config, holder_name(&folder)?)?
        };
        let signer = roles::nimiq::signer(&self.config)?;
        logging::say(format_args!("Nimiq payout: pays miners from {}", config.rules.pool_address));
        let metrics = self.metrics.clone();
        let start: Start = Box::new(move |stop| {
            let (config, signer) = (config.clone(), signer.clone());
            let payout = payout::start(config, signer, accounts.clone(), node.clone(), &metrics, &stop);
            let instance = Instance::new(Router::new(), payout.health(), payout.stopped());
            Box::pin(async { Ok(instance) })
        });
        self.run_role(Stage::PayMaker, "Nimiq payout".to_owned(), Place::Nowhere, start).await
    }

    /// A server, on a port of its own; gives its address.
    pub(super) async fn start_nimiq_server(
        &mut self,
        name: &str,
        accounts: Accounts,
        node: NimiqClient,
    ) -> anyhow::Result<ServerAddress> {
        let folder = self.nimiq_folder(&format!("server/{name}"))?;
        self.shared_bans = Some(accounts.clone());
        let settings = roles::nimiq::server(&self.config, name)?;
        let config = NimiqServerConfig {
            admission: Arc::clone(&self.admission),
            ..roles::nimiq::server_config(&self.config, settings, &folder)?
        };
        let limits = roles::nimiq::server_limits(settings);
        let files = roles::nimiq::tls_files(settings);
        let tls = files.map(|(certificate, key)| Tls::from_files(certificate, key)).transpose()?;
        self.prepares.push(new_proxies(limits.proxies.clone(), name.to_owned()));
        self.prepares.extend(tls.clone().map(|tls| new_certificate(tls, name.to_owned())));
        let listener = sockets::listen(settings.listen);
        let listener = listener.with_context(|| format!("cannot listen on {}", settings.listen))?;
        let address = ServerAddress {
            address: listener.local_addr()?,
            certificate: files.map(|(certificate, _)| certificate.to_owned()),
        };
        let label = format!("Nimiq server {name}");
        // Kept open while the server is started again: whoever connects meanwhile waits.
        let listener = listener.into_std()?;
        let (metrics, of_listener) = (self.metrics.clone(), self.metrics.for_role("listener", name));
        let start: Start = Box::new({
            let label = label.clone();
            move |stop| {
                let listener = listener.try_clone().and_then(TcpListener::from_std);
                let (config, node, accounts) = (config.clone(), node.clone(), accounts.clone());
                let (tls, limits, of_listener) = (tls.clone(), limits.clone(), of_listener.clone());
                let (label, metrics) = (label.clone(), metrics.clone());
                Box::pin(async move {
                    let listener = listener.with_context(|| label.clone())?;
                    let server =
                        NimiqServer::start(config, node, accounts, &metrics, stop).await.context(label)?;
                    let (routes, stop) = (server.routes(), server.stop_signal());
                    Ok(Instance::new(server.site_routes(), server.health(), async move {
                        listener::serve_with(listener, tls, routes, limits, &of_listener, stop).await;
                        server.stopped().await;
                    }))
                })
            }
        });
        let path = roles::nimiq::server_path(name);
        self.run_role(Stage::Handlers, label, Place::Below(&path), start).await?;
        logging::say(format_args!("Nimiq server {name}: takes shares at {}", address.url()));
        Ok(address)
    }

    /// The Nimiq miner, if a server runs here.
    pub(super) fn start_nimiq_miner(
        &mut self,
        output: std::sync::Arc<dyn StatusOutput>,
    ) -> anyhow::Result<()> {
        let Some(Started { server, chain }) = &self.nimiq else { return Ok(()) };
        let config = roles::nimiq::miner(&self.config, server, *chain)?;
        logging::say(format_args!("Nimiq miner: {} shares for {}", config.mode.mode(), config.address));
        let run = miner::nimiq::run(config, output, self.supervisor.stop_signal(Stage::Miners));
        self.supervisor.run(Stage::Miners, "Nimiq miner", async { Ok(run.await?) });
        Ok(())
    }

    fn nimiq_folder(&mut self, path: &str) -> anyhow::Result<std::path::PathBuf> {
        self.folder(format!("{}/{path}", roles::nimiq::FOLDER))
    }
}

/// Believes the proxies of a server that a new configuration names.
fn new_proxies(trusted: TrustedProxies, name: String) -> Prepare {
    Box::new(move |config| {
        let proxies = roles::nimiq::server(config, &name).map(roles::nimiq::proxies);
        let trusted = trusted.clone();
        Ok(Box::new(move || {
            // A server that the configuration has no longer goes on as it is until it is stopped.
            if let Ok(proxies) = proxies {
                trusted.replace(proxies);
            }
        }))
    })
}

/// Reads the certificate of a server again, from where a new configuration says.
fn new_certificate(tls: Tls, name: String) -> Prepare {
    Box::new(move |config| {
        let files = roles::nimiq::server(config, &name).ok().and_then(roles::nimiq::tls_files);
        let new = files.map(|(certificate, key)| Tls::from_files(certificate, key)).transpose();
        let new = new.with_context(|| format!("Nimiq server {name}"))?;
        let tls = tls.clone();
        Ok(Box::new(move || {
            // Without one in the configuration it goes on with what it has until it is started again.
            if let Some(new) = new {
                tls.replace(&new);
            }
        }))
    })
}
