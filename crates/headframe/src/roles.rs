//! What each role is started with, made from what the operator wrote.

pub mod monitor;
pub mod nimiq;
pub mod notify;
pub mod site;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use ledger::RulesConfig;
use miner::announcements::AnnouncementMinerConfig;
use miner::blocks::BlockMinerConfig;
use miner::mining_threads::Placement;
use miner::pool_client::PoolUrl;
use node::{Credentials, NodeAddress, PktdClient, PktdConfig, TlsTrust};
use packetcrypt::check::Rules;
use packetcrypt::{CanonicalTarget, CompactTarget};
use pool::Metrics;
use pool::admission::AdmissionConfig;
use pool::ann_handler::AnnHandlerConfig;
use pool::blk_handler::BlkHandlerConfig;
use pool::listener::{BodyLimits, Limits, Proxies};
use pool::master::{MasterConfig, MasterSettings, ShareTarget};
use pool::pay_maker::{PayMakerConfig, UpdateHook};
use pool::work_feed::FeedLimits;
use sprayer::SprayerConfig;
use wire::PktAddress;
use wire::pkt_address::ChainAddress;
use wire::signing_key::PrivateSeed;

use crate::config::{AnnHandler, BlkHandler, Config, Http, Node, PublicUrl, Secret};

/// Added to the miners' nice value, so that they give way to the servers of the same machine.
const NICE: u8 = 10;
/// What figures call the chain.
const PACKETCRYPT: &str = "packetcrypt";

/// Where every role can be reached from outside.
#[derive(Debug, Clone)]
pub struct Urls {
    /// The pool URL.
    pub master: String,
    /// Base URL of the PayMaker.
    pub pay_maker: String,
    /// Base URLs of all AnnHandlers, in the order that assigns announcements.
    pub ann_handlers: Vec<String>,
    /// Base URLs of all BlkHandlers.
    pub blk_handlers: Vec<String>,
    /// Base URL of each AnnHandler of this configuration by its name.
    own_ann: Vec<(String, String)>,
    /// Base URL of each BlkHandler of this configuration by its name.
    own_blk: Vec<(String, String)>,
}

impl Urls {
    /// What is written, and else what follows from where the roles listen: `listen` for those without an address
    /// of their own.
    pub fn new(config: &Config, listen: SocketAddr) -> Self {
        let at = |own: Option<SocketAddr>, path: &str| format!("http://{}{path}", own.unwrap_or(listen));
        let or =
            |url: &Option<PublicUrl>, otherwise: String| url.as_ref().map_or(otherwise, ToString::to_string);
        let listed = |urls: &[PublicUrl]| urls.iter().map(ToString::to_string).collect::<Vec<_>>();
        let ann = |handler: &AnnHandler| {
            let name = ann_name(handler);
            (name.to_owned(), or(&handler.url, at(handler.listen, &format!("/ann/{name}"))))
        };
        let blk = |handler: &BlkHandler| {
            let name = blk_name(handler);
            (name.to_owned(), or(&handler.url, at(handler.listen, &format!("/blk/{name}"))))
        };
        let master = &config.master;
        let own_ann: Vec<_> = config.ann_handlers.iter().map(ann).collect();
        let own_blk: Vec<_> = config.blk_handlers.iter().map(blk).collect();
        let urls_of = |own: &[(String, String)]| own.iter().map(|(_, url)| url.clone()).collect();
        Self {
            master: or(&config.pool.url, at(master.listen, "/master")),
            pay_maker: or(&config.pay_maker.url, at(config.pay_maker.listen, "/paymaker")),
            ann_handlers: match master.announcement_urls.as_slice() {
                [] => urls_of(&own_ann),
                urls => listed(urls),
            },
            blk_handlers: match master.block_urls.as_slice() {
                [] => urls_of(&own_blk),
                urls => listed(urls),
            },
            own_ann,
            own_blk,
        }
    }

    /// The same with the handlers of another configuration, for a Master that runs alone: they are others' processes.
    #[must_use]
    pub fn with_handlers_of(&self, config: &Config, listen: SocketAddr) -> Self {
        let Self { ann_handlers, blk_handlers, .. } = Self::new(config, listen);
        Self { ann_handlers, blk_handlers, ..self.clone() }
    }

