//! Somebody who asks the pool again and again, each time on a new connection, while it is restarted, replaced or killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::machine::{Machine, get};

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks `port` while `work` is done. Every question must be answered, whatever the answer is.
pub fn while_asking<T>(
    machine: &Machine,
    port: u16,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let stop = AtomicBool::new(false);
    let ask = || {
        let mut answers = 0_usize;
        loop {
            get(port, "/healthz").map_err(|error| error.context(format!("after {answers} answers")))?;
            answers += 1;
            // Once more after the end: it must answer then, too.
            if stop.load(Ordering::Relaxed) {
                return Ok(answers);
            }
            std::thread::sleep(PAUSE);
        }
    };
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| machine.inside(ask));
        let done = work();

        stop.store(true, Ordering::Relaxed);
        let answers = caller.join().map_err(|_| anyhow::anyhow!("the caller was given up"))?;
        let (done, answers) = (done?, answers?);
        println!("{answers} questions meanwhile, all answered");
        Ok(done)
    })
}
