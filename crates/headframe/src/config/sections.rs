//! Every section with every key, each defined once: see [`super::keys`]. Those of the Nimiq pool are in [`nimiq`].

pub mod admin;
pub mod admission;
pub mod log;
pub mod monitor;
pub mod nimiq;
pub mod notify;
pub mod site;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ::nimiq::Address;
use ipnet::IpNet;
use node::dev_chain::rules::ChainRules;
use packetcrypt::check::Rules;
use packetcrypt::target::CanonicalTarget;
use wire::forwarded::ForwardedHeader;
use wire::nimiq::Mode;
use wire::{Decimal, PktAddress};

use super::keys::{Keys, Section};
use super::values::{HandlerName, PublicUrl, Secret, network};

/// `[pool]`: what all roles share.
#[derive(Debug, Clone)]
pub struct Pool {
    pub url: Option<PublicUrl>,
    pub password: Option<Secret>,
    pub private_seed: Option<Secret>,
    pub data: PathBuf,
    pub chain: Option<Rules>,
    pub run_packetcrypt: Option<bool>,
}

impl Section for Pool {
    const NAME: &'static str = "pool";
    const ABOUT: &'static str =
        "What all roles share. The same file serves every role and every machine of a pool.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            url: keys.url(
                "url",
                "http://pool.example/master",
                "The pool URL that miners are given: where the Master can be reached from outside. \
                 Without it: http://LISTEN/master.",
            ),
            password: keys.secret(
                "password",
                "0123456789abcdef0123456789abcdef",
                "Handlers show it to the PayMaker when they hand over what is to be paid. Whoever knows it can \
                 credit anyone, so draw it at random (for example: openssl rand -hex 16). `up` draws one at each \
                 start if there is none; a role of its own needs it.",
            ),
            private_seed: keys.secret(
                "private_seed",
                "fedcba9876543210fedcba9876543210",
                "Makes the pool private: announcements must be signed with keys derived from this seed, and \
                 other pools cannot use them. Changing it makes all announcements of the last blocks worthless.",
            ),
            data: keys.folder(
                "data",
                "./headframe-data",
                "Everything that must survive a restart: chain, work files, outboxes, ledger. One program at a \
                 time uses it; a lock file sees to that.",
            ),
            chain: keys.choice(
                "chain",
                &[("auto", None), ("pkt", Some(Rules::PKT)), ("dev", Some(Rules::NEW_CHAIN))],
                "Whose rules announcements must keep. auto: the PKT network's with a [[node]], the dev chain's without. \
                 dev with a [[node]]: that node is a dev chain, or any chain that has had announcements of version 1 \
                 from its beginning.",
            ),
            run_packetcrypt: keys.choice(
                "run_packetcrypt",
                &[("auto", None), ("yes", Some(true)), ("no", Some(false))],
                "Whether `up` runs the PacketCrypt pool. auto: yes, unless there is a [[nimiq_node]] and no [[node]].",
            ),
        }
    }
}

/// `[http]`: how requests come in.
#[derive(Debug, Clone)]
pub struct Http {
    pub listen: SocketAddr,
    pub connections: usize,
    pub trusted_proxies: Vec<IpNet>,
    pub forwarded_header: ForwardedHeader,
    pub proxy_protocol: bool,
}

impl Section for Http {
    const NAME: &'static str = "http";
    const ABOUT: &'static str = "How requests come in. `up` serves every role on one address.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            listen: keys.listen(
                "listen",
                "127.0.0.1:8080",
                "The address to serve on. Loopback by default, so that nothing is published by accident; \
                 0.0.0.0:8080 (or [::]:8080) serves the world, and then [pool] url is needed.",
            ),
            connections: keys.whole(
                "connections",
                20_480,
                16..=1_000_000,
                "connections",
                "How many are held at once; more are closed. A long poll holds one for up to 30 s.",
            ),
            trusted_proxies: keys.at_reload().list(
                "trusted_proxies",
                "an IP address or a network",
                "[\"10.0.0.2\"]",
                "Proxies in front of us. They are believed when they name the client whom they speak for, and limits \
                 and bans then are for that client. Nobody else is believed.",
                network,
            ),
            forwarded_header: forwarded_header(keys),
            proxy_protocol: keys.at_reload().flag("proxy_protocol", false, PROXY_PROTOCOL),
        }
    }
}

/// The header in which proxies name the client.
fn forwarded_header(keys: &mut Keys<'_>) -> ForwardedHeader {
    keys.at_reload().choice(
        "forwarded_header",
        &[("x-forwarded-for", ForwardedHeader::XForwardedFor), ("forwarded", ForwardedHeader::Forwarded)],
        "The header in which the trusted proxies name the client. The other one is not looked at: a proxy passes on \
         there what the client has written.",
    )
}

