//! `cargo xtask bench kernels`: the proof of work on every backend that this machine has, beside the reference.
//!
//! One core and processor time, ours and the reference's in turns; each figure is the best of several rounds over
//! the same work. `docs/performance.md` says what each of them is.

mod ours;
mod reference;

use packetcrypt::backend::Backend;

use super::{figure, markdown};
use ours::Ours;
use reference::Reference;

/// Rounds of which the best counts.
const ROUNDS: usize = 3;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Attempts at announcements per second, tables not counted.
    Attempts,
    /// Announcements per second at difficulty 128, tables counted.
    Announcements,
    /// Milliseconds from a new hard nonce to its first attempt.
    HardNonce,
    /// Microseconds for each announcement, 64 of each hard nonce together.
    CheckGrouped,
    /// Microseconds for each announcement, each of another hard nonce.
    CheckUnrelated,
    /// Block hashes per second over gigabytes of announcements.
    BlockHashes,
}

/// How a figure is to compare with the reference's.
#[derive(Clone, Copy)]
enum Bound {
    /// So many times as good.
    Times(f64),
    /// As good as this figure.
    Figure(f64),
}

impl Measure {
    const ALL: [Self; 6] = [
        Self::Attempts,
        Self::Announcements,
        Self::HardNonce,
        Self::CheckGrouped,
        Self::CheckUnrelated,
        Self::BlockHashes,
    ];

    /// Its name: for people, for `--only`, and for the program that measures the reference.
    fn name(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Announcements => "announcements",
            Self::HardNonce => "hard-nonce",
            Self::CheckGrouped => "check-grouped",
            Self::CheckUnrelated => "check-unrelated",
            Self::BlockHashes => "block-hashes",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Attempts => "attempts/s without tables",
            Self::Announcements => "announcements/s at difficulty 128",
            Self::HardNonce => "ms to the first attempt",
            Self::CheckGrouped => "µs each, 64 of a hard nonce",
            Self::CheckUnrelated => "µs each, unrelated",
            Self::BlockHashes => "block hashes/s",
        }
    }

    /// Whether the figure is a duration.
    fn is_better_when_less(self) -> bool {
        matches!(self, Self::HardNonce | Self::CheckGrouped | Self::CheckUnrelated)
    }

    /// The reference's figure with its just-in-time compiler, which the published library lacks; from the
    /// literature, on a core of 4.3 GHz.
    fn compiled_reference(self) -> f64 {
        match self {
            Self::Attempts => 137_000.0,
            Self::Announcements => 455.0,
            Self::HardNonce => 254.0,
            Self::CheckGrouped => 160.0,
            Self::CheckUnrelated => 207.0,
            Self::BlockHashes => 21_900.0,
        }
    }

    /// What is wanted: at least, and hoped for.
    #[allow(clippy::match_same_arms, reason = "a table, line by line")]
    fn bounds(self, backend: Backend) -> [Option<Bound>; 2] {
        use Bound::{Figure, Times};
        let goal = |times| [None, Some(Times(times))];
        match (backend, self) {
            (Backend::Plain, Self::Attempts) => goal(1.0),
            (Backend::Plain, Self::HardNonce) => goal(3.0),
            (Backend::Plain, Self::BlockHashes) | (Backend::Avx2, Self::Announcements) => goal(4.0),
            (Backend::Avx2, Self::Attempts) => goal(2.7),
            (Backend::Avx2, Self::CheckGrouped) => goal(5.0),
            (Backend::Avx2, Self::BlockHashes) => goal(8.0),
            (Backend::Plain | Backend::Avx2, _) => [None, None],
            (Backend::Avx512, Self::Attempts) => [Some(Times(5.0)), Some(Times(7.0))],
            (Backend::Avx512, Self::Announcements) => [Some(Times(8.0)), Some(Times(11.0))],
            (Backend::Avx512, Self::HardNonce) => [Some(Figure(40.0)), Some(Figure(16.0))],
            (Backend::Avx512, Self::CheckGrouped) => [Some(Times(8.0)), Some(Times(13.0))],
            (Backend::Avx512, Self::CheckUnrelated) => [Some(Times(1.6)), Some(Times(1.9))],
            (Backend::Avx512, Self::BlockHashes) => [Some(Times(15.0)), Some(Times(23.0))],
        }
    }

    /// The figure that a bound stands for.
    fn wanted(self, bound: Bound) -> f64 {
        match bound {
            Bound::Figure(figure) => figure,
            Bound::Times(times) if self.is_better_when_less() => self.compiled_reference() / times,
            Bound::Times(times) => self.compiled_reference() * times,
        }
    }

    fn better(self, one: f64, other: f64) -> f64 {
        if self.is_better_when_less() { one.min(other) } else { one.max(other) }
    }

    /// How many times as good `ours` is.
    fn times(self, ours: f64, theirs: f64) -> f64 {
        if self.is_better_when_less() { theirs / ours } else { ours / theirs }
    }
}

