//! Nimiq's proof of work: the time that a hash takes, by backend.

use std::hint::black_box;

use nimiq::argon2d::{Backend, Hasher};
use nimiq::header::HEADER_SIZE;

use super::{Goal, Reference, Row, processor_time};

/// Hashes of a run: about a second, because processor time is counted in steps of 10 ms.
const HASHES: usize = 10_000;
/// The best of so many runs counts: what else runs on the machine only makes them longer.
const RUNS: usize = 5;
/// What the best kernel is to take at most, in µs: what the reference's best, for AVX-512, takes.
const GOAL: f64 = 66.0;

/// Measures.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let best = Backend::available().next_back();
    Backend::available()
        .map(|backend| {
            let (measure, known) = match backend {
                Backend::Plain => ("Argon2d, plain (the crate argon2)", 79.0),
                Backend::Avx2 => ("Argon2d, avx2", 83.0),
                Backend::Avx512 => ("Argon2d, avx512", 66.0),
            };
            Ok(Row {
                measure: measure.to_owned(),
                unit: "µs of processor time per hash",
                ours: microseconds(backend)?,
                reference: Some(Reference::Known(known)),
                goal: (Some(backend) == best).then_some(Goal::AtMost(GOAL)),
            })
        })
        .collect()
}

/// Processor time for each of many hashes, as a checker of shares computes them.
fn microseconds(backend: Backend) -> anyhow::Result<f64> {
    let mut hasher = Hasher::on(backend);
    let headers = vec![[7; HEADER_SIZE]; HASHES];
    let seconds = || Ok::<_, anyhow::Error>(processor_time::of_process(std::process::id())?.seconds);
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = seconds()?;
        black_box(hasher.hash_many(black_box(&headers)));
        best = best.min(seconds()? - start);
    }
    Ok(best * 1e6 / HASHES as f64)
}
