//! The page of one address: whether it mines, what its work is worth, what it earned, what it was paid.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State as AxumState};
use axum::response::Response;
use http::StatusCode;

use super::super::address::read;
use super::super::facts::{
    Amount, Chain, Conduct, Device, Earnings, Interval, Measured, MinerFacts, NimiqMiner, PacketCryptMiner,
    Series, SeriesName, Unit,
};
use super::address_form::wrong_address;
use super::age::Age;
use super::chart::Chart;
use super::command::{Command, Work};
use super::figure::{Accent, Figure, Figures};
use super::frame::Frame;
use super::home::chain_name;
use super::next_block::{Window, windows};
use super::numbers::{Shown, UNKNOWN, duration_text, estimate, grouped, money, percent};
use super::payment_table::PaymentTable;
use super::refused_work::RefusedWork;
use super::share_bar::ShareBar;
use super::state::State;
use super::statistics::{RangeLink, range_links};
use super::{Pages, Question, Texts, Visit, html, summary};

/// Payments on the page.
const PAYMENTS: u32 = 15;

#[derive(Template)]
#[template(path = "miner.html")]
struct Miner<'a> {
    frame: Frame<'a>,
    address: &'a str,
    compact: String,
    chain: &'static str,
    chain_name: &'a str,
    state: State,
    last_seen: Option<Age>,
    /// What is to be said of an address without recent work, and how it begins.
    notice: Option<&'a str>,
    command: Option<Command<'a>>,
    /// Whether there is anything to show of it.
    is_known: bool,
    refused_work: Option<RefusedWork<'a>>,
    ranges: Vec<RangeLink>,
    figures: Vec<Figure<'a>>,
    charts: Vec<Chart<'a>>,
    /// Why it gets what it gets of the next PacketCrypt block.
    shares_of_next: Option<SharesOfNext>,
    conducts: Vec<ConductRow>,
    conduct_window: String,
    devices: Vec<DeviceRow>,
    has_devices: bool,
    earnings: Vec<EarningsRow>,
    money: Vec<Figure<'a>>,
    is_payout_requested: bool,
    payments: PaymentTable<'a>,
    newest_payments: Option<String>,
    older_payments: Option<String>,
}

/// An address's parts of the next block, by window.
struct SharesOfNext {
    announcements: String,
    shares: String,
    windows: Vec<Window>,
}

struct ConductRow {
    what: String,
    accepted: String,
    duplicate: String,
    refused: String,
    good: String,
    bar: Option<ShareBar>,
    reasons: Vec<(String, String)>,
}

struct DeviceRow {
    id: u32,
    speed: String,
    shares: String,
    last_seen: Age,
}

struct EarningsRow {
    time: String,
    expected: String,
    range: String,
}

pub(super) async fn page(
    AxumState(pages): AxumState<Arc<Pages>>,
    Path(typed): Path<String>,
    Query(question): Query<Question>,
) -> Response {
    let visit = pages.visit();
    let address = match read(&typed, &visit.facts.chains()) {
        Ok(address) => address,
        Err(problem) => return wrong_address(&visit, &typed, &problem),
    };
    let facts = match pages.facts.miner(&address).await {
        Ok(facts) => facts,
        Err(fault) => return unavailable(&visit, &fault.to_string()),
    };
    let names: &[SeriesName] = match facts.chain {
        Chain::PacketCrypt => &[SeriesName::AnnouncementSpeed, SeriesName::BlockSpeed],
        Chain::Nimiq => &[SeriesName::HashRate, SeriesName::Credits],
    };
    let range = question.range();
    let series = pages.series(facts.chain, names, range, Some(&facts.address)).await;
    let before = question.before.parse().ok();
    let payments = match pages.facts.payments_to(&address, before, PAYMENTS).await {
        Ok(payments) => payments,
        Err(fault) => return unavailable(&visit, &fault.to_string()),
    };
    let own = format!("/m/{}", address.compact());
    let mut page = miner(&visit, &facts, &series, range_links(&own, range));
    page.payments = PaymentTable::of_one(&visit, facts.chain, &payments.payments);
    page.newest_payments = before.map(|_| format!("{own}?range={range}#money"));
    page.older_payments = payments.next.map(|next| format!("{own}?range={range}&before={next}#money"));
    html(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "unavailable.html")]
struct Unavailable<'a> {
    frame: Frame<'a>,
    reason: &'a str,
}

fn unavailable(visit: &Visit, reason: &str) -> Response {
    let frame = visit.frame("", visit.texts.get("unavailable.title"));
    html(StatusCode::SERVICE_UNAVAILABLE, &Unavailable { frame, reason })
}

