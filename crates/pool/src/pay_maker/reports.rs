//! What the website is told: the pool's facts and those of an address, as this role knows them.
//!
//! A report is made when somebody asks and serves all who ask soon after; where it is dear, it may be some moments old.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use ledger::book::{PayoutOutcome, PayoutTableNumber, PayoutTableSummary, RecordedWin, SqlBook};
use ledger::{DurableLedger, PoolFigures, UnixMillis};
use tokio::sync::Mutex as AsyncMutex;
use wire::who_to_pay::{PaidWindow, Portion, WhoToPay};
use wire::{Decimal, PktAddress};

use super::Shared;
use super::documents::Documents;
use super::payout_node::ChainPlace;
use super::won_blocks::MATURE_AT;
use crate::site::facts::{
    Amount, BlockStanding, Luck, Measured, Moment, PacketCryptFacts, PacketCryptMiners, PaidBlock, Part,
    Payee, PayoutTableFacts, PayoutTableState, PoolBlock, Unit, WindowFacts,
};
use crate::site::luck;

/// Speeds are measured over so long a time.
pub(super) const SPEED_WINDOW_MS: u64 = 10 * 60 * 1000;
/// A report serves so long.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// One that was dear serves so many times as long as it took.
const REST: u32 = 8;
/// A report that took so long is shown a little longer while a newer one is made.
const DEAR: Duration = Duration::from_millis(10);
/// And at most so long.
const LONGEST_SHOWN: Duration = Duration::from_secs(10);
/// Blocks and payees of a report.
const SHOWN: usize = 100;
/// Payout tables of a report.
const TABLES_SHOWN: u32 = 20;
/// And those by which the newest blocks paid.
const PAID_TABLES_SHOWN: usize = 5;
/// An announcement is 1 KiB on the wire.
pub(super) const BITS_PER_ANNOUNCEMENT: f64 = 8192.0;

/// Makes reports and remembers the newest.
#[derive(Default)]
pub(super) struct Reports {
    newest: ArcSwapOption<Report>,
    making: AsyncMutex<()>,
}

/// The pool's facts at one moment.
pub(super) struct Report {
    /// As JSON: everything of [`PacketCryptFacts`] that this role knows.
    pub(super) json: Bytes,
    /// The same, to be read.
    pub(super) facts: PacketCryptFacts,
    /// Everybody that the next block pays, with units of 10⁻¹².
    pub(super) payees: Vec<(PktAddress, u64)>,
    /// What each address gets of the next block.
    pub(super) standings: HashMap<PktAddress, Standing>,
    /// Blocks that the pool finds in a day on average, at its pace of the last day.
    pub(super) expected_blocks_per_day: Option<f64>,
    made: Instant,
    cost: Duration,
}

impl Report {
    /// Whether it is worth waiting for a newer one: where that is quick, or this one is too old.
    fn may_be_shown_meanwhile(&self) -> bool {
        self.cost >= DEAR && self.made.elapsed() < LONGEST_SHOWN.max(self.cost * (2 * REST))
    }
}

/// What one address gets of the next block.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    pub(super) whole: Part,
    pub(super) announcements: Option<Part>,
    pub(super) shares: Option<Part>,
    pub(super) warm_up_percent: Option<i64>,
    pub(super) last_seen: Option<UnixMillis>,
}

impl Reports {
    /// The pool as of now, or of a moment ago. Nobody waits for a report that is dear while there is an older one: it
    /// is made in the background.
    pub(super) async fn current(
        &self,
        shared: &Arc<Shared>,
        ledger: &Arc<DurableLedger>,
    ) -> Option<Arc<Report>> {
        if let Some(report) = self.recent() {
            return Some(report);
        }
        match self.newest.load_full().filter(|report| report.may_be_shown_meanwhile()) {
            Some(report) => {
                let (shared, ledger) = (Arc::clone(shared), Arc::clone(ledger));
                tokio::spawn(async move { shared.reports.renew(&shared, &ledger).await });
                Some(report)
            }
            None => self.renew(shared, ledger).await,
        }
    }

    /// Makes a report, unless somebody has just done so.
    async fn renew(&self, shared: &Arc<Shared>, ledger: &Arc<DurableLedger>) -> Option<Arc<Report>> {
        let _turn = self.making.lock().await;
        if let Some(report) = self.recent() {
            return Some(report);
        }
        let made = Instant::now();
        let sources = Sources::read(shared, ledger).await?;
        let report = tokio::task::spawn_blocking(move || sources.report(made)).await.ok()?;
        let report = Arc::new(report);
        self.newest.store(Some(Arc::clone(&report)));
        Some(report)
    }