/// `[[node]]`: a pktd above us.
#[derive(Debug, Clone)]
pub struct Node {
    pub url: Option<PublicUrl>,
    pub user: String,
    pub password: Option<Secret>,
    pub cookie_file: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
}

impl Section for Node {
    const NAME: &'static str = "node";
    const REPEATED: bool = true;
    const ABOUT: &'static str = "A pktd that the pool mines on. Several are tried in this order; without any, `up` \
                                 runs the embedded dev chain.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            url: keys.url("url", "http://127.0.0.1:64765", "Its JSON-RPC (pktd --rpclisten)."),
            user: keys.text("user", "x", "Its user name (pktd --rpcuser)."),
            password: keys.secret(
                "password",
                "89abcdef0123456789abcdef01234567",
                "Its password (pktd --rpcpass).",
            ),
            cookie_file: keys.file(
                "cookie_file",
                "/home/pkt/.pktd/rpc.cookie",
                "Instead of a password: the file that a pktd without one writes at each start.",
            ),
            certificate: keys.file(
                "certificate",
                "/home/pkt/.pktd/rpc.cert",
                "For an https URL: the node's own certificate (PEM). Without it, one that browsers would trust.",
            ),
        }
    }
}

/// `[dev_chain]`: the embedded chain.
#[derive(Debug, Clone)]
pub struct DevChain {
    pub listen: SocketAddr,
    pub rules: ChainRules,
}

impl Section for DevChain {
    const NAME: &'static str = "dev_chain";
    const ABOUT: &'static str = "The embedded chain: pktd's JSON-RPC over blocks of no value. It runs only while no \
                                 [[node]] is given.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            listen: keys.listen(
                "listen",
                "127.0.0.1:64765",
                "Where it answers pktd's JSON-RPC. It asks for no password: keep it on loopback.",
            ),
            rules: keys.choice(
                "rules",
                &[
                    ("steady", ChainRules::steady()),
                    ("instant", ChainRules::instant()),
                    ("public", ChainRules::public()),
                ],
                "How hard its blocks are. steady: one about every ten seconds, whatever the machine. instant: a \
                 block at every second attempt, for ever. public: as on the PKT network, where the target changes \
                 every 2016 blocks. A chain on disk opens only under the rules that it was made with.",
            ),
        }
    }
}

/// `[master]`: work for everyone.
#[derive(Debug, Clone)]
pub struct Master {
    pub listen: Option<SocketAddr>,
    pub announcement_work: u32,
    pub announcement_target: Option<CanonicalTarget>,
    pub share_divisor: u32,
    pub mine_old_anns: u32,
    pub announcement_urls: Vec<PublicUrl>,
    pub block_urls: Vec<PublicUrl>,
    pub waiting_clients: usize,
    pub waiting_clients_per_address: usize,
}

impl Section for Master {
    const NAME: &'static str = "master";
    const ABOUT: &'static str =
        "The Master tells everyone what to mine: config.json, work files, block infos, the long poll.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            listen: keys.socket("listen", "127.0.0.1:8081", OWN_LISTEN),
            announcement_work: keys.at_reload().whole(
                "announcement_work",
                128,
                1..=1 << 24,
                "hashes",
                "Work of the easiest announcement that is accepted. Greater: fewer announcements for the same \
                 work, less bandwidth, less memory for block miners.",
            ),
            announcement_target: keys.at_reload().target(
                "announcement_target",
                "0x2001fffe",
                "The same as a compact target, instead of announcement_work.",
            ),
            share_divisor: keys.at_reload().whole(
                "share_divisor",
                4,
                1..=1 << 20,
                "times",
                "How much easier than a block a share is, before announcements count in (which enter cubed). \
                 Greater: more shares, steadier income, more load on BlkHandlers.",
            ),
            mine_old_anns: keys.at_reload().whole(
                "mine_old_anns",
                2,
                0..=5,
                "blocks",
                "How many blocks below the tip announcement miners take their parent. At 2 announcements are \
                 usable at once.",
            ),
            announcement_urls: keys.at_reload().urls(
                "announcement_urls",
                "[\"http://pool.example/ann/main\"]",
                "Base URLs of all AnnHandlers in the order that assigns announcements to them; the order must \
                 not change without need. Without it: the url of each [[ann_handler]]. An entry on the host \
                 `invalid` makes miners drop its part of the announcements, to shed load.",
            ),
            block_urls: keys.at_reload().urls(
                "block_urls",
                "[\"http://pool.example/blk/main\"]",
                "Base URLs of all BlkHandlers. Without it: the url of each [[blk_handler]].",
            ),
            waiting_clients: keys.whole(
                "waiting_clients",
                20_000,
                1..=1_000_000,
                "requests",
                "How many long polls may wait at once; more are told to come back.",
            ),
            waiting_clients_per_address: keys.whole(
                "waiting_clients_per_address",
                64,
                1..=1_000_000,
                "requests",
                "The same for one client address. Loopback and trusted proxies are exempt.",
            ),
        }
    }
}

