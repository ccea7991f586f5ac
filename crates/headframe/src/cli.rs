//! The command line. What each flag means stands here once; `--help` is made from it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use miner::nimiq::NimiqPoolUrl;
use packetcrypt::BlockHash;
use packetcrypt::backend::{BACKEND_VARIABLE, Backend};
use wire::PktAddress;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "headframe",
    version,
    about = "A whole mining pool in one program",
    after_help = "Exit codes: 0 done; 1 something failed, or `verify` found something invalid; 2 wrong command \
                  line; 3 wrong configuration; 130 stopped by a second ^C."
)]
pub struct CommandLine {
    /// Log more: debug messages of this program
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// What to log, such as info,pool=debug; -v and this exclude each other
    #[arg(long, global = true, env = "HEADFRAME_LOG", value_name = "FILTER", conflicts_with = "verbose")]
    pub log: Option<String>,
    /// How to log
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// The implementation of both proofs of work: plain, avx2 or avx512 [default: the fastest that runs here]
    #[arg(long, global = true, env = BACKEND_VARIABLE, value_name = "BACKEND")]
    pub backend: Option<Backend>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs all roles of a pool in one process; without a configuration on the embedded dev chain
    Up(Up),
    /// Runs the Master alone
    Master(Role),
    /// Runs one AnnHandler alone
    AnnHandler(NamedRole),
    /// Runs one BlkHandler alone
    BlkHandler(NamedRole),
    /// Runs the PayMaker alone
    PayMaker(Role),
    /// Runs the website and its API alone
    Site(Site),
    /// Runs the monitor alone: it watches the whole pool, starts again what died, and tells people
    Monitor(Monitor),
    /// Shows a running pool on this terminal: roles, chains, queues, blocks, alerts
    Top(Running),
    /// Asks a running process whether its roles are well; the exit code says so too
    Health(Running),
    /// Mines
    #[command(subcommand)]
    Mine(Mine),
    /// Measures what this machine can do, without a pool
    #[command(subcommand)]
    Bench(Bench),
    /// Runs the embedded chain alone: it answers pktd's JSON-RPC
    DevChain(DevChain),
    /// Runs one role of the Nimiq pool alone, or its embedded chain
    #[command(subcommand)]
    Nimiq(NimiqCommand),
    /// Checks bytes offline: valid, or exactly why not
    #[command(subcommand)]
    Verify(Verify),
    /// Computes from event logs who is to be paid, as the PayMaker does
    WhoToPay(WhoToPay),
    /// Checks or prepares the accounts of a pool that pays its miners itself
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Looks at everything that a pool stands on, and says for each fault how to mend it
    Doctor(Role),
    /// Asks a running process what waits, whom it bans and by what it runs, and has it do things at once
    Admin(AdminArguments),
    /// Prints or checks a configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prints what a shell needs to complete these commands
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Writes the manual, a page for each command
    Manual {
        /// The folder to write to
        folder: PathBuf,
    },
}

/// Where a configuration comes from, and what replaces parts of it.
#[derive(Debug, Args)]
pub struct Configuration {
    /// The configuration file (see: headframe config example)
    #[arg(long, env = "HEADFRAME_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The address to serve on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// The folder that everything is kept in [default: ./headframe-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Sets any key of the configuration: master.mine_old_anns=3
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

/// `up`
#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    pub configuration: Configuration,
    /// Adds miners: of announcements, of blocks, and of Nimiq
    #[arg(long)]
    pub mine: bool,
    /// Where the dev chain answers JSON-RPC [default: 127.0.0.1:64765]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub dev_chain_listen: Option<SocketAddr>,
}

/// A role of which there is one.
#[derive(Debug, Args)]
pub struct Role {
    #[command(flatten)]
    pub configuration: Configuration,
}

/// `site`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Site {
    #[command(flatten)]
    pub role: Role,
    /// Something else than to run it
    #[command(subcommand)]
    pub command: Option<SiteCommand>,
}

