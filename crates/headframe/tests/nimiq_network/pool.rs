//! A whole Nimiq pool of ours on real nodes: server over TLS, service and payout, each a process of its own.

use std::collections::HashSet;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ledger::nimiq::Accounts;
use ledger::nimiq::audit::audit;
use nimiq::share::Refusal;
use nimiq::{Address, BlockHash, Height, PrivateKey, SessionExtraData};
use node::nimiq::BlockInfo;

use crate::certificate::Certificate;
use crate::network::Network;
use crate::sandbox::{Http, Program, free_ports};

/// Blocks on top of one that make its credits payable, and a payout final.
pub const CONFIRMATIONS: u32 = 1;
/// The private key of the pool's account.
const KEY: [u8; 32] = [7; 32];

/// The pool.
pub struct Pool<'n> {
    network: &'n Network,
    http: Http,
    config: PathBuf,
    /// What clients must trust.
    pub certificate: Certificate,
    /// Where the server listens.
    pub port: u16,
    /// Shares, balances, payouts.
    pub accounts: Accounts,
    /// Where the server shows its figures.
    figures: String,
    server: Program,
    _service: Program,
}

impl<'n> Pool<'n> {
    /// Starts server and service.
    pub fn start(network: &'n Network, folder: &Path) -> Self {
        let [port, server_figures, service_figures, payout_figures] = free_ports();
        let certificate = Certificate::new(folder);
        let key_file = folder.join("pool.key");
        let options = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key_file);
        std::io::Write::write_all(&mut options.unwrap(), hex::encode(KEY).as_bytes()).unwrap();
        let accounts = format!("sqlite://{}", folder.join("accounts.db").display());
        let config = folder.join("pool.toml");
        let ports = [port, server_figures, service_figures, payout_figures];
        let text = configuration(folder, &network.url, &accounts, &certificate, &key_file, ports);
        std::fs::write(&config, text).unwrap();
        let role = |name: &str| Program::headframe(&["nimiq", name, "--config", config.to_str().unwrap()]);
        let (mut service, mut server) = (role("service"), role("server"));
        service.line(&["credits miners"]);
        server.line(&["takes shares at", "wss://"]);
        let accounts = network.wait(Accounts::open(&accounts)).unwrap();
        let figures = format!("http://127.0.0.1:{server_figures}");
        let http = Http::new();
        Self { network, http, config, certificate, port, accounts, figures, server, _service: service }
    }

    fn role(&self, name: &str) -> Program {
        Program::headframe(&["nimiq", name, "--config", self.config.to_str().unwrap()])
    }

    /// Kills the server, and starts it again.
    pub fn kill_and_restart_server(&mut self) {
        self.server.kill();
        self.server = self.role("server");
        self.server.line(&["takes shares at", "wss://"]);
    }

    /// Starts to pay.
    pub fn start_payout(&self) -> Program {
        self.role("payout")
    }

    /// Shares of this mode that the running server has counted.
    pub fn counted(&self, mode: &str) -> u64 {
        let labels = format!("mode=\"{mode}\"");
        let counted = self.http.metric(&self.figures, "headframe_nimiq_shares_accepted_total", &labels);
        counted.unwrap_or_default() as u64
    }

    /// The lines of a figure of the running server.
    pub fn figure(&self, name: &str) -> Vec<String> {
        let text = self.http.get(&format!("{}/metrics", self.figures)).unwrap();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    /// Nothing is refused but what a miner can help nothing about: shares that come late, and among `on_forks` shares
    /// those on a block that never was the head of the pool's node.
    pub fn only_late_shares_are_refused(&self, on_forks: u64) {
        let refusals = self.figure("headframe_nimiq_refusals");
        let (unknown, others): (Vec<_>, Vec<_>) =
            refusals.iter().partition(|line| line.contains(Refusal::BadPrevious.code()));
        assert!(others.iter().all(|line| line.contains(Refusal::Expired.code())), "{refusals:?}");
        let count = |line: &&String| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        let unknown: u64 = unknown.iter().map(count).sum();
        assert!(unknown <= on_forks, "{on_forks} shares on forks, but {refusals:?}");
        let lacking = self.figure("headframe_nimiq_block_without_body_total");
        assert!(lacking.iter().all(|line| line.ends_with(" 0")), "{lacking:?}");
    }

    /// The blocks of the real chain from a height on.
    pub fn chain_from(&self, height: Height) -> Vec<BlockInfo> {
        let client = self.network.client();
        self.network.wait(async {
            let head = client.head_height().await.unwrap();
            let mut blocks = Vec::new();
            for height in height.0..=head.0 {
                blocks.extend(client.block_at(Height(height)).await.unwrap());
            }
            blocks
        })
    }

    /// The blocks of the real chain that pay the pool, above a height.
    pub fn blocks_above(&self, height: Height) -> Vec<BlockInfo> {
        let mut blocks = self.chain_from(Height(height.0 + 1));
        blocks.retain(|block| block.miner == pool_address());
        blocks
    }

    /// Whether the real chain has a block above a height that this miner has found.
    pub fn has_block_of(&self, payee: &Address, above: Height) -> bool {
        let finder = |block: &BlockInfo| SessionExtraData::parse(&block.extra_data).map(|said| said.address);
        self.blocks_above(above).iter().any(|block| finder(block) == Some(*payee))
    }

    /// The hashes of all shares in the accounts that were mined on these blocks.
    pub fn shares_on(&self, blocks: &HashSet<BlockHash>) -> HashSet<BlockHash> {
        let mut shares = HashSet::new();
        for block in blocks {
            for share in self.network.wait(self.accounts.share_hashes(*block)).unwrap() {
                assert!(shares.insert(share), "share {share} stands in the accounts twice");
            }
        }
        shares
    }

    /// The balance of an account of the book, all users together.
    pub fn total(&self, account: &str) -> i64 {
        let totals = self.network.wait(self.accounts.totals()).unwrap();
        assert_eq!(totals.values().sum::<i64>(), 0, "the book balances");
        totals.get(account).copied().unwrap_or_default()
    }

    /// An independent look at the accounts finds nothing wrong.
    pub fn audit(&self) {
        let report = self.network.wait(audit(&self.accounts)).unwrap();
        assert_eq!(report.findings, Vec::<String>::new());
    }
}

