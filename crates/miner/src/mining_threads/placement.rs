//! Where mining threads run, and who goes before them.

use std::num::NonZeroUsize;

use tracing::debug;

/// How many threads mine, where, and who goes before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Threads.
    pub threads: NonZeroUsize,
    /// Added to their nice value, 0 to 19, so that they give way to everything else.
    pub nice: u8,
    /// Whether each thread stays on one CPU: the first thread on the first CPU that this process may use, and so on,
    /// beginning again where there are more threads than CPUs. What a thread has in a CPU's caches then stays of use,
    /// but a CPU that something else keeps busy is not left.
    pub pinned: bool,
}

impl Placement {
    /// A thread for each CPU of this process, wherever the system puts them.
    pub fn one_per_cpu() -> Self {
        Self::of(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// So many threads, wherever the system puts them.
    pub fn of(threads: NonZeroUsize) -> Self {
        Self { threads, nice: 0, pinned: false }
    }

    /// Takes the calling thread, with its number from 0, to its place. What the system does not allow stays as it was.
    pub fn take_place(self, number: usize) {
        if self.nice > 0
            // On Linux this is for the calling thread alone.
            && let Err(reason) = rustix::process::nice(i32::from(self.nice.min(19)))
        {
            debug!("a mining thread keeps its priority: {reason}");
        }
        if self.pinned {
            pin(number);
        }
    }
}

#[cfg(target_os = "linux")]
fn pin(number: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let pinned = sched_getaffinity(None).and_then(|allowed| {
        let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
        let Some(cpu) = cpus.get(number % cpus.len().max(1)) else { return Ok(()) };
        let mut only = CpuSet::new();
        only.set(*cpu);
        sched_setaffinity(None, &only)
    });
    if let Err(reason) = pinned {
        tracing::warn!("mining thread {number} cannot be kept on one CPU: {reason}");
    }
}

#[cfg(not(target_os = "linux"))]
fn pin(number: usize) {
    tracing::warn!("mining thread {number} cannot be kept on one CPU: this system has no way to do so");
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity};

    use super::*;

    fn cpus() -> Vec<usize> {
        let set = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
    }

    fn placed(pinned: bool, number: usize) -> Vec<usize> {
        let place = Placement { pinned, ..Placement::one_per_cpu() };
        let thread = std::thread::spawn(move || {
            place.take_place(number);
            cpus()
        });
        thread.join().unwrap()
    }

    #[test]
    fn a_pinned_thread_has_one_cpu_and_more_threads_than_cpus_begin_again() {
        let all = cpus();
        for number in 0..2 * all.len() {
            assert_eq!(placed(true, number), [all[number % all.len()]]);
        }
        assert_eq!(placed(false, 0), all);
    }
}
