//! The PacketCrypt pool: facts of the PayMaker, completed by what the Master tells everyone, and by what the handlers know
//! of the work that they receive.

mod classes;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use wire::pool_config::PoolConfig;
use wire::{PktAddress, pool_config};

use super::unavailable;
use crate::ann_handler::{AcceptedOfParent, ServedAnnouncements};
use crate::http_client::{self, HttpFault};
use crate::pay_maker::AcceptedSince;
use crate::received_work::{self, together};
use crate::site::address::MinerAddress;
use crate::site::answers::FactsFault;
use crate::site::events::Events;
use crate::site::facts::{
    Chain, Conduct, Luck, Measured, MinerFacts, Moment, PacketCryptFacts, PacketCryptMiners, Payee,
    PaymentsPage, PayoutTableFacts, PoolBlock, Series, SeriesQuery, Unit,
};
use classes::Classes;

/// The largest answer that is read.
const LIMIT: usize = 4 << 20;
/// How long an answer may take.
const TIME: Duration = Duration::from_secs(5);
/// How often the Master is asked.
const MASTER_EVERY: Duration = Duration::from_secs(20);
/// How often the announcement handlers are asked for what they have accepted.
const CLASSES_EVERY: Duration = Duration::from_secs(6);
/// How long the PayMaker's document of whom to pay is passed on before it is fetched again.
const WHO_TO_PAY_EVERY: Duration = Duration::from_secs(5);
/// How long a handler may take: a page waits for it.
const HANDLER_TIME: Duration = Duration::from_secs(1);

/// Where the PacketCrypt pool is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketCryptSource {
    /// The pool URL, as miners are told.
    pub pool_url: String,
    /// Base URL of the Master, as this process reaches it.
    pub master: String,
    /// Base URL of the PayMaker.
    pub pay_maker: String,
    /// Base URLs of the announcement handlers.
    pub ann_handlers: Vec<String>,
    /// Base URLs of the block handlers.
    pub blk_handlers: Vec<String>,
    /// Whether announcements must be signed.
    pub is_private: bool,
}

pub(super) struct Gatherer {
    source: PacketCryptSource,
    http: reqwest::Client,
    facts: PacketCryptFacts,
    config: Option<PoolConfig>,
    asked_master: Option<Instant>,
    classes: Classes,
    asked_for_classes: Option<Instant>,
    /// What the announcement handlers have sent to block miners; `None`: not all of them tell.
    bandwidth_sent: Option<Measured<f64>>,
    /// Up to which piece of accepted work has been told.
    told_until: Option<u64>,
}

impl Gatherer {
    pub(super) fn new(source: PacketCryptSource, http: reqwest::Client) -> Self {
        Self {
            facts: nothing_known(Moment::now()),
            source,
            http,
            config: None,
            asked_master: None,
            classes: Classes::default(),
            asked_for_classes: None,
            bandwidth_sent: None,
            told_until: None,
        }
    }

    /// What is known now.
    pub(super) fn facts(&self) -> PacketCryptFacts {
        let mut facts = self.facts.clone();
        facts.pool_url.clone_from(&self.source.pool_url);
        facts.is_private = self.source.is_private;
        if let Some(sent) = self.bandwidth_sent {
            facts.bandwidth_sent = sent;
        }
        if let Some(config) = &self.config {
            facts.announcement_urls.clone_from(&config.submit_ann_urls);
            facts.block_urls.clone_from(&config.submit_block_urls);
            let work = config.ann_target.and_then(packetcrypt::CompactTarget::work);
            let work = work.map(|work| work.to_string().parse::<f64>().unwrap_or(f64::MAX));
            facts.announcement_work = Measured::at(work, Unit::Difficulty, facts.height.as_of);
            if facts.height.value.is_none() {
                facts.height = Measured::at(config.current_height.0, Unit::Blocks, facts.height.as_of);
            }
            if let (Some(height), Some(target)) = (facts.height.value, config.ann_target) {
                facts.announcement_classes = self.classes.at(height, target);
            }
        }
        facts
    }