/// `site …`
#[derive(Debug, Subcommand)]
pub enum SiteCommand {
    /// Writes the default website into a folder, to be changed and named in [site] folder
    Export {
        /// The folder; what is in it already is not overwritten
        folder: PathBuf,
    },
}

/// `top`, `health`
#[derive(Debug, Args)]
pub struct Running {
    /// Where it serves, such as http://127.0.0.1:8080 [default: where the configuration says]
    pub url: Option<String>,
    #[command(flatten)]
    pub configuration: Configuration,
}

/// `monitor`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Monitor {
    #[command(flatten)]
    pub role: Role,
    /// Something else than to run it
    #[command(subcommand)]
    pub command: Option<MonitorCommand>,
}

/// `monitor …`
#[derive(Debug, Subcommand)]
pub enum MonitorCommand {
    /// Has a running monitor start a role again
    Restart(RestartRole),
    /// Tells everybody who would be told ([[notify]]) that this is a test
    TestNotification(Role),
}

/// `monitor restart`
#[derive(Debug, Args)]
pub struct RestartRole {
    /// Kind of role: master, ann-handler, nimiq-service …
    pub role: String,
    /// Its name, where there may be several
    #[arg(default_value = "")]
    pub name: String,
    #[command(flatten)]
    pub configuration: Configuration,
}

/// A role of which there may be several.
#[derive(Debug, Args)]
pub struct NamedRole {
    /// Its name in the configuration
    pub name: String,
    #[command(flatten)]
    pub configuration: Configuration,
}

/// `mine`
#[derive(Debug, Subcommand)]
pub enum Mine {
    /// Mines announcements, the same ones for one or several pools
    #[command(visible_alias = "ann")]
    Announcements(MineAnnouncements),
    /// Mines shares and blocks
    #[command(visible_alias = "blk")]
    Blocks(MineBlocks),
    /// Mines Nimiq's proof of work for a pool
    Nimiq(MineNimiq),
}

/// `mine announcements`: the options of docs/protocol/packetcrypt-pool.md 7.1, with their letters.
#[derive(Debug, Args)]
pub struct MineAnnouncements {
    /// Pool URLs; the first one decides what is mined
    #[arg(required_unless_present = "config", value_name = "POOL_URL")]
    pub pools: Vec<String>,
    /// The address to be paid
    #[arg(short = 'p', long = "pay-to", visible_alias = "paymentaddr", value_name = "ADDRESS")]
    pub pay_to: Option<PktAddress>,
    /// Mining threads [default: one per processor]
    #[arg(short, long)]
    pub threads: Option<usize>,
    /// Keeps each mining thread on one processor of its own
    #[arg(long)]
    pub pin: bool,
    /// Parallel uploads to each handler [default: 10]
    #[arg(short = 'U', long, visible_short_alias = 'u', visible_alias = "uploads")]
    pub uploaders: Option<usize>,
    /// Seconds until an upload counts as lost [default: 30]
    #[arg(short = 'T', long = "upload-timeout", visible_alias = "uploadtimeout", value_name = "SECONDS")]
    pub upload_timeout: Option<u64>,
    /// Parent block: the tip minus this; -1 takes the pool's wish [default: -1]
    #[arg(
        short,
        long = "mine-old",
        visible_alias = "mineold",
        allow_negative_numbers = true,
        value_name = "BLOCKS"
    )]
    pub mine_old: Option<i64>,
    /// A JSON file, or its http(s) URL, with pools, threads, payment_addr, uploaders, upload_timeout, mine_old_anns;
    /// the command line wins
    #[arg(short, long, value_name = "FILE|URL")]
    pub config: Option<String>,
}

