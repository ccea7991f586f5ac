//! A pool for the website to show: a hundred thousand addresses, each with thirty days behind it, and the website in
//! front of it as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ledger::book::{Book, PayoutOutcome, PayoutTable, RecordedWin, SqlBook, WonBlock};
use ledger::series::{Grain, Point};
use ledger::{Rules, UnixMillis};
use packetcrypt::BlockHash;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use wire::{EventId, PktAddress};

use super::dev_node::DevNode;
use super::pay_maker::{self, Source, WIDE_WINDOWS, fill, now, wide_rules};
use super::program::{ADDRESS, PASSWORD, Program, cache_folder, folder, free_address};

/// Addresses of the pool.
const ADDRESSES: u64 = 100_000;
/// So many of them a block pays.
const PAID: u64 = 10_000;
/// Uploaded events of its last two hours.
const EVENTS: u64 = 1_000_000;
/// Time between two of them, in milliseconds.
const STEP_MS: u64 = 7;
/// Days of every address's past.
const DAYS: u64 = 30;
/// Blocks of the pool in that time, each of which paid everybody.
const BLOCKS: u64 = 60;
/// A pool that was prepared is used again for so long.
const KEPT_MS: u64 = 12 * 3600 * 1000;
const DAY_MS: u64 = 86_400_000;
/// Addresses of one statement.
const AT_ONCE: usize = 1000;

/// A website, running.
pub struct Website {
    /// Its process.
    pub process: Program,
    /// Where it listens.
    pub address: SocketAddr,
    _folder: tempfile::TempDir,
}

/// The website and the PayMaker behind it, running.
pub struct SitePool {
    /// The website.
    pub site: Website,
    /// Whom the pool pays.
    pub addresses: Vec<PktAddress>,
    pay_maker: (Program, SocketAddr),
    node: DevNode,
}

/// Handlers that the website knows of, beside the PayMaker.
#[derive(Debug, Clone, Copy, Default)]
pub struct Handlers {
    /// An AnnHandler named `main`.
    pub ann: Option<SocketAddr>,
    /// A BlkHandler named `main`.
    pub blk: Option<SocketAddr>,
}

impl SitePool {
    /// Starts both, and waits until the website knows the pool.
    pub fn start(handlers: Handlers) -> anyhow::Result<Self> {
        let prepared = prepared()?;
        let node = DevNode::start()?;
        let pay_maker = pay_maker::start(&prepared, &node, WIDE_WINDOWS)?;
        let site = Website::start(pay_maker.1, &node, handlers)?;
        Ok(Self { site, addresses: source()?.addresses, pay_maker, node })
    }

    /// Another website of the same pool, which knows these handlers.
    pub fn another_site(&self, handlers: Handlers) -> anyhow::Result<Website> {
        Website::start(self.pay_maker.1, &self.node, handlers)
    }

    /// The path of the Miner page of one of the addresses, over 30 days.
    pub fn miner_page(&self, number: usize) -> String {
        let address = &self.addresses[number * 7919 % self.addresses.len()];
        format!("/m/{address}?range=30d")
    }
}

impl Website {
    /// Starts one in front of a PayMaker, and waits until it knows the pool.
    fn start(behind: SocketAddr, node: &DevNode, handlers: Handlers) -> anyhow::Result<Self> {
        let (folder, address) = (folder()?, free_address()?);
        let mut configuration = format!(
            "[pool]\nurl = \"http://{behind}/master\"\npassword = \"{PASSWORD}\"\n[http]\nlisten = \"{address}\"\n\
             [[node]]\nurl = \"{}\"\npassword = \"x\"\n[pay_maker]\nurl = \"http://{behind}/paymaker\"\n\
             default_address = \"{ADDRESS}\"\nerror_address = \"{ADDRESS}\"\n",
            node.url()
        );
        for (kind, handler) in [("ann", handlers.ann), ("blk", handlers.blk)] {
            if let Some(handler) = handler {
                configuration +=
                    &format!("[[{kind}_handler]]\nname = \"main\"\nurl = \"http://{handler}/{kind}/main\"\n");
            }
        }
        let mut process = Program::headframe(folder.path(), &["site"], &configuration)?;
        process.until("the website to know the pool", || {
            let mut connection = super::load::Connection::open(address)?;
            let facts = connection.get("/api/v1/packetcrypt")?.json()?;
            let payees = facts["payout_table"]["payee_count"].as_u64().unwrap_or_default();
            anyhow::ensure!(payees >= PAID, "{payees} payees");
            Ok(())
        })?;
        Ok(Self { process, address, _folder: folder })
    }
}

fn source() -> anyhow::Result<Source> {
    Source::ending_now(EVENTS, STEP_MS, ADDRESSES)
}