    pub(super) async fn ask(&mut self) {
        let url = format!("{}/poolfacts", self.source.pay_maker);
        match http_client::fetch(&self.http, &url, LIMIT, TIME).await {
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(facts) => self.facts = facts,
                Err(error) => tracing::warn!(%error, url, "the PayMaker's facts cannot be read"),
            },
            Err(fault) => tracing::debug!(%fault, url, "the PayMaker gives no facts"),
        }
        if self.asked_master.is_none_or(|asked| asked.elapsed() >= MASTER_EVERY) {
            self.ask_master().await;
        }
        if self.asked_for_classes.is_none_or(|asked| asked.elapsed() >= CLASSES_EVERY) {
            self.asked_for_classes = Some(Instant::now());
            self.ask_for_classes().await;
            self.ask_for_served().await;
        }
    }

    async fn ask_for_served(&mut self) {
        let http = &self.http;
        let asking = self.source.ann_handlers.iter().map(|handler| {
            let url = format!("{handler}/served.json");
            async move {
                let body = http_client::fetch(http, &url, LIMIT, HANDLER_TIME).await.ok()?;
                serde_json::from_slice::<ServedAnnouncements>(&body).ok()
            }
        });
        // A handler of another program does not tell, and then the sum is not known.
        let told: Option<Vec<ServedAnnouncements>> = join_all(asking).await.into_iter().collect();
        self.bandwidth_sent = told.filter(|told| !told.is_empty()).map(|told| bandwidth_of(&told));
    }

    async fn ask_for_classes(&mut self) {
        let http = &self.http;
        let asking = self.source.ann_handlers.iter().map(|handler| {
            let url = format!("{handler}/parents.json");
            async move { http_client::fetch(http, &url, LIMIT, HANDLER_TIME).await.ok() }
        });
        let answers = join_all(asking).await;
        for (number, body) in answers.into_iter().enumerate() {
            // A handler of another program does not tell.
            let accepted = body.and_then(|body| serde_json::from_slice::<Vec<AcceptedOfParent>>(&body).ok());
            if let Some(accepted) = accepted {
                self.classes.told(number, accepted, Moment::now());
            }
        }
    }

    /// Tells who listens for an address of its accepted work.
    pub(super) async fn tell(&mut self, events: &Events) {
        let wanted: HashSet<MinerAddress> = events.wanted(Chain::PacketCrypt).into_iter().collect();
        if wanted.is_empty() {
            self.told_until = None;
            return;
        }
        let since = self.told_until.map(|since| format!("?since={since}")).unwrap_or_default();
        let url = format!("{}/acceptedwork{since}", self.source.pay_maker);
        let Ok(body) = http_client::fetch(&self.http, &url, LIMIT, TIME).await else { return };
        let Ok(accepted) = serde_json::from_slice::<AcceptedSince>(&body) else { return };
        self.told_until = Some(accepted.next);
        let mut by_address: HashMap<MinerAddress, (u64, Moment)> = HashMap::new();
        for piece in accepted.work {
            let sum = by_address.entry(MinerAddress::PacketCrypt(piece.address)).or_default();
            *sum = (sum.0 + u64::from(piece.announcements) + u64::from(piece.shares), sum.1.max(piece.at));
        }
        for (address, (pieces, at)) in by_address.into_iter().filter(|(address, _)| wanted.contains(address))
        {
            events.worked(address, pieces, at);
        }
    }

    async fn ask_master(&mut self) {
        let url = format!("{}/config.json", self.source.master);
        match http_client::fetch(&self.http, &url, pool_config::LIMIT, TIME).await {
            Ok(body) => match PoolConfig::parse(&body) {
                Ok(config) => {
                    self.config = Some(config);
                    self.asked_master = Some(Instant::now());
                }
                Err(error) => tracing::warn!(%error, url, "the Master's configuration cannot be read"),
            },
            Err(fault) => tracing::debug!(%fault, url, "the Master does not answer"),
        }
    }
}

/// Answers about addresses.
pub(super) struct Lookups {
    source: PacketCryptSource,
    http: reqwest::Client,
    /// The PayMaker's document, and when it came: it may be long, and is fetched once for all.
    who_to_pay: Mutex<Option<(Instant, Bytes)>>,
}

impl Lookups {
    pub(super) fn new(source: PacketCryptSource, http: reqwest::Client) -> Self {
        Self { source, http, who_to_pay: Mutex::default() }
    }

    pub(super) async fn who_to_pay(&self) -> Result<Bytes, FactsFault> {
        let mut known = self.who_to_pay.lock().await;
        if let Some((_, document)) = known.as_ref().filter(|(came, _)| came.elapsed() < WHO_TO_PAY_EVERY) {
            return Ok(document.clone());
        }
        let url = format!("{}/whotopay", self.source.pay_maker);
        let document = http_client::fetch(&self.http, &url, wire::who_to_pay::LIMIT, TIME).await;
        let document = document.map_err(|fault| unavailable("the PayMaker", &fault))?;
        *known = Some((Instant::now(), document.clone()));
        Ok(document)
    }

    pub(super) async fn miner(&self, address: PktAddress) -> Result<MinerFacts, FactsFault> {
        let question = format!("minerfacts?address={address}");
        let (facts, announcements, shares) = tokio::join!(
            self.ask::<MinerFacts>(&question),
            self.conduct(&self.source.ann_handlers, &address),
            self.conduct(&self.source.blk_handlers, &address),
        );
        let mut facts = facts?;
        facts.refusals = received_work::refusals([&announcements, &shares]);
        if let Some(own) = &mut facts.packetcrypt {
            own.announcements = announcements.unwrap_or_else(|| std::mem::take(&mut own.announcements));
            own.shares = shares.unwrap_or_else(|| std::mem::take(&mut own.shares));
        }
        Ok(facts)
    }

