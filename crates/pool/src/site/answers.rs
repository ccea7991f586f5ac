//! What a page or the API may ask: the pool as it was a moment ago, an address, a series.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::address::MinerAddress;
use super::audience::Audience;
use super::events::Events;
use super::facts::{
    Chain, Incident, MinerFacts, Moment, Payee, Payment, PaymentsPage, PayoutTableFacts, PoolBlock,
    PoolFacts, Series, SeriesQuery, SignedStatement, sample,
};
use super::gather::{Gatherer, Lookups, Sources};
use super::record::Record;
use crate::parts::Parts;

/// Addresses and series that are being looked up at once.
const LOOKUPS: usize = 16;
/// How long one may wait for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Hands out facts; clones share them.
#[derive(Clone)]
pub struct Facts {
    shared: Arc<Shared>,
}

struct Shared {
    now: Arc<ArcSwap<PoolFacts>>,
    source: Source,
    events: Arc<Events>,
    audience: Arc<Audience>,
    lookups: Semaphore,
}

/// Where facts come from that are made when somebody asks.
enum Source {
    /// The pool of the sample, which never changes.
    Sample,
    /// The roles of a real pool, and what the website keeps itself.
    Pool(Box<Lookups>, Arc<Record>),
}

/// Why a fact cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsFault {
    /// The pool does not mine that chain, or has no such series.
    #[error("this pool has no {0}")]
    Absent(String),
    /// Whoever knows does not answer.
    #[error("{role} does not answer: {reason}")]
    Unavailable {
        /// Which role.
        role: &'static str,
        /// What happened.
        reason: String,
    },
    /// Too many ask for such at once.
    #[error("too many ask at once; try again in a few seconds")]
    Overloaded,
}

impl Facts {
    /// The facts of a pool that exists only as an example.
    pub fn sample() -> Self {
        Self::new(Arc::new(ArcSwap::from_pointee(sample::pool())), Source::Sample, Arc::default())
    }

    /// The facts of a pool that a test has made up; of addresses and series, those of the sample.
    #[cfg(test)]
    pub(super) fn made_up(pool: PoolFacts) -> Self {
        Self::new(Arc::new(ArcSwap::from_pointee(pool)), Source::Sample, Arc::default())
    }

    /// The facts of a pool whose roles are asked from now on, until the stop signal.
    pub(super) fn gather(
        sources: Sources,
        record: Arc<Record>,
        http: &reqwest::Client,
        parts: &mut Parts,
    ) -> Self {
        let (gatherer, first, lookups) = Gatherer::new(sources, http);
        let now = Arc::new(ArcSwap::from_pointee(first));
        let source = Source::Pool(Box::new(lookups), Arc::clone(&record));
        let facts = Self::new(now, source, Arc::default());
        let Shared { now, events, audience, .. } = &*facts.shared;
        let (now, events, audience) = (Arc::clone(now), Arc::clone(events), Arc::clone(audience));
        parts.run("gathering", gatherer.run(now, events, audience, parts.stop()));
        parts.run("record", record.keep(facts.clone(), parts.stop()));
        facts
    }

    fn new(now: Arc<ArcSwap<PoolFacts>>, source: Source, events: Arc<Events>) -> Self {
        let (audience, lookups) = (Arc::default(), Semaphore::new(LOOKUPS));
        Self { shared: Arc::new(Shared { now, source, events, audience, lookups }) }
    }

    /// What has just happened.
    pub(super) fn events(&self) -> &Events {
        &self.shared.events
    }

    /// The pool as it was when its roles were asked last. Somebody wants to see it, so they are asked often from now on.
    pub fn now(&self) -> Arc<PoolFacts> {
        self.shared.audience.note();
        self.newest()
    }

    /// The same for whoever looks by himself, all the time.
    pub(super) fn newest(&self) -> Arc<PoolFacts> {
        self.shared.now.load_full()
    }

    /// Everything about an address; one that the pool has never seen is [`MinerState::Unknown`].
    ///
    /// [`MinerState::Unknown`]: super::facts::MinerState::Unknown
    pub async fn miner(&self, address: &MinerAddress) -> Result<MinerFacts, FactsFault> {
        let _turn = self.turn().await?;
        match &self.shared.source {
            Source::Sample => Ok(sample::miner(address)),
            Source::Pool(lookups, _) => lookups.miner(address).await,
        }
    }

    /// The past of a figure.
    pub async fn series(&self, query: &SeriesQuery) -> Result<Series, FactsFault> {
        self.must_mine(query.chain)?;
        if let Source::Pool(_, record) = &self.shared.source
            && let Some(series) = record.series(query, Moment::now())
        {
            return Ok(series);
        }
        let _turn = self.turn().await?;
        match &self.shared.source {
            Source::Sample => Ok(sample::series(query)),
            Source::Pool(lookups, _) => lookups.series(query).await,
        }
    }

