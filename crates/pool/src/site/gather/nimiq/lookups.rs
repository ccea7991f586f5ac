//! Answers about addresses, blocks and the past of the Nimiq pool, made when somebody asks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use ledger::UnixMillis;
use ledger::nimiq::{AccountsError, PayoutId};
use nimiq::{Address, BlockHash, Luna};

use super::devices::Devices;
use super::{
    DAY_SECONDS, NimiqSource, Recent, SHOWN, blocks, charts, hashes_per_second, luna, next_part, payment,
    worth,
};
use crate::http_client;
use crate::received_work::{self, together};
use crate::site::answers::FactsFault;
use crate::site::earnings;
use crate::site::facts::{
    Amount, Chain, Conduct, Device, Measured, MinerFacts, MinerState, Moment, NimiqMiner, Part, Payee,
    Payment, PaymentsPage, PoolBlock, Series, SeriesQuery, Unit,
};

/// The largest answer of a server about an address, and how long it may take: a page waits for it.
const CONDUCT_LIMIT: usize = 256 << 10;
const CONDUCT_TIME: Duration = Duration::from_secs(1);
const PAYMENTS_OF_A_MINER: u32 = 50;

/// Answers about addresses.
pub(in super::super) struct Lookups {
    pub(super) source: NimiqSource,
    pub(super) http: reqwest::Client,
    pub(super) recent: Arc<ArcSwap<Recent>>,
    pub(super) devices: Arc<Mutex<Devices>>,
}

impl Lookups {
    pub(in super::super) async fn miner(&self, address: Address) -> Result<MinerFacts, FactsFault> {
        self.read_miner(address).await.map_err(of_accounts)
    }