    /// The same with the Master's list of another configuration, where it is written out; else the handlers that run.
    #[must_use]
    pub fn with_list_of(&self, config: &Config) -> Self {
        let list = |written: &[PublicUrl], running: &[(String, String)]| match written {
            [] => running.iter().map(|(_, url)| url.clone()).collect(),
            urls => urls.iter().map(ToString::to_string).collect(),
        };
        Self {
            ann_handlers: list(&config.master.announcement_urls, &self.own_ann),
            blk_handlers: list(&config.master.block_urls, &self.own_blk),
            ..self.clone()
        }
    }

    /// Base URL of an AnnHandler of this configuration.
    pub fn ann_handler(&self, name: &str) -> Option<&str> {
        self.own_ann.iter().find(|(own, _)| own == name).map(|(_, url)| url.as_str())
    }

    /// Base URL of a BlkHandler of this configuration.
    pub fn blk_handler(&self, name: &str) -> Option<&str> {
        self.own_blk.iter().find(|(own, _)| own == name).map(|(_, url)| url.as_str())
    }
}

/// The name of an AnnHandler; a checked configuration has one for each.
pub fn ann_name(handler: &AnnHandler) -> &str {
    handler.name.as_ref().map_or("main", |name| name.as_str())
}

/// The name of a BlkHandler.
pub fn blk_name(handler: &BlkHandler) -> &str {
    handler.name.as_ref().map_or("main", |name| name.as_str())
}

/// The AnnHandler of a name.
pub fn ann_handler<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c AnnHandler> {
    let found = config.ann_handlers.iter().find(|handler| ann_name(handler) == name);
    found.with_context(|| unknown("ann_handler", name, config.ann_handlers.iter().map(ann_name)))
}

/// The BlkHandler of a name.
pub fn blk_handler<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c BlkHandler> {
    let found = config.blk_handlers.iter().find(|handler| blk_name(handler) == name);
    found.with_context(|| unknown("blk_handler", name, config.blk_handlers.iter().map(blk_name)))
}

fn unknown<'a>(section: &str, name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names = names.collect::<Vec<_>>().join(", ");
    format!("the configuration has no [[{section}]] named {name:?}; it has: {names}")
}

/// The Master's settings, which may change while it runs.
pub fn master_settings(config: &Config, urls: &Urls) -> MasterSettings {
    let master = &config.master;
    let work = packetcrypt::target::Number::from(master.announcement_work);
    MasterSettings {
        master_url: urls.master.clone(),
        ann_handler_urls: urls.ann_handlers.clone(),
        blk_handler_urls: urls.blk_handlers.clone(),
        paymaker_url: urls.pay_maker.clone(),
        ann_versions: vec![1],
        mine_old_anns: master.mine_old_anns,
        ann_target: master
            .announcement_target
            .map_or_else(|| CompactTarget::for_work(&work), CanonicalTarget::compact),
        share_target: ShareTarget::WorkDivisor(master.share_divisor),
        private_seed: private_seed(config),
        blkinfo_url: None,
    }
}

/// The settings of a Master that was started with `old`, after it has read `new`: what others rely on stays.
pub fn master_settings_after(old: &Config, new: &Config, urls: &Urls) -> MasterSettings {
    MasterSettings { private_seed: private_seed(old), ..master_settings(new, urls) }
}

/// The Master.
pub fn master(config: &Config, urls: &Urls, folder: &Path) -> MasterConfig {
    MasterConfig {
        dir: folder.join("work"),
        settings: master_settings(config, urls),
        long_poll: FeedLimits {
            waiting: config.master.waiting_clients,
            waiting_per_address: config.master.waiting_clients_per_address,
            ..FeedLimits::default()
        },
        admission: Arc::default(),
    }
}

/// Whose rules announcements must keep.
fn chain(config: &Config) -> Rules {
    let by_node = if config.nodes.is_empty() { Rules::NEW_CHAIN } else { Rules::PKT };
    config.pool.chain.unwrap_or(by_node)
}