    /// Blocks of the pool on a chain that were found before a time, newest first.
    pub async fn blocks(
        &self,
        chain: Chain,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<PoolBlock>, FactsFault> {
        self.must_mine(chain)?;
        let _turn = self.turn().await?;
        match &self.shared.source {
            Source::Sample => {
                let earlier = |block: &&PoolBlock| before.is_none_or(|before| block.found_at.0 < before);
                let now = self.now();
                Ok(now.blocks(chain).iter().filter(earlier).take(limit as usize).cloned().collect())
            }
            Source::Pool(lookups, _) => lookups.blocks(chain, before, limit).await,
        }
    }

    /// Payments of the Nimiq pool with a smaller number than `before`, newest first, each with its number.
    pub async fn payments(&self, before: Option<u64>, limit: u32) -> Result<Vec<(u64, Payment)>, FactsFault> {
        self.must_mine(Chain::Nimiq)?;
        let _turn = self.turn().await?;
        match &self.shared.source {
            Source::Sample => {
                let payments =
                    self.now().nimiq.as_ref().map_or_else(Vec::new, |nimiq| nimiq.payments.clone());
                let numbered = (1..=payments.len() as u64).rev().zip(payments);
                let earlier = |(number, _): &(u64, Payment)| before.is_none_or(|before| *number < before);
                Ok(numbered.filter(earlier).take(limit as usize).collect())
            }
            Source::Pool(lookups, _) => lookups.payments(before, limit).await,
        }
    }

    /// Payments to an address before `before` (a number that an earlier page gave), newest first.
    pub async fn payments_to(
        &self,
        address: &MinerAddress,
        before: Option<u64>,
        limit: u32,
    ) -> Result<PaymentsPage, FactsFault> {
        let _turn = self.turn().await?;
        match &self.shared.source {
            Source::Sample => Ok(sample::payments_to(address, before, limit)),
            Source::Pool(lookups, _) => lookups.payments_to(address, before, limit).await,
        }
    }

    /// Payout tables of the PacketCrypt pool with a smaller number than `before`, newest first.
    pub async fn payout_tables(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<PayoutTableFacts>, FactsFault> {
        self.must_mine(Chain::PacketCrypt)?;
        let _turn = self.turn().await?;
        match &self.shared.source {
            Source::Sample => {
                let tables =
                    self.now().packetcrypt.as_ref().map_or_else(Vec::new, |pool| pool.payout_tables.clone());
                let earlier =
                    |table: &PayoutTableFacts| before.is_none_or(|before| table.number < Some(before));
                Ok(tables.into_iter().filter(earlier).take(limit as usize).collect())
            }
            Source::Pool(lookups, _) => lookups.payout_tables(before, limit).await,
        }
    }

    /// Whom a payout table paid that was sent to the PacketCrypt node, or whom the next block pays, in the order of the
    /// table.
    pub async fn payees(
        &self,
        table: Option<u64>,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Payee>, FactsFault> {
        self.must_mine(Chain::PacketCrypt)?;
        let _turn = self.turn().await?;
        match &self.shared.source {
            Source::Sample => {
                let now = self.now();
                let pool = now.packetcrypt.as_ref();
                let is_known = |wanted: &u64| {
                    pool.is_some_and(|pool| {
                        pool.payout_tables.iter().any(|sent| sent.number == Some(*wanted))
                    })
                };
                if table.as_ref().is_some_and(|wanted| !is_known(wanted)) {
                    return Err(FactsFault::Absent("such table".to_owned()));
                }
                let table = pool.and_then(|pool| pool.payout_table.as_ref());
                let payees = table.map_or(&[][..], |table| &table.payees);
                Ok(payees.iter().skip(offset as usize).take(limit as usize).cloned().collect())
            }
            Source::Pool(lookups, _) => lookups.payees(table, offset, limit).await,
        }
    }

    /// Whom a settled block of the Nimiq pool credits, the fee first, then the greatest.
    pub async fn credits(
        &self,
        block: nimiq::BlockHash,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Payee>, FactsFault> {
        self.must_mine(Chain::Nimiq)?;
        let _turn = self.turn().await?;
        let credits = match &self.shared.source {
            Source::Sample => sample::credits(&block.to_string(), offset, limit),
            Source::Pool(lookups, _) => lookups.credits(block, offset, limit).await?,
        };
        credits.ok_or_else(|| FactsFault::Absent("such settled block".to_owned()))
    }

    /// The PayMaker's own document of whom the next PacketCrypt block pays.
    pub async fn who_to_pay(&self) -> Result<Bytes, FactsFault> {
        self.must_mine(Chain::PacketCrypt)?;
        let _turn = self.turn().await?;
        match &self.shared.source {
            Source::Sample => Ok(Bytes::from_static(sample::WHO_TO_PAY.as_bytes())),
            Source::Pool(lookups, _) => lookups.who_to_pay().await,
        }
    }

    /// Statements of the pool's record with a smaller number than `before`, of one kind or of all, newest first.
    pub fn statements(&self, before: Option<u64>, kind: Option<&str>, limit: u32) -> Vec<SignedStatement> {
        match &self.shared.source {
            Source::Sample => sample::statements(before, kind, limit),
            Source::Pool(_, record) => record.statements_before(before, kind, limit),
        }
    }

    /// What went wrong, by numbers smaller than `before`, newest first.
    pub fn incidents(&self, before: Option<u64>, limit: u32) -> Vec<Incident> {
        match &self.shared.source {
            Source::Sample => sample::incidents(before, limit),
            Source::Pool(_, record) => record.incidents_before(before, limit),
        }
    }

    /// The whole record: a line for each statement, its signature and the text that was signed.
    pub fn statement_log(&self) -> Bytes {
        match &self.shared.source {
            Source::Sample => sample::statement_log(),
            Source::Pool(_, record) => record.log(),
        }
    }

    /// The public key that statements are signed with, in hexadecimal digits.
    pub fn statement_key(&self) -> String {
        match &self.shared.source {
            Source::Sample => sample::STATEMENT_KEY.to_owned(),
            Source::Pool(_, record) => record.key(),
        }
    }

    fn must_mine(&self, chain: Chain) -> Result<(), FactsFault> {
        let mines = self.now().chains().contains(&chain);
        if mines { Ok(()) } else { Err(FactsFault::Absent(format!("{} pool", chain.name()))) }
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, FactsFault> {
        let turn = tokio::time::timeout(TURN, self.shared.lookups.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or(FactsFault::Overloaded)
    }
}
