//! The server roles: all in one process, or one alone. The heart of the program.
//!
//! `run` is the whole story: read the configuration, listen, start what this process runs, serve it, and wait for
//! the end. Each role is started by a function of its own below, which hands over routes, health and a task.

pub mod admin;
mod master;
mod monitor;
mod nimiq;
mod reload;
mod restartable;
mod site;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use axum::Router;
use axum::routing::any_service;
use ledger::nimiq::Accounts;
use miner::status_line::StatusOutput;
use node::PktdClient;
use pool::admin::Retry;
use pool::admission::Admission;
use pool::ann_handler::{AnnHandler, AnnHandlerConfig};
use pool::blk_handler::{BlkHandler, BlkHandlerConfig};
use pool::pay_maker::{PayMaker, PayMakerConfig};
use pool::{Health, Metrics, health, listener};
use tokio::net::TcpListener;

use crate::commands::{dev_chain, mine};
use crate::config::{Config, Settings};
use crate::data_folder::DataFolder;
use crate::logging;
use crate::open_files;
use crate::program::PROGRAM;
use crate::roles::{self, Urls};
use crate::signals;
use crate::sockets;
use crate::supervision::{Stage, Supervisor};
use reload::{Prepare, ReloadOrders};
use restartable::{Instance, Orders, Restartable, Start};

/// What one process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    /// All roles on one address, and the dev chain where no node is configured.
    Up {
        /// Whether miners run too.
        mine: bool,
    },
    /// The Master alone.
    Master,
    /// The AnnHandler of this name alone.
    AnnHandler(String),
    /// The BlkHandler of this name alone.
    BlkHandler(String),
    /// The PayMaker alone.
    PayMaker,
    /// The Nimiq server of this name alone.
    NimiqServer(String),
    /// The Nimiq service alone.
    NimiqService,
    /// The Nimiq payout alone.
    NimiqPayout,
    /// The website alone.
    Site,
    /// The monitor alone.
    Monitor,
}

/// Reads the configuration; called again at each reload.
pub type LoadConfig = Arc<dyn Fn() -> anyhow::Result<Config> + Send + Sync>;

/// Runs until ^C, or until a role cannot go on.
pub async fn run(process: Process, load: LoadConfig) -> anyhow::Result<()> {
    let config = load()?;
    logging::use_filter(&config.log.filter);
    let own = process.own_listen(&config)?;
    let listen = own.unwrap_or(config.http.listen);
    let hangups = signals::Hangups::new()?;
    let shutdown = signals::shutdown("open requests and unfinished events")?;
    open_files::make_room_for(process.connections(&config));
    let listener = sockets::listen(listen).with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    let shared = if own.is_none() { address } else { config.http.listen };
    let mut pool = Pool::new(process, config, address, shared);
    tokio::select! {
        started = pool.start() => {
            started?;
            sockets::close_the_rest();
        }
        // It may wait for a database.
        () = shutdown.cancelled() => {}
    }
    let (reloads, ordered) = ReloadOrders::new();
    pool.serve_admin(Arc::clone(&load), reloads)?;
    pool.serve(listener)?;
    if let Process::Up { mine: true } = pool.process {
        pool.start_miners()?;
    }
    pool.reload_at(hangups, ordered, load, shutdown.clone());
    pool.supervisor.until(shutdown).await
}

impl Process {
    /// The address that a role alone may have for itself; else it serves on that of [http].
    fn own_listen(&self, config: &Config) -> anyhow::Result<Option<SocketAddr>> {
        Ok(match self {
            Self::Up { .. } => None,
            Self::Master => config.master.listen,
            Self::AnnHandler(name) => roles::ann_handler(config, name)?.listen,
            Self::BlkHandler(name) => roles::blk_handler(config, name)?.listen,
            Self::PayMaker => config.pay_maker.listen,
            Self::NimiqServer(name) => roles::nimiq::server(config, name)?.metrics_listen,
            Self::NimiqService => config.nimiq_service.metrics_listen,
            Self::NimiqPayout => config.nimiq_payout.metrics_listen,
            Self::Site => config.site.listen,
            Self::Monitor => config.monitor.listen,
        })
    }

