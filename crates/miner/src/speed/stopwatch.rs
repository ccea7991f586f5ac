//! Threads that do the same for a fixed time, and the time that they took.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use super::{Progress, Trial};

/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// Time that was taken by one thread, or by several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Elapsed {
    /// By the clock on the wall; for several threads, of the longest.
    pub clock: Duration,
    /// Of processors; for several threads, the sum.
    pub processor: Duration,
}

/// The processor time that the calling thread has taken so far.
pub(super) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = Duration::from_secs(time.tv_sec.try_into().unwrap_or(0));
    seconds + Duration::from_nanos(time.tv_nsec.try_into().unwrap_or(0))
}

/// Runs `work` in every thread of a trial until its time is over: it is to end when the flag becomes true.
pub(super) fn run<Result: Send>(
    trial: &Trial,
    what: &str,
    progress: &Progress<'_>,
    work: impl Fn(usize, &AtomicBool) -> Result + Sync,
) -> (Vec<Result>, Elapsed) {
    let over = AtomicBool::new(false);
    let timed = |number: usize| {
        trial.placement.take_place(number);
        let (clock, processor) = (Instant::now(), processor_time());
        let result = work(number, &over);
        (result, Elapsed { clock: clock.elapsed(), processor: processor_time().saturating_sub(processor) })
    };
    let timed = &timed;
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..trial.placement.threads.get()).map(|number| scope.spawn(move || timed(number))).collect();
        let began = Instant::now();
        while began.elapsed() < trial.time {
            progress(what, began.elapsed().as_secs_f64() / trial.time.as_secs_f64().max(1e-9));
            std::thread::sleep(TOLD_EVERY.min(trial.time.saturating_sub(began.elapsed())));
        }
        over.store(true, Relaxed);
        // A thread that panicked has said so itself.
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    progress(what, 1.0);
    let elapsed = results.iter().fold(Elapsed::default(), |all, (_, one)| Elapsed {
        clock: all.clock.max(one.clock),
        processor: all.processor + one.processor,
    });
    (results.into_iter().map(|(result, _)| result).collect(), elapsed)
}

/// `count` per second, or 0 if no time has passed.
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

/// Bytes of this process that are in memory; `None` where the system does not tell.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(resident.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}
