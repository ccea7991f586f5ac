//! Levels over time: how many mined, how hard a block was, how busy the handlers were, whether the nodes could be used. They
//! are taken from the pictures of the pool, since nobody else keeps them.
//!
//! A level has a track in each of the grains that charts have, a ring of fixed length: memory and file have a size that
//! never grows. What the pool did not know is not there, which is not 0.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::site::facts::{Chain, Condition, Moment, PoolFacts, Range, Series, SeriesName, SeriesQuery};

const FILE: &str = "levels.json";
/// What somebody told longer ago than this is not so now.
const STALE_MS: u64 = 120_000;
/// By the minute, blocks come so unevenly that their distance is taken over so many points.
const MINUTES_OF_INTERVAL: usize = 10;

/// What is kept over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    AnnouncementMiners,
    BlockMiners,
    Miners,
    Difficulty,
    /// From which the distance of blocks follows.
    Height,
    HandlerLoad,
    NodesUp,
}

/// A mean that grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: f64) {
        (self.sum, self.count) = (self.sum + value, self.count.saturating_add(1));
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

/// One level in one grain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Track {
    step_seconds: u64,
    /// Number of the step that grows: seconds since 1970, divided by the step.
    growing: u64,
    mean: Mean,
    /// The steps before it, oldest first.
    points: VecDeque<Option<f32>>,
}

impl Track {
    fn new(step_seconds: u64, number: u64) -> Self {
        Self { step_seconds, growing: number, mean: Mean::default(), points: VecDeque::new() }
    }

    /// Takes a value in; earlier ones than the newest are left out.
    fn add(&mut self, at: Moment, value: f64) {
        let number = at.seconds() / self.step_seconds;
        if number < self.growing {
            return;
        }
        if number > self.growing {
            self.points.push_back(self.mean.value().map(|value| value as f32));
            let missed = usize::try_from(number - self.growing - 1).unwrap_or(usize::MAX).min(self.most());
            self.points.extend(std::iter::repeat_n(None, missed));
            (self.growing, self.mean) = (number, Mean::default());
            let superfluous = self.points.len().saturating_sub(self.most());
            self.points.drain(..superfluous);
        }
        self.mean.add(value);
    }

    /// Its value in a step.
    fn at(&self, number: u64) -> Option<f64> {
        if number == self.growing {
            return self.mean.value();
        }
        let back = usize::try_from(self.growing.checked_sub(number)?).ok()?;
        let place = self.points.len().checked_sub(back)?;
        self.points.get(place).copied().flatten().map(f64::from)
    }

    /// Steps that are kept: those of the longest chart of this grain, and those before it that a distance is taken from.
    fn most(&self) -> usize {
        most(self.step_seconds)
    }

    /// Whether it can have been written here.
    fn is_whole(&self) -> bool {
        grains().any(|step| step == self.step_seconds) && self.points.len() <= self.most()
    }
}

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    at: Moment,
    tracks: Vec<StoredTracks>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredTracks {
    chain: Chain,
    level: Level,
    tracks: Vec<Track>,
}

/// All levels.
#[derive(Debug)]
pub(super) struct Levels {
    file: PathBuf,
    stored_at: Option<Moment>,
    tracks: BTreeMap<(Chain, Level), Vec<Track>>,
}

impl Levels {
    /// Those that were kept in a folder; a file that cannot be used is begun anew.
    pub(super) fn open(folder: &Path) -> Self {
        let file = folder.join(FILE);
        let stored = std::fs::read(&file).ok().map(|bytes| serde_json::from_slice::<Stored>(&bytes));
        let stored = match stored {
            Some(Ok(stored)) => Some(stored),
            Some(Err(error)) => {
                tracing::warn!(%error, file = %file.display(), "levels for charts cannot be read; they begin anew");
                None
            }
            None => None,
        };
        let stored_at = stored.as_ref().map(|stored| stored.at);
        let tracks = stored.into_iter().flat_map(|stored| stored.tracks).map(|stored| {
            let tracks = stored.tracks.into_iter().filter(Track::is_whole).collect();
            ((stored.chain, stored.level), tracks)
        });
        Self { tracks: tracks.collect(), file, stored_at }
    }

    /// When they had been stored, at the opening: until then the website was running.
    pub(super) fn stored_at(&self) -> Option<Moment> {
        self.stored_at
    }

    /// What is to be written, and where.
    pub(super) fn to_be_stored(&self, now: Moment) -> (PathBuf, Vec<u8>) {
        let tracks = self.tracks.iter().map(|((chain, level), tracks)| StoredTracks {
            chain: *chain,
            level: *level,
            tracks: tracks.clone(),
        });
        let stored = Stored { at: now, tracks: tracks.collect() };
        (self.file.clone(), serde_json::to_vec(&stored).unwrap_or_default())
    }