    /// How many connections it may have open.
    pub fn connections(&self, config: &Config) -> usize {
        let of_miners = match self {
            Self::Up { .. } if config.runs_nimiq() => {
                config.nimiq_servers.iter().map(|server| server.connections).sum()
            }
            Self::NimiqServer(name) => {
                roles::nimiq::server(config, name).map_or(0, |server| server.connections)
            }
            _ => 0,
        };
        config.http.connections + of_miners
    }

    fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }

    /// For people: who holds a data folder.
    fn name(&self) -> String {
        match self {
            Self::Up { .. } => "up".to_owned(),
            Self::Master => "master".to_owned(),
            Self::AnnHandler(name) => format!("ann-handler {name}"),
            Self::BlkHandler(name) => format!("blk-handler {name}"),
            Self::PayMaker => "pay-maker".to_owned(),
            Self::NimiqServer(name) => format!("nimiq server {name}"),
            Self::NimiqService => "nimiq service".to_owned(),
            Self::NimiqPayout => "nimiq payout".to_owned(),
            Self::Site => "site".to_owned(),
            Self::Monitor => "monitor".to_owned(),
        }
    }
}

/// Where a role is served together with others. Alone, each is served anywhere.
enum Place<'p> {
    /// Not at all.
    Nowhere,
    /// Below a path, of which the role knows nothing.
    Below(&'p str),
    /// At paths that the role knows.
    At(&'p str),
    /// Wherever nobody else is.
    Else,
}

/// What is being put together.
struct Pool {
    process: Process,
    config: Config,
    urls: Urls,
    /// Where this process serves.
    listen: SocketAddr,
    /// Where roles serve that have no address of their own.
    shared: SocketAddr,
    metrics: Metrics,
    /// Who may ask what, for all roles of this process.
    admission: Arc<Admission>,
    /// Where a Nimiq server of this process shares its bans.
    shared_bans: Option<Accounts>,
    /// What the operator may have done at once.
    retries: Vec<Retry>,
    /// The settings that are in force, as reloads change them.
    in_force: Arc<Mutex<Settings>>,
    supervisor: Supervisor,
    router: Router,
    health: Vec<Health>,
    /// Who starts a role of this process again.
    orders: Orders,
    /// Who takes settings that may change while the process runs.
    prepares: Vec<Prepare>,
    /// A Nimiq server of this process, if there is one.
    nimiq: Option<nimiq::Started>,
    /// Held as long as the process runs.
    folders: Vec<DataFolder>,
}

impl Pool {
    /// A pool that listens at `listen`; `shared` is where roles do so that have no address of their own.
    fn new(process: Process, config: Config, listen: SocketAddr, shared: SocketAddr) -> Self {
        Self {
            urls: Urls::new(&config, shared),
            in_force: Arc::new(Mutex::new(config.settings.clone())),
            listen,
            shared,
            process,
            config,
            metrics: Metrics::new(),
            admission: Arc::default(),
            shared_bans: None,
            retries: Vec::new(),
            supervisor: Supervisor::new(),
            router: Router::new(),
            health: Vec::new(),
            orders: Orders::default(),
            prepares: vec![Box::new(|config| {
                let filter = config.log.filter.clone();
                Ok(Box::new(move || logging::use_filter(&filter)))
            })],
            nimiq: None,
            folders: Vec::new(),
        }
    }

    /// Starts the roles of this process, those first that others ask.
    async fn start(&mut self) -> anyhow::Result<()> {
        self.open_admission()?;
        match self.process.clone() {
            Process::Up { .. } => self.start_all().await,
            Process::Master => {
                let node = self.node(None)?;
                self.start_master(node).await
            }
            Process::AnnHandler(name) => self.start_ann_handler(&name).await,
            Process::BlkHandler(name) => {
                let node = self.node(None)?;
                self.start_blk_handler(&name, node).await
            }
            Process::PayMaker => {
                let node = self.node(None)?;
                self.start_pay_maker(node).await
            }
            Process::NimiqServer(name) => {
                let (accounts, node) = self.nimiq_base(None).await?;
                self.start_nimiq_server(&name, accounts, node).await.map(drop)
            }
            Process::NimiqService => {
                let (accounts, node) = self.nimiq_base(None).await?;
                self.start_nimiq_service(accounts, node).await
            }
            Process::NimiqPayout => {
                let (accounts, node) = self.nimiq_base(None).await?;
                self.start_nimiq_payout(accounts, node).await
            }
            Process::Site => self.start_site_alone().await,
            Process::Monitor => self.start_monitor().await,
        }
    }

    /// The bans of this process, and what it grants its clients.
    fn open_admission(&mut self) -> anyhow::Result<()> {
        if self.process.is_up() {
            self.folder("")?;
        }
        let folder = self.folder(format!("admission/{}", self.process.name().replace(' ', "-")))?;
        let (config, file) = (roles::admission(&self.config), folder.join("bans"));
        let admission = Admission::open(config, &file, &self.metrics);
        let admission = admission.with_context(|| format!("cannot use {}", file.display()))?;
        self.admission = Arc::new(admission);
        let granting = Arc::clone(&self.admission);
        self.prepares.push(Box::new(move |config| {
            let (granting, granted) = (Arc::clone(&granting), roles::admission(config));
            Ok(Box::new(move || granting.grant(granted)))
        }));
        let keeping = Arc::clone(&self.admission).keep(self.supervisor.stop_signal(Stage::Listener));
        self.supervisor.run(Stage::Listener, "bans", async {
            keeping.await;
            Ok(())
        });
        Ok(())
    }

    async fn start_all(&mut self) -> anyhow::Result<()> {
        let (packetcrypt, nimiq) = (self.config.runs_packetcrypt(), self.config.runs_nimiq());
        anyhow::ensure!(packetcrypt || nimiq, "`pool.run_packetcrypt` and `nimiq.run` leave nothing to run");
        if packetcrypt {
            self.start_packetcrypt().await?;
        }
        let accounts = if nimiq { Some(self.start_nimiq().await?) } else { None };
        if self.config.site.run {
            self.start_site(accounts).await?;
        }
        if self.config.monitor.run {
            self.start_monitor().await?;
        }
        Ok(())
    }

    async fn start_packetcrypt(&mut self) -> anyhow::Result<()> {
        let chain = if self.config.nodes.is_empty() { Some(self.start_dev_chain().await?) } else { None };
        let node = self.node(chain)?;
        self.start_master(node.clone()).await?;
        self.start_pay_maker(node.clone()).await?;
        for name in names(self.config.ann_handlers.iter().map(roles::ann_name)) {
            self.start_ann_handler(&name).await?;
        }
        for name in names(self.config.blk_handlers.iter().map(roles::blk_name)) {
            self.start_blk_handler(&name, node.clone()).await?;
        }
        Ok(())
    }

    /// The embedded chain; gives its address.
    async fn start_dev_chain(&mut self) -> anyhow::Result<SocketAddr> {
        let folder = self.folder(dev_chain::FOLDER)?;
        let stop = self.supervisor.stop_signal(Stage::DevChain);
        let settings = &self.config.dev_chain;
        let serving = dev_chain::start(&folder, settings.rules, settings.listen, stop).await?;
        self.supervisor.run(Stage::DevChain, "dev chain", async { Ok(serving.task.await?) });
        Ok(serving.address)
    }

    /// The nodes that are configured; else the dev chain, here or where its section says.
    fn node(&self, chain: Option<SocketAddr>) -> anyhow::Result<PktdClient> {
        let chain = chain.or(self.config.nodes.is_empty().then_some(self.config.dev_chain.listen));
        roles::node(&self.config, chain, &self.metrics)
    }

    async fn start_pay_maker(&mut self, node: PktdClient) -> anyhow::Result<()> {
        let folder = self.folder("pay-maker")?;
        let password = self.password()?;
        let config = PayMakerConfig {
            admission: Arc::clone(&self.admission),
            payouts: self.offer("payouts", "PayMaker".to_owned()),
            ..roles::pay_maker(&self.config, &password, &folder)?
        };
        let metrics = self.metrics.clone();
        let start: Start = Box::new(move |stop| {
            let (config, node, metrics) = (config.clone(), node.clone(), metrics.clone());
            Box::pin(async move {
                let pay_maker = PayMaker::start(config, node, &metrics, stop).await.context("PayMaker")?;
                Ok(Instance::new(pay_maker.routes(), pay_maker.health(), pay_maker.stopped()))
            })
        });
        self.run_role(Stage::PayMaker, "PayMaker".to_owned(), Place::Below("/paymaker"), start).await?;
        logging::say(format_args!(
            "PayMaker: takes events and shows who is paid at {}/whotopay",
            self.urls.pay_maker
        ));
        Ok(())
    }

    async fn start_ann_handler(&mut self, name: &str) -> anyhow::Result<()> {
        let folder = self.folder(format!("ann/{name}"))?;
        let password = self.password()?;
        let uploads = self.offer("outboxes", format!("AnnHandler {name}"));
        let handler = roles::ann_handler(&self.config, name)?;
        let config = AnnHandlerConfig {
            admission: Arc::clone(&self.admission),
            uploads,
            ..roles::ann_handler_config(&self.config, handler, &self.urls, &password, &folder)?
        };
        let (http, metrics) = (pool::http_client::client()?, self.metrics.clone());
        let label = format!("AnnHandler {name}");
        let start: Start = Box::new({
            let label = label.clone();
            move |stop| {
                let (config, http, metrics) = (config.clone(), http.clone(), metrics.clone());
                let label = label.clone();
                Box::pin(async move {
                    let handler = AnnHandler::start(config, http, &metrics, stop).await.context(label)?;
                    Ok(Instance::new(handler.routes(), handler.health(), handler.stopped()))
                })
            }
        });
        self.run_role(Stage::Handlers, label, Place::Below(&format!("/ann/{name}")), start).await?;
        let url = self.urls.ann_handler(name).unwrap_or_default();
        logging::say(format_args!("AnnHandler {name}: takes announcements at {url}/submit"));
        Ok(())
    }

    async fn start_blk_handler(&mut self, name: &str, node: PktdClient) -> anyhow::Result<()> {
        let folder = self.folder(format!("blk/{name}"))?;
        let password = self.password()?;
        let uploads = self.offer("outboxes", format!("BlkHandler {name}"));
        let handler = roles::blk_handler(&self.config, name)?;
        let config = BlkHandlerConfig {
            admission: Arc::clone(&self.admission),
            uploads,
            ..roles::blk_handler_config(&self.config, handler, &self.urls, &password, &folder)
        };
        let (http, metrics) = (pool::http_client::client()?, self.metrics.clone());
        let label = format!("BlkHandler {name}");
        let start: Start = Box::new({
            let label = label.clone();
            move |stop| {
                let (config, node, http) = (config.clone(), node.clone(), http.clone());
                let (metrics, label) = (metrics.clone(), label.clone());
                Box::pin(async move {
                    let handler =
                        BlkHandler::start(config, node, http, &metrics, stop).await.context(label)?;
                    Ok(Instance::new(handler.routes(), handler.health(), handler.stopped()))
                })
            }
        });
        self.run_role(Stage::Handlers, label, Place::Below(&format!("/blk/{name}")), start).await?;
        let url = self.urls.blk_handler(name).unwrap_or_default();
        logging::say(format_args!("BlkHandler {name}: takes shares at {url}/submit"));
        Ok(())
    }

    /// Runs a role that, in `up`, can be started again while the others go on, and serves it at its place.
    async fn run_role(
        &mut self,
        stage: Stage,
        label: String,
        place: Place<'_>,
        start: Start,
    ) -> anyhow::Result<()> {
        let stop = self.supervisor.stop_signal(stage);
        if !self.process.is_up() {
            // Alone, it ends with its process, and is started again by who started that.
            let Instance { routes, health, ended } = start(stop).await?;
            self.router = std::mem::take(&mut self.router).fallback_service(routes);
            self.health.push(health);
            self.supervisor.run(stage, label, ended);
            return Ok(());
        }
        let (role, shown) = Restartable::start(label.clone(), stop, start).await?;
        self.orders.add(&shown);
        let router = std::mem::take(&mut self.router);
        self.router = match place {
            Place::Nowhere => router,
            Place::Below(path) => router.nest_service(path, shown.routes),
            Place::At(paths) => router.route(paths, any_service(shown.routes)),
            Place::Else => router.fallback_service(shown.routes),
        };
        self.health.push(shown.health);
        self.supervisor.run(stage, label, role.live());
        Ok(())
    }

    /// Serves everything that was started.
    fn serve(&mut self, listener: TcpListener) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        logging::say(format_args!("health: http://{address}/healthz\nfigures: http://{address}/metrics"));
        if self.process.is_up() && self.config.site.run && std::io::stdout().is_terminal() {
            logging::say(format_args!(
                "on another terminal: headframe top http://{}",
                roles::site::reachable(address)
            ));
        }
        let health = std::mem::take(&mut self.health);
        self.metrics.show_readiness_of(health.clone());
        self.metrics.show_disk_of(&self.config.pool.data);
        let health = health::routes(health, PROGRAM);
        let router = std::mem::take(&mut self.router).merge(self.metrics.routes()).merge(health);
        // Whoever only gives things out receives no large bodies.
        let is_asked_only = matches!(self.process, Process::Master | Process::Site);
        let limits = roles::limits(&self.config, !is_asked_only);
        let trusted = limits.proxies.clone();
        self.prepares.push(Box::new(move |config| {
            let (trusted, proxies) = (trusted.clone(), roles::proxies(config));
            Ok(Box::new(move || trusted.replace(proxies)))
        }));
        let metrics = self.metrics.for_role("listener", "");
        let stop = self.supervisor.stop_signal(Stage::Listener);
        self.supervisor.run(Stage::Listener, "listener", async move {
            listener::serve(listener, router, limits, &metrics, stop).await;
            Ok(())
        });
        Ok(())
    }

    fn start_miners(&mut self) -> anyhow::Result<()> {
        let output: Arc<dyn StatusOutput> = mine::log_output();
        if self.config.runs_packetcrypt() {
            self.start_packetcrypt_miners(&output)?;
        }
        self.start_nimiq_miner(output)
    }

    fn start_packetcrypt_miners(&mut self, output: &Arc<dyn StatusOutput>) -> anyhow::Result<()> {
        let (announcements, blocks) = roles::miners(&self.config, &self.urls.master)?;
        logging::say(format_args!(
            "miners: announcements for {}, shares for {}",
            announcements.pay_to, blocks.pay_to
        ));
        let stop = self.supervisor.stop_signal(Stage::Miners);
        let run = miner::announcements::run(announcements, Arc::clone(output), stop.clone());
        self.supervisor.run(Stage::Miners, "announcement miner", async { Ok(run.await?) });
        let run = miner::blocks::run(blocks, Arc::clone(output), stop);
        self.supervisor.run(Stage::Miners, "block miner", async { Ok(run.await?) });
        Ok(())
    }

    /// The password between handlers and PayMaker. In one process nobody else needs to know it.
    fn password(&mut self) -> anyhow::Result<crate::config::Secret> {
        let section = &mut self.config.pool;
        if section.password.is_none() && self.process.is_up() {
            section.password = Some(roles::random_secret());
        }
        section.password.clone().context(
            "`pool.password` is missing; every role needs the same one (draw one with: openssl rand -hex 16)",
        )
    }

    /// A folder below the data folder, locked for this process.
    fn folder(&mut self, path: impl AsRef<Path>) -> anyhow::Result<PathBuf> {
        let unfinished = self.config.pool.data.join(ledger::backup::UNFINISHED);
        anyhow::ensure!(
            !unfinished.exists(),
            "{} was not restored to the end; empty the folder and restore again",
            self.config.pool.data.display()
        );
        let path = self.config.pool.data.join(path);
        self.folders.push(DataFolder::lock(&path, &self.process.name())?);
        Ok(path)
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.map(str::to_owned).collect()
}