/// `mine blocks`: the options of docs/protocol/packetcrypt-pool.md 8.1, with their letters.
#[derive(Debug, Args)]
pub struct MineBlocks {
    /// The pool URL
    #[arg(value_name = "POOL_URL")]
    pub pool: String,
    /// The address to be paid
    #[arg(short = 'p', long = "pay-to", visible_alias = "paymentaddr", value_name = "ADDRESS")]
    pub pay_to: PktAddress,
    /// Mining threads [default: one per processor]
    #[arg(short, long)]
    pub threads: Option<usize>,
    /// Keeps each mining thread on one processor of its own
    #[arg(long)]
    pub pin: bool,
    /// Memory for announcements, in MiB
    #[arg(
        short,
        long = "memory",
        visible_alias = "memorysizemb",
        value_name = "MIB",
        default_value_t = 4096
    )]
    pub memory: u64,
    /// The part of the memory that is kept free for new announcements
    #[arg(
        short = 'f',
        long = "min-free",
        visible_alias = "minfree",
        value_name = "FRACTION",
        default_value_t = 0.1
    )]
    pub min_free: f64,
    /// Parallel downloads from each handler
    #[arg(short, long, default_value_t = 30)]
    pub downloaders: usize,
    /// The pool's password for announcements
    #[arg(short = 'P', long = "handler-password", visible_alias = "handlerpass", value_name = "PASSWORD")]
    pub handler_password: Option<String>,
    /// A sprayer to take announcements from instead of downloading them; may be repeated
    #[arg(short, long, value_name = "ADDRESS:PORT", num_args = 1.., requires_all = ["bind", "handler_password"])]
    pub subscribe: Vec<SocketAddr>,
    /// The own UDP address for that
    #[arg(short, long, value_name = "ADDRESS:PORT", requires = "subscribe")]
    pub bind: Option<SocketAddr>,
    /// Threads that receive from sprayers
    #[arg(short = 'S', long = "sprayer-threads", visible_alias = "sprayerthreads", default_value_t = 4)]
    pub sprayer_threads: usize,
    /// The largest datagram to those who subscribe to this miner; datagrams of any size are received
    #[arg(
        short = 'M',
        long = "max-segment-size",
        visible_aliases = ["maxsegmentsize", "mss"],
        default_value_t = 1472
    )]
    pub max_segment_size: usize,
    /// A multicast group to join
    #[arg(long, value_name = "ADDRESS")]
    pub mcast: Option<std::net::Ipv4Addr>,
    /// Parallel uploads of shares
    #[arg(short, long, default_value_t = 4)]
    pub uploaders: usize,
    /// Seconds until an upload counts as lost
    #[arg(
        short = 'T',
        long = "upload-timeout",
        visible_alias = "uploadtimeout",
        value_name = "SECONDS",
        default_value_t = 30
    )]
    pub upload_timeout: u64,
}

/// `mine nimiq`
#[derive(Debug, Args)]
pub struct MineNimiq {
    /// The pool: wss://HOST:PORT, ws://HOST:PORT without encryption, or HOST:PORT, which means the former
    #[arg(value_name = "POOL_URL")]
    pub pool: NimiqPoolUrl,
    /// The address to be credited
    #[arg(short, long, value_name = "ADDRESS", value_parser = nimiq_address)]
    pub address: nimiq::Address,
    /// Who makes the blocks
    #[arg(short, long, value_enum, default_value_t = NimiqMode::Nano)]
    pub mode: NimiqMode,
    /// A Nimiq node's JSON-RPC: for smart, and for nano where the pool does not say the next target
    #[arg(long, value_name = "URL", required_if_eq("mode", "smart"))]
    pub node: Option<String>,
    /// User name and password of the node
    #[arg(long, value_name = "USER:PASSWORD", requires = "node")]
    pub node_login: Option<String>,
    /// The network that the pool is on: main, test or dev
    #[arg(long, default_value_t = nimiq::Network::Main)]
    pub network: nimiq::Network,
    /// A PEM file with the pool's certificate, where no public authority has signed it
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// What the pool shows this device as
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// The share difficulty to begin with, where the pool grants wishes
    #[arg(long, value_name = "DIFFICULTY")]
    pub start_difficulty: Option<f64>,
    /// Mining threads [default: one per processor]
    #[arg(short, long)]
    pub threads: Option<usize>,
    /// Keeps each mining thread on one processor of its own
    #[arg(long)]
    pub pin: bool,
}

