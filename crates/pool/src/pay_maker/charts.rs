//! The past in figures: accepted work is recorded by minute, stored in the book, and read for charts.
//!
//! Recording is a few sums in memory for each event; storing happens in the background, at each full minute in a small
//! pool, and every ten minutes in one with many addresses. After a restart the minutes that had not been stored come
//! again from the ledger.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::book::{BookError, SqlBook};
use ledger::series::{Grain, Point, Recorder, minute};
use ledger::{DurableLedger, UnixMillis};
use tokio_util::sync::CancellationToken;
use wire::{Event, PktAddress};

use crate::site::facts::{Chain, Range, Series, SeriesName, SeriesQuery};

/// Whose figures: the pool's if there is no address.
type Whose = Option<PktAddress>;

/// How often it is looked whether something has to be stored.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// With so many sums waiting they are stored at the full minute only if they are old.
const FEW: usize = 2_000;
/// The oldest sum that may wait.
const OLDEST_MS: u64 = 10 * 60_000;
/// Events of a minute come until so long after its end.
const LATE_MS: u64 = 30_000;
/// Credits of points are in units of 10⁻¹².
const UNITS_PER_CREDIT: f64 = 1e12;
/// Bits of an announcement on the wire, in thousands.
const KILOBITS_PER_ANNOUNCEMENT: f64 = 8.192;

/// What is being recorded.
#[derive(Default)]
pub(super) struct Charts {
    recorder: Mutex<Recorder<Whose>>,
}

impl Charts {
    /// Records events that have just been accepted.
    pub(super) fn record(&self, ledger: Option<&Arc<DurableLedger>>, events: &[Event]) {
        if let Some(ledger) = ledger {
            self.add(ledger.read().record(events));
        }
    }