    /// What became of an address's work, by all handlers of a kind together; `None` if one of them does not tell.
    async fn conduct(&self, handlers: &[String], address: &PktAddress) -> Option<Conduct> {
        let asking = handlers.iter().map(|handler| {
            let url = format!("{handler}/{}?address={address}", received_work::NAME);
            async move {
                let body = http_client::fetch(&self.http, &url, LIMIT, HANDLER_TIME).await.ok()?;
                serde_json::from_slice::<Conduct>(&body).ok()
            }
        });
        together(join_all(asking).await)
    }

    pub(super) async fn payments_to(
        &self,
        address: PktAddress,
        before: Option<u64>,
        limit: u32,
    ) -> Result<PaymentsPage, FactsFault> {
        self.ask(&format!("payments?address={address}&limit={limit}{}", before_of(before))).await
    }

    pub(super) async fn blocks(&self, before: Option<u64>, limit: u32) -> Result<Vec<PoolBlock>, FactsFault> {
        self.ask(&format!("wonblocks?limit={limit}{}", before_of(before))).await
    }

    pub(super) async fn payout_tables(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<PayoutTableFacts>, FactsFault> {
        self.ask(&format!("payouttables?limit={limit}{}", before_of(before))).await
    }

    pub(super) async fn payees(
        &self,
        table: Option<u64>,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Payee>, FactsFault> {
        let of_table = table.map(|table| format!("&table={table}")).unwrap_or_default();
        self.ask(&format!("payees?offset={offset}&limit={limit}{of_table}")).await
    }

    pub(super) async fn series(&self, query: &SeriesQuery) -> Result<Series, FactsFault> {
        let address = query.address.as_ref().map(|address| format!("&address={address}")).unwrap_or_default();
        self.ask(&format!("series?name={}&range={}{address}", query.name.name(), query.range)).await
    }

    async fn ask<T: DeserializeOwned>(&self, what: &str) -> Result<T, FactsFault> {
        let url = format!("{}/{what}", self.source.pay_maker);
        let body = http_client::fetch(&self.http, &url, LIMIT, TIME).await.map_err(|fault| match fault {
            HttpFault::Status(StatusCode::NOT_FOUND) => FactsFault::Absent("such table".to_owned()),
            fault => unavailable("the PayMaker", &fault),
        })?;
        serde_json::from_slice(&body).map_err(|error| FactsFault::Unavailable {
            role: "the PayMaker",
            reason: format!("its answer cannot be read: {error}"),
        })
    }
}

/// What all handlers have sent in a second.
fn bandwidth_of(told: &[ServedAnnouncements]) -> Measured<f64> {
    let kilobits =
        |one: &ServedAnnouncements| one.bytes as f64 * 8.0 / 1000.0 / one.window_seconds.max(1) as f64;
    let window = told.iter().map(|one| one.window_seconds).min().unwrap_or_default();
    Measured::over(told.iter().map(kilobits).sum::<f64>(), Unit::KilobitsPerSecond, window, Moment::now())
}

fn before_of(before: Option<u64>) -> String {
    before.map(|before| format!("&before={before}")).unwrap_or_default()
}

/// Before the PayMaker has answered for the first time.
fn nothing_known(now: Moment) -> PacketCryptFacts {
    fn unknown<T>(unit: Unit, now: Moment) -> Measured<T> {
        Measured { value: None, unit, window_seconds: None, as_of: now }
    }
    PacketCryptFacts {
        pool_url: String::new(),
        announcement_urls: Vec::new(),
        block_urls: Vec::new(),
        is_private: false,
        height: unknown(Unit::Blocks, now),
        difficulty: unknown(Unit::Difficulty, now),
        announcement_work: unknown(Unit::Difficulty, now),
        announcement_speed: unknown(Unit::EncryptionsPerSecond, now),
        block_speed: unknown(Unit::EncryptionsPerSecond, now),
        bandwidth: unknown(Unit::KilobitsPerSecond, now),
        bandwidth_sent: unknown(Unit::KilobitsPerSecond, now),
        miners: PacketCryptMiners {
            announcements: unknown(Unit::Miners, now),
            blocks: unknown(Unit::Miners, now),
        },
        luck: Luck { current_effort: unknown(Unit::Percent, now), windows: Vec::new() },
        shares: unknown(Unit::Shares, now),
        blocks_found: unknown(Unit::Blocks, now),
        chain_blocks: unknown(Unit::Blocks, now),
        fee: None,
        block_miners_part: None,
        announcement_miners_part: None,
        payout_rule: "not known yet: the PayMaker has not answered".to_owned(),
        next_reward: unknown(Unit::Pkt, now),
        payout_table: None,
        payout_tables: Vec::new(),
        blocks: Vec::new(),
        announcement_classes: Vec::new(),
        warnings: Vec::new(),
    }
}
