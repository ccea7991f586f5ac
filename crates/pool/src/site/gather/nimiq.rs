//! The Nimiq pool: what stands in the accounts.

mod blocks;
mod charts;
mod devices;
mod lookups;
mod network;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ledger::UnixMillis;
use ledger::nimiq::payout_threshold::Thresholds;
use ledger::nimiq::store::DeviceWork;
use ledger::nimiq::window::WindowRule;
use ledger::nimiq::{Accounts, AccountsError, PayoutId, PayoutRow, Sequence, UserId};
use nimiq::{Address, Luna, ShareWeight};

use super::shown_figures::ShownFigures;
use crate::site::address::MinerAddress;
use crate::site::events::Events;
use crate::site::facts::{
    Amount, Chain, LedgerTotals, Luck, Measured, Moment, NextNimiqBlock, NimiqFacts, NimiqMiners, Part,
    Payee, Payment, PaymentState, PayoutBatch, Unit,
};
use blocks::Blocks;
use devices::Devices;
pub(super) use lookups::Lookups;
use network::Network;

const SHORT_SECONDS: u64 = 600;
const DAY_SECONDS: u64 = 86_400;
const MONTH_SECONDS: u64 = 30 * DAY_SECONDS;
/// How often sums over many shares are made.
const SUMS_EVERY: Duration = Duration::from_secs(8);
/// How often processes are asked for the figures that they show.
const FIGURES_EVERY: Duration = Duration::from_secs(10);
/// Rows of each table that are shown.
const SHOWN: u32 = 100;
const BATCHES_SHOWN: u32 = 50;
/// Addresses looked up in one round, of those that somebody listens for.
const LOOKUPS_AT_ONCE: u32 = 50;

/// Where the Nimiq pool is, and what its operator has decided.
#[derive(Debug, Clone)]
pub struct NimiqSource {
    /// The accounts, to be read.
    pub accounts: Accounts,
    /// Where miners connect to: `wss://HOST:PORT`, or `ws://` without encryption.
    pub servers: Vec<String>,
    /// The pool's own account.
    pub address: Option<Address>,
    /// `main`, `test` or `dev`.
    pub network: String,
    /// The pool's part in millionths.
    pub fee_millionths: u32,
    /// How far back a block pays.
    pub window: WindowRule,
    /// Confirmations that make credits payable.
    pub confirmations: u32,
    /// Above which balances are paid by themselves.
    pub thresholds: Thresholds,
    /// Time between automatic payouts.
    pub payout_interval: Duration,
    /// Base URLs at which the servers tell what became of an address's shares.
    pub server_urls: Vec<String>,
    /// `/metrics` of the servers' processes.
    pub server_figures: Vec<String>,
    /// `/metrics` of the process that pays out, which knows what the pool's account holds.
    pub payout_figures: Vec<String>,
}

/// Sums over recent shares.
#[derive(Default)]
struct Recent {
    /// When they were made; `None`: not yet.
    at: Option<Moment>,
    /// Length of the time that they cover, in seconds.
    seconds: u64,
    by_user: HashMap<UserId, Vec<DeviceWork>>,
    /// What each user has in the window that a block found now would pay, and all together.
    window: HashMap<UserId, u128>,
    window_total: u128,
    /// The shares of that window; `None`: it is not known how far it reaches.
    span: Option<(Sequence, Sequence)>,
    /// Blocks that the pool finds in a day at its present pace.
    blocks_per_day: Option<f64>,
    /// Reward of the newest block.
    reward: Option<Luna>,
}

pub(super) struct Gatherer {
    source: NimiqSource,
    http: reqwest::Client,
    facts: NimiqFacts,
    recent: Arc<ArcSwap<Recent>>,
    devices: Arc<Mutex<Devices>>,
    blocks: Blocks,
    network: Network,
    summed: Option<Instant>,
    read_figures: Option<Instant>,
    reserve: Option<Amount>,
    /// Up to which share has been told.
    told_until: Option<Sequence>,
    /// Numbers of the addresses that somebody listens for; `None`: nobody has worked for it yet.
    listened_for: HashMap<Address, Option<UserId>>,
}

