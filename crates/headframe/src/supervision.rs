//! Everything that runs, and the order in which it stops: whoever sends stops before whoever receives.

use std::future::Future;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What stops together. Stages stop in this order, each when the one before it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The own miners: they send what they still have.
    Miners,
    /// AnnHandlers, BlkHandlers, Nimiq servers: they take nothing more, answer what they have, and its events or shares are
    /// on disk.
    Handlers,
    /// The listener: open requests are answered. After the handlers, which speak to the others through it.
    Listener,
    /// The PayMaker; service and payout of the Nimiq pool.
    PayMaker,
    /// The Master.
    Master,
    /// The embedded chains.
    DevChain,
}

const STAGES: [Stage; 6] =
    [Stage::Miners, Stage::Handlers, Stage::Listener, Stage::PayMaker, Stage::Master, Stage::DevChain];

/// Runs tasks, and ends them all when it is told to or when one ends by itself.
pub struct Supervisor {
    tokens: [CancellationToken; STAGES.len()],
    tasks: JoinSet<Ended>,
    /// What still runs in each stage.
    running: Vec<(Stage, String)>,
}

struct Ended {
    stage: Stage,
    name: String,
    result: anyhow::Result<()>,
}

impl Supervisor {
    /// Nothing runs yet.
    pub fn new() -> Self {
        let tokens = std::array::from_fn(|_| CancellationToken::new());
        Self { tokens, tasks: JoinSet::new(), running: Vec::new() }
    }

    /// The signal at which tasks of a stage must end.
    pub fn stop_signal(&self, stage: Stage) -> CancellationToken {
        self.tokens[stage as usize].clone()
    }

    /// Runs a task, which ends after its stage's signal. `name` is for people: "AnnHandler main".
    pub fn run(
        &mut self,
        stage: Stage,
        name: impl Into<String>,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let name = name.into();
        self.running.push((stage, name.clone()));
        self.tasks.spawn(async move { Ended { stage, name, result: task.await } });
    }

    /// Waits for `shutdown`, or for a task that ends by itself; then stops all stages in order. Gives the first
    /// reason why something went wrong.
    pub async fn until(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut trouble = Ok(());
        tokio::select! {
            () = shutdown.cancelled() => {}
            Some(ended) = self.tasks.join_next() => {
                let early = |name: &str| anyhow::anyhow!("{name} ended, although nobody told it to");
                trouble = self.note(ended).and_then(|name| Err(early(&name)));
            }
        }
        for stage in STAGES {
            self.tokens[stage as usize].cancel();
            while self.running.iter().any(|(running, _)| *running == stage) {
                let Some(ended) = self.tasks.join_next().await else { break };
                trouble = trouble.and(self.note(ended).map(drop));
            }
        }
        trouble
    }

    /// Strikes an ended task off the list; gives its name, or why it failed.
    fn note(&mut self, ended: Result<Ended, tokio::task::JoinError>) -> anyhow::Result<String> {
        match ended {
            Ok(Ended { stage, name, result }) => {
                self.running.retain(|running| *running != (stage, name.clone()));
                tracing::debug!(%name, "stopped");
                result.map(|()| name.clone()).map_err(|error| error.context(name))
            }
            // A panic: which task it was is lost, so nothing more is waited for.
            Err(panic) => {
                self.running.clear();
                Err(anyhow::anyhow!("a role stopped with a panic: {panic}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A task that writes its name down when it is told to end.
    fn scribe(supervisor: &mut Supervisor, stage: Stage, log: &Arc<Mutex<Vec<Stage>>>) {
        let (signal, log) = (supervisor.stop_signal(stage), Arc::clone(log));
        supervisor.run(stage, format!("{stage:?}"), async move {
            signal.cancelled().await;
            log.lock().unwrap().push(stage);
            Ok(())
        });
    }

    #[tokio::test]
    async fn senders_stop_before_receivers() {
        let log = Arc::default();
        let mut supervisor = Supervisor::new();
        for stage in STAGES.into_iter().rev() {
            scribe(&mut supervisor, stage, &log);
        }
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        supervisor.until(shutdown).await.unwrap();
        assert_eq!(*log.lock().unwrap(), STAGES);
    }

    #[tokio::test]
    async fn a_role_that_ends_by_itself_stops_the_others_and_is_named() {
        let log = Arc::default();
        let mut supervisor = Supervisor::new();
        scribe(&mut supervisor, Stage::DevChain, &log);
        supervisor.run(Stage::Handlers, "AnnHandler main", async { anyhow::bail!("the disk is full") });
        let error = supervisor.until(CancellationToken::new()).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "AnnHandler main: the disk is full");
        assert_eq!(*log.lock().unwrap(), [Stage::DevChain]);
    }
}
