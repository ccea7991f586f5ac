//! What each role of the Nimiq pool is started with, made from what the operator wrote.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ledger::nimiq::payout_plan::PayoutRules;
use ledger::nimiq::payout_threshold::Thresholds;
use ledger::nimiq::{Accounts, AccountsError, CreditRules, RetentionRule};
use miner::mining_threads::Placement;
use miner::nimiq::{MiningMode, NimiqMinerConfig};
use nimiq::{Address, Luna, PoolName, PrivateKey};
use node::nimiq::{FollowSettings, NimiqClient, NimiqConfig};
use node::{Credentials, NodeAddress, TlsTrust};
use pool::Metrics;
use pool::admission::Subject;
use pool::backoff::Backoff;
use pool::listener::{Limits, Proxies};
use pool::nimiq::duty::{DutyTerms, holder_name};
use pool::nimiq::payout::signer::{Agent, Signer, key_file};
use pool::nimiq::payout::{OwnerPayout, PayoutConfig};
use pool::nimiq::server::share_difficulty::DifficultyLimits;
use pool::nimiq::server::{AdmissionLimits, NimiqServerConfig, Terms, Times};
use pool::nimiq::service::ServiceConfig;
use wire::Decimal;
use wire::nimiq::{DeviceName, Mode};

use super::{NICE, threads};
use crate::config::{Config, NimiqNode, NimiqServer};

/// The subfolder of the data folder for everything of the Nimiq pool.
pub const FOLDER: &str = "nimiq";

/// Who is credited on the embedded chain where nobody says otherwise: nobody has the key, and the coins are worth nothing.
const DEV_MINER: Address = Address(*b"headframe's nimiq up");

/// With this, one thread finds a share in about a second; what the server makes of it follows the hash rate.
const DEV_START_DIFFICULTY: f64 = 0.1;

/// How long a signing command may think.
const SIGNING_TIME: Duration = Duration::from_secs(30);

/// The Nimiq nodes that are written, or the dev chain: at `dev_chain` where it runs in this process, else where its
/// section says.
pub fn node(
    config: &Config,
    dev_chain: Option<SocketAddr>,
    metrics: &Metrics,
) -> anyhow::Result<NimiqClient> {
    let nodes = node_addresses(config, dev_chain)?;
    let observer = metrics.node_calls("nimiq");
    let config = NimiqConfig::new(nodes, config.nimiq_network());
    Ok(NimiqClient::new(NimiqConfig { observer: Some(observer), ..config })?)
}

fn node_addresses(config: &Config, dev_chain: Option<SocketAddr>) -> anyhow::Result<Vec<NodeAddress>> {
    if config.nimiq_nodes.is_empty() {
        let address = dev_chain.unwrap_or(config.nimiq_dev_chain.listen);
        return Ok(vec![NodeAddress::new(format!("http://{address}"), "", "")]);
    }
    config.nimiq_nodes.iter().map(node_address).collect()
}

fn node_address(node: &NimiqNode) -> anyhow::Result<NodeAddress> {
    let url = node.url.as_ref().context("a node without a URL")?.to_string();
    let credentials = node.password.as_ref().map_or(Credentials::None, |password| Credentials::Password {
        user: node.user.clone(),
        password: password.reveal().to_owned(),
    });
    Ok(NodeAddress { url, credentials, trust: TlsTrust::PublicAuthorities })
}

/// How the head is followed.
pub fn follow_settings(config: &Config) -> FollowSettings {
    let oldest_head = config.nimiq.oldest_head.map(|seconds| Duration::from_secs(seconds.into()));
    FollowSettings { oldest_head, ..FollowSettings::default() }
}

/// The URL of the accounts. It may hold a password.
pub fn accounts_url(config: &Config) -> String {
    let file = || format!("sqlite://{}", folder(config).join("accounts.db").display());
    config.nimiq.accounts.as_ref().map_or_else(file, |url| url.reveal().to_owned())
}

/// Opens the accounts; while their database cannot be reached, again and again.
pub async fn open_accounts(config: &Config) -> anyhow::Result<Accounts> {
    open(config, accounts_url(config)).await
}

/// The same for the website, which may have a role of its own that can only read.
pub async fn open_accounts_to_read(config: &Config) -> anyhow::Result<Accounts> {
    let own = config.site.accounts.as_ref().map(|url| url.reveal().to_owned());
    open(config, own.unwrap_or_else(|| accounts_url(config))).await
}

async fn open(config: &Config, url: String) -> anyhow::Result<Accounts> {
    std::fs::create_dir_all(folder(config)).context("cannot make the folder of the accounts")?;
    let mut waits = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    loop {
        match Accounts::open(&url).await {
            Err(error @ AccountsError::Database { .. }) if !url.starts_with("sqlite:") => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the accounts cannot be reached");
                tokio::time::sleep(waits.after_failure()).await;
            }
            opened => return opened.context("cannot open the accounts"),
        }
    }
}