/// The PayMaker's folder: one made earlier, if it is not too old.
fn prepared() -> anyhow::Result<PathBuf> {
    let folder = cache_folder()?.join("site-pool");
    let made = folder.join("made");
    let time = std::fs::read_to_string(&made).ok().and_then(|text| text.parse::<u64>().ok());
    if time.is_some_and(|time| now().0 < time + KEPT_MS) {
        return Ok(folder);
    }
    eprintln!(
        "making a pool of {ADDRESSES} addresses with a past of {DAYS} days; kept in {}",
        folder.display()
    );
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let store = folder.join("data/pay-maker/ledger");
    std::fs::create_dir_all(&store)?;
    let source = source()?;
    fill(&store, &Rules::new(&wide_rules()?)?, &source, EVENTS)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let book = store.join("book.sqlite");
    runtime.block_on(async {
        write_past(&book, &source.addresses).await?;
        write_blocks(&book, &source.addresses).await
    })?;
    std::fs::write(made, now().0.to_string())?;
    Ok(folder)
}

/// The past of the pool and of every address: one is recorded as usual, the others get copies of its rows.
async fn write_past(book: &Path, addresses: &[PktAddress]) -> anyhow::Result<()> {
    let now = now();
    let point = |number: u64| Point {
        announcements: 40 + number % 30,
        announcement_work: 9_000 + number % 700,
        announcement_credits: 70_000 + number % 9_000,
        shares: number % 4,
        share_work: 8_000 * (number % 4),
        share_credits: 1_000 * (number % 4),
    };
    let hours = (0..DAYS * 24).map(|hour| now.minus(hour * Grain::Hour.step_ms()));
    let own = hours.zip(0..).map(|(time, number)| (Some(addresses[0]), time, point(number)));
    let own: Vec<_> = own.collect();
    let of_pool = own.iter().map(|(_, time, point)| (None, *time, *point));
    SqlBook::open_sqlite(book)
        .await?
        .add_series(own.iter().copied().chain(of_pool).collect(), now, now)
        .await?;
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", book.display())).await?;
    sqlx::query("PRAGMA synchronous=OFF").execute(&mut database).await?;
    for (chunk, others) in addresses[1..].chunks(AT_ONCE).enumerate() {
        // Addresses are letters and digits.
        let rows = others.iter().enumerate();
        let rows = rows.map(|(place, address)| format!("({}, '{address}')", chunk * AT_ONCE + place + 2));
        let sql = format!(
            "INSERT INTO series_owners (number, address) VALUES {}",
            rows.collect::<Vec<_>>().join(", ")
        );
        sqlx::query(AssertSqlSafe(sql)).execute(&mut database).await?;
    }
    sqlx::query(
        "INSERT INTO series (owner, grain, start_ms, points) SELECT number, grain, start_ms, points \
         FROM series_owners, series WHERE owner = 1 AND grain = 2 AND number > 1",
    )
    .execute(&mut database)
    .await
    .context("copying the past of an address")?;
    database.close().await?;
    Ok(())
}

/// Blocks of the pool by one payout table, which pays everybody alike.
async fn write_blocks(book: &Path, addresses: &[PktAddress]) -> anyhow::Result<()> {
    let (book, now) = (SqlBook::open_sqlite(book).await?, now());
    let began = now.minus(DAYS * DAY_MS);
    let units = 1_000_000_000_000 / addresses.len() as u64;
    let table = PayoutTable {
        made_at: began,
        newest_event: None,
        share_window: wire::who_to_pay::PaidWindow::default(),
        announcement_window: wire::who_to_pay::PaidWindow::default(),
        payees: addresses.iter().map(|address| (*address, units)).collect(),
    };
    let number = book.add_payout_table(&table, UnixMillis(0)).await?;
    book.add_outcome(number, began, &PayoutOutcome::Configured).await?;
    let won = |block: u64| WonBlock {
        share_id: EventId::from_bytes([block as u8 + 1; 16]),
        hash: BlockHash::from_internal([block as u8 + 1; 32]),
        pay_to: addresses[0],
        won_at: began.plus((block + 1) * DAYS * DAY_MS / (BLOCKS + 1)),
    };
    let wins: Vec<WonBlock> = (0..BLOCKS).map(won).collect();
    book.add(&[], &[], &wins).await?;
    for won in wins {
        let win = RecordedWin {
            won,
            height: None,
            effort_millionths: Some(1_000_000),
            reward: Some(2_000 << 30),
            payout_table: Some(number),
        };
        book.describe_win(&win).await?;
    }
    while book.note_payees().await? > 0 {}
    Ok(())
}
