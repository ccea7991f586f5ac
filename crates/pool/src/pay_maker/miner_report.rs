//! What the website is told of one address.

use std::sync::Arc;

use ledger::book::{Paid, RecordedWin};
use ledger::series::Point;
use ledger::{DurableLedger, RecentWork, UnixMillis};
use wire::PktAddress;

use super::Shared;
use super::payout_node::ChainPlace;
use super::reports::{BITS_PER_ANNOUNCEMENT, Report, SPEED_WINDOW_MS, Standing, worth};
use super::won_blocks::MATURE_AT;
use crate::site::earnings;
use crate::site::facts::{
    Amount, Chain, Conduct, Measured, MinerFacts, MinerState, Moment, PacketCryptMiner, Part, Payment,
    PaymentState, Unit,
};

const DAY_SECONDS: u64 = 86_400;
/// Blocks of the pool whose payments are added up.
const BLOCKS_ADDED_UP: u32 = 500;
/// The newest payments that are told with the address.
const PAYMENTS: usize = 50;
/// From here on a window counts as filled.
const WARM: i64 = 100;

/// Everything that this role knows of an address.
pub(super) async fn miner_facts(
    shared: &Arc<Shared>,
    ledger: &Arc<DurableLedger>,
    report: &Report,
    address: PktAddress,
) -> MinerFacts {
    let now = (shared.clock)();
    let reading = Arc::clone(ledger);
    let recent =
        tokio::task::spawn_blocking(move || reading.read().recent_work(address, now, SPEED_WINDOW_MS));
    let recent = recent.await.unwrap_or_default();
    let standing = report.standings.get(&address).copied();
    let last_seen =
        recent.newest.max(standing.and_then(|standing| standing.last_seen)).map(|time| time.min(now));
    let (payments, _) = payments(shared, address, UnixMillis(u64::MAX), BLOCKS_ADDED_UP).await;
    let day = shared.charts.last_day(&shared.book, address, now).await;
    let state = match (&recent.newest, last_seen, standing) {
        (Some(_), _, standing) if is_warm(standing) => MinerState::Mining,
        (Some(_), ..) => MinerState::WarmingUp,
        (None, Some(_), _) => MinerState::Idle,
        (None, None, _) => MinerState::Unknown,
    };
    let is_known = last_seen.is_some() || standing.is_some() || !payments.is_empty();
    let mut standing = standing.unwrap_or_default();
    // The document tells of announcement miners only when they have worked for two slots.
    if standing.announcements.is_none() && !shared.documents.pays_besides_work(&address) {
        let for_shares = standing.shares.unwrap_or_default();
        standing.announcements = Some(Part(standing.whole.0.saturating_sub(for_shares.0)));
    }
    MinerFacts {
        address: address.to_string(),
        chain: Chain::PacketCrypt,
        gathered_at: now.into(),
        state,
        last_seen: last_seen.map(Moment::from),
        last_seen_seconds: last_seen.map(|time| now.since(time) / 1000),
        // The handlers know.
        refusals: Vec::new(),
        packetcrypt: is_known.then(|| packetcrypt(now, &recent, day, &standing, report, payments)),
        nimiq: None,
    }
}

fn is_warm(standing: Option<Standing>) -> bool {
    standing.is_some_and(|standing| match standing.warm_up_percent {
        Some(percent) => percent >= WARM,
        // Whoever mines blocks only has no window to fill that reaches back far.
        None => standing.shares.is_some(),
    })
}

fn packetcrypt(
    now: UnixMillis,
    recent: &RecentWork,
    day: Option<(u64, Point)>,
    standing: &Standing,
    report: &Report,
    mut payments: Vec<Payment>,
) -> PacketCryptMiner {
    let now = Moment::from(now);
    let window = recent.window_ms / 1000;
    let per_second = |amount: f64| (window > 0).then(|| amount / window as f64);
    let speed =
        |amount: u128| Measured::over(per_second(amount as f64), Unit::EncryptionsPerSecond, window, now);
    let of_day = |work: fn(&Point) -> u64| {
        let value = day.map(|(seconds, point)| work(&point) as f64 / seconds as f64);
        let seconds = day.map_or(DAY_SECONDS, |(seconds, _)| seconds);
        Measured::over(value, Unit::EncryptionsPerSecond, seconds, now)
    };
    let conduct = |accepted: fn(&Point) -> u64| Conduct {
        window_seconds: day.map_or(DAY_SECONDS, |(seconds, _)| seconds),
        accepted: day.map(|(_, point)| accepted(&point)),
        ..Conduct::default()
    };
    let kilobits = recent.announcements as f64 * BITS_PER_ANNOUNCEMENT / 1000.0;
    let reward = report.facts.next_reward.value;
    let in_coins = |part: Part| reward.map(|reward| worth(reward.units, part.0));
    let next_amount = in_coins(standing.whole);
    // All who have a share in the window are told of.
    let shares_part = standing.shares.unwrap_or_default();
    let paid: Option<i64> = payments
        .iter()
        .filter(|payment| payment.state != PaymentState::Expired)
        .map(|payment| payment.amount.map(|amount| amount.units))
        .sum();
    payments.truncate(PAYMENTS);
    PacketCryptMiner {
        announcement_speed: speed(recent.announcement_encryptions),
        announcement_speed_day: of_day(|point| point.announcement_work),
        block_speed: speed(recent.share_encryptions),
        block_speed_day: of_day(|point| point.share_work),
        bandwidth: Measured::over(per_second(kilobits), Unit::KilobitsPerSecond, window, now),
        announcements: conduct(|point| point.announcements),
        shares: conduct(|point| point.shares),
        announcements_part: standing.announcements,
        shares_part: Some(shares_part),
        next_part: Some(standing.whole),
        announcements_amount: standing.announcements.and_then(in_coins),
        shares_amount: in_coins(shares_part),
        next_amount,
        warm_up_percent: standing.warm_up_percent.map(|percent| percent as f64),
        earnings: next_amount
            .zip(report.expected_blocks_per_day)
            .map(|(amount, per_day)| earnings::of_blocks(amount, per_day))
            .unwrap_or_default(),
        payments,
        paid: paid.map(Amount::pkt_units),
    }
}

/// What blocks of the pool before a time paid an address, newest first, and where the ones before them begin. Looks
/// at `blocks` blocks.
pub(super) async fn payments(
    shared: &Shared,
    address: PktAddress,
    before: UnixMillis,
    blocks: u32,
) -> (Vec<Payment>, Option<UnixMillis>) {
    let found = shared.book.payments_to(&address, before, blocks).await.unwrap_or_else(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "payments cannot be read from the book");
        Paid::default()
    });
    let payments = found.blocks.into_iter().map(|(win, units)| payment(shared, address, &win, units));
    (payments.collect(), found.next)
}

fn payment(shared: &Shared, address: PktAddress, win: &RecordedWin, units: u64) -> Payment {
    let (height, state) = match shared.won_blocks.place(&win.won.hash) {
        Some(ChainPlace::Main { height, confirmations }) if confirmations >= MATURE_AT => {
            (Some(height), PaymentState::Confirmed)
        }
        Some(ChainPlace::Main { height, .. }) => (Some(height), PaymentState::Mined),
        Some(ChainPlace::Side) => (win.height, PaymentState::Expired),
        None => (win.height, PaymentState::Broadcast),
    };
    Payment {
        at: win.won.won_at.into(),
        address: address.to_string(),
        amount: win.reward.map(|reward| worth(reward, units)),
        part: Some(Part(units)),
        network_fee: None,
        hash: win.won.hash.to_string(),
        height,
        state,
        kind: "block".to_owned(),
    }
}