    fn add(&self, points: Vec<(PktAddress, UnixMillis, Point)>) {
        let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, time, point) in points {
            recorder.add(Some(address), time, point);
            recorder.add(None, time, point);
        }
    }

    /// Stores what is complete until the stop signal, and all the rest then.
    pub(super) async fn run(
        self: Arc<Self>,
        ledger: Arc<DurableLedger>,
        book: SqlBook,
        clock: fn() -> UnixMillis,
        shutdown: CancellationToken,
    ) {
        match book.series_stored_until().await {
            Ok(since) => {
                let reading = Arc::clone(&ledger);
                let again = tokio::task::spawn_blocking(move || reading.read().record_since(since)).await;
                self.add(again.unwrap_or_default());
            }
            Err(error) => complain(&error),
        }
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let now = clock();
            // Recorded, even where nothing comes: nothing is not unknown.
            self.recorder.lock().unwrap_or_else(PoisonError::into_inner).add(None, now, Point::default());
            let until = minute(now.minus(LATE_MS));
            if self.is_due(until) {
                self.store(book.clone(), until, now).await;
            }
        }
        let now = clock();
        self.store(book, minute(now), now).await;
    }

    fn is_due(&self, until: UnixMillis) -> bool {
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(oldest) = recorder.oldest().filter(|oldest| *oldest < until) else { return false };
        recorder.len() <= FEW || until.since(oldest) >= OLDEST_MS
    }

    async fn store(&self, book: SqlBook, until: UnixMillis, now: UnixMillis) {
        let minutes = self.recorder.lock().unwrap_or_else(PoisonError::into_inner).take_before(until);
        if let Err(error) = book.add_series(minutes, until, now).await {
            complain(&error);
        }
    }

    /// The past of a figure, as far as it is kept.
    pub(super) async fn series(
        &self,
        book: &SqlBook,
        query: &SeriesQuery,
        address: Whose,
        now: UnixMillis,
    ) -> Result<Series, BookError> {
        let (grain, step) = (grain(query.range), query.range.step_seconds() * 1000);
        let count = query.range.points();
        // The last point is the one that is still growing.
        let from = UnixMillis(now.0 - now.0 % step + step).minus(step * count as u64);
        let points = if of_blocks(query.name) {
            self.of_blocks(book, query.name, address, from, step, count).await?
        } else {
            let known = self.points(book, None, grain, from, count).await?;
            let own = match address {
                None => known.clone(),
                Some(_) => self.points(book, address, grain, from, count).await?,
            };
            let first_minute = Grain::Minute.step_ms();
            own.iter()
                .zip(&known)
                .zip((0..).map(|index| from.plus(step * index)))
                .map(|((own, known), start)| {
                    let seconds = now.since(start).clamp(first_minute, step) as f64 / 1000.0;
                    // Where the pool recorded, an address without a point did nothing.
                    known.map(|_| value(query.name, own.unwrap_or_default(), seconds))
                })
                .collect()
        };
        Ok(Series {
            chain: Chain::PacketCrypt,
            name: query.name,
            range: query.range,
            address: query.address.clone(),
            unit: query.name.unit(Chain::PacketCrypt),
            from: from.into(),
            step_seconds: step / 1000,
            points,
            as_of: now.into(),
        })
    }

    /// What an address did in the last 24 hours, and in how many seconds of them the pool recorded; `None`: in none.
    pub(super) async fn last_day(
        &self,
        book: &SqlBook,
        address: PktAddress,
        now: UnixMillis,
    ) -> Option<(u64, Point)> {
        let (grain, step) = (Grain::TenMinutes, Grain::TenMinutes.step_ms());
        let count = Range::Day.points();
        let from = UnixMillis(now.0 - now.0 % step + step).minus(step * count as u64);
        let known = self.points(book, None, grain, from, count).await.ok()?;
        let own = self.points(book, Some(address), grain, from, count).await.ok()?;
        let recorded = known.iter().flatten().count() as u64 * step / 1000;
        let seconds = recorded.saturating_sub((step - now.0 % step) / 1000).max(60);
        (recorded > 0).then(|| (seconds, own.into_iter().flatten().fold(Point::default(), Point::plus)))
    }

    /// Stored points with those that wait to be stored.
    async fn points(
        &self,
        book: &SqlBook,
        whose: Whose,
        grain: Grain,
        from: UnixMillis,
        count: usize,
    ) -> Result<Vec<Option<Point>>, BookError> {
        // First what waits: what is stored in between is then missing for once, and not counted twice.
        let waiting: Vec<(UnixMillis, Point)> =
            self.recorder.lock().unwrap_or_else(PoisonError::into_inner).of(&whose).collect();
        let mut points = book.series(whose, grain, from, count).await?;
        for (time, point) in waiting.into_iter().filter(|(time, _)| *time >= from) {
            if let Some(known) = points.get_mut((time.since(from) / grain.step_ms()) as usize) {
                *known = Some(known.unwrap_or_default().plus(point));
            }
        }
        Ok(points)
    }

    /// Figures of the pool's blocks, which the book keeps for ever.
    async fn of_blocks(
        &self,
        book: &SqlBook,
        name: SeriesName,
        address: Whose,
        from: UnixMillis,
        step: u64,
        count: usize,
    ) -> Result<Vec<Option<f64>>, BookError> {
        let known = self.points(book, None, grain_of_step(step), from, count).await?;
        let mut efforts: Vec<Vec<f64>> = vec![Vec::new(); count];
        let mut blocks = vec![0_u64; count];
        for win in book.wins_since(from, address.filter(|_| name == SeriesName::Blocks)).await? {
            let place = (win.won.won_at.since(from) / step) as usize;
            if let (Some(blocks), Some(efforts)) = (blocks.get_mut(place), efforts.get_mut(place)) {
                *blocks += 1;
                efforts.extend(win.effort_millionths.map(|effort| effort as f64 / 1e4));
            }
        }
        let mean = |efforts: &Vec<f64>| {
            (!efforts.is_empty()).then(|| efforts.iter().sum::<f64>() / efforts.len() as f64)
        };
        if name == SeriesName::Effort {
            return Ok(efforts.iter().map(mean).collect());
        }
        let known = known.iter().zip(&blocks);
        Ok(known.map(|(known, blocks)| (known.is_some() || *blocks > 0).then_some(*blocks as f64)).collect())
    }
}

fn of_blocks(name: SeriesName) -> bool {
    matches!(name, SeriesName::Blocks | SeriesName::Effort | SeriesName::Payouts)
}

fn grain(range: Range) -> Grain {
    grain_of_step(range.step_seconds() * 1000)
}

fn grain_of_step(step: u64) -> Grain {
    Grain::ALL.into_iter().find(|grain| grain.step_ms() == step).unwrap_or(Grain::Hour)
}

fn value(name: SeriesName, point: Point, seconds: f64) -> f64 {
    match name {
        SeriesName::AnnouncementSpeed => point.announcement_work as f64 / seconds,
        SeriesName::BlockSpeed => point.share_work as f64 / seconds,
        SeriesName::Bandwidth => point.announcements as f64 * KILOBITS_PER_ANNOUNCEMENT / seconds,
        SeriesName::AnnouncementCredits => point.announcement_credits as f64 / UNITS_PER_CREDIT,
        SeriesName::ShareCredits => point.share_credits as f64 / UNITS_PER_CREDIT,
        _ => point.shares as f64,
    }
}

fn complain(error: &BookError) {
    tracing::warn!(error = error as &dyn std::error::Error, "figures for charts could not be read or stored");
}