    fn recent(&self) -> Option<Arc<Report>> {
        let report = self.newest.load_full()?;
        (report.made.elapsed() < FRESH_FOR.max(report.cost * REST)).then_some(report)
    }
}

/// What a report is made from.
struct Sources {
    now: UnixMillis,
    documents: Arc<Documents>,
    document: Arc<WhoToPay>,
    figures: PoolFigures,
    wins: Vec<RecordedWin>,
    blocks: Vec<PoolBlock>,
    paid: Vec<PaidBy>,
    tables: Vec<PayoutTableSummary>,
    next_reward: Option<(i64, UnixMillis)>,
    payout_rule: String,
}

impl Sources {
    async fn read(shared: &Arc<Shared>, ledger: &Arc<DurableLedger>) -> Option<Self> {
        let now = (shared.clock)();
        let document = shared.documents.current_document(ledger).await?;
        let reading = Arc::clone(ledger);
        let figures = tokio::task::spawn_blocking(move || reading.read().pool_figures(now, SPEED_WINDOW_MS));
        let figures = figures.await.ok()?;
        let wins = newest_wins(&shared.book).await;
        let tables = newest_tables(&shared.book, &wins).await;
        let blocks = wins.iter().map(|win| pool_block(win, shared)).collect();
        let paid = paid_by(&wins, shared);
        Some(Self {
            payout_rule: payout_rule(&document),
            documents: Arc::clone(&shared.documents),
            next_reward: shared.won_blocks.next_reward(),
            tables,
            now,
            document,
            figures,
            wins,
            blocks,
            paid,
        })
    }

    fn report(self, made: Instant) -> Report {
        let standings = standings(&self.document);
        let facts = self.facts();
        let json = Bytes::from(serde_json::to_vec(&facts).unwrap_or_default());
        Report {
            json,
            facts,
            payees: self.document.units.as_ref().map_or_else(Vec::new, |units| units.0.clone()),
            standings,
            expected_blocks_per_day: self.figures.expected_wins_per_day(),
            made,
            cost: made.elapsed(),
        }
    }

    fn facts(&self) -> PacketCryptFacts {
        let now = Moment::from(self.now);
        let figures = &self.figures;
        let recent = &figures.recent;
        let window = recent.window_ms / 1000;
        let per_second = |amount: f64| (window > 0).then(|| amount / window as f64);
        let speed =
            |amount: u128| Measured::over(per_second(amount as f64), Unit::EncryptionsPerSecond, window, now);
        let kilobits = recent.announcements as f64 * BITS_PER_ANNOUNCEMENT / 1000.0;
        let tip = |value: Option<f64>| match figures.tip {
            Some((_, _, at)) => Measured::at(value, Unit::Difficulty, at.into()),
            None => Measured::at(None, Unit::Difficulty, now),
        };
        let day = figures.day_ms / 1000;
        PacketCryptFacts {
            pool_url: String::new(),
            announcement_urls: Vec::new(),
            block_urls: Vec::new(),
            is_private: false,
            height: Measured::at(figures.tip.map(|(height, ..)| height + 1), Unit::Blocks, now),
            difficulty: tip(figures.tip.map(|(_, difficulty, _)| difficulty.to_f64())),
            announcement_work: Measured::at(None, Unit::Difficulty, now),
            announcement_speed: speed(recent.announcement_encryptions),
            block_speed: speed(recent.share_encryptions),
            bandwidth: Measured::over(per_second(kilobits), Unit::KilobitsPerSecond, window, now),
            // The handlers know.
            bandwidth_sent: Measured::at(None, Unit::KilobitsPerSecond, now),
            miners: PacketCryptMiners {
                announcements: Measured::over(figures.announcement_miners, Unit::Miners, window, now),
                blocks: Measured::over(figures.block_miners, Unit::Miners, window, now),
            },
            luck: self.luck(now),
            shares: Measured::over(figures.shares_of_day, Unit::Shares, day, now),
            blocks_found: Measured::over(figures.wins_of_day, Unit::Blocks, day, now),
            chain_blocks: Measured::over(figures.chain_blocks_of_day, Unit::Blocks, day, now),
            fee: Some(part(&self.document.pool_fee)),
            block_miners_part: Some(part(&self.document.block_miners)),
            announcement_miners_part: Some(part(&self.document.ann_miners)),
            payout_rule: self.payout_rule.clone(),
            next_reward: match self.next_reward {
                Some((reward, at)) => Measured::at(Amount::pkt_units(reward), Unit::Pkt, at.into()),
                None => Measured::at(None, Unit::Pkt, now),
            },
            payout_table: Some(self.computed_table()),
            payout_tables: self.tables.iter().map(|table| sent_table(table, &self.paid)).collect(),
            blocks: self.blocks.clone(),
            announcement_classes: Vec::new(),
            warnings: self.document.warn.clone(),
        }
    }