/// Who makes the blocks that a Nimiq miner mines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NimiqMode {
    /// The pool makes the body, the miner the header
    Nano,
    /// The miner, from a node's templates; it proves to the pool whom they pay
    Smart,
    /// The pool; the miner varies the nonce
    Dumb,
}

/// Whether spaces are quoted together or left out is the shell's affair.
fn nimiq_address(text: &str) -> Result<nimiq::Address, String> {
    nimiq::Address::parse(text).map_err(|error| error.to_string())
}

/// `bench`
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Mining of announcements
    #[command(visible_alias = "ann")]
    Announcements(BenchAnnouncements),
    /// Mining of shares and blocks
    #[command(visible_alias = "blk")]
    Blocks(BenchBlocks),
    /// Checking of announcements, as a handler does it
    Check(BenchSettings),
    /// Mining of Nimiq's proof of work
    Nimiq(BenchSettings),
}

/// What all measurements have in common.
#[derive(Debug, Args)]
pub struct BenchSettings {
    /// Threads [default: one per processor]
    #[arg(short, long)]
    pub threads: Option<usize>,
    /// Keeps each thread on one processor of its own
    #[arg(long)]
    pub pin: bool,
    /// How long is measured
    #[arg(long, default_value_t = 4)]
    pub seconds: u64,
}

/// `bench announcements`
#[derive(Debug, Args)]
pub struct BenchAnnouncements {
    #[command(flatten)]
    pub settings: BenchSettings,
    /// Attempts that an announcement takes on average
    #[arg(short, long, default_value_t = 128)]
    pub difficulty: u64,
}

/// `bench blocks`
#[derive(Debug, Args)]
pub struct BenchBlocks {
    #[command(flatten)]
    pub settings: BenchSettings,
    /// Memory for announcements, in MiB
    #[arg(short, long, value_name = "MIB", default_value_t = 1024)]
    pub memory: usize,
}

/// `dev-chain`
#[derive(Debug, Args)]
pub struct DevChain {
    /// Where it answers JSON-RPC
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:64765")]
    pub listen: SocketAddr,
    /// The folder that the chain is kept in
    #[arg(long, value_name = "DIR", default_value = "./headframe-data")]
    pub data: PathBuf,
    /// How hard its blocks are: steady about one in ten seconds, instant every second attempt, public as on PKT
    #[arg(long, value_enum, default_value_t = DevChainRules::Steady)]
    pub rules: DevChainRules,
}

/// How hard the dev chain's blocks are.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DevChainRules {
    Steady,
    Instant,
    Public,
}

/// `nimiq`
#[derive(Debug, Subcommand)]
pub enum NimiqCommand {
    /// Runs one server alone: it speaks with miners
    Server(NimiqServerRole),
    /// Runs the service alone: it follows the chain and credits miners for the pool's blocks
    Service(Role),
    /// Runs the payout alone: it pays the miners
    Payout(NimiqPayout),
    /// Runs the embedded Nimiq chain alone: it answers the node's JSON-RPC
    DevChain(NimiqDevChain),
}

/// `nimiq server`
#[derive(Debug, Args)]
pub struct NimiqServerRole {
    /// Its name in the configuration
    #[arg(default_value = "main")]
    pub name: String,
    #[command(flatten)]
    pub configuration: Configuration,
}

/// `nimiq payout`
#[derive(Debug, Args)]
pub struct NimiqPayout {
    #[command(flatten)]
    pub configuration: Configuration,
    /// Prints whom it would pay now, and changes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Prints that as JSON, a line for each payment
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// Makes one round of payouts, sends them, and ends
    #[arg(long, conflicts_with = "dry_run")]
    pub once: bool,
}

/// `nimiq dev-chain`
#[derive(Debug, Args)]
pub struct NimiqDevChain {
    /// Where it answers JSON-RPC
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8648")]
    pub listen: SocketAddr,
    /// The folder that the chain is kept in
    #[arg(long, value_name = "DIR", default_value = "./headframe-data")]
    pub data: PathBuf,
}

