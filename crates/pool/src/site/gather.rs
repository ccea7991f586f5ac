//! Gathering: every two seconds the pool's roles are asked, and an immutable picture replaces the one before. While nobody
//! looks, that is done seldom, and at once when somebody does.
//!
//! Nothing waits for this. A role that does not answer leaves its last figures standing, which say how old they are, and
//! is shown as unreachable.

mod components;
mod nimiq;
mod packetcrypt;
mod shown_figures;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::address::MinerAddress;
use super::answers::FactsFault;
use super::audience::Audience;
use super::events::Events;
use super::facts::{
    Chain, Identity, MinerFacts, Moment, Payee, Payment, PaymentsPage, PayoutTableFacts, PoolBlock,
    PoolFacts, Series, SeriesQuery,
};
use crate::http_client::HttpFault;

pub use components::{ComponentSource, Expected};
pub use nimiq::NimiqSource;
pub use packetcrypt::PacketCryptSource;

/// Who is asked.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Who we are.
    pub identity: Identity,
    /// The PacketCrypt pool, if there is one.
    pub packetcrypt: Option<PacketCryptSource>,
    /// The Nimiq pool, if there is one.
    pub nimiq: Option<NimiqSource>,
    /// The processes whose health is shown.
    pub components: Vec<ComponentSource>,
}

/// Pause between two rounds while somebody looks.
const ROUND: Duration = Duration::from_secs(2);
/// The same while nobody does.
const IDLE_ROUND: Duration = Duration::from_secs(15);

/// Asks the pool's roles.
pub(super) struct Gatherer {
    identity: Identity,
    packetcrypt: Option<packetcrypt::Gatherer>,
    nimiq: Option<nimiq::Gatherer>,
    components: components::Gatherer,
}

/// Answers about addresses, from the same sources.
pub(super) struct Lookups {
    packetcrypt: Option<packetcrypt::Lookups>,
    nimiq: Option<nimiq::Lookups>,
}

impl Gatherer {
    /// A gatherer, what it knows at first, and who answers about addresses.
    pub(super) fn new(sources: Sources, http: &reqwest::Client) -> (Self, PoolFacts, Lookups) {
        let now = Moment::now();
        let (packetcrypt, packetcrypt_lookups) = sources
            .packetcrypt
            .map(|source| {
                (
                    packetcrypt::Gatherer::new(source.clone(), http.clone()),
                    packetcrypt::Lookups::new(source, http.clone()),
                )
            })
            .unzip();
        let (nimiq, nimiq_lookups) =
            sources.nimiq.map(|source| nimiq::Gatherer::new(source, http.clone())).unzip();
        let mut gatherer = Self {
            identity: sources.identity,
            packetcrypt,
            nimiq,
            components: components::Gatherer::new(sources.components, http.clone()),
        };
        let first = gatherer.picture(now);
        (gatherer, first, Lookups { packetcrypt: packetcrypt_lookups, nimiq: nimiq_lookups })
    }