/// An AnnHandler.
pub fn ann_handler_config(
    config: &Config,
    handler: &AnnHandler,
    urls: &Urls,
    password: &Secret,
    folder: &Path,
) -> anyhow::Result<AnnHandlerConfig> {
    let name = ann_name(handler);
    let url = urls.ann_handler(name).map(submit_url).unwrap_or_default();
    let usual = AnnHandlerConfig::new(name, &url, folder.join("outbox"), &urls.master, chain(config));
    Ok(AnnHandlerConfig {
        paymaker_password: password.reveal().to_owned(),
        block_miner_password: handler.password.as_ref().map_or_else(String::new, |it| it.reveal().to_owned()),
        skip_check_chance: handler.skip_check_chance.to_string().parse()?,
        ungrouped_share: handler.ungrouped_percent as f64 / 100.0,
        workers: NonZeroUsize::new(threads(handler.threads)).unwrap_or(NonZeroUsize::MIN),
        queue_posts: handler.queue_posts,
        queue_bytes: handler.queue_mebibytes << 20,
        body: BodyLimits { bytes: handler.body_mebibytes << 20, ..usual.body },
        announcements_per_height: handler.announcements_per_height,
        files_to_keep: handler.files_to_keep,
        sprayer: sprayer(handler),
        ..usual
    })
}

/// The UDP feed of an AnnHandler, if it is to have one.
fn sprayer(handler: &AnnHandler) -> Option<SprayerConfig> {
    let password = handler.password.as_ref()?;
    Some(SprayerConfig {
        subscriber_networks: handler.sprayer_networks.clone(),
        subscribers_max: handler.sprayer_subscribers,
        max_segment_size: handler.segment_bytes,
        spray_at: handler.spray_at.clone(),
        subscribe_to: handler.subscribe_to.clone(),
        ..SprayerConfig::new(handler.sprayer_listen?, password.reveal())
    })
}

/// A BlkHandler.
pub fn blk_handler_config(
    config: &Config,
    handler: &BlkHandler,
    urls: &Urls,
    password: &Secret,
    folder: &Path,
) -> BlkHandlerConfig {
    let usual =
        BlkHandlerConfig::new(blk_name(handler), folder.join("outbox"), &urls.master, password.reveal());
    BlkHandlerConfig {
        public_url: urls.blk_handler(blk_name(handler)).map(submit_url),
        private_seed: private_seed(config),
        grace: handler.grace,
        requests: handler.requests,
        checking_threads: threads(handler.threads),
        ask_node: handler.node_check,
        rules: chain(config),
        ..usual
    }
}

fn submit_url(base: &str) -> String {
    format!("{base}/submit")
}

fn private_seed(config: &Config) -> Option<PrivateSeed> {
    config.pool.private_seed.as_ref().and_then(|seed| PrivateSeed::new(seed.reveal()))
}

/// The PayMaker.
pub fn pay_maker(config: &Config, password: &Secret, folder: &Path) -> anyhow::Result<PayMakerConfig> {
    let rules = rules(config)?;
    let error_address = config.pay_maker.error_address.unwrap_or(rules.default_address);
    Ok(PayMakerConfig {
        upload_networks: config.pay_maker.upload_networks.clone(),
        update_hook: UpdateHook::new(&config.pay_maker.update_hook),
        update_cycle: config.pay_maker.update_cycle,
        ..PayMakerConfig::new(folder.join("ledger"), rules, error_address, password.reveal())
    })
}

/// The miners of `up --mine`, who give way to the servers.
pub fn miners(
    config: &Config,
    pool_url: &str,
) -> anyhow::Result<(AnnouncementMinerConfig, BlockMinerConfig)> {
    let mine = &config.mine;
    let pay_to = |address: Option<PktAddress>, whose: &str| match address {
        Some(address) => Ok(address),
        None if config.nodes.is_empty() => dev_address(whose),
        None => {
            anyhow::bail!("`mine` needs addresses with a real node: announcement_address and block_address")
        }
    };
    let placement = |threads: usize| Placement {
        nice: NICE,
        ..Placement::of(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN))
    };
    let url: PoolUrl = pool_url.parse()?;
    let announcements = AnnouncementMinerConfig {
        placement: placement(mine.announcement_threads),
        ..AnnouncementMinerConfig::new(url.clone(), pay_to(mine.announcement_address, "announcements")?)
    };
    let blocks = BlockMinerConfig {
        placement: placement(mine.block_threads),
        memory: mine.memory_mebibytes << 20,
        ..BlockMinerConfig::new(url, pay_to(mine.block_address, "shares")?)
    };
    Ok((announcements, blocks))
}