/// `[[ann_handler]]`: takes announcements.
#[derive(Debug, Clone)]
pub struct AnnHandler {
    pub name: Option<HandlerName>,
    pub url: Option<PublicUrl>,
    pub listen: Option<SocketAddr>,
    pub password: Option<Secret>,
    pub threads: usize,
    pub queue_posts: usize,
    pub queue_mebibytes: usize,
    pub body_mebibytes: usize,
    pub files_to_keep: usize,
    pub announcements_per_height: usize,
    pub skip_check_chance: Decimal,
    pub ungrouped_percent: usize,
    pub sprayer_listen: Option<SocketAddr>,
    pub sprayer_networks: Vec<IpNet>,
    pub sprayer_subscribers: usize,
    pub spray_at: Vec<SocketAddr>,
    pub subscribe_to: Vec<SocketAddr>,
    pub segment_bytes: usize,
}

impl Section for AnnHandler {
    const NAME: &'static str = "ann_handler";
    const REPEATED: bool = true;
    const ABOUT: &'static str = "An AnnHandler takes announcements, checks each of them, and passes them on to block \
                                 miners. Several share the work by announcement hash. Without any there is one, `main`.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            name: keys.handler_name(HANDLER_NAME),
            url: keys.url(
                "url",
                "http://pool.example/ann/main",
                "Its base URL as miners see it; they post to url/submit. Without it: http://LISTEN/ann/NAME.",
            ),
            listen: keys.socket("listen", "127.0.0.1:8082", OWN_LISTEN),
            password: keys.secret(
                "password",
                "76543210fedcba9876543210fedcba98",
                "What block miners must show to download announcements and to subscribe to the feed. Without it anyone \
                 may download, and there can be no feed.",
            ),
            threads: keys.whole("threads", 0, 0..=1024, "threads; 0: one per processor", "Threads that check announcements."),
            queue_posts: keys.whole(
                "queue_posts",
                256,
                1..=100_000,
                "posts",
                "Posts that may wait for a thread; beyond, miners are told `overloaded`.",
            ),
            queue_mebibytes: keys.whole("queue_mebibytes", 256, 4..=65_536, "MiB", "The same in bytes."),
            body_mebibytes: keys.whole(
                "body_mebibytes",
                4,
                1..=64,
                "MiB",
                "The greatest post that is read. Miners send 1 MiB (1024 announcements).",
            ),
            files_to_keep: keys.whole(
                "files_to_keep",
                512,
                16..=100_000,
                "files of at most 1 MiB",
                "Announcement files that block miners can download.",
            ),
            announcements_per_height: keys.whole(
                "announcements_per_height",
                67_108_864,
                1024..=1 << 32,
                "announcements",
                "Announcements taken for one parent block. Each is remembered with at most 16 bytes for six blocks, so \
                 that none is paid twice.",
            ),
            skip_check_chance: keys.decimal(
                "skip_check_chance",
                "0",
                "0",
                "0.99",
                "The part of the announcements whose proof of work is *not* checked. Which ones is secret; a miner \
                 with a bad one is checked completely for an hour. 0 checks everything.",
            ),
            ungrouped_percent: keys.whole(
                "ungrouped_percent",
                50,
                1..=100_000,
                "percent of one processor",
                "What checking may cost, in the long run, for one address (IPv6: one /64) whose announcements hardly \
                 ever have a hard nonce in common; beyond, it is told `too_many_hard_nonces`. Miners make hundreds \
                 with each hard nonce, which are checked together for a tenth of the price and never count here.",
            ),
            sprayer_listen: keys.socket(
                "sprayer_listen",
                "127.0.0.1:8456",
                "UDP address of the announcement feed that reference block miners subscribe to. Without it there is none.",
            ),
            sprayer_networks: keys.list(
                "sprayer_networks",
                "a network",
                "[\"10.0.0.0/8\"]",
                "The networks that may subscribe to the feed. None: whoever shows the password, which travels in \
                 clear text and from addresses that can be forged.",
                |text| text.parse().map_err(|_| None),
            ),
            sprayer_subscribers: keys.whole(
                "sprayer_subscribers",
                64,
                1..=1024,
                "subscribers",
                "How many subscribers are served at once.",
            ),
            spray_at: keys.sockets("spray_at", "[\"10.0.0.7:8456\"]", "Receivers that get the feed without asking."),
            subscribe_to: keys.sockets(
                "subscribe_to",
                "[\"10.0.0.8:8456\"]",
                "Other feeds whose announcements are relayed to the subscribers of this one.",
            ),
            segment_bytes: keys.whole(
                "segment_bytes",
                1472,
                1032..=65_016,
                "bytes",
                "The largest datagram of the feed: 1472 fits Ethernet, 8972 jumbo frames.",
            ),
        }
    }
}