fn miner<'a>(
    visit: &'a Visit,
    facts: &'a MinerFacts,
    series: &'a [Series],
    ranges: Vec<RangeLink>,
) -> Miner<'a> {
    let (t, now) = (&*visit.texts, visit.now);
    let make = Figures { t, part: "miner", now };
    let (packetcrypt, nimiq) = (facts.packetcrypt.as_ref(), facts.nimiq.as_ref());
    let earnings = packetcrypt.map(|own| &own.earnings).or(nimiq.map(|own| &own.earnings));
    let is_known = packetcrypt.is_some() || nimiq.is_some();
    Miner {
        frame: visit.frame("", t.get("miner.title")),
        address: &facts.address,
        compact: facts.address.replace(' ', ""),
        chain: facts.chain.name(),
        chain_name: chain_name(t, facts.chain),
        state: State::of_miner(t, facts.state).in_pill(),
        last_seen: facts.last_seen.map(|seen| Age::new(t, seen, now)),
        notice: notice(visit, facts),
        command: (!is_known).then(|| first_command(visit, facts)).flatten(),
        is_known,
        refused_work: RefusedWork::new(t, facts),
        ranges,
        figures: packetcrypt
            .map(|own| packetcrypt_figures(make, own))
            .or(nimiq.map(|own| nimiq_figures(make, own)))
            .unwrap_or_default(),
        charts: series.iter().map(|series| Chart::new(t, series)).collect(),
        shares_of_next: packetcrypt.and_then(|own| shares_of_next(visit, own)),
        conducts: match (packetcrypt, nimiq) {
            (Some(own), _) => vec![
                conduct(t.get("work.announcements_only"), Accent::Announcement, &own.announcements),
                conduct(t.get("work.shares"), Accent::Block, &own.shares),
            ],
            (None, Some(own)) => vec![conduct(t.get("work.shares"), Accent::Block, &own.shares)],
            (None, None) => Vec::new(),
        },
        conduct_window: {
            let own = packetcrypt.map(|own| &own.announcements).or(nimiq.map(|own| &own.shares));
            own.map(|own| over(t, own)).unwrap_or_default()
        },
        devices: nimiq
            .map(|own| own.devices.iter().map(|device| device_row(t, device, now)).collect())
            .unwrap_or_default(),
        has_devices: nimiq.is_some(),
        earnings: earnings.map(|earnings| earnings_rows(t, earnings)).unwrap_or_default(),
        money: packetcrypt
            .map(|own| packetcrypt_money(make, own))
            .or(nimiq.map(|own| nimiq_money(make, own, facts)))
            .unwrap_or_default(),
        is_payout_requested: nimiq.is_some_and(|own| own.payout_requested),
        payments: PaymentTable::of_one(visit, facts.chain, &[]),
        newest_payments: None,
        older_payments: None,
    }
}

/// Why there may be little to see.
fn notice<'a>(visit: &'a Visit, facts: &MinerFacts) -> Option<&'a str> {
    let t = &visit.texts;
    let payees = visit.facts.packetcrypt.as_ref().and_then(|pool| pool.payout_table.as_ref());
    let mut payees = payees.into_iter().flat_map(|table| &table.payees);
    let is_known = facts.packetcrypt.is_some() || facts.nimiq.is_some();
    if payees.any(|payee| payee.is_of_pool && payee.address == facts.address) {
        Some(t.get("miner.of_pool"))
    } else if facts.last_seen.is_some() || !facts.refusals.is_empty() {
        None
    } else {
        Some(t.get(if is_known { "miner.no_recent" } else { "miner.unknown" }))
    }
}

/// How an address begins that has done nothing here yet.
fn first_command<'a>(visit: &'a Visit, facts: &MinerFacts) -> Option<Command<'a>> {
    let work = Work::ALL.into_iter().find(|work| work.chain() == facts.chain)?;
    let address = read(&facts.address, &visit.facts.chains()).ok()?;
    Command::usual(&visit.texts, &visit.facts, work, Some(&address))
}

fn packetcrypt_figures<'a>(make: Figures<'a>, own: &PacketCryptMiner) -> Vec<Figure<'a>> {
    let coins = own.next_amount.map(|amount| money(amount).to_string()).unwrap_or_default();
    let warm_up = own.warm_up_percent.map(|warm_up| warm_up.shown(Unit::Percent));
    vec![
        make.measured("announcement_speed", Accent::Announcement, &own.announcement_speed),
        make.measured("announcement_speed_day", Accent::Announcement, &own.announcement_speed_day),
        make.measured("block_speed", Accent::Block, &own.block_speed),
        make.measured("block_speed_day", Accent::Block, &own.block_speed_day),
        make.measured("bandwidth", Accent::Announcement, &own.bandwidth),
        make.given(
            "good_announcements",
            Accent::Announcement,
            good(&own.announcements),
            over(make.t, &own.announcements),
        ),
        make.given("next_part", Accent::Money, own.next_part.map(percent), coins),
        make.given("warm_up", Accent::Plain, warm_up, make.t.get("time.of_window")),
    ]
}

