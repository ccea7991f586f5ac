//! The website: pages for each core-second, a page over a month of a large pool, listeners and their memory, and what
//! all of that costs the intake of work.

use std::time::Duration;

use super::ann_handler::{self, Handler, Which};
use super::files::raise_limit;
use super::program::free_address;
use super::site_load::{Listeners, ask_for, hammer, times};
use super::site_pool::{Handlers, SitePool};
use super::{Goal, Row, blk_handler, mined};

/// Requests for each page, over so many connections.
const REQUESTS: u64 = 20_000;
const CONNECTIONS: u64 = 8;
/// Different pages of different addresses.
const DIFFERENT: usize = 400;
/// Listeners that say nothing.
const LISTENERS: usize = 10_000;
/// Files that a process must be able to open besides.
const OTHER_FILES: u64 = 500;
/// Time for all listeners to have been told at least once that there is nothing new.
const SILENCE: Duration = Duration::from_secs(22);
/// Parts of what a handler is given, one half of them taken while pages are hammered: of one process, so that nothing else
/// differs.
const PARTS: usize = 16;
/// The slowdown is to be known to so many percent, with 95 % certainty.
const SURE: f64 = 0.7;
/// Handlers that are started for that, at least and at most: as many with the one half first as with the other.
const HANDLERS: [usize; 2] = [4, 12];

/// Measures pages that many ask for, and pages that nobody has asked for before.
pub fn measure_pages() -> anyhow::Result<Vec<Row>> {
    let pool = SitePool::start(Handlers::default())?;
    let per_core_second = |measure: &str, requests: u64, seconds: f64, goal: Option<f64>| Row {
        measure: measure.to_owned(),
        unit: "requests per core-second",
        ours: requests as f64 / seconds,
        reference: None,
        goal: goal.map(Goal::AtLeast),
    };
    let mut rows = Vec::new();
    for (what, path) in [
        ("Home", "/".to_owned()),
        ("Miner page", pool.miner_page(0)),
        ("/api/v1/pool", "/api/v1/pool".to_owned()),
    ] {
        ask_for(pool.site.address, &path, CONNECTIONS, CONNECTIONS)?;
        let ((), seconds) =
            pool.site.process.seconds_of(|| ask_for(pool.site.address, &path, REQUESTS, CONNECTIONS))?;
        rows.push(per_core_second(&format!("Website, {what}"), REQUESTS, seconds, Some(5000.0)));
    }
    let different = (1..=DIFFERENT).map(|number| pool.miner_page(number));
    let (_, seconds) = pool.site.process.seconds_of(|| times(pool.site.address, different))?;
    rows.push(per_core_second(
        "Website, Miner pages that nobody has asked for yet",
        DIFFERENT as u64,
        seconds,
        None,
    ));
    Ok(rows)
}

/// Measures Miner pages over 30 days, each of another address.
pub fn measure_month() -> anyhow::Result<Vec<Row>> {
    let pool = SitePool::start(Handlers::default())?;
    let times = times(pool.site.address, (0..DIFFERENT).map(|number| pool.miner_page(number)))?;
    let row = |what: &str, ours: f64| Row {
        measure: format!("Website, Miner page over 30 days, pool of 100,000 addresses, {what}"),
        unit: "ms",
        ours,
        reference: None,
        goal: Some(Goal::AtMost(50.0)),
    };
    Ok(vec![
        row("median", times[times.len() / 2]),
        row("95 of 100", times[times.len() * 95 / 100]),
        row("slowest", times[times.len() - 1]),
    ])
}

/// Measures what listeners cost that only listen.
pub fn measure_streams() -> anyhow::Result<Vec<Row>> {
    raise_limit(LISTENERS as u64 + OTHER_FILES)?;
    let mut pool = SitePool::start(Handlers::default())?;
    let before = pool.site.process.usage()?.resident_bytes;
    let mut listeners = Listeners::connect(&mut pool.site.process, pool.site.address, LISTENERS)?;
    let (heard, seconds) = pool.site.process.seconds_of(|| listeners.listen(SILENCE))?;
    anyhow::ensure!(heard == LISTENERS, "only {heard} listeners have heard something");
    let after = pool.site.process.usage()?.resident_bytes;
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let row = |measure: String, unit: &'static str, ours: f64, goal: Option<f64>| Row {
        measure,
        unit,
        ours,
        reference: None,
        goal: goal.map(Goal::AtMost),
    };
    Ok(vec![
        row(
            format!("Website, memory with {LISTENERS} idle event streams"),
            "MiB",
            mebibytes(after),
            Some(200.0),
        ),
        row(
            "Website, memory of one of them".to_owned(),
            "KiB",
            after.saturating_sub(before) as f64 / 1024.0 / LISTENERS as f64,
            None,
        ),
        row(
            format!("Website, processor time with {LISTENERS} idle event streams"),
            "% of a core",
            seconds / SILENCE.as_secs_f64() * 100.0,
            None,
        ),
    ])
}