/// Where the Nimiq pool keeps its things.
pub fn folder(config: &Config) -> PathBuf {
    config.pool.data.join(FOLDER)
}

/// The account that blocks pay: as written, or that of the key in the data folder, which is drawn at the first start on
/// the embedded chain.
pub fn pool_address(config: &Config) -> anyhow::Result<Address> {
    match config.nimiq.address {
        Some(address) => Ok(address),
        None => Ok(signing_key(config)?.context("`nimiq.address` is missing")?.public_key().address()),
    }
}

/// The key of the pool's account: that of the file which is written, or, on the embedded chain without an address, one
/// of our own. `None` where neither is.
pub fn signing_key(config: &Config) -> anyhow::Result<Option<PrivateKey>> {
    match (&config.nimiq_payout.key_file, config.nimiq.address) {
        (Some(file), address) => {
            let key = key_file::read(file)?;
            let own = key.public_key().address();
            anyhow::ensure!(
                address.is_none_or(|address| address == own),
                "`nimiq_payout.key_file` holds the key of {own}, which is not `nimiq.address`"
            );
            Ok(Some(key))
        }
        (None, None) if config.nimiq_nodes.is_empty() => {
            let folder = folder(config);
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            Ok(Some(key_file::read_or_draw(&folder.join("pool.key"))?))
        }
        (None, _) => Ok(None),
    }
}

/// The service; `folder` is its own.
pub fn service(config: &Config, folder: &Path) -> anyhow::Result<ServiceConfig> {
    let duty = DutyTerms::new(holder_name(folder)?);
    let usual = ServiceConfig::new(pool_address(config)?, credit_rules(config), duty);
    Ok(ServiceConfig { retention: retention(config), ..usual })
}

/// The payout; `holder` is its name among those that may pay.
pub fn payout(config: &Config, holder: String) -> anyhow::Result<PayoutConfig> {
    let payout = &config.nimiq_payout;
    let usual = PayoutConfig::new(payout_rules(config, pool_address(config)?), DutyTerms::new(holder));
    Ok(PayoutConfig {
        confirmations: config.nimiq_service.confirmations,
        every: payout.interval,
        owner: payout.owner_address.map(|recipient| OwnerPayout { recipient, above: payout.owner_above }),
        reserve: payout.reserve,
        batch: payout.batch,
        ..usual
    })
}

/// Who signs payouts.
pub fn signer(config: &Config) -> anyhow::Result<Signer> {
    let signer = match (config.nimiq_payout.signing_command.split_first(), &config.nimiq_payout.key_file) {
        (Some(_), Some(_)) => anyhow::bail!("`nimiq_payout` has both `key_file` and `signing_command`: give one"),
        (Some((program, arguments)), None) => {
            Signer::Agent(Agent { program: program.clone(), arguments: arguments.to_vec(), time: SIGNING_TIME })
        }
        (None, _) => Signer::Key(signing_key(config)?.context(
            "nobody signs payouts: give `nimiq_payout.key_file`, the key of `nimiq.address`, or `signing_command`",
        )?),
    };
    signer.check(pool_address(config)?)?;
    Ok(signer)
}

/// Whether somebody signs payouts here.
pub fn can_sign(config: &Config) -> anyhow::Result<bool> {
    Ok(!config.nimiq_payout.signing_command.is_empty() || signing_key(config)?.is_some())
}

/// How blocks are distributed.
pub fn credit_rules(config: &Config) -> CreditRules {
    let service = &config.nimiq_service;
    CreditRules {
        confirmations: service.confirmations,
        settle_after_ms: service.settle_after.as_millis() as u64,
        ..CreditRules::new(service.pool_fee, service.window)
    }
}

/// Which shares stay as they came.
pub fn retention(config: &Config) -> RetentionRule {
    let service = &config.nimiq_service;
    RetentionRule { shares: service.keep_shares, millis: service.keep_shares_days * 86_400_000 }
}

/// Whom to pay.
pub fn payout_rules(config: &Config, pool_address: Address) -> PayoutRules {
    let payout = &config.nimiq_payout;
    PayoutRules {
        pool_address,
        thresholds: thresholds(config),
        fee_per_byte: Luna(payout.fee_per_byte),
        automatic_fee_payer: payout.automatic_fee_payer,
        requested_fee_payer: payout.requested_fee_payer,
    }
}

/// From which balance on miners are paid without asking.
pub fn thresholds(config: &Config) -> Thresholds {
    let payout = &config.nimiq_payout;
    Thresholds { usual: payout.automatic_above, least: payout.least_threshold, most: payout.most_threshold }
}

/// Under which path a server tells of itself where one process runs the whole pool.
pub fn server_path(name: &str) -> String {
    format!("/nimiq/{name}")
}