    pub(in super::super) async fn blocks(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<PoolBlock>, FactsFault> {
        let before = UnixMillis(before.unwrap_or(u64::MAX));
        let blocks = self.source.accounts.blocks_before(before, limit).await.map_err(of_accounts)?;
        let tip = self.source.accounts.chain_tip().await.map_err(of_accounts)?;
        let height = tip.map(|(height, _)| height.0);
        let shown = blocks.iter().map(|block| blocks::shown(block, None, height, self.source.confirmations));
        Ok(shown.collect())
    }

    /// Whom a settled block credits; `None`: it is none of the pool's, or is not settled.
    pub(in super::super) async fn credits(
        &self,
        block: BlockHash,
        offset: u64,
        limit: u32,
    ) -> Result<Option<Vec<Payee>>, FactsFault> {
        let accounts = &self.source.accounts;
        let fee_and_miners = accounts.credits_of(block, 0, 1).await.map_err(of_accounts)?;
        if fee_and_miners.is_empty() {
            return Ok(None);
        }
        let total = accounts.reward_of(block).await.map_err(of_accounts)?;
        let rows = accounts.credits_of(block, offset, limit).await.map_err(of_accounts)?;
        let payee = |(address, amount): (Option<Address>, Luna)| Payee {
            address: address.or(self.source.address).map(|address| address.to_string()).unwrap_or_default(),
            part: Part(
                (u128::from(amount.0) * u128::from(Part::WHOLE.0) / u128::from(total.0.max(1))) as u64,
            ),
            amount: Some(luna(amount)),
            is_of_pool: address.is_none(),
        };
        Ok(Some(rows.into_iter().map(payee).collect()))
    }

    pub(in super::super) async fn payments(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, Payment)>, FactsFault> {
        let before = PayoutId(before.unwrap_or(u64::MAX));
        let rows = self.source.accounts.payments_before(before, None, limit).await.map_err(of_accounts)?;
        Ok(rows.iter().map(|row| (row.id.0, payment(row))).collect())
    }

    pub(in super::super) async fn payments_to(
        &self,
        address: Address,
        before: Option<u64>,
        limit: u32,
    ) -> Result<PaymentsPage, FactsFault> {
        let accounts = &self.source.accounts;
        let Some(user) = accounts.user_of(address).await.map_err(of_accounts)? else {
            return Ok(PaymentsPage::default());
        };
        let before = PayoutId(before.unwrap_or(u64::MAX));
        let rows = accounts.payments_before(before, Some(user), limit).await.map_err(of_accounts)?;
        let is_full = rows.len() == limit as usize;
        Ok(PaymentsPage {
            payments: rows.iter().map(payment).collect(),
            next: rows.last().filter(|_| is_full).map(|row| row.id.0),
        })
    }

    pub(in super::super) async fn series(&self, query: &SeriesQuery) -> Result<Series, FactsFault> {
        charts::series(&self.source.accounts, query, Moment::now()).await.map_err(of_accounts)
    }

    async fn read_miner(&self, address: Address) -> Result<MinerFacts, AccountsError> {
        let (accounts, recent, now) = (&self.source.accounts, self.recent.load_full(), Moment::now());
        let mut facts = MinerFacts {
            address: address.to_string(),
            chain: Chain::Nimiq,
            gathered_at: now,
            state: MinerState::Unknown,
            last_seen: None,
            last_seen_seconds: None,
            refusals: Vec::new(),
            packetcrypt: None,
            nimiq: None,
        };
        let conduct = self.conduct(address).await;
        facts.refusals = received_work::refusals([&conduct]);
        let Some(user) = accounts.user_of(address).await? else { return Ok(facts) };
        let devices = recent.by_user.get(&user).map_or(&[][..], Vec::as_slice);
        let of_day = self.devices.lock().unwrap_or_else(PoisonError::into_inner).of(user);
        let newest = devices.iter().map(|device| device.newest);
        facts.last_seen = newest.chain(of_day.iter().map(|device| device.newest)).max().map(Moment::from);
        if facts.last_seen.is_none() {
            facts.last_seen = charts::last_work(accounts, user, now).await?;
        }
        facts.last_seen_seconds = facts.last_seen.map(|seen| seen.age_seconds(now));
        facts.state = if devices.is_empty() { MinerState::Idle } else { MinerState::Mining };
        let holdings = accounts.holdings_of(user).await?;
        let chosen = accounts.balance(address).await?.chosen_threshold;
        let day = charts::last_day(accounts, user, now).await?;
        let payments = accounts.payments_before(PayoutId(u64::MAX), Some(user), PAYMENTS_OF_A_MINER).await?;
        let next_part = next_part(&self.source, &recent, user);
        let next_amount = next_part.zip(recent.reward).map(|(part, reward)| worth(reward, part));
        let at = recent.at.unwrap_or(now);
        let weight: u128 = devices.iter().map(|device| device.weight).sum();
        let speed = |weight: u128| {
            let value = recent.at.and_then(|_| hashes_per_second(weight, recent.seconds));
            Measured::over(value, Unit::HashesPerSecond, recent.seconds, at)
        };
        facts.nimiq = Some(NimiqMiner {
            speed: speed(weight),
            speed_day: Measured::over(
                day.map(|(seconds, point)| point.share_work as f64 / seconds as f64),
                Unit::HashesPerSecond,
                day.map_or(DAY_SECONDS, |(seconds, _)| seconds),
                now,
            ),
            shares: conduct.unwrap_or_else(|| Conduct {
                window_seconds: day.map_or(DAY_SECONDS, |(seconds, _)| seconds),
                accepted: day.map(|(_, point)| point.shares),
                ..Conduct::default()
            }),
            devices: of_day
                .iter()
                .take(SHOWN as usize)
                .map(|device| Device {
                    id: device.device,
                    speed: {
                        let now = devices.iter().find(|now| now.device == device.device);
                        speed(now.map_or(0, |now| now.weight))
                    },
                    shares: Measured::over(device.shares, Unit::Shares, DAY_SECONDS, at),
                    last_seen: device.newest.into(),
                })
                .collect(),
            next_part,
            next_amount,
            immature: Amount::luna(holdings.immature),
            confirmed: Amount::luna(holdings.confirmed),
            under_way: luna(holdings.under_way),
            paid: luna(holdings.paid),
            automatic_above: luna(self.source.thresholds.of(chosen)),
            is_own_threshold: chosen.is_some_and(|chosen| chosen > Luna::ZERO),
            payout_requested: holdings.payout_requested,
            earnings: next_amount
                .zip(recent.blocks_per_day)
                .map(|(amount, per_day)| earnings::of_blocks(amount, per_day))
                .unwrap_or_default(),
            payments: payments.iter().map(payment).collect(),
        });
        Ok(facts)
    }

    /// What became of an address's shares, by all servers together; `None` if one of them does not tell.
    async fn conduct(&self, address: Address) -> Option<Conduct> {
        let asking = self.source.server_urls.iter().map(|server| {
            let url = format!("{server}/{}?address={}", received_work::NAME, address.to_compact());
            async move {
                let body = http_client::fetch(&self.http, &url, CONDUCT_LIMIT, CONDUCT_TIME).await.ok()?;
                serde_json::from_slice::<Conduct>(&body).ok()
            }
        });
        together(join_all(asking).await)
    }
}

#[allow(clippy::needless_pass_by_value)] // to be named where an error is mapped
fn of_accounts(error: AccountsError) -> FactsFault {
    FactsFault::Unavailable { role: "the accounts' database", reason: error.to_string() }
}
