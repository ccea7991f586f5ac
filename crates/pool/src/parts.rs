//! What a role is made of: tasks and threads that need each other. When one of them dies, the others are told to stop: then
//! the whole role ends, and whoever started it can start it again. Half a role would look alive and do nothing.

#[cfg(test)]
mod deaths;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The parts of a running role.
#[derive(Debug)]
pub struct Parts {
    stop: CancellationToken,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
    #[cfg(test)]
    deaths: Vec<(&'static str, CancellationToken)>,
}

impl Parts {
    /// None yet. They end after `shutdown`, which is somebody else's: the death of a part does not reach beyond the role.
    pub fn until(shutdown: &CancellationToken) -> Self {
        Self {
            stop: shutdown.child_token(),
            tasks: Vec::new(),
            #[cfg(test)]
            deaths: Vec::new(),
        }
    }

    /// The signal at which all parts end, be it from outside or from the death of one of them.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a task that ends after the signal. Its end is the signal for all others. `name` is for the log.
    pub fn run(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (stop, guard) = (self.stop(), self.guard());
        #[cfg(test)]
        let task = self.mortal(name, task);
        let part = async move {
            let _guard = guard;
            task.await;
            if !stop.is_cancelled() {
                tracing::error!(part = name, "has ended, although nobody told it to, and the role with it");
            }
        };
        self.tasks.push((name, tokio::spawn(part)));
    }

    /// Held by a thread as long as it lives: its end is the signal for all others.
    pub fn guard(&self) -> DropGuard {
        self.stop.clone().drop_guard()
    }

    /// Returns when all tasks have ended.
    pub async fn ended(self) {
        for (part, task) in self.tasks {
            if let Err(fault) = task.await {
                tracing::error!(part, %fault, "has died, and the role with it");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_death_of_one_part_ends_all_and_nobody_else() {
        let shutdown = CancellationToken::new();
        let mut parts = Parts::until(&shutdown);
        for name in ["one", "other"] {
            let stop = parts.stop();
            parts.run(name, async move { stop.cancelled().await });
        }
        assert!(!parts.stop().is_cancelled());
        parts.kill("other");
        parts.ended().await;
        assert!(!shutdown.is_cancelled());
    }

    #[tokio::test]
    async fn a_thread_that_panics_ends_all() {
        let parts = Parts::until(&CancellationToken::new());
        let (stop, guard) = (parts.stop(), parts.guard());
        let thread = std::thread::spawn(move || {
            let _guard = guard;
            panic!("it dies");
        });
        stop.cancelled().await;
        assert!(thread.join().is_err());
    }

    #[tokio::test]
    async fn all_end_after_the_signal_from_outside() {
        let shutdown = CancellationToken::new();
        let mut parts = Parts::until(&shutdown);
        let stop = parts.stop();
        parts.run("one", async move { stop.cancelled().await });
        shutdown.cancel();
        parts.ended().await;
    }
}
