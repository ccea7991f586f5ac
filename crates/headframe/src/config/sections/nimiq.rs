//! The sections of the Nimiq pool, each key defined once: see [`crate::config::keys`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use ledger::nimiq::payout_plan::{FeePayer, MOST_PENDING};
use ledger::nimiq::split::FeePpm;
use ledger::nimiq::window::WindowRule;
use nimiq::{Address, Luna, Network, PoolName};
use wire::Decimal;
use wire::forwarded::ForwardedHeader;

use super::{HANDLER_NAME, OWN_LISTEN};
use crate::config::keys::{Keys, Section};
use crate::config::values::{HandlerName, MinerUrl, PublicUrl, Secret, network};

/// `[nimiq]`: what the roles of the Nimiq pool share.
#[derive(Debug, Clone)]
pub struct Nimiq {
    pub run: Option<bool>,
    pub network: Option<Network>,
    pub name: Option<PoolName>,
    pub address: Option<Address>,
    pub accounts: Option<Secret>,
    pub oldest_head: Option<u32>,
}

impl Section for Nimiq {
    const NAME: &'static str = "nimiq";
    const ABOUT: &'static str = "The Nimiq pool: what its server, service and payout share.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            run: keys.choice(
                "run",
                &[("auto", None), ("yes", Some(true)), ("no", Some(false))],
                "Whether `up` runs the Nimiq pool. auto: with a [[nimiq_node]] on that, and with no node of either kind \
                 on the embedded Nimiq dev chain; not with a [[node]] alone.",
            ),
            network: keys.choice(
                "network",
                &[
                    ("auto", None),
                    ("main", Some(Network::Main)),
                    ("test", Some(Network::Test)),
                    ("dev", Some(Network::Dev)),
                ],
                "Whose genesis block the chain has. auto: main with a [[nimiq_node]], dev on the embedded chain.",
            ),
            name: keys.pool_name("name", "The pool's name, with which the extra data of its blocks begins. Without it: Headframe."),
            address: keys.nimiq_address(
                "address",
                "The pool's own account: every block pays it, and miners are paid from it. Needed with a [[nimiq_node]]; \
                 on the embedded chain a key is drawn at the first start, in the data folder.",
            ),
            accounts: keys.accounts_url(
                "accounts",
                "Where shares, balances and payouts are kept. One file for one machine, PostgreSQL for several. Without \
                 it: the file nimiq/accounts.db in the data folder.",
            ),
            oldest_head: keys.optional_whole(
                "oldest_head",
                "3600",
                60..=31_536_000,
                "seconds",
                "No work is given out while the newest block is older than this: the node has then lost its network. \
                 Without it every head is good enough.",
            ),
        }
    }
}

/// `[[nimiq_node]]`: a Nimiq node above us.
#[derive(Debug, Clone)]
pub struct NimiqNode {
    pub url: Option<PublicUrl>,
    pub user: String,
    pub password: Option<Secret>,
}

impl Section for NimiqNode {
    const NAME: &'static str = "nimiq_node";
    const REPEATED: bool = true;
    const ABOUT: &'static str = "A Nimiq node (core-js 1.x) that the pool mines on. Several are tried in this order; \
                                 without any there is the embedded Nimiq dev chain.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            url: keys.url("url", "http://127.0.0.1:8648", "Its JSON-RPC (--rpc)."),
            user: keys.text("user", "", "Its user name (rpcServer.username)."),
            password: keys.secret(
                "password",
                "89abcdef0123456789abcdef01234567",
                "Its password (rpcServer.password).",
            ),
        }
    }
}

/// `[nimiq_dev_chain]`: the embedded Nimiq chain.
#[derive(Debug, Clone)]
pub struct NimiqDevChain {
    pub listen: SocketAddr,
}

impl Section for NimiqDevChain {
    const NAME: &'static str = "nimiq_dev_chain";
    const ABOUT: &'static str = "The embedded Nimiq chain: the node's JSON-RPC over blocks of no value, by the rules of \
                                 the dev network. It runs only while no [[nimiq_node]] is given.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            listen: keys.listen(
                "listen",
                "127.0.0.1:8648",
                "Where it answers the node's JSON-RPC. It asks for no password: keep it on loopback.",
            ),
        }
    }
}

/// `[[nimiq_server]]`: talks to Nimiq miners.
#[derive(Debug, Clone)]
pub struct NimiqServer {
    pub name: Option<HandlerName>,
    pub listen: SocketAddr,
    pub url: Option<MinerUrl>,
    pub metrics_listen: Option<SocketAddr>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub threads: usize,
    pub connections: usize,
    pub connections_per_address: u32,
    pub new_connections_per_address: u32,
    pub shares_per_address: Decimal,
    pub trusted_proxies: Vec<IpNet>,
    pub forwarded_header: ForwardedHeader,
    pub proxy_protocol: bool,
    pub banned: Vec<String>,
    pub shares_per_second: Decimal,
    pub least_difficulty: Decimal,
    pub start_difficulty: Decimal,
    pub dumb_start_difficulty: Decimal,
    pub most_start_difficulty: Decimal,
    pub allowed_errors: u32,
    pub silent_for: Duration,
}