impl Gatherer {
    pub(super) fn new(source: NimiqSource, http: reqwest::Client) -> (Self, Lookups) {
        let recent: Arc<ArcSwap<Recent>> = Arc::default();
        let facts = nothing_known(&source, Moment::now());
        let devices: Arc<Mutex<Devices>> = Arc::default();
        let lookups = Lookups {
            source: source.clone(),
            http: http.clone(),
            recent: Arc::clone(&recent),
            devices: Arc::clone(&devices),
        };
        (
            Self {
                source,
                http,
                facts,
                recent,
                devices,
                blocks: Blocks::default(),
                network: Network::default(),
                summed: None,
                read_figures: None,
                reserve: None,
                told_until: None,
                listened_for: HashMap::new(),
            },
            lookups,
        )
    }

    /// What is known now.
    pub(super) fn facts(&self) -> NimiqFacts {
        self.facts.clone()
    }

    pub(super) async fn ask(&mut self) {
        if self.read_figures.is_none_or(|read| read.elapsed() >= FIGURES_EVERY) {
            self.read_figures = Some(Instant::now());
            self.read_shown_figures().await;
        }
        if let Err(error) = self.read().await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the accounts cannot be read for the website"
            );
        }
    }

    /// Connections by mode, and what the pool's account holds.
    async fn read_shown_figures(&mut self) {
        let (servers, payout) = tokio::join!(
            ShownFigures::read(&self.http, &self.source.server_figures),
            ShownFigures::read(&self.http, &self.source.payout_figures),
        );
        let now = Moment::now();
        let clients = |mode: &str| {
            let clients = servers.as_ref()?.sum("headframe_nimiq_clients", &format!("mode=\"{mode}\""));
            clients.map(|clients| clients.max(0) as u64)
        };
        let miners = &mut self.facts.miners;
        for (place, mode) in
            [(&mut miners.smart, "smart"), (&mut miners.nano, "nano"), (&mut miners.dumb, "dumb")]
        {
            *place = Measured::at(clients(mode), Unit::Connections, now);
        }
        let hashes =
            servers.as_ref().and_then(|servers| servers.largest("headframe_nimiq_next_block_hashes"));
        if let Some(hashes) =
            hashes.and_then(|hashes| u64::try_from(hashes).ok()).filter(|hashes| *hashes > 0)
        {
            self.blocks.next_takes(hashes.saturating_mul(ShareWeight::PER_HASH), now);
        }
        let holds = payout.and_then(|figures| figures.sum("headframe_nimiq_payout_address_luna", ""));
        self.reserve = holds.map(Amount::luna);
    }

    async fn read(&mut self) -> Result<(), AccountsError> {
        let accounts = self.source.accounts.clone();
        let now = Moment::now();
        let tip = accounts.chain_tip().await?;
        if let Some((height, seen_at)) = tip {
            self.facts.height = Measured::at(height.0, Unit::Blocks, seen_at.into());
        }
        let newest = accounts.newest_share().await?;
        self.blocks.read(&accounts, newest).await?;
        let height = tip.map(|(height, _)| height.0);
        self.facts.blocks = self.blocks.shown(height, self.source.confirmations);
        self.facts.luck = self.blocks.luck(now);
        let day_ago = Moment(now.0.saturating_sub(DAY_SECONDS * 1000));
        let of_day = self.blocks.found_since(day_ago);
        self.facts.blocks_found = Measured::over(of_day, Unit::Blocks, DAY_SECONDS, now);
        if let Some((work, at)) = self.blocks.work_of_one() {
            let difficulty = work as f64 / ShareWeight::OF_DIFFICULTY_ONE.0 as f64;
            self.facts.difficulty = Measured::at(difficulty, Unit::Difficulty, at);
            self.facts.network_speed = Network::speed(work, at);
            self.facts.expected_per_day =
                self.network.expected_per_day(self.facts.height, work, self.facts.fee);
        }
        self.read_payouts(&accounts, now).await?;
        if self.summed.is_none_or(|summed| summed.elapsed() >= SUMS_EVERY) {
            self.sum(&accounts, newest, now).await?;
            devices::count(&self.devices, &accounts, newest, UnixMillis(now.0)).await?;
            self.summed = Some(Instant::now());
        }
        Ok(())
    }

    /// Tells who listens for an address of its accepted shares.
    pub(super) async fn tell(&mut self, events: &Events) {
        if let Err(error) = self.read_new_shares(events).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "new shares cannot be read for the website"
            );
        }
    }

    async fn read_new_shares(&mut self, events: &Events) -> Result<(), AccountsError> {
        let wanted = events.wanted(Chain::Nimiq);
        self.listened_for.retain(|address, _| wanted.contains(&MinerAddress::Nimiq(*address)));
        if wanted.is_empty() {
            self.told_until = None;
            return Ok(());
        }
        let accounts = self.source.accounts.clone();
        let mut lookups = LOOKUPS_AT_ONCE;
        for address in wanted {
            let MinerAddress::Nimiq(address) = address else { continue };
            let known = self.listened_for.entry(address).or_insert(None);
            if known.is_none() && lookups > 0 {
                lookups -= 1;
                *known = accounts.user_of(address).await?;
            }
        }
        let newest = accounts.newest_share().await?;
        let Some(told) = self.told_until.replace(newest) else { return Ok(()) };
        if newest <= told {
            return Ok(());
        }
        let mut by_user: HashMap<UserId, (u64, Moment)> = HashMap::new();
        for device in accounts.work_between(Sequence(told.0 + 1), newest).await? {
            let sum = by_user.entry(device.user).or_default();
            *sum = (sum.0 + device.shares, sum.1.max(device.newest.into()));
        }
        for (address, user) in &self.listened_for {
            if let Some((shares, at)) = user.and_then(|user| by_user.get(&user)) {
                events.worked(MinerAddress::Nimiq(*address), *shares, *at);
            }
        }
        Ok(())
    }

    async fn read_payouts(&mut self, accounts: &Accounts, now: Moment) -> Result<(), AccountsError> {
        let payments = accounts.payments_before(PayoutId(u64::MAX), None, SHOWN).await?;
        self.facts.payments = payments.iter().map(payment).collect();
        let batches = accounts.payout_batches(BATCHES_SHOWN).await?;
        self.facts.batches = batches
            .into_iter()
            .map(|batch| PayoutBatch {
                prepared_at: batch.prepared_at.into(),
                payments: batch.payments,
                value: luna(batch.value),
                network_fees: luna(batch.network_fees),
                state: batch
                    .states
                    .iter()
                    .filter_map(|state| PaymentState::from_name(state))
                    .min()
                    .unwrap_or(PaymentState::Review),
            })
            .collect();
        let month_ago = UnixMillis(now.0.saturating_sub(MONTH_SECONDS * 1000));
        let (count, value) = accounts.paid_since(month_ago).await?;
        let average = value.0.checked_div(count).map(|mean| Amount::luna(mean as i64));
        self.facts.average_payout = Measured::over(average, Unit::Nim, MONTH_SECONDS, now);
        let totals = accounts.totals().await?;
        let sum = |names: &[&str]| Amount::luna(names.iter().filter_map(|name| totals.get(*name)).sum());
        self.facts.totals = Some(LedgerTotals {
            as_of: now,
            immature: sum(&["immature"]),
            confirmed: sum(&["mature"]),
            under_way: sum(&["outgoing"]),
            paid: sum(&["paid"]),
            fees: sum(&["fee", "immature_fee"]),
            liabilities: sum(&["immature", "mature", "outgoing"]),
            reserve: self.reserve,
        });
        Ok(())
    }

    /// Sums over the shares of the last ten minutes, and over the window that a block would pay now.
    async fn sum(&mut self, accounts: &Accounts, newest: Sequence, now: Moment) -> Result<(), AccountsError> {
        let since = UnixMillis(now.0.saturating_sub(SHORT_SECONDS * 1000));
        let first = accounts.first_share_since(since).await?;
        let work = accounts.work_between(first, newest).await?;
        let age =
            accounts.oldest_share().await?.map_or(0, |(_, oldest)| Moment::from(oldest).age_seconds(now));
        let seconds = SHORT_SECONDS.min(age.max(60));
        let mut recent = Recent { at: Some(now), seconds, ..Recent::default() };
        let weight: u128 = work.iter().map(|device| device.weight).sum();
        let mut newest_reward = self.facts.blocks.iter().filter_map(|block| block.reward);
        recent.reward = newest_reward.next().map(|reward| Luna(reward.units.max(0) as u64));
        recent.blocks_per_day = self.blocks.work_of_one().map(|(work_of_block, _)| {
            weight as f64 / work_of_block.max(1) as f64 * DAY_SECONDS as f64 / seconds as f64
        });
        let devices = work.len() as u64;
        for device in work {
            recent.by_user.entry(device.user).or_default().push(device);
        }
        self.sum_window(accounts, newest, &mut recent).await?;
        self.facts.speed =
            Measured::over(hashes_per_second(weight, seconds), Unit::HashesPerSecond, seconds, now);
        self.facts.miners.addresses = Measured::over(recent.by_user.len() as u64, Unit::Miners, seconds, now);
        self.facts.miners.devices = Measured::over(devices, Unit::Miners, seconds, now);
        let day = accounts.first_share_since(UnixMillis(now.0.saturating_sub(DAY_SECONDS * 1000))).await?;
        // Numbers are handed out without gaps that matter, so nothing has to be counted.
        let shares = (newest.0 + 1).saturating_sub(day.0);
        self.facts.shares = Measured::over(shares, Unit::Shares, DAY_SECONDS, now);
        self.facts.next_block = self.next_block(accounts, &recent, now).await?;
        self.recent.store(Arc::new(recent));
        Ok(())
    }

    /// Whom a block found now would credit, and by which shares.
    async fn next_block(
        &self,
        accounts: &Accounts,
        recent: &Recent,
        now: Moment,
    ) -> Result<Option<NextNimiqBlock>, AccountsError> {
        let Some((first, last)) = recent.span.filter(|_| recent.window_total > 0) else { return Ok(None) };
        let mut miners: Vec<(UserId, u128)> =
            recent.window.iter().map(|(user, part)| (*user, *part)).collect();
        miners.sort_by_key(|(user, part)| (std::cmp::Reverse(*part), user.0));
        miners.truncate(SHOWN as usize);
        let users: Vec<UserId> = miners.iter().map(|(user, _)| *user).collect();
        let addresses = accounts.addresses_of(&users).await?;
        let payee = |(user, _): &(UserId, u128)| {
            let part = next_part(&self.source, recent, *user)?;
            let amount = recent.reward.map(|reward| worth(reward, part));
            Some(Payee { address: addresses.get(user)?.to_string(), part, amount, is_of_pool: false })
        };
        Ok(Some(NextNimiqBlock {
            as_of: now,
            oldest_share: accounts.accepted_at(first).await?.map(Moment::from),
            newest_share: accounts.accepted_at(last).await?.map(Moment::from),
            shares: (last.0 + 1).saturating_sub(first.0.max(1)),
            payee_count: recent.window.len() as u64,
            payees: miners.iter().filter_map(payee).collect(),
        }))
    }

    /// The window of a block that would be found now: as the rule says, with every share counted whole.
    async fn sum_window(
        &self,
        accounts: &Accounts,
        newest: Sequence,
        recent: &mut Recent,
    ) -> Result<(), AccountsError> {
        let first = match self.source.window {
            WindowRule::Shares(count) => Sequence((newest.0 + 1).saturating_sub(count.get())),
            WindowRule::Work(times) => {
                let Some((work, _)) = self.blocks.work_of_one() else { return Ok(()) };
                let wanted = u128::from(work) * u128::from(times.get());
                let mut length = 1024_u64;
                loop {
                    let first = Sequence((newest.0 + 1).saturating_sub(length));
                    let (_, weight) = accounts.weight_between(first, newest).await?;
                    if weight >= wanted || first.0 == 0 || length >= 1 << 21 {
                        break first;
                    }
                    length *= 2;
                }
            }
        };
        recent.span = Some((first, newest));
        for device in accounts.work_between(first, newest).await? {
            // As the ledger splits: by shares that count alike, or by what they weigh.
            let part = device.weight;
            *recent.window.entry(device.user).or_default() += part;
            recent.window_total += part;
        }
        Ok(())
    }
}