    /// Takes a picture in.
    pub(super) fn look(&mut self, picture: &PoolFacts) {
        let now = picture.gathered_at;
        for (chain, level, value) in levels(picture) {
            let tracks = self.tracks.entry((chain, level)).or_default();
            for step in grains() {
                if tracks.iter().all(|track| track.step_seconds != step) {
                    tracks.push(Track::new(step, now.seconds() / step));
                }
                let of_step = tracks.iter_mut().filter(|track| track.step_seconds == step);
                of_step.for_each(|track| track.add(now, value));
            }
        }
    }

    /// The past of a figure; `None` if it is none of these.
    pub(super) fn series(&self, query: &SeriesQuery, now: Moment) -> Option<Series> {
        let level = level_of(query.name)?;
        let (step, count) = (query.range.step_seconds(), query.range.points());
        // The last point is the one that is still growing.
        let newest = now.seconds() / step;
        let first = newest + 1 - count as u64;
        let tracks = self.tracks.get(&(query.chain, level));
        let track = tracks.and_then(|tracks| tracks.iter().find(|track| track.step_seconds == step));
        let value = |number: u64| {
            let track = track?;
            match level {
                Level::Height => block_interval(track, number),
                _ => track.at(number),
            }
        };
        Some(Series {
            chain: query.chain,
            name: query.name,
            range: query.range,
            address: None,
            unit: query.name.unit(query.chain),
            from: Moment(first * step * 1000),
            step_seconds: step,
            points: (first..=newest).map(value).collect(),
            as_of: now,
        })
    }
}

/// The steps of all charts, finest first, each once.
fn grains() -> impl Iterator<Item = u64> {
    [Range::Hour, Range::Day, Range::Month].into_iter().map(Range::step_seconds)
}

fn most(step_seconds: u64) -> usize {
    let charts = Range::ALL.into_iter().filter(|range| range.step_seconds() == step_seconds);
    charts.map(Range::points).max().unwrap_or_default() + MINUTES_OF_INTERVAL
}

/// The distance of blocks in seconds, from the mean heights of a step and of an earlier one. While a step grows its mean is
/// that of less time, and where no block came nobody knows.
fn block_interval(track: &Track, number: u64) -> Option<f64> {
    if number >= track.growing {
        return None;
    }
    let reach = if track.step_seconds == Range::Hour.step_seconds() { MINUTES_OF_INTERVAL } else { 1 };
    let earlier = |back: usize| track.at(number.checked_sub(back as u64)?).map(|height| (back, height));
    let (back, before) = (1..=reach).rev().find_map(earlier)?;
    let grown = track.at(number)? - before;
    (grown > 0.0).then(|| track.step_seconds as f64 * back as f64 / grown)
}

fn level_of(name: SeriesName) -> Option<Level> {
    match name {
        SeriesName::AnnouncementMiners => Some(Level::AnnouncementMiners),
        SeriesName::BlockMiners => Some(Level::BlockMiners),
        SeriesName::Miners => Some(Level::Miners),
        SeriesName::Difficulty => Some(Level::Difficulty),
        SeriesName::BlockInterval => Some(Level::Height),
        SeriesName::HandlerLoad => Some(Level::HandlerLoad),
        SeriesName::NodesUp => Some(Level::NodesUp),
        _ => None,
    }
}