/// `[[blk_handler]]`: takes shares.
#[derive(Debug, Clone)]
pub struct BlkHandler {
    pub name: Option<HandlerName>,
    pub url: Option<PublicUrl>,
    pub listen: Option<SocketAddr>,
    pub threads: usize,
    pub requests: usize,
    pub node_check: bool,
    pub grace: Duration,
}

impl Section for BlkHandler {
    const NAME: &'static str = "blk_handler";
    const REPEATED: bool = true;
    const ABOUT: &'static str = "A BlkHandler takes shares, checks them, and submits blocks to the node. Without any \
                                 there is one, `main`.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            name: keys.handler_name(HANDLER_NAME),
            url: keys.url(
                "url",
                "http://pool.example/blk/main",
                "Its base URL as miners see it; they post to url/submit. Without it: http://LISTEN/blk/NAME.",
            ),
            listen: keys.socket("listen", "127.0.0.1:8083", OWN_LISTEN),
            threads: keys.whole("threads", 0, 0..=1024, "threads; 0: one per processor", "Threads that check shares."),
            requests: keys.whole(
                "requests",
                256,
                1..=100_000,
                "requests",
                "Shares in processing at once; beyond, miners are told `overloaded`.",
            ),
            node_check: keys.flag(
                "node_check",
                false,
                "Ask the node for a second opinion (checkpcshare) on each share. Costs about 3 ms of the node's time each.",
            ),
            grace: keys.seconds(
                "grace",
                5,
                0..=60,
                "How long shares on the work that was replaced last are still credited.",
            ),
        }
    }
}

/// `[pay_maker]`: who is paid.
#[derive(Debug, Clone)]
pub struct PayMaker {
    pub url: Option<PublicUrl>,
    pub listen: Option<SocketAddr>,
    pub upload_networks: Vec<IpNet>,
    pub update_hook: Vec<String>,
    pub update_cycle: Duration,
    pub history: Duration,
    pub slot: Duration,
    pub slots_to_keep_events: Option<u32>,
    pub most_payees: u32,
    pub block_payout_fraction: Decimal,
    pub announcement_window: Decimal,
    pub block_window: Decimal,
    pub pool_fee: Decimal,
    pub pool_fee_address: Option<PktAddress>,
    pub default_address: Option<PktAddress>,
    pub error_address: Option<PktAddress>,
}