/// Measures, and prints the table. `HEADFRAME_BACKEND` leaves only one backend.
pub fn run(only: Option<&str>) -> anyhow::Result<()> {
    let measures: Vec<Measure> = Measure::ALL
        .into_iter()
        .filter(|measure| only.is_none_or(|only| measure.name().contains(only)))
        .collect();
    anyhow::ensure!(!measures.is_empty(), "there is no such measurement");
    let forced = std::env::var(packetcrypt::backend::BACKEND_VARIABLE).ok();
    let backends: Vec<Backend> = Backend::ALL
        .into_iter()
        .filter(|backend| backend.is_supported())
        .filter(|backend| forced.as_ref().is_none_or(|name| *name == backend.to_string()))
        .collect();
    let mut ours = Ours::new(&measures)?;
    let mut reference = match Reference::start(ours.announcements()) {
        Ok(reference) => Some(reference),
        Err(fault) => {
            eprintln!("the reference is left out: {fault:#}");
            None
        }
    };

    let mut cells = vec![
        ["measure", "backend", "ours", "reference", "times", "(compiled)", "times", "floor", "goal", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    for measure in measures {
        let mut theirs: Option<f64> = None;
        let mut figures: Vec<Option<f64>> = vec![None; backends.len()];
        for round in 1..=ROUNDS {
            eprintln!("{}, round {round} of {ROUNDS}", measure.name());
            let best = |best: Option<f64>, new| Some(best.map_or(new, |best| measure.better(best, new)));
            if let Some(reference) = &mut reference {
                theirs = best(theirs, reference.measure(measure.name())?);
            }
            for (figure, backend) in figures.iter_mut().zip(&backends) {
                *figure = best(*figure, ours.measure(measure, *backend)?);
            }
        }
        for (figure, backend) in figures.into_iter().flatten().zip(&backends) {
            cells.push(row(measure, *backend, figure, theirs));
        }
    }
    print!("{}", markdown(&cells));
    println!("\nFigures in brackets are the reference's with its compiler, from the literature.");
    Ok(())
}

fn row(measure: Measure, backend: Backend, ours: f64, theirs: Option<f64>) -> Vec<String> {
    let compiled = measure.compiled_reference();
    let times = |theirs| format!("{:.1}", measure.times(ours, theirs));
    let bounds = measure.bounds(backend);
    let [floor, goal] = bounds.map(|bound| bound.map(|bound| measure.wanted(bound)));
    let is_reached = |bound: &f64| measure.times(ours, *bound) >= 1.0;
    let verdict = match (floor, goal) {
        (_, Some(goal)) if is_reached(&goal) => "goal met",
        (Some(floor), _) if is_reached(&floor) => "floor met",
        (None, None) => "",
        _ => "NOT MET",
    };
    vec![
        measure.unit().to_owned(),
        backend.to_string(),
        figure(ours),
        theirs.map(figure).unwrap_or_default(),
        theirs.map(times).unwrap_or_default(),
        format!("({})", figure(compiled)),
        times(compiled),
        floor.map(figure).unwrap_or_default(),
        goal.map(figure).unwrap_or_default(),
        verdict.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_better_when_it_is_less() {
        let verdict = |measure, ours| row(measure, Backend::Avx512, ours, Some(1.0)).pop().unwrap();
        assert_eq!(verdict(Measure::HardNonce, 15.0), "goal met");
        assert_eq!(verdict(Measure::HardNonce, 17.0), "floor met");
        assert_eq!(verdict(Measure::HardNonce, 41.0), "NOT MET");
        assert_eq!(verdict(Measure::Attempts, 960_000.0), "goal met");
        assert_eq!(verdict(Measure::Attempts, 600_000.0), "NOT MET");
    }

    #[test]
    fn names_select_measurements() {
        let names = Measure::ALL.map(Measure::name);
        assert!(names.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1));
    }
}