/// A user's part of a block found now, after the fee.
fn next_part(source: &NimiqSource, recent: &Recent, user: UserId) -> Option<Part> {
    let own = recent.window.get(&user).copied().unwrap_or_default();
    let after_fee = u128::from(Part::WHOLE.0 - u64::from(source.fee_millionths) * 1_000_000);
    let part = (own * after_fee).checked_div(recent.window_total)?;
    Some(Part(part as u64))
}

/// What a part of a reward is in coins, rounded down.
fn worth(reward: Luna, part: Part) -> Amount {
    Amount::luna((u128::from(reward.0) * u128::from(part.0) / u128::from(Part::WHOLE.0)) as i64)
}

fn hashes_per_second(weight: u128, seconds: u64) -> Option<f64> {
    (seconds > 0).then(|| weight as f64 / ShareWeight::PER_HASH as f64 / seconds as f64)
}

fn luna(amount: Luna) -> Amount {
    Amount::luna(i64::try_from(amount.0).unwrap_or(i64::MAX))
}

fn payment(row: &PayoutRow) -> Payment {
    Payment {
        at: row.prepared_at.into(),
        address: row.recipient.to_string(),
        amount: Some(luna(row.value)),
        part: None,
        network_fee: Some(luna(row.network_fee)),
        hash: row.hash.to_string(),
        height: row.state.height().map(|height| height.0),
        state: PaymentState::from_name(row.state.name()).unwrap_or(PaymentState::Review),
        kind: row.kind.name().to_owned(),
    }
}