/// `verify`
#[derive(Debug, Subcommand)]
pub enum Verify {
    /// Announcements: files of 1024 bytes each, one after the other
    Announcement(VerifyAnnouncement),
    /// Shares: files with the JSON that a block miner posts
    Share(VerifyShare),
    /// Blocks: files with the hexadecimal text that a node's getblock and submitblock have
    Block(VerifyBlock),
    /// What a pool states of itself: files with the record as it was signed, /api/v1/statements/log
    Statements(VerifyStatements),
}

/// Whose rules `verify` goes by.
#[derive(Debug, Args)]
pub struct VerifiedChain {
    /// By the dev chain's rules, where announcements of version 1 are allowed from the first block
    #[arg(long)]
    pub dev_chain: bool,
}

/// `verify announcement`
#[derive(Debug, Args)]
pub struct VerifyAnnouncement {
    /// Hash of the block at the announcements' parent height, as RPC replies and URLs write it
    #[arg(long, value_name = "HEX")]
    pub parent_hash: BlockHashArgument,
    /// Version of the proof that they are to be used in; 1 allows announcements of version 0
    #[arg(long, value_name = "1|2", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub proof_version: u8,
    #[command(flatten)]
    pub chain: VerifiedChain,
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `verify share`
#[derive(Debug, Args)]
pub struct VerifyShare {
    /// The work file that the shares are for: work_N.bin of the Master
    #[arg(long, value_name = "FILE")]
    pub work: PathBuf,
    /// Height and hash of each block that announcements in the shares have as parent
    #[arg(long = "parent", required = true, value_name = "HEIGHT:HEX")]
    pub parents: Vec<Parent>,
    #[command(flatten)]
    pub chain: VerifiedChain,
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `verify block`
#[derive(Debug, Args)]
pub struct VerifyBlock {
    /// Height of the blocks
    #[arg(long, value_name = "HEIGHT")]
    pub height: u32,
    /// Height and hash of each block that announcements in the blocks have as parent
    #[arg(long = "parent", required = true, value_name = "HEIGHT:HEX")]
    pub parents: Vec<Parent>,
    #[command(flatten)]
    pub chain: VerifiedChain,
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `verify statements`
#[derive(Debug, Args)]
pub struct VerifyStatements {
    /// The pool's key, as its Transparency page shows it: every statement must be signed with it
    #[arg(long, value_name = "HEX")]
    pub key: Option<String>,
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// A block hash in display order.
#[derive(Debug, Clone, Copy)]
pub struct BlockHashArgument(pub BlockHash);

impl std::str::FromStr for BlockHashArgument {
    type Err = packetcrypt::ParseBlockHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        BlockHash::from_display_hex(text).map(Self)
    }
}

/// A block that announcements have as parent.
#[derive(Debug, Clone, Copy)]
pub struct Parent {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
}

impl std::str::FromStr for Parent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (height, hash) = text.split_once(':').ok_or("expected HEIGHT:HEX")?;
        Ok(Self {
            height: height.parse().map_err(|error| format!("height: {error}"))?,
            hash: BlockHash::from_display_hex(hash).map_err(|error| error.to_string())?,
        })
    }
}

/// `who-to-pay`
#[derive(Debug, Args)]
pub struct WhoToPay {
    /// Event logs: one JSON event per line, as handlers upload them
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub events: Vec<PathBuf>,
    /// As if events after this time did not exist: milliseconds since 1970, or 2026-11-21T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    #[command(flatten)]
    pub configuration: Configuration,
}

/// `ledger`
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Works out every credit, balance and payout again and reports each difference; exit code 1 if there is one
    Verify {
        /// Where the accounts are
        #[arg(
            long,
            env = "HEADFRAME_STORE",
            value_name = "sqlite://FILE|postgres://USER@HOST/DATABASE",
            required_unless_present = "backup"
        )]
        store: Option<String>,
        /// Checks a backup instead: every byte of it, and the accounts in it
        #[arg(long, value_name = "DIR")]
        backup: Option<PathBuf>,
    },
    /// Copies the data folder and the accounts while the pool runs; all that was acknowledged before is in it, keys are not
    Backup {
        /// The backup, a new folder
        folder: PathBuf,
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Makes an empty data folder what it was when a backup was made; payouts are held until release-payouts
    Restore {
        /// The backup
        folder: PathBuf,
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Lets payouts go on that were held since a restore
    ReleasePayouts {
        #[command(flatten)]
        store: Store,
    },
    /// Writes the accounts as a script for MySQL and MariaDB, in the tables of the reference's pool
    ExportReference {
        #[command(flatten)]
        store: Store,
        /// Which version of the reference has them: 1.1 sums shares by block, 1.0 has a row for each
        #[arg(long, value_enum, default_value_t)]
        version: ReferenceVersion,
        /// The script, a new file
        file: PathBuf,
    },
    /// Begins new accounts with what the reference's pool owes its miners, from a dump of its database by mysqldump
    ImportReference {
        #[command(flatten)]
        store: Store,
        /// Prints what would be imported, and changes nothing
        #[arg(long)]
        dry_run: bool,
        /// The dump
        file: PathBuf,
    },
    /// Makes the PostgreSQL roles headframe_server, headframe_service, headframe_payout and headframe_site and grants
    /// each what its duty needs; without a store, prints the statements
    GrantRoles {
        /// Where the accounts are, opened as the owner of the tables
        #[arg(long, value_name = "postgres://USER@HOST/DATABASE")]
        store: Option<String>,
    },
}

/// Where accounts are.
#[derive(Debug, Args)]
pub struct Store {
    /// Where the accounts are
    #[arg(
        long = "store",
        env = "HEADFRAME_STORE",
        value_name = "sqlite://FILE|postgres://USER@HOST/DATABASE"
    )]
    pub url: String,
}