    fn luck(&self, now: Moment) -> Luck {
        let current = self.figures.current_effort.map(|effort| effort * 100.0);
        let fresh: HashMap<_, _> = self.figures.efforts.iter().copied().collect();
        let efforts: Vec<Option<f64>> = self
            .wins
            .iter()
            .map(|win| {
                let noted = win.effort_millionths.map(|effort| effort as f64 / 1e4);
                noted.or_else(|| fresh.get(&win.won.hash).copied().flatten().map(|effort| effort * 100.0))
            })
            .collect();
        luck::luck(Measured::at(current, Unit::Percent, now), &efforts)
    }

    /// The table that would be sent now.
    fn computed_table(&self) -> PayoutTableFacts {
        let units = self.document.units.as_ref().map_or(&[][..], |units| &units.0);
        let reward = self.next_reward.map(|(reward, _)| reward);
        PayoutTableFacts {
            number: None,
            made_at: Moment(self.document.generated_at),
            newest_event: (self.document.latest_payout > 0).then_some(Moment(self.document.latest_payout)),
            state: PayoutTableState::Computed,
            detail: None,
            share_window: window_facts(self.document.share_window.as_ref()),
            announcement_window: window_facts(self.document.ann_window.as_ref()),
            payee_count: units.len() as u64,
            payees: units
                .iter()
                .take(SHOWN)
                .map(|(to, units)| self.documents.payee(to, *units, reward))
                .collect(),
            paid_in: Vec::new(),
        }
    }
}

async fn newest_wins(book: &SqlBook) -> Vec<RecordedWin> {
    book.wins_before(UnixMillis(u64::MAX), SHOWN as u32).await.unwrap_or_else(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the pool's blocks cannot be read from the book");
        Vec::new()
    })
}

/// The newest tables, and those by which the newest blocks paid, newest first.
async fn newest_tables(book: &SqlBook, wins: &[RecordedWin]) -> Vec<PayoutTableSummary> {
    let before = async |number: i64, limit: u32| {
        book.payout_tables_before(PayoutTableNumber(number), limit).await.unwrap_or_default()
    };
    let mut tables = before(i64::MAX, TABLES_SHOWN).await;
    let mut paid: Vec<PayoutTableNumber> = wins.iter().filter_map(|win| win.payout_table).collect();
    paid.dedup();
    for number in paid.into_iter().take(PAID_TABLES_SHOWN) {
        if tables.iter().all(|table| table.number != number) {
            // One that has been removed by age has an older one in its place.
            let found = before(number.0.saturating_add(1), 1).await;
            tables.extend(found.into_iter().filter(|table| table.number == number));
        }
    }
    tables
}

impl Documents {
    /// One payee of a table; `reward` in units of 2⁻³⁰ PKT, if it is known.
    pub(super) fn payee(&self, address: &PktAddress, units: u64, reward: Option<i64>) -> Payee {
        Payee {
            address: address.to_string(),
            part: Part(units),
            amount: reward.map(|reward| worth(reward, units)),
            is_of_pool: self.pays_besides_work(address),
        }
    }
}

/// What a part of a reward is in coins, rounded down.
pub(super) fn worth(reward: i64, units: u64) -> Amount {
    let product = i128::from(reward) * i128::from(units) / i128::from(Portion::WHOLE.units());
    Amount::pkt_units(product as i64)
}

/// A block of the pool as it is shown.
pub(super) fn pool_block(win: &RecordedWin, shared: &Shared) -> PoolBlock {
    let place = shared.won_blocks.place(&win.won.hash);
    let (height, confirmations, standing) = match place {
        Some(ChainPlace::Main { height, confirmations }) if confirmations >= MATURE_AT => {
            (Some(height), Some(confirmations), BlockStanding::Mature)
        }
        Some(ChainPlace::Main { height, confirmations }) => {
            (Some(height), Some(confirmations), BlockStanding::Immature)
        }
        Some(ChainPlace::Side) => (win.height, Some(0), BlockStanding::Orphaned),
        None => (win.height, None, BlockStanding::Unknown),
    };
    PoolBlock {
        height,
        hash: win.won.hash.to_string(),
        found_at: win.won.won_at.into(),
        finder: Some(win.won.pay_to.to_string()),
        effort_percent: win.effort_millionths.map(|effort| effort as f64 / 1e4),
        reward: win.reward.map(Amount::pkt_units),
        payout_table: win.payout_table.and_then(|table| u64::try_from(table.0).ok()),
        standing,
        confirmations,
        confirmations_needed: Some(MATURE_AT),
    }
}

/// A block of the pool, with the table that it paid by.
pub(super) type PaidBy = (PayoutTableNumber, PaidBlock);

