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

    /// What is wanted: at least, as a goal, and at best.
    #[allow(clippy::match_same_arms, reason = "a table, line by line")]
    fn bounds(self, backend: Backend) -> [Option<Bound>; 3] {
        use Bound::{Figure, Times};
        let goal = |times| [None, Some(Times(times)), None];
        let times = |bounds: [f64; 3]| bounds.map(|times| Some(Times(times)));
        match (backend, self) {
            (Backend::Plain, Self::Attempts) => goal(1.0),
            (Backend::Plain, Self::HardNonce) => goal(3.0),
            (Backend::Plain, Self::BlockHashes) | (Backend::Avx2, Self::Announcements) => goal(4.0),
            (Backend::Avx2, Self::Attempts) => goal(2.7),
            (Backend::Avx2, Self::CheckGrouped) => goal(5.0),
            (Backend::Avx2, Self::BlockHashes) => goal(8.0),
            (Backend::Plain | Backend::Avx2, _) => [None; 3],
            (Backend::Avx512, Self::Attempts) => times([5.0, 7.0, 9.0]),
            (Backend::Avx512, Self::Announcements) => times([8.0, 11.0, 15.0]),
            (Backend::Avx512, Self::HardNonce) => [40.0, 16.0, 10.0].map(|figure| Some(Figure(figure))),
            (Backend::Avx512, Self::CheckGrouped) => times([8.0, 13.0, 20.0]),
            (Backend::Avx512, Self::CheckUnrelated) => times([1.6, 1.9, 2.8]),
            (Backend::Avx512, Self::BlockHashes) => times([15.0, 23.0, 30.0]),
        }
    }

    /// The figure that a bound stands for, beside this one of the reference.
    fn wanted(self, bound: Bound, reference: f64) -> f64 {
        match bound {
            Bound::Figure(figure) => figure,
            Bound::Times(times) if self.is_better_when_less() => reference / times,
            Bound::Times(times) => reference * times,
        }
    }

    /// Which of the bounds our figure reaches, beside this one of the reference.
    fn verdict(self, backend: Backend, ours: f64, reference: f64) -> &'static str {
        let bounds = self.bounds(backend);
        let is_reached = |bound| self.times(ours, self.wanted(bound, reference)) >= 1.0;
        let reached = bounds.map(|bound| bound.is_some_and(is_reached));
        match reached {
            [_, _, true] => "stretch",
            [_, true, _] => "goal",
            [true, ..] => "floor",
            _ if bounds.iter().all(Option::is_none) => "",
            _ => "NOT MET",
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

    let head = [
        "measure",
        "backend",
        "ours",
        "reference",
        "times",
        "reached",
        "(compiled)",
        "times",
        "reached",
        "floor",
        "goal",
        "stretch",
    ];
    let mut cells = vec![head.map(str::to_owned).to_vec()];
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
    let beside = |reference: f64| {
        let times = format!("{:.1}", measure.times(ours, reference));
        [times, measure.verdict(backend, ours, reference).to_owned()]
    };
    let bounds = measure.bounds(backend).map(|bound| match bound {
        None => String::new(),
        Some(Bound::Times(times)) => format!("{times} times"),
        Some(Bound::Figure(wanted)) => figure(wanted),
    });
    [
        vec![measure.unit().to_owned(), backend.to_string(), figure(ours)],
        vec![theirs.map(figure).unwrap_or_default()],
        theirs.map(beside).unwrap_or_default().to_vec(),
        vec![format!("({})", figure(compiled))],
        beside(compiled).to_vec(),
        bounds.to_vec(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_better_when_it_is_less() {
        let reached = |measure: Measure, ours, reference| measure.verdict(Backend::Avx512, ours, reference);
        assert_eq!(reached(Measure::HardNonce, 15.0, 1.0), "goal");
        assert_eq!(reached(Measure::HardNonce, 17.0, 1.0), "floor");
        assert_eq!(reached(Measure::HardNonce, 41.0, 1000.0), "NOT MET");
        assert_eq!(reached(Measure::CheckGrouped, 10.0, 80.0), "floor");
        assert_eq!(reached(Measure::CheckGrouped, 10.0, 79.0), "NOT MET");
        assert_eq!(reached(Measure::Attempts, 700.0, 100.0), "goal");
        assert_eq!(reached(Measure::Attempts, 900.0, 100.0), "stretch");
        assert_eq!(reached(Measure::Attempts, 499.0, 100.0), "NOT MET");
    }

    #[test]
    fn a_row_has_a_cell_for_each_column() {
        let cells = row(Measure::Attempts, Backend::Avx512, 600_000.0, Some(120_000.0));
        assert_eq!(cells[2..9], ["600,000", "120,000", "5.0", "floor", "(137,000)", "4.4", "NOT MET"]);
        assert_eq!(cells[9..], ["5 times", "7 times", "9 times"]);
        assert_eq!(row(Measure::Attempts, Backend::Plain, 1.0, None).len(), cells.len());
    }

    #[test]
    fn names_select_measurements() {
        let names = Measure::ALL.map(Measure::name);
        assert!(names.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1));
    }
}
