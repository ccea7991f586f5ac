//! The whole Nimiq server, as a process of its own behind TLS: shares, registrations, idle clients, a new block.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use ledger::local_postgres::{Durability, LocalPostgres};
use nimiq::argon2d::Hasher;
use nimiq::share::SmartShare;
use nimiq::{Address, Header, ShareTarget, Timestamp};
use node::NimiqDevChain;
use node::dev_chain::rpc::{RpcUsers, ServeLimits};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::nimiq::{ClientMessage, Mode, Settings, Share};

use super::files;
use super::nimiq_clients::{Client, Door};
use super::program::{Program, folder, free_address, metric};
use super::{Goal, Reference, Row};

/// Connections that send shares at once, and shares of each.
pub(super) const SENDING: usize = 64;
pub(super) const SHARES_EACH: usize = 320;
/// Registrations of a run, and how many at once.
const REGISTRATIONS: usize = 2000;
const AT_ONCE: usize = 32;
/// Clients that only listen: fewer where the system does not allow as many files.
const IDLE: usize = 20_000;
/// New blocks that they are told of.
const BLOCKS: usize = 3;
/// Files that a process must be able to open, besides a connection for each client.
const OTHER_FILES: u64 = 500;
/// Longest wait for shares to reach the accounts.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks at the server's figures: each look takes it a millisecond, which counts as if it were for shares.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(300);

const POOL: Address = Address([7; 20]);
const MINER: Address = Address([9; 20]);

/// Measures shares, on both stores.
pub fn measure_shares() -> anyhow::Result<Vec<Row>> {
    let sqlite = shares("SQLite", None)?;
    let postgres = LocalPostgres::start(Durability::Real)?;
    Ok(vec![sqlite, shares("PostgreSQL", Some(&postgres.new_database()?))?])
}

/// Measures what clients cost that send none.
pub fn measure_clients() -> anyhow::Result<Vec<Row>> {
    let mut rows = vec![registrations()?];
    rows.extend(idle_clients()?);
    Ok(rows)
}

/// A server in front of a dev chain.
pub(super) struct Stage {
    pub(super) runtime: Runtime,
    pub(super) chain: NimiqDevChain,
    pub(super) program: Program,
    pub(super) figures: SocketAddr,
    door: Door,
    _stop: DropGuard,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// Lets the chain have a block more.
    pub(super) fn extend(&self) -> anyhow::Result<()> {
        let _runtime = self.runtime.enter();
        self.chain.extend(POOL, 1)?;
        Ok(())
    }

    pub(super) fn start(accounts: Option<&str>) -> anyhow::Result<Self> {
        let (folder, figures, miners) = (folder()?, free_address()?, free_address()?);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let chain = NimiqDevChain::open(&folder.path().join("chain"))?;
        let (stop, served) = (CancellationToken::new(), chain.clone());
        let (listener, stopped) = (runtime.block_on(TcpListener::bind("127.0.0.1:0"))?, stop.clone());
        let node = listener.local_addr()?;
        runtime.spawn(async move {
            served.serve(listener, RpcUsers::default(), ServeLimits::default(), stopped).await;
        });
        let made = rcgen::generate_simple_self_signed(vec![miners.ip().to_string()])?;
        let certificate = write(folder.path(), "certificate.pem", &made.cert.pem())?;
        let key = write(folder.path(), "key.pem", &made.signing_key.serialize_pem())?;
        let accounts = accounts.map_or_else(String::new, |url| format!("accounts = \"{url}\"\n"));
        let configuration = format!(
            "[http]\nlisten = \"{figures}\"\n[nimiq]\nnetwork = \"dev\"\naddress = \"{POOL}\"\n{accounts}\
             [[nimiq_node]]\nurl = \"http://{node}\"\n\
             [[nimiq_server]]\nname = \"main\"\nlisten = \"{miners}\"\ncertificate = \"{certificate}\"\n\
             key = \"{key}\"\nthreads = 1\nconnections = {connections}\nshares_per_second = 1000\n\
             least_difficulty = 0.0001\nstart_difficulty = 0.0001\nallowed_errors = 0\n",
            connections = IDLE + 1000,
        );
        let mut program = Program::headframe(folder.path(), &["nimiq", "server", "main"], &configuration)?;
        program.until_ready(figures)?;
        let door = Door::new(miners, made.cert.der())?;
        Ok(Self { runtime, chain, program, figures, door, _stop: stop.drop_guard(), _folder: folder })
    }