/// A password that nobody needs to know.
pub fn random_secret() -> Secret {
    Secret::new(hex::encode(rand::random::<[u8; 16]>()))
}

/// The accounting rules.
pub fn rules(config: &Config) -> anyhow::Result<RulesConfig> {
    let pay_maker = &config.pay_maker;
    Ok(RulesConfig {
        has_private_seed: config.pool.private_seed.is_some(),
        block_payout_fraction: pay_maker.block_payout_fraction,
        pplns_block_constant: pay_maker.block_window,
        pplns_announcement_constant: pay_maker.announcement_window,
        history_depth_ms: pay_maker.history.as_millis() as u64,
        slot_span_ms: pay_maker.slot.as_millis() as u64,
        slots_to_keep_events: pay_maker.slots_to_keep_events.map(u64::from),
        pool_fee: (!pay_maker.pool_fee.is_zero()).then_some(pay_maker.pool_fee),
        pool_fee_address: pay_maker.pool_fee_address.map(|address| address.to_string()),
        default_address: pay_maker.default_address.map_or_else(|| dev_address("default payee"), Ok)?,
        most_payees: pay_maker.most_payees,
    })
}

/// An address of the dev chain for somebody who gave none: nobody has its key, and its coins are worth nothing.
pub fn dev_address(whose: &str) -> anyhow::Result<PktAddress> {
    let mut hash = [b'.'; 20];
    hash.iter_mut().zip(whose.bytes()).for_each(|(place, byte)| *place = byte);
    let text = ChainAddress::WitnessPublicKeyHash(hash).to_string();
    PktAddress::parse(&text).with_context(|| format!("the dev chain's address for the {whose}"))
}

/// The nodes that are written, or the dev chain at `dev_chain`.
pub fn node(config: &Config, dev_chain: Option<SocketAddr>, metrics: &Metrics) -> anyhow::Result<PktdClient> {
    let mut nodes = config.nodes.iter().map(node_address).collect::<anyhow::Result<Vec<_>>>()?;
    nodes.extend(dev_chain.map(|address| NodeAddress::new(format!("http://{address}"), "x", "x")));
    let observer = metrics.node_calls(PACKETCRYPT);
    let client = PktdClient::connect(PktdConfig { observer: Some(observer), ..PktdConfig::new(nodes) })?;
    metrics.show_nodes(PACKETCRYPT, client.clone());
    Ok(client)
}

fn node_address(node: &Node) -> anyhow::Result<NodeAddress> {
    let url = node.url.as_ref().context("a node without a URL")?.to_string();
    let credentials = match (&node.cookie_file, &node.password) {
        (Some(file), _) => Credentials::CookieFile(file.clone()),
        (None, Some(password)) => {
            Credentials::Password { user: node.user.clone(), password: password.reveal().to_owned() }
        }
        (None, None) => Credentials::None,
    };
    let trust = node.certificate.clone().map_or(TlsTrust::PublicAuthorities, TlsTrust::CertificateFile);
    Ok(NodeAddress { url, credentials, trust })
}

/// What all roles of a process grant their clients.
pub fn admission(config: &Config) -> AdmissionConfig {
    let written = &config.admission;
    AdmissionConfig {
        processor: f64::from(written.processor_percent) / 100.0,
        processor_at_once: f64::from(written.processor_seconds),
        mistakes: written.mistakes,
        mistakes_per_minute: written.mistakes_per_minute,
        exempt: written.exempt.clone(),
        clients: written.clients,
    }
}

/// Who may say for whom it speaks.
pub fn proxies(config: &Config) -> Proxies {
    let Http { trusted_proxies, forwarded_header, proxy_protocol, .. } = &config.http;
    Proxies {
        networks: trusted_proxies.clone(),
        forwarded_header: *forwarded_header,
        proxy_protocol: *proxy_protocol,
    }
}

/// What a listener grants its clients.
pub fn limits(config: &Config, large_bodies: bool) -> Limits {
    Limits {
        connections: config.http.connections,
        proxies: proxies(config).into(),
        large_bodies,
        ..Limits::default()
    }
}

/// Threads as written, where 0 means one per processor.
pub fn threads(written: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if written == 0 { processors } else { written }
}