/// Before the accounts have been read for the first time.
fn nothing_known(source: &NimiqSource, now: Moment) -> NimiqFacts {
    fn unknown<T>(unit: Unit, now: Moment) -> Measured<T> {
        Measured { value: None, unit, window_seconds: None, as_of: now }
    }
    let automatic_above = luna(source.thresholds.usual);
    NimiqFacts {
        servers: source.servers.clone(),
        address: source.address.map(|address| address.to_string()),
        network: source.network.clone(),
        height: unknown(Unit::Blocks, now),
        difficulty: unknown(Unit::Difficulty, now),
        network_speed: unknown(Unit::HashesPerSecond, now),
        expected_per_day: unknown(Unit::Nim, now),
        speed: unknown(Unit::HashesPerSecond, now),
        shares: unknown(Unit::Shares, now),
        miners: NimiqMiners {
            addresses: unknown(Unit::Miners, now),
            devices: unknown(Unit::Miners, now),
            smart: unknown(Unit::Connections, now),
            nano: unknown(Unit::Connections, now),
            dumb: unknown(Unit::Connections, now),
        },
        luck: Luck { current_effort: unknown(Unit::Percent, now), windows: Vec::new() },
        blocks_found: unknown(Unit::Blocks, now),
        fee: Part(u64::from(source.fee_millionths) * 1_000_000),
        payout_rule: format!(
            "PPLNS over the {}; a confirmed balance above {automatic_above} is paid by itself.",
            source.window
        ),
        confirmations_needed: source.confirmations,
        automatic_above,
        payout_interval_seconds: source.payout_interval.as_secs(),
        blocks: Vec::new(),
        batches: Vec::new(),
        payments: Vec::new(),
        average_payout: unknown(Unit::Nim, now),
        next_block: None,
        totals: None,
    }
}