/// The name of a server; a checked configuration has one for each.
pub fn server_name(server: &NimiqServer) -> &str {
    server.name.as_ref().map_or("main", |name| name.as_str())
}

/// The server of a name.
pub fn server<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c NimiqServer> {
    let found = config.nimiq_servers.iter().find(|server| server_name(server) == name);
    found.with_context(|| super::unknown("nimiq_server", name, config.nimiq_servers.iter().map(server_name)))
}

/// What a server offers its clients.
pub fn terms(config: &Config, server: &NimiqServer, address: Address) -> anyhow::Result<Arc<Terms>> {
    let fee = Decimal::new(config.nimiq_service.pool_fee.millionths().into(), -6)?;
    let number = |decimal: &Decimal| decimal.to_string().parse::<f64>();
    let name = config.nimiq.name.clone().map_or_else(|| PoolName::new("Headframe"), Ok)?;
    let usual = Terms::new(name, address, fee.to_string().parse()?, config.nimiq_network());
    Ok(Arc::new(Terms {
        difficulty: DifficultyLimits {
            shares_per_second: number(&server.shares_per_second)?,
            least: number(&server.least_difficulty)?,
            most_at_start: number(&server.most_start_difficulty)?,
        },
        start_difficulty: number(&server.start_difficulty)?,
        dumb_start_difficulty: number(&server.dumb_start_difficulty)?,
        thresholds: thresholds(config),
        allowed_errors: server.allowed_errors,
        ..usual
    }))
}

/// Certificate and key of a server, if it speaks TLS itself.
pub fn tls_files(server: &NimiqServer) -> Option<(&Path, &Path)> {
    server.certificate.as_deref().zip(server.key.as_deref())
}

/// A server.
pub fn server_config(
    config: &Config,
    server: &NimiqServer,
    folder: &Path,
) -> anyhow::Result<NimiqServerConfig> {
    let banned = server.banned.iter().map(|text| text.parse::<Subject>()).collect::<Result<_, _>>()?;
    let usual =
        NimiqServerConfig::new(server_name(server), folder, terms(config, server, pool_address(config)?)?);
    Ok(NimiqServerConfig {
        follow: follow_settings(config),
        hashing_threads: NonZeroUsize::new(threads(server.threads)).unwrap_or(NonZeroUsize::MIN),
        limits: AdmissionLimits {
            open: server.connections_per_address,
            fresh: NonZeroU32::new(server.new_connections_per_address).unwrap_or(NonZeroU32::MIN),
            shares_per_second: server.shares_per_address.to_string().parse()?,
            banned,
        },
        times: Times { silence: server.silent_for, ..usual.times },
        ..usual
    })
}

/// Who may say on a server's port for whom it speaks.
pub fn proxies(server: &NimiqServer) -> Proxies {
    Proxies {
        networks: server.trusted_proxies.clone(),
        forwarded_header: server.forwarded_header,
        proxy_protocol: server.proxy_protocol,
    }
}

/// What a server's port grants its clients.
pub fn server_limits(server: &NimiqServer) -> Limits {
    Limits {
        connections: server.connections,
        // The server counts by address itself: it knows whom a proxy speaks for, and which addresses are private.
        connections_per_address: server.connections,
        proxies: proxies(server).into(),
        ..Limits::default()
    }
}

/// Where a server of this process takes shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its certificate, if it speaks TLS.
    pub certificate: Option<PathBuf>,
}

impl ServerAddress {
    /// As miners are told.
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}", self.address)
    }
}

/// The miner of `up --mine`, who gives way to the servers.
pub fn miner(
    config: &Config,
    server: &ServerAddress,
    dev_chain: Option<SocketAddr>,
) -> anyhow::Result<NimiqMinerConfig> {
    let mine = &config.mine;
    let is_dev = config.nimiq_nodes.is_empty();
    let address = mine.nimiq_address.or(is_dev.then_some(DEV_MINER));
    let node = || node_addresses(config, dev_chain)?.into_iter().next().context("a smart miner needs a node");
    let mode = match mine.nimiq_mode {
        Mode::Nano => MiningMode::Nano { node: None },
        Mode::Smart => MiningMode::Smart { node: node()? },
        Mode::Dumb => MiningMode::Dumb,
    };
    let threads = NonZeroUsize::new(mine.nimiq_threads).unwrap_or(NonZeroUsize::MIN);
    Ok(NimiqMinerConfig {
        trust: server.certificate.clone().map_or(TlsTrust::PublicAuthorities, TlsTrust::CertificateFile),
        mode,
        network: config.nimiq_network(),
        device: DeviceName::new("up"),
        start_difficulty: is_dev.then_some(DEV_START_DIFFICULTY),
        placement: Placement { nice: NICE, ..Placement::of(threads) },
        ..NimiqMinerConfig::new(
            server.url().parse()?,
            address.context("`mine` needs an address with a real node: nimiq_address")?,
        )
    })
}