    /// Registers so many clients, some at once.
    pub(super) fn register(&self, count: usize, mode: Mode) -> anyhow::Result<Vec<Client>> {
        let registering = stream::iter(0..count).map(|_| {
            let door = self.door.clone();
            tokio::spawn(async move { door.register(mode, MINER).await })
        });
        self.runtime.block_on(async {
            let clients = registering.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
            clients.into_iter().map(|client| client?).collect()
        })
    }
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<String> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path.to_string_lossy().into_owned())
}

/// From the frame on the socket to the row in the accounts, proof of work included.
fn shares(store: &str, accounts: Option<&str>) -> anyhow::Result<Row> {
    let stage = Stage::start(accounts)?;
    let mut clients = stage.register(SENDING, Mode::Smart)?;
    let settings: Vec<_> = clients.iter().map(|client| client.settings.clone()).collect();
    let messages = mine(&stage.chain, &settings)?;
    let count = (SENDING * SHARES_EACH) as f64;
    let ((), seconds) = stage.program.seconds_of(|| {
        stage.runtime.block_on(async {
            let sending = clients.iter_mut().zip(&messages);
            let mut sending: FuturesUnordered<_> =
                sending.map(|(client, messages)| client.send_all(messages)).collect();
            while let Some(sent) = sending.next().await {
                sent?;
            }
            anyhow::Ok(())
        })?;
        until(stage.figures, "headframe_nimiq_shares_delivered_total", count)
    })?;
    Ok(Row {
        measure: format!("server, shares verified and stored durably, TLS, {store}"),
        unit: "per core-second",
        ours: count / seconds,
        reference: Some(Reference::Known(3400.0)),
        goal: Some(Goal::AtLeast(10_000.0)),
    })
}

pub(super) fn until(figures: SocketAddr, name: &str, value: f64) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let found = metric(figures, name)?;
        if found >= value {
            return Ok(());
        }
        anyhow::ensure!(started.elapsed() < PATIENCE, "{name} is {found} instead of {value}");
        thread::sleep(LOOK_AGAIN_AFTER);
    }
}

/// The messages of shares for each of these settings, on the chain's head.
pub(super) fn mine(chain: &NimiqDevChain, settings: &[Settings]) -> anyhow::Result<Vec<Vec<String>>> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let now = Timestamp(u32::try_from(now)?);
    let threads = thread::available_parallelism()?.get();
    let parts = settings.chunks(settings.len().div_ceil(threads).max(1));
    thread::scope(|scope| {
        let mining: Vec<_> = parts
            .map(|part| {
                scope.spawn(move || part.iter().map(|one| mine_one(chain, one, now)).collect::<Vec<_>>())
            })
            .collect();
        let mined = mining.into_iter().map(|one| one.join().map_err(|_| anyhow::anyhow!("a panic")));
        mined
            .flat_map(|part| match part {
                Ok(part) => part,
                Err(error) => vec![Err(error)],
            })
            .collect()
    })
}