/// The blocks that are known to have paid by a table.
fn paid_by(wins: &[RecordedWin], shared: &Shared) -> Vec<PaidBy> {
    let paid = wins.iter().filter_map(|win| {
        let PoolBlock { height, hash, standing, confirmations, .. } = pool_block(win, shared);
        Some((win.payout_table?, PaidBlock { height, hash, standing, confirmations }))
    });
    paid.collect()
}

/// The same for the newest blocks of the pool.
pub(super) async fn newest_paid_by(shared: &Shared) -> Vec<PaidBy> {
    paid_by(&newest_wins(&shared.book).await, shared)
}

/// A table that was sent, without its payees.
pub(super) fn sent_table(table: &PayoutTableSummary, paid: &[PaidBy]) -> PayoutTableFacts {
    let (state, detail) = match &table.outcome {
        None => (PayoutTableState::Sent, None),
        Some(PayoutOutcome::Configured) => (PayoutTableState::Configured, None),
        Some(PayoutOutcome::Refused(why)) => (PayoutTableState::Refused, Some(why.clone())),
        Some(PayoutOutcome::PaidAsSent) => (PayoutTableState::PaidAsSent, None),
        Some(PayoutOutcome::PaidOtherwise(how)) => (PayoutTableState::PaidOtherwise, Some(how.clone())),
    };
    PayoutTableFacts {
        number: u64::try_from(table.number.0).ok(),
        made_at: table.made_at.into(),
        newest_event: table.newest_event.map(Moment::from),
        state,
        detail,
        share_window: window_facts(Some(&table.share_window)),
        announcement_window: window_facts(Some(&table.announcement_window)),
        payee_count: table.payee_count,
        payees: Vec::new(),
        paid_in: paid
            .iter()
            .filter(|(number, _)| *number == table.number)
            .map(|(_, block)| block.clone())
            .collect(),
    }
}

fn window_facts(window: Option<&PaidWindow>) -> WindowFacts {
    let Some(window) = window else { return WindowFacts::default() };
    let number = |text: &str| text.parse::<f64>().ok();
    let filled = number(&window.credits).zip(number(&window.width));
    WindowFacts {
        newest: window.newest_time.map(Moment),
        oldest: window.oldest_time.map(Moment),
        filled_percent: filled.and_then(|(credits, width)| (width > 0.0).then(|| 100.0 * credits / width)),
    }
}

fn part(fraction: &Decimal) -> Part {
    Part(Portion::cut_from(fraction).unwrap_or_default().units())
}

/// What each address gets, from the document that says so.
fn standings(document: &WhoToPay) -> HashMap<PktAddress, Standing> {
    let after_fee = |credits: &Decimal| {
        let kept = u128::from(Portion::WHOLE.units() - part(&document.pool_fee).0);
        Part((u128::from(part(credits).0) * kept / u128::from(Portion::WHOLE.units())) as u64)
    };
    let mut standings: HashMap<PktAddress, Standing> = HashMap::new();
    for (address, units) in document.units.iter().flat_map(|units| &units.0) {
        standings.entry(*address).or_default().whole = Part(*units);
    }
    for (address, miner) in &document.ann_miner_stats.0 {
        let standing = standings.entry(*address).or_default();
        standing.announcements = Some(after_fee(&miner.credits));
        standing.warm_up_percent = miner.warmup_percent;
        standing.last_seen = standing.last_seen.max(Some(UnixMillis(miner.last_seen)));
    }
    for (address, miner) in &document.blk_miner_stats.0 {
        let standing = standings.entry(*address).or_default();
        standing.shares = Some(after_fee(&miner.credits));
        standing.last_seen = standing.last_seen.max(Some(UnixMillis(miner.last_seen)));
    }
    // Whom the next block does not pay at all, since it has no place for more or the node refuses the address.
    for standing in standings.values_mut().filter(|standing| standing.whole == Part::default()) {
        standing.announcements = standing.announcements.map(|_| Part::default());
        standing.shares = standing.shares.map(|_| Part::default());
    }
    standings
}

/// The rule in one sentence, with the numbers of this pool.
fn payout_rule(document: &WhoToPay) -> String {
    let percent = |fraction: &Decimal| format!("{}", part(fraction).percent());
    let fee = match part(&document.pool_fee) {
        Part(0) => "the pool takes no fee".to_owned(),
        _ => format!("{} % is the pool’s fee", percent(&document.pool_fee)),
    };
    format!(
        "PPLNS, paid by each block itself: {} % of the reward goes to shares, {} % to announcements, each by the work \
         in its window; {fee}.",
        percent(&document.block_miners),
        percent(&document.ann_miners),
    )
}
