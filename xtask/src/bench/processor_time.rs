//! Processor time and memory of a process, as the system counts them.

use anyhow::Context;

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Seconds of processor time, user and system, of all its threads.
    pub seconds: f64,
    /// Resident memory in bytes, now.
    pub resident_bytes: u64,
}

/// Linux reports processor time in this unit on every machine (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// The usage of a running process by its id; of this one by `std::process::id()`. Time is counted in steps of
/// 10 ms, so a measurement should last a second or more.
pub fn of_process(id: u32) -> anyhow::Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).context("the process is gone")?;
    // The second field is the program's name in brackets, which may itself contain spaces and brackets.
    let fields: Vec<&str> = stat.rsplit_once(')').context("/proc/ID/stat")?.1.split_whitespace().collect();
    let field = |index: usize| -> anyhow::Result<u64> {
        Ok(fields.get(index).context("/proc/ID/stat is short")?.parse()?)
    };
    let ticks = field(11)? + field(12)?;
    Ok(Usage { seconds: ticks as f64 / TICKS_PER_SECOND, resident_bytes: resident_bytes(id)? })
}

/// Seconds of processor time of all threads that a process has now, to the microsecond. What ended threads have used is
/// not in it.
pub fn of_threads(id: u32) -> anyhow::Result<f64> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir(format!("/proc/{id}/task")).context("the process is gone")? {
        // A thread that has just ended has no file any more.
        let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanoseconds += text.split(' ').next().context("schedstat is empty")?.parse::<u64>()?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// Seconds of processor time that this thread has used so far, to the microsecond.
pub fn of_this_thread() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn resident_bytes(id: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_time_and_memory() {
        let before = of_process(std::process::id()).unwrap();
        let mut sum = 0u64;
        while of_process(std::process::id()).unwrap().seconds <= before.seconds {
            sum = (0..1_000_000u64).fold(sum, |sum, number| std::hint::black_box(sum ^ number));
        }
        assert!(before.resident_bytes > 100_000);
        assert!(of_threads(std::process::id()).unwrap() > 0.0);
    }
}