fn mine_one(chain: &NimiqDevChain, settings: &Settings, now: Timestamp) -> anyhow::Result<Vec<String>> {
    let template = chain.template(settings.address, settings.extra_data.clone());
    let header = template.block(now, 0).header;
    let target = ShareTarget::new(settings.target_compact).context("no share target")?.target();
    let (miner_proof, extra_data_proof) = (template.body.miner_proof(), template.body.extra_data_proof());
    let mut hasher = Hasher::new();
    let mut messages = Vec::with_capacity(SHARES_EACH);
    for first in (0..u32::MAX).step_by(2) {
        let pair = [first, first + 1].map(|nonce| Header { nonce, ..header });
        let bytes = pair.map(|header| header.to_bytes());
        let proofs: Vec<_> = hasher.hash_many(bytes.iter()).into_iter().collect();
        // A block would need its body.
        let block = template.next.target.target();
        let good =
            pair.iter().zip(&proofs).filter(|(_, proof)| target.is_met_by(proof) && !block.is_met_by(proof));
        for (header, _) in good {
            let share = SmartShare {
                header: *header,
                miner_proof: miner_proof.clone(),
                extra_data_proof: extra_data_proof.clone(),
                block: None,
            };
            messages.push(ClientMessage::Share(Box::new(Share::Smart(share))).to_text());
        }
        if messages.len() >= SHARES_EACH {
            break;
        }
    }
    messages.truncate(SHARES_EACH);
    Ok(messages)
}

/// What a registration costs beside the TLS handshake: WebSocket, messages, work, balance.
fn registrations() -> anyhow::Result<Row> {
    let stage = Stage::start(None)?;
    let shake = || {
        let shaking = stream::iter(0..REGISTRATIONS).map(|_| {
            let door = stage.door.clone();
            tokio::spawn(async move { door.shake_hands().await.map(drop) })
        });
        let outcomes = stage.runtime.block_on(shaking.buffer_unordered(AT_ONCE).collect::<Vec<_>>());
        outcomes.into_iter().try_for_each(|outcome| outcome?)
    };
    let ((), handshakes) = stage.program.seconds_of(shake)?;
    let (clients, all) = stage.program.seconds_of(|| stage.register(REGISTRATIONS, Mode::Nano))?;
    drop(clients);
    Ok(Row {
        measure: "server, registration beyond the TLS handshake".to_owned(),
        unit: "ms of processor time",
        ours: (all - handshakes) * 1000.0 / REGISTRATIONS as f64,
        reference: Some(Reference::Known(1.5)),
        goal: Some(Goal::AtMost(0.5)),
    })
}

/// Memory of clients that only listen, and how long a new block takes to reach the last of them.
fn idle_clients() -> anyhow::Result<Vec<Row>> {
    let idle = files::most().map_or(IDLE, |most| IDLE.min(most.saturating_sub(OTHER_FILES) as usize));
    files::raise_limit(idle as u64 + OTHER_FILES)?;
    let stage = Stage::start(None)?;
    let before = stage.program.usage()?.resident_bytes;
    let mut clients = stage.register(idle, Mode::Nano)?;
    let after = stage.program.usage()?.resident_bytes;
    let mut seconds = Vec::new();
    for _ in 0..BLOCKS {
        let _runtime = stage.runtime.enter();
        let listening: FuturesUnordered<_> = clients
            .drain(..)
            .map(|mut client| {
                tokio::spawn(async move { client.new_block().await.map(|()| (client, Instant::now())) })
            })
            .collect();
        let start = Instant::now();
        stage.extend()?;
        let told = stage.runtime.block_on(listening.collect::<Vec<_>>());
        let mut last = start;
        for one in told {
            let (client, when) = one??;
            last = last.max(when);
            clients.push(client);
        }
        seconds.push((last - start).as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(vec![
        Row {
            measure: format!("server, memory of each of {idle} idle TLS clients"),
            unit: "KiB",
            ours: after.saturating_sub(before) as f64 / 1024.0 / idle as f64,
            reference: Some(Reference::Known(50.0)),
            goal: Some(Goal::AtMost(24.0)),
        },
        Row {
            measure: format!("server, new block to the last of {idle} TLS clients"),
            unit: "seconds",
            ours: seconds[BLOCKS / 2],
            reference: None,
            goal: Some(Goal::AtMost(1.0)),
        },
    ])
}
