//! The accounts: durable shares for each core-second on both stores, and the window of a block over a million shares.
//!
//! What is counted is this process: making the statements, SQLite itself, or the way to PostgreSQL and back. The
//! proof of work of a share is another measurement; the two times add up.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use ledger::UnixMillis;
use ledger::local_postgres::{Durability, LocalPostgres};
use ledger::nimiq::window::WindowRule;
use ledger::nimiq::{Accounts, ChainBlock, ChainUpdate, NewShare, ServiceLease};
use nimiq::{Address, BlockHash, Height, ShareWeight};

use super::processor_time::of_process;
use super::{Goal, Reference, Row};
use crate::reference::target_folder;

/// Shares of the window, and of the table that each measurement fills.
const SHARES: u64 = 1_000_000;
/// Shares of a batch: what a server collects while the last batch is on its way.
const BATCH: u64 = 2048;
/// Miners who sent them.
const USERS: u64 = 5_000;
/// How long shares are taken in before the rest of the table is filled uncounted.
const COUNTED: Duration = Duration::from_secs(6);
/// Windows whose middle one is shown.
const WINDOWS: usize = 5;

/// Measures.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir_in(target_folder())?;
    let url = format!("sqlite://{}", folder.path().join("accounts.db").display());
    let mut rows = runtime.block_on(measure_store("SQLite", &url))?;
    let postgres = LocalPostgres::start(Durability::Real)?;
    rows.extend(runtime.block_on(measure_store("PostgreSQL", &postgres.new_database()?))?);
    Ok(rows)
}

async fn measure_store(name: &str, url: &str) -> anyhow::Result<Vec<Row>> {
    let accounts = Accounts::open(url).await?;
    let server = accounts.server("bench").await?;
    let mut batches = (0..=SHARES / BATCH).map(batch);
    // The first batch also stores the users.
    for batch in batches.by_ref().take(3) {
        accounts.accept_shares(server, &batch).await?;
    }
    let (before, start, mut counted) = (of_process(std::process::id())?.seconds, Instant::now(), 0);
    let mut seconds = 0.0;
    for batch in batches {
        accounts.accept_shares(server, &batch).await?;
        if start.elapsed() < COUNTED {
            counted += batch.len();
            seconds = of_process(std::process::id())?.seconds - before;
        }
    }
    let window = window_seconds(&accounts).await?;
    accounts.close().await;
    Ok(vec![
        Row {
            measure: format!("shares stored durably, {name}"),
            unit: "microseconds of this process per share",
            ours: seconds / counted as f64 * 1e6,
            reference: Some(Reference::Known(200.0)),
            goal: Some(Goal::AtMost(25.0)),
        },
        Row {
            measure: format!("window of a block over {SHARES} shares, {name}"),
            unit: "seconds",
            ours: window,
            reference: None,
            goal: Some(Goal::AtMost(1.0)),
        },
    ])
}

/// The middle of several walks over the whole table.
async fn window_seconds(accounts: &Accounts) -> anyhow::Result<f64> {
    let (now, until) = (UnixMillis(0), UnixMillis(u64::MAX));
    let lease: Option<ServiceLease> = accounts.take_lease("bench", now, until).await?;
    let lease = lease.ok_or_else(|| anyhow::anyhow!("somebody else is the service"))?;
    let joined = (0..=SHARES / BATCH).map(|number| ChainBlock {
        hash: block(number),
        height: height(number),
        found: None,
    });
    let update = ChainUpdate { left: Vec::new(), joined: joined.collect() };
    accounts.follow(&lease, &update, 10, now).await?;
    let newest = accounts.sequence_of(block((SHARES - 1) / BATCH), hash(SHARES - 1)).await?;
    let newest = newest.ok_or_else(|| anyhow::anyhow!("the last share is not there"))?;
    let rule = WindowRule::Shares(NonZeroU64::MIN.saturating_add(SHARES - 1));
    let mut times = Vec::new();
    for _ in 0..WINDOWS {
        let start = Instant::now();
        let window = accounts.window(rule, ShareWeight(0), Height(u32::MAX), newest).await?;
        times.push(start.elapsed().as_secs_f64());
        let shares: u64 = window.parts.values().map(|part| part.shares).sum();
        anyhow::ensure!(shares == SHARES, "the window has {shares} shares");
    }
    times.sort_by(f64::total_cmp);
    Ok(times[WINDOWS / 2])
}

/// Shares on one block, of users in no order.
fn batch(number: u64) -> Vec<NewShare> {
    let shares = (number * BATCH)..((number + 1) * BATCH);
    shares
        .map(|share| {
            let mut address = [0; 20];
            address[..8].copy_from_slice(&(scattered(share) % USERS).to_be_bytes());
            NewShare {
                server_sequence: share + 1,
                address: Address(address),
                device: 1,
                previous_block: block(number),
                hash: hash(share),
                weight: ShareWeight(1 << 40),
                accepted_at: UnixMillis(1_700_000_000_000 + share),
            }
        })
        .collect()
}

fn block(number: u64) -> BlockHash {
    BlockHash(nimiq::hash::blake2b_256(&[b"block", &number.to_be_bytes()]))
}

fn height(number: u64) -> Height {
    Height(number as u32 + 1)
}

fn hash(share: u64) -> BlockHash {
    BlockHash(nimiq::hash::blake2b_256(&[b"share", &share.to_be_bytes()]))
}

/// Another number for each number, in no order.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 17
}