    /// Asks again and again until the stop signal.
    pub(super) async fn run(
        mut self,
        now: Arc<ArcSwap<PoolFacts>>,
        events: Arc<Events>,
        audience: Arc<Audience>,
        shutdown: CancellationToken,
    ) {
        loop {
            let round = async {
                tokio::join!(
                    async {
                        if let Some(gatherer) = &mut self.packetcrypt {
                            gatherer.ask().await;
                            gatherer.tell(&events).await;
                        }
                    },
                    async {
                        if let Some(gatherer) = &mut self.nimiq {
                            gatherer.ask().await;
                            gatherer.tell(&events).await;
                        }
                    },
                    self.components.ask(),
                );
            };
            tokio::select! {
                () = round => {}
                () = shutdown.cancelled() => return,
            }
            let picture = self.picture(Moment::now());
            events.look(&picture);
            now.store(Arc::new(picture));
            let is_seen = audience.is_present() || events.are_listened_to();
            tokio::select! {
                () = tokio::time::sleep(if is_seen { ROUND } else { IDLE_ROUND }) => {}
                () = audience.arrived(), if !is_seen => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    fn picture(&mut self, now: Moment) -> PoolFacts {
        PoolFacts {
            gathered_at: now,
            identity: self.identity.clone(),
            packetcrypt: self.packetcrypt.as_ref().map(packetcrypt::Gatherer::facts),
            nimiq: self.nimiq.as_ref().map(nimiq::Gatherer::facts),
            components: self.components.states(),
        }
    }
}

impl Lookups {
    /// Everything about an address.
    pub(super) async fn miner(&self, address: &MinerAddress) -> Result<MinerFacts, FactsFault> {
        match (address, &self.packetcrypt, &self.nimiq) {
            (MinerAddress::PacketCrypt(address), Some(lookups), _) => lookups.miner(*address).await,
            (MinerAddress::Nimiq(address), _, Some(lookups)) => lookups.miner(*address).await,
            _ => Err(absent(address.chain())),
        }
    }

    /// Blocks of the pool found before a time, newest first.
    pub(super) async fn blocks(
        &self,
        chain: Chain,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<PoolBlock>, FactsFault> {
        match (chain, &self.packetcrypt, &self.nimiq) {
            (Chain::PacketCrypt, Some(lookups), _) => lookups.blocks(before, limit).await,
            (Chain::Nimiq, _, Some(lookups)) => lookups.blocks(before, limit).await,
            _ => Err(absent(chain)),
        }
    }

    /// Payments of the Nimiq pool, newest first.
    pub(super) async fn payments(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, Payment)>, FactsFault> {
        let lookups = self.nimiq.as_ref().ok_or_else(|| absent(Chain::Nimiq))?;
        lookups.payments(before, limit).await
    }

    /// Whom a settled Nimiq block credits; `None`: there is no such block.
    pub(super) async fn credits(
        &self,
        block: ::nimiq::BlockHash,
        offset: u64,
        limit: u32,
    ) -> Result<Option<Vec<Payee>>, FactsFault> {
        let lookups = self.nimiq.as_ref().ok_or_else(|| absent(Chain::Nimiq))?;
        lookups.credits(block, offset, limit).await
    }

    /// Payments to one address, newest first.
    pub(super) async fn payments_to(
        &self,
        address: &MinerAddress,
        before: Option<u64>,
        limit: u32,
    ) -> Result<PaymentsPage, FactsFault> {
        match (address, &self.packetcrypt, &self.nimiq) {
            (MinerAddress::PacketCrypt(address), Some(lookups), _) => {
                lookups.payments_to(*address, before, limit).await
            }
            (MinerAddress::Nimiq(address), _, Some(lookups)) => {
                lookups.payments_to(*address, before, limit).await
            }
            _ => Err(absent(address.chain())),
        }
    }

    /// Payout tables, newest first.
    pub(super) async fn payout_tables(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<PayoutTableFacts>, FactsFault> {
        let lookups = self.packetcrypt.as_ref().ok_or_else(|| absent(Chain::PacketCrypt))?;
        lookups.payout_tables(before, limit).await
    }

    /// Whom a payout table pays, or the next PacketCrypt block.
    pub(super) async fn payees(
        &self,
        table: Option<u64>,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Payee>, FactsFault> {
        let lookups = self.packetcrypt.as_ref().ok_or_else(|| absent(Chain::PacketCrypt))?;
        lookups.payees(table, offset, limit).await
    }

    /// The PayMaker's own document of whom the next block pays.
    pub(super) async fn who_to_pay(&self) -> Result<Bytes, FactsFault> {
        let lookups = self.packetcrypt.as_ref().ok_or_else(|| absent(Chain::PacketCrypt))?;
        lookups.who_to_pay().await
    }

    /// The past of a figure.
    pub(super) async fn series(&self, query: &SeriesQuery) -> Result<Series, FactsFault> {
        match (query.chain, &self.packetcrypt, &self.nimiq) {
            (Chain::PacketCrypt, Some(lookups), _) => lookups.series(query).await,
            (Chain::Nimiq, _, Some(lookups)) => lookups.series(query).await,
            _ => Err(absent(query.chain)),
        }
    }
}

fn absent(chain: Chain) -> FactsFault {
    FactsFault::Absent(format!("{} pool", chain.name()))
}

fn unavailable(role: &'static str, fault: &HttpFault) -> FactsFault {
    FactsFault::Unavailable { role, reason: fault.to_string() }
}