/// A version of the reference's tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ReferenceVersion {
    #[value(name = "1.0")]
    V1_0,
    #[default]
    #[value(name = "1.1")]
    V1_1,
}

/// `admin`
#[derive(Debug, Args)]
pub struct AdminArguments {
    #[command(flatten)]
    pub configuration: Configuration,
    /// Where the API is, such as http://10.0.0.2:8079 [default: as configured, or as `up` has noted in the data folder]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The file with the token [default: as configured]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// What to ask or to do
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// `admin …`
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Shows what waits, of each role
    Queues,
    /// Shows how long the stages of the work take, of each role
    Stages,
    /// Shows which roles can be started again, and what can be done at once
    Acts,
    /// Shows, adds and lifts bans
    #[command(subcommand)]
    Bans(BansCommand),
    /// Shows every key with the value that is in force
    Config,
    /// Shows what the file says by now that is not in force
    ConfigDiff,
    /// Reads the configuration again: shows what is in force now and what waits for a restart
    Reload {
        /// Only says what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Has a role started again while the others of its process go on
    Restart {
        /// Its kind, as `/healthz` names it: ann-handler, site
        role: String,
        /// Its name, if it has one
        #[arg(default_value = "")]
        name: String,
        /// Only says what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Has something done at once: payouts, nimiq-payouts or outboxes
    Retry {
        /// What
        what: String,
        /// Only says what would be told to whom
        #[arg(long)]
        dry_run: bool,
    },
    /// Shows what operators did last
    Audit,
}

/// `admin bans …`
#[derive(Debug, Subcommand)]
pub enum BansCommand {
    /// Shows the bans that hold, newest first
    List,
    /// Bans somebody
    Add {
        /// An IP address, a network or a payout address
        subject: String,
        /// For how long
        #[arg(long)]
        minutes: u64,
        /// Why, for whoever looks at it later
        #[arg(long)]
        reason: String,
        /// Only says what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Ends a ban
    Lift {
        /// As the list shows it
        subject: String,
        /// Only says what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// `config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Prints every key with description, range and default
    Example,
    /// Reports every error of a file with its line, what was expected and what was perhaps meant
    Check {
        /// The file
        file: PathBuf,
        /// Files and programs that it names may be on other machines
        #[arg(long)]
        elsewhere: bool,
    },
    /// Prints a configuration made from those of the reference programs, and what could not be carried over
    ImportReference {
        /// pool.toml (packetcrypt_rs), pool.js (PacketCrypt), or .conf files of a Nimiq pool; several of one pool at once
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn reference_miners_options_are_understood() {
        let address = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
        let line = format!(
            "headframe -v mine ann -p {address} -t 2 -U 3 -T 9 -m -1 http://a/master http://b/master"
        );
        let Command::Mine(Mine::Announcements(ann)) = parse(&line).unwrap().command else { panic!("{line}") };
        assert_eq!((ann.threads, ann.uploaders, ann.upload_timeout), (Some(2), Some(3), Some(9)));
        assert_eq!((ann.mine_old, ann.pools.len(), ann.pin), (Some(-1), 2, false));
        // The published 0.3.1 has another letter and name for the uploads.
        for uploads in ["-u 5", "--uploads 5", "--uploaders 5"] {
            let line = format!("headframe mine ann --pin -p {address} {uploads} http://a/master");
            let Command::Mine(Mine::Announcements(ann)) = parse(&line).unwrap().command else {
                panic!("{line}")
            };
            assert_eq!((ann.uploaders, ann.pin), (Some(5), true));
        }

        let line = format!(
            "headframe mine blk -p {address} -m 512 -f 0.2 -P word -b 127.0.0.1:1 -M 8972 http://a/master -s 127.0.0.1:2 127.0.0.1:3"
        );
        let Command::Mine(Mine::Blocks(blk)) = parse(&line).unwrap().command else { panic!("{line}") };
        assert_eq!((blk.memory, blk.subscribe.len(), blk.max_segment_size), (512, 2, 8972));
        let line = format!(
            "headframe mine blk --paymentaddr {address} --memorysizemb 9 --minfree 0 --handlerpass w --bind 127.0.0.1:1 \
             --mss 8972 --sprayerthreads 2 --downloaders 3 --uploaders 5 --uploadtimeout 6 --mcast 239.0.0.1 --pin \
             http://a/master --subscribe 127.0.0.1:2"
        );
        let Command::Mine(Mine::Blocks(blk)) = parse(&line).unwrap().command else { panic!("{line}") };
        assert_eq!((blk.memory, blk.max_segment_size, blk.sprayer_threads, blk.pin), (9, 8972, 2, true));
        assert_eq!((blk.downloaders, blk.uploaders, blk.upload_timeout), (3, 5, 6));
    }

    #[test]
    fn a_nimiq_miner_needs_an_address_and_a_smart_one_a_node() {
        let nimiq = |more: &str| {
            let mut words = vec!["headframe", "mine", "nimiq", "pool.example:8444"];
            words.extend(more.split('|').filter(|word| !word.is_empty()));
            CommandLine::try_parse_from(words).map(|line| line.command)
        };
        let address = "--address|NQ88 Q4DE 829C AQ81 88FP 8MGJ PP3B A70X CHN6";
        let Ok(Command::Mine(Mine::Nimiq(nano))) = nimiq(address) else { panic!("{address}") };
        assert_eq!((nano.mode, nano.network), (NimiqMode::Nano, nimiq::Network::Main));
        assert_eq!(nano.pool.to_string(), "wss://pool.example:8444");
        let error = |more: &str| nimiq(more).unwrap_err().to_string();
        assert!(error("").contains("--address"));
        assert!(error("--address|NQ88 Q4DE").contains("address"));
        assert!(error(&format!("{address}|--mode|smart")).contains("--node"));
        assert!(nimiq(&format!("{address}|--mode|smart|--node|http://127.0.0.1:8648|--network|dev")).is_ok());
    }

    #[test]
    fn a_subscription_needs_a_password_and_an_address() {
        let address = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
        let line = format!("headframe mine blk -p {address} http://a/master -s 127.0.0.1:2");
        assert!(parse(&line).unwrap_err().to_string().contains("--bind"));
    }

    #[test]
    fn a_miner_without_a_pool_is_told_so() {
        assert!(parse("headframe mine ann").unwrap_err().to_string().contains("POOL_URL"));
    }
}
