//! What a page or the API may ask: the pool as it was a moment ago, an address, a series.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::address::MinerAddress;
use super::facts::{MinerFacts, PoolFacts, Series, SeriesQuery, sample};

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
    now: ArcSwap<PoolFacts>,
    source: Source,
    lookups: Semaphore,
}

/// Where facts come from that are made when somebody asks.
enum Source {
    /// The pool of the sample, which never changes.
    Sample,
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
        let now = ArcSwap::from_pointee(sample::pool());
        let lookups = Semaphore::new(LOOKUPS);
        Self { shared: Arc::new(Shared { now, source: Source::Sample, lookups }) }
    }

    /// The pool as it was when it was last looked at.
    pub fn now(&self) -> Arc<PoolFacts> {
        self.shared.now.load_full()
    }

    /// Everything about an address; one that the pool has never seen is [`MinerState::Unknown`].
    ///
    /// [`MinerState::Unknown`]: super::facts::MinerState::Unknown
    pub async fn miner(&self, address: &MinerAddress) -> Result<MinerFacts, FactsFault> {
        let _turn = self.turn().await?;
        match &self.shared.source {
            Source::Sample => Ok(sample::miner(address)),
        }
    }

    /// The past of a figure.
    pub async fn series(&self, query: &SeriesQuery) -> Result<Series, FactsFault> {
        let _turn = self.turn().await?;
        match &self.shared.source {
            Source::Sample => Ok(sample::series(query)),
        }
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, FactsFault> {
        let turn = tokio::time::timeout(TURN, self.shared.lookups.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or(FactsFault::Overloaded)
    }
}