impl Section for NimiqServer {
    const NAME: &'static str = "nimiq_server";
    const REPEATED: bool = true;
    const ABOUT: &'static str = "A Nimiq server speaks with miners: it gives them work, checks their shares and submits \
                                 blocks. Several may share one pool. Without any there is one, `main`.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            name: keys.handler_name(HANDLER_NAME),
            listen: keys.listen(
                "listen",
                "127.0.0.1:8443",
                "The address for miners (WebSocket). Loopback by default; 0.0.0.0:8443 serves the world.",
            ),
            url: keys.miner_url(
                "url",
                "wss://pool.example:8443",
                "Its address from outside, as the website tells miners. Without it: that of `listen`, by the name of the \
                 website where that is every address of this machine.",
            ),
            metrics_listen: keys.socket("metrics_listen", "127.0.0.1:8085", OWN_LISTEN),
            certificate: keys.at_reload().file(
                "certificate",
                "/etc/headframe/certificate.pem",
                "The certificate chain (PEM) for TLS. Stock miners speak only TLS: without it, a proxy must do that in front. \
                 Each reload reads the file again; to begin or end with TLS needs a restart.",
            ),
            key: keys.at_reload().file("key", "/etc/headframe/key.pem", "The certificate's private key (PEM)."),
            threads: keys.whole("threads", 0, 0..=1024, "threads; 0: one per processor", "Threads that compute proofs of work."),
            connections: keys.whole(
                "connections",
                20_480,
                16..=1_000_000,
                "connections",
                "How many are held at once; more are closed.",
            ),
            connections_per_address: keys.whole(
                "connections_per_address",
                100,
                1..=1_000_000,
                "connections",
                "The same for one client address (IPv6: one /64). Private addresses and trusted proxies are exempt.",
            ),
            new_connections_per_address: keys.whole(
                "new_connections_per_address",
                50,
                1..=1_000_000,
                "connections in five minutes",
                "How many one client address may open, after as many at once.",
            ),
            shares_per_address: keys.decimal(
                "shares_per_address",
                "20",
                "0.001",
                "1000000",
                "Shares per second that all connections of one client address may send. Where there are many of them, each is \
                 asked for fewer shares; what comes beyond is paid for from what [admission] grants the address.",
            ),
            trusted_proxies: keys.at_reload().list(
                "trusted_proxies",
                "an IP address or a network",
                "[\"10.0.0.2\"]",
                "Proxies in front of us. They are believed when they name the client whom they speak for.",
                network,
            ),
            forwarded_header: super::forwarded_header(keys),
            proxy_protocol: keys.at_reload().flag("proxy_protocol", false, super::PROXY_PROTOCOL),
            banned: keys.list(
                "banned",
                "an IP address, a network or a payout address",
                "[\"192.0.2.1\", \"2001:db8::/64\", \"NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9\"]",
                "Who is always refused.",
                banned,
            ),
            shares_per_second: keys.decimal(
                "shares_per_second",
                "0.2",
                "0.001",
                "1000",
                "Shares that one connection shall send per second: its share difficulty follows from that.",
            ),
            least_difficulty: keys.decimal(
                "least_difficulty",
                "0.0001",
                "0.000001",
                "1000000",
                "The easiest share difficulty. At 1 a share takes 65536 hashes.",
            ),
            start_difficulty: keys.decimal(
                "start_difficulty",
                "1",
                "0.000001",
                "1000000",
                "The first share difficulty of smart and nano clients that wish for none.",
            ),
            dumb_start_difficulty: keys.decimal(
                "dumb_start_difficulty",
                "32",
                "0.000001",
                "1000000",
                "The same for dumb clients.",
            ),
            most_start_difficulty: keys.decimal(
                "most_start_difficulty",
                "100000",
                "0.000001",
                "1000000000",
                "The hardest share difficulty that a client may begin with.",
            ),
            allowed_errors: keys.whole(
                "allowed_errors",
                30,
                0..=10_000,
                "errors",
                "Bad shares that a client may send on one piece of work before its connection is closed.",
            ),
            silent_for: keys.seconds(
                "silent_for",
                600,
                10..=86_400,
                "A connection without an accepted share for so long is closed.",
            ),
        }
    }
}

/// Takes an address, a network or a payout address, and gives it back as it is written.
fn banned(text: &str) -> Result<String, Option<String>> {
    let known = text.parse::<std::net::IpAddr>().is_ok()
        || text.parse::<IpNet>().is_ok()
        || text.parse::<Address>().is_ok();
    if known { Ok(text.to_owned()) } else { Err(None) }
}

/// `[nimiq_service]`: who is credited.
#[derive(Debug, Clone)]
pub struct NimiqService {
    pub metrics_listen: Option<SocketAddr>,
    pub window: WindowRule,
    pub pool_fee: FeePpm,
    pub confirmations: u32,
    pub settle_after: Duration,
    pub keep_shares: u64,
    pub keep_shares_days: u64,
}