impl Section for PayMaker {
    const NAME: &'static str = "pay_maker";
    const ABOUT: &'static str =
        "The PayMaker keeps the ledger and tells the node whom the next block pays (PPLNS).";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            url: keys.url(
                "url",
                "http://pool.example/paymaker",
                "Its base URL; handlers upload to url/events. Without it: http://LISTEN/paymaker.",
            ),
            listen: keys.socket("listen", "127.0.0.1:8084", OWN_LISTEN),
            upload_networks: keys.list(
                "upload_networks",
                "a network",
                "[\"10.0.0.0/8\"]",
                "The networks that handlers may upload from, besides this machine. None: whoever shows the password.",
                |text| text.parse().map_err(|_| None),
            ),
            update_hook: keys.list(
                "update_hook",
                "a program or an argument of it",
                "[\"/etc/headframe/adjust-payouts\"]",
                "A program that may change who is paid: it is given the /whotopay document on its standard input and \
                 writes the changed one, within 10 s. `result` counts; what is missing to 1 goes to default_address. \
                 While it fails, payouts are as without it.",
                |text| Ok(text.to_owned()),
            ),
            update_cycle: keys.seconds(
                "update_cycle",
                120,
                0..=3600,
                "How often the node is told whom to pay; it takes effect with the next template. 0: never.",
            ),
            history: keys.seconds(
                "history",
                172_800,
                600..=31_536_000,
                "How old an event may be and still be credited. Must reach past the windows, or early work is forgotten.",
            ),
            slot: keys.seconds("slot", 60, 1..=3600, "Announcement credits are summed in slots of this length."),
            slots_to_keep_events: keys.optional_whole(
                "slots_to_keep_events",
                "10",
                1..=100_000,
                "slots",
                "Drop announcement events that arrive later than this many slots, as the reference does. Without \
                 it everything inside `history` counts, which is what a handler that was cut off needs.",
            ),
            most_payees: keys.whole(
                "most_payees",
                10_000,
                1..=MOST_PAYEES,
                "addresses",
                "Addresses that a block pays for their work at most: each takes 30 to 43 bytes of its coinbase, which \
                 every block miner downloads with its work. Where more have earned something, the smallest parts go to \
                 default_address, and whotopay warns of it.",
            ),
            block_payout_fraction: keys.decimal(
                "block_payout_fraction",
                "0.5",
                "0",
                "1",
                "The part of the reward for block miners; the rest is for announcement miners.",
            ),
            announcement_window: keys.decimal(
                "announcement_window",
                "0.125",
                "0.000000000001",
                "1000000",
                "How far back the PPLNS window for announcements reaches (pplnsAnnConstantX): credits of that sum, \
                 times the fraction of announcement miners.",
            ),
            block_window: keys.decimal(
                "block_window",
                "2",
                "0.000000000001",
                "1000000",
                "The same for shares (pplnsBlkConstantX). A share of full block difficulty earns a credit of 1/4096.",
            ),
            pool_fee: keys.decimal("pool_fee", "0", "0", "0.999999", "The pool's part of each reward: 0.01 is one percent."),
            pool_fee_address: keys.address("pool_fee_address", "Who gets the fee."),
            default_address: keys.address(
                "default_address",
                "Who is paid what the windows do not fill, as in the first hours of a pool. Needed with a real node.",
            ),
            error_address: keys.address(
                "error_address",
                "Who is paid, as the last resort, while the node refuses every list of payees. Needed with a real node.",
            ),
        }
    }
}

/// `[mine]`: the miners that `up --mine` adds.
#[derive(Debug, Clone)]
pub struct Mine {
    pub announcement_address: Option<PktAddress>,
    pub block_address: Option<PktAddress>,
    pub announcement_threads: usize,
    pub block_threads: usize,
    pub memory_mebibytes: usize,
    pub nimiq_address: Option<Address>,
    pub nimiq_mode: Mode,
    pub nimiq_threads: usize,
}

impl Section for Mine {
    const NAME: &'static str = "mine";
    const ABOUT: &'static str = "The miners that `up --mine` adds to the pool, in the same process.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            announcement_address: keys.address(
                "announcement_address",
                "Who is paid for the announcements. On the dev chain there is an address for this.",
            ),
            block_address: keys.address(
                "block_address",
                "Who is paid for the shares. On the dev chain there is an address for this.",
            ),
            announcement_threads: keys.whole(
                "announcement_threads",
                1,
                1..=1024,
                "threads",
                "Threads that mine announcements.",
            ),
            block_threads: keys.whole("block_threads", 1, 1..=1024, "threads", "Threads that mine blocks."),
            memory_mebibytes: keys.whole(
                "memory_mebibytes",
                256,
                16..=1 << 22,
                "MiB",
                "Memory for announcements to mine blocks with.",
            ),
            nimiq_address: keys.nimiq_address(
                "nimiq_address",
                "Who is paid for Nimiq shares. On the embedded chain there is an address for this.",
            ),
            nimiq_mode: keys.choice(
                "nimiq_mode",
                &[("nano", Mode::Nano), ("smart", Mode::Smart), ("dumb", Mode::Dumb)],
                "How the Nimiq miner works: on block data of the pool (nano), on its own, proving whom its blocks pay                  (smart; it asks the pool's node), or on whole headers of the pool (dumb).",
            ),
            nimiq_threads: keys.whole("nimiq_threads", 1, 1..=1024, "threads", "Threads that mine Nimiq."),
        }
    }
}

/// Far fewer than a block of 1 MB holds, so that transactions and a proof have room beside them.
const MOST_PAYEES: u32 = 16_000;
const PROXY_PROTOCOL: &str = "Whether the trusted proxies begin every connection with a header of the PROXY \
                              protocol (version 1 or 2; nginx: proxy_protocol on, HAProxy: send-proxy-v2). Then one of \
                              theirs without is refused, and so is one of anybody else with.";
const OWN_LISTEN: &str = "The address to serve on when the role runs alone. Without it: [http] listen.";
const HANDLER_NAME: &str = "Its name in URLs, logs, metrics and on the command line.";