/// The configuration of all three roles: shares as often, credits as early, and payouts as small, as a short test wants
/// them.
fn configuration(
    folder: &Path,
    node: &str,
    accounts: &str,
    certificate: &Certificate,
    key_file: &Path,
    [port, server_figures, service_figures, payout_figures]: [u16; 4],
) -> String {
    format!(
        r#"
[pool]
data = "{data}"

[nimiq]
network = "dev"
name = "headframe test"
address = "{address}"
accounts = "{accounts}"

[[nimiq_node]]
url = "{node}"

[[nimiq_server]]
name = "main"
listen = "127.0.0.1:{port}"
metrics_listen = "127.0.0.1:{server_figures}"
certificate = "{certificate_file}"
key = "{certificate_key}"
shares_per_second = 0.5
least_difficulty = 0.001
start_difficulty = 0.005
dumb_start_difficulty = 0.005

[nimiq_service]
metrics_listen = "127.0.0.1:{service_figures}"
confirmations = {CONFIRMATIONS}
settle_after = 3

[nimiq_payout]
metrics_listen = "127.0.0.1:{payout_figures}"
key_file = "{key_file}"
interval = 0
automatic_above = 0.01
"#,
        data = folder.join("data").display(),
        address = pool_address(),
        certificate_file = certificate.file.display(),
        certificate_key = certificate.key.display(),
        key_file = key_file.display(),
    )
}

/// The account that blocks pay.
fn pool_address() -> Address {
    PrivateKey::new(&KEY).public_key().address()
}