fn nimiq_figures<'a>(make: Figures<'a>, own: &NimiqMiner) -> Vec<Figure<'a>> {
    let coins = own.next_amount.map(|amount| money(amount).to_string()).unwrap_or_default();
    vec![
        make.measured("hash_rate", Accent::Block, &own.speed),
        make.measured("hash_rate_day", Accent::Block, &own.speed_day),
        make.given("good_shares", Accent::Block, good(&own.shares), over(make.t, &own.shares)),
        make.given("next_part", Accent::Money, own.next_part.map(percent), coins),
    ]
}

fn packetcrypt_money<'a>(make: Figures<'a>, own: &PacketCryptMiner) -> Vec<Figure<'a>> {
    vec![
        make.given(
            "next_amount",
            Accent::Money,
            summary::total(own.next_amount),
            make.t.get("time.if_found_now"),
        ),
        make.given("paid_by_blocks", Accent::Money, summary::total(own.paid), make.t.get("time.recorded")),
    ]
}

fn nimiq_money<'a>(make: Figures<'a>, own: &NimiqMiner, facts: &MinerFacts) -> Vec<Figure<'a>> {
    let balance = |key, amount: Amount| {
        make.measured(key, Accent::Money, &Measured::at(amount, Unit::Nim, facts.gathered_at))
    };
    let by = if own.is_own_threshold { "time.chosen_by_miner" } else { "time.set_by_operator" };
    let above = make.t.get(by);
    vec![
        balance("own_immature", own.immature),
        balance("own_confirmed", own.confirmed),
        balance("own_under_way", own.under_way),
        balance("own_paid", own.paid),
        make.given("automatic_above", Accent::Money, Some(money(own.automatic_above)), above),
    ]
}

/// The time over which work was counted.
fn over(t: &Texts, conduct: &Conduct) -> String {
    t.fill("time.over", &[("time", &duration_text(conduct.window_seconds))])
}

fn good(conduct: &Conduct) -> Option<super::numbers::Quantity> {
    conduct.good_percent().map(|good| good.shown(Unit::Percent))
}

fn shares_of_next(visit: &Visit, own: &PacketCryptMiner) -> Option<SharesOfNext> {
    let facts = visit.facts.packetcrypt.as_ref()?;
    let table = facts.payout_table.as_ref()?;
    let part = |part: Option<super::super::facts::Part>, amount: Option<Amount>| {
        let percent = part.map_or_else(|| UNKNOWN.to_owned(), |part| percent(part).to_string());
        match amount {
            Some(amount) => format!("{percent} · {}", money(amount)),
            None => percent,
        }
    };
    Some(SharesOfNext {
        announcements: part(own.announcements_part, own.announcements_amount),
        shares: part(own.shares_part, own.shares_amount),
        windows: windows(&visit.texts, facts, table),
    })
}

fn conduct(what: &str, accent: Accent, conduct: &Conduct) -> ConductRow {
    let count = |count: Option<u64>| count.map_or_else(|| UNKNOWN.to_owned(), grouped);
    let good = conduct.good_percent();
    ConductRow {
        what: what.to_owned(),
        accepted: count(conduct.accepted),
        duplicate: count(conduct.duplicate),
        refused: count(conduct.refused),
        good: good.map_or_else(|| UNKNOWN.to_owned(), |good| good.shown(Unit::Percent).to_string()),
        bar: good.map(|good| ShareBar::new(accent, good)),
        reasons: conduct
            .refusals
            .iter()
            .map(|refusal| (refusal.code.replace('_', " "), grouped(refusal.count)))
            .collect(),
    }
}

fn device_row(t: &Texts, device: &Device, now: super::Moment) -> DeviceRow {
    let or_unknown = |quantity: Option<super::numbers::Quantity>| {
        quantity.map_or_else(|| UNKNOWN.to_owned(), |quantity| quantity.to_string())
    };
    DeviceRow {
        id: device.id,
        speed: or_unknown(device.speed.value.map(|speed| speed.shown(device.speed.unit))),
        shares: or_unknown(device.shares.value.map(|shares| shares.shown(device.shares.unit))),
        last_seen: Age::new(t, device.last_seen, now),
    }
}

fn earnings_rows(t: &Texts, earnings: &Earnings) -> Vec<EarningsRow> {
    let row = |time: &str, interval: &Option<Interval>| EarningsRow {
        time: time.to_owned(),
        expected: interval.as_ref().map_or_else(
            || t.get("frame.not_known_yet").to_owned(),
            |interval| estimate(interval.expected).to_string(),
        ),
        range: interval.as_ref().map_or_else(
            || UNKNOWN.to_owned(),
            |interval| {
                t.fill("luck.range", &[("low", &estimate(interval.low)), ("high", &estimate(interval.high))])
            },
        ),
    };
    vec![
        row(t.get("time.day_ahead"), &earnings.day),
        row(t.get("time.week_ahead"), &earnings.week),
        row(t.get("time.month_ahead"), &earnings.month),
    ]
}