/// Measures announcements while pages are hammered.
pub fn measure_announcements() -> anyhow::Result<Vec<Row>> {
    let mined = mined::announcements(ann_handler::MINED)?;
    let [probe, rest @ ..] = mined.as_slice() else { anyhow::bail!("nothing was mined") };
    let address = free_address()?;
    let handlers = Handlers { ann: Some(address), ..Handlers::default() };
    let length = rest.len() / PARTS;
    intake("announcements", handlers, || {
        let handler = Handler::start(&Which::Ours, address, 0.0, probe)?;
        Ok(move |part: usize| handler.accept(&rest[part * length..][..length], ann_handler::LARGE))
    })
}

/// Measures shares while pages are hammered.
pub fn measure_shares() -> anyhow::Result<Vec<Row>> {
    let prepared = blk_handler::Prepared::new()?;
    let address = free_address()?;
    let handlers = Handlers { blk: Some(address), ..Handlers::default() };
    intake("shares", handlers, || {
        let handler = prepared.start(address)?;
        let prepared = &prepared;
        Ok(move |part: usize| handler.take(prepared.part(part, PARTS)))
    })
}

/// Measures in turns while pages are hammered of a website that asks the handler what it knows of each address, and of
/// another one of the same pool that does not know the handler: both load the machine alike, and only the first asks for
/// anything. `start` starts a handler and gives what has it take a part of its work.
fn intake<T: Fn(usize) -> anyhow::Result<f64>>(
    what: &str,
    handlers: Handlers,
    start: impl Fn() -> anyhow::Result<T>,
) -> anyhow::Result<Vec<Row>> {
    let pool = SitePool::start(handlers)?;
    let other = pool.another_site(Handlers::default())?;
    let pages: Vec<String> =
        std::iter::once("/".to_owned()).chain((0..4).map(|number| pool.miner_page(number))).collect();
    let (mut with, mut without, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    let [least, most] = HANDLERS;
    for started in 0..most {
        let take = start()?;
        for part in 0..PARTS {
            // One after the other, then the other before the one, and with the next handler the other way round: what
            // changes with time cancels out, and so does what a handler does at its beginning.
            if matches!(part % 4, 0 | 3) == started.is_multiple_of(2) {
                let (rate, answers) = hammer(pool.site.address, &pages, || take(part))?;
                with.push(rate);
                asked.push(answers);
            } else {
                without.push(hammer(other.address, &pages, || take(part))?.0);
            }
        }
        let is_even = !started.is_multiple_of(2);
        if is_even && started + 1 >= least && Slowdown::of(&with, &without).unsure <= SURE {
            break;
        }
    }
    let slowdown = Slowdown::of(&with, &without);
    let row = |measure: String, unit: &'static str, ours: f64, goal: Option<f64>| Row {
        measure,
        unit,
        ours,
        reference: None,
        goal: goal.map(Goal::AtMost),
    };
    let (unit, pairs) = ("each core-second", with.len());
    Ok(vec![
        row(format!("Intake of {what}, pages being hammered"), unit, median(with), None),
        row(
            format!("Intake of {what}, those of a website that does not ask it"),
            unit,
            median(without),
            None,
        ),
        row(format!("Intake of {what}, slower by (mean of {pairs} pairs)"), "%", slowdown.percent, Some(2.0)),
        row("… give or take, with 95 % certainty".to_owned(), "%", slowdown.unsure, None),
        row("Pages answered meanwhile".to_owned(), "each second", median(asked), None),
    ])
}

/// By how much pairs of measurements differ.
struct Slowdown {
    percent: f64,
    /// Half of the interval in which the true mean lies with 95 % certainty.
    unsure: f64,
}

impl Slowdown {
    fn of(with: &[f64], without: &[f64]) -> Self {
        let slower = |(with, without): (&f64, &f64)| (1.0 - with / without) * 100.0;
        let pairs: Vec<f64> = with.iter().zip(without).map(slower).collect();
        let count = pairs.len().max(2) as f64;
        let percent = pairs.iter().sum::<f64>() / count;
        let variance = pairs.iter().map(|pair| (pair - percent).powi(2)).sum::<f64>() / (count - 1.0);
        Self { percent, unsure: 1.96 * (variance / count).sqrt() }
    }
}

/// The middle one.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slowdown_is_known_as_well_as_its_pairs_agree() {
        let slowdown = Slowdown::of(&[98.0, 49.0, 196.0], &[100.0, 50.0, 200.0]);
        assert!((slowdown.percent - 2.0).abs() < 1e-9 && slowdown.unsure < 1e-9);
        let slowdown = Slowdown::of(&[90.0, 110.0], &[100.0, 100.0]);
        assert!(slowdown.percent.abs() < 1e-9 && slowdown.unsure > 10.0);
    }
}