/// What is known now.
fn levels(picture: &PoolFacts) -> Vec<(Chain, Level, f64)> {
    let now = picture.gathered_at;
    let is_fresh = |at: Moment| now.0.saturating_sub(at.0) < STALE_MS;
    let mut levels = Vec::new();
    let mut add = |chain, level, value: Option<f64>| levels.extend(value.map(|value| (chain, level, value)));
    if let Some(facts) = picture.packetcrypt.as_ref().filter(|facts| is_fresh(facts.height.as_of)) {
        let count = |count: u64| count as f64;
        add(Chain::PacketCrypt, Level::AnnouncementMiners, facts.miners.announcements.value.map(count));
        add(Chain::PacketCrypt, Level::BlockMiners, facts.miners.blocks.value.map(count));
        add(Chain::PacketCrypt, Level::Difficulty, facts.difficulty.value);
        add(Chain::PacketCrypt, Level::Height, facts.height.value.map(f64::from));
    }
    if let Some(facts) = &picture.nimiq {
        let miners = facts.miners.addresses;
        let miners = miners.value.filter(|_| is_fresh(miners.as_of)).map(|count| count as f64);
        add(Chain::Nimiq, Level::Miners, miners);
        let difficulty = facts.difficulty;
        add(Chain::Nimiq, Level::Difficulty, difficulty.value.filter(|_| is_fresh(difficulty.as_of)));
        let is_read = facts.totals.as_ref().is_some_and(|totals| is_fresh(totals.as_of));
        add(Chain::Nimiq, Level::Height, facts.height.value.filter(|_| is_read).map(f64::from));
    }
    for chain in picture.chains() {
        add(chain, Level::HandlerLoad, picture.handler_load(chain).value);
        let nodes = picture.components.iter().filter(|component| component.is_node_of(chain));
        let mut nodes = nodes.filter(|component| is_fresh(component.checked_at)).peekable();
        if nodes.peek().is_some() {
            let mut up = Mean::default();
            nodes.for_each(|node| up.add(if node.condition == Condition::Ready { 100.0 } else { 0.0 }));
            add(chain, Level::NodesUp, up.value());
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::facts::sample;

    fn query(name: SeriesName, range: Range) -> SeriesQuery {
        SeriesQuery { chain: Chain::PacketCrypt, name, range, address: None }
    }

    fn picture(seconds: u64, height: u32, miners: Option<u64>) -> PoolFacts {
        let mut picture = sample::pool();
        picture.gathered_at.0 += seconds * 1000;
        let facts = picture.packetcrypt.as_mut().unwrap();
        (facts.height.value, facts.height.as_of) = (Some(height), picture.gathered_at);
        facts.miners.blocks.value = miners;
        picture
    }

    #[test]
    fn a_level_is_the_mean_of_its_step_and_what_was_not_known_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let mut levels = Levels::open(folder.path());
        for (seconds, miners) in [(0, Some(4)), (30, Some(6)), (60, None), (120, Some(9)), (180, Some(1))] {
            levels.look(&picture(seconds, 7, miners));
        }
        let now = Moment(sample::NOW.0 + 185_000);
        let series = |levels: &Levels, range| {
            let series = levels.series(&query(SeriesName::BlockMiners, range), now).unwrap();
            assert_eq!(series.points.len(), range.points());
            series.points[series.points.len() - 5..].to_vec()
        };
        let minutes = [None, Some(5.0), None, Some(9.0), Some(1.0)];
        assert_eq!(series(&levels, Range::Hour), minutes);
        assert_eq!(series(&levels, Range::Month)[4], Some(5.0), "the mean of four");

        let (file, text) = levels.to_be_stored(now);
        std::fs::write(&file, &text).unwrap();
        let mut levels = Levels::open(folder.path());
        assert_eq!((series(&levels, Range::Hour), levels.stored_at()), (minutes.to_vec(), Some(now)));
        levels.look(&picture(190, 7, Some(3)));
        assert_eq!(series(&levels, Range::Hour)[4], Some(2.0), "the step that grew goes on");
        std::fs::write(&file, &text[..text.len() / 2]).unwrap();
        assert_eq!(Levels::open(folder.path()).stored_at(), None, "a broken file is begun anew");
        assert!(levels.series(&query(SeriesName::Blocks, Range::Hour), now).is_none());
    }

    #[test]
    fn the_distance_of_blocks_follows_from_the_heights() {
        let folder = tempfile::tempdir().unwrap();
        let mut levels = Levels::open(folder.path());
        // A block every 40 seconds for half an hour, and none in the next.
        for step in 0..360 {
            let seconds = step * 10;
            let height = 1000 + seconds.min(1800) / 40;
            levels.look(&picture(seconds, height as u32, None));
        }
        let now = Moment(sample::NOW.0 + 3_590_000);
        let points = levels.series(&query(SeriesName::BlockInterval, Range::Hour), now).unwrap().points;
        let [quarter, still, newest] = [15, 58, 59].map(|place| points[place]);
        assert!(quarter.is_some_and(|seconds| (seconds - 40.0).abs() < 4.0), "{quarter:?}");
        assert_eq!((still, newest), (None, None), "no block came");
    }

    #[test]
    fn a_track_has_a_size_that_does_not_grow() {
        let mut track = Track::new(60, 0);
        (0..500).for_each(|minute| track.add(Moment(minute * 60_000), 1.0));
        assert_eq!(track.points.len(), most(60));
        track.add(Moment(60_000 * 10_000_000), 2.0);
        assert_eq!(
            (track.points.len(), track.at(10_000_000), track.at(9_999_999)),
            (most(60), Some(2.0), None)
        );
        track.add(Moment(60_000), 7.0);
        assert_eq!(track.at(10_000_000), Some(2.0), "a clock that went back");
    }
}