impl Section for NimiqService {
    const NAME: &'static str = "nimiq_service";
    const ABOUT: &'static str =
        "The Nimiq service follows the chain and credits miners for the blocks of the pool (PPLNS).";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            metrics_listen: keys.socket("metrics_listen", "127.0.0.1:8086", OWN_LISTEN),
            window: keys.window("window", "Which shares a block pays."),
            pool_fee: keys.fee(
                "pool_fee",
                "0.01",
                "The pool's part of each reward: 0.01 is one percent. Miners are told.",
            ),
            confirmations: keys.whole(
                "confirmations",
                10,
                1..=10_000,
                "blocks",
                "Blocks on top of a block before its credits can be paid out.",
            ),
            settle_after: keys.seconds(
                "settle_after",
                60,
                0..=3600,
                "How long a block waits for its own share, which may be on its way from a server, before it is credited.",
            ),
            keep_shares: keys.whole(
                "keep_shares",
                1_000_000,
                1000..=1_000_000_000,
                "shares",
                "So many of the newest shares stay as they came; older ones become sums. Windows are never touched.",
            ),
            keep_shares_days: keys.whole(
                "keep_shares_days",
                7,
                1..=3650,
                "days",
                "Shares younger than this stay as they came, too.",
            ),
        }
    }
}

/// `[nimiq_payout]`: who is paid, and when.
#[derive(Debug, Clone)]
pub struct NimiqPayout {
    pub metrics_listen: Option<SocketAddr>,
    pub automatic_above: Luna,
    pub least_threshold: Luna,
    pub most_threshold: Luna,
    pub key_file: Option<PathBuf>,
    pub signing_command: Vec<String>,
    pub interval: Duration,
    pub reserve: Luna,
    pub owner_address: Option<Address>,
    pub owner_above: Luna,
    pub fee_per_byte: u64,
    pub automatic_fee_payer: FeePayer,
    pub requested_fee_payer: FeePayer,
    pub batch: usize,
}

impl Section for NimiqPayout {
    const NAME: &'static str = "nimiq_payout";
    const ABOUT: &'static str = "The Nimiq payout sends miners their balances, each exactly once.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            metrics_listen: keys.socket("metrics_listen", "127.0.0.1:8087", OWN_LISTEN),
            automatic_above: keys.nim(
                "automatic_above",
                "50",
                "A confirmed balance above this is paid without being asked for, unless its miner has chosen another \
                 threshold.",
            ),
            least_threshold: keys.nim(
                "least_threshold",
                "10",
                "The least threshold that a miner may choose, with a signature.",
            ),
            most_threshold: keys.nim("most_threshold", "10000", "The greatest threshold that a miner may choose."),
            key_file: keys.file(
                "key_file",
                "/etc/headframe/nimiq-pool.key",
                "The private key of [nimiq] address: 64 hexadecimal digits, or the wallet.seed of a node. The file must \
                 be readable by nobody else (mode 0600). On the embedded chain there is one in the data folder.",
            ),
            signing_command: keys.list(
                "signing_command",
                "a program or an argument of it",
                "[\"/usr/local/bin/sign-payout\"]",
                "Instead of a key: a program that is started for each payout. It is given one line of JSON (sender, \
                 recipient, value, fee, validityStartHeight, networkId and content, the bytes to sign in hexadecimal \
                 digits) and answers with one: publicKey and signature, in hexadecimal digits.",
                |text| Ok(text.to_owned()),
            ),
            interval: keys.seconds(
                "interval",
                600,
                0..=86_400,
                "How often automatic payouts are made: at the start and then at each multiple of this since midnight UTC; \
                 0: as soon as there is one. Requests are answered at once.",
            ),
            reserve: keys.nim(
                "reserve",
                "0",
                "What must stay on the pool's account: payouts that would take from it wait, and say so.",
            ),
            owner_address: keys.nimiq_address(
                "owner_address",
                "Where the pool's own part is paid to. Without it, it stays on the pool's account.",
            ),
            owner_above: keys.nim("owner_above", "1000", "The pool's own part is paid once it is above this."),
            fee_per_byte: keys.whole(
                "fee_per_byte",
                1,
                0..=10_000,
                "luna",
                "The network's fee for a byte of a transaction, of which a payout has 138.",
            ),
            automatic_fee_payer: keys.choice(
                "automatic_fee_payer",
                &[("pool", FeePayer::Pool), ("user", FeePayer::User)],
                "Who bears that fee of automatic payouts.",
            ),
            requested_fee_payer: keys.choice(
                "requested_fee_payer",
                &[("user", FeePayer::User), ("pool", FeePayer::Pool)],
                "Who bears that fee of requested payouts.",
            ),
            batch: keys.whole(
                "batch",
                100,
                1..=MOST_PENDING,
                "payouts",
                "The most that are signed in one go.",
            ),
        }
    }
}
