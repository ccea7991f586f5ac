//! The Master, and what directs it while it runs, whichever instance that is: new settings, and the end of all waiting.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use node::PktdClient;
use pool::master::{Master, MasterConfig, MasterHandle, MasterSettings};

use super::restartable::{Instance, Start};
use super::{Place, Pool};
use crate::logging;
use crate::roles;
use crate::supervision::Stage;

/// Directs the newest Master; clones direct the same one.
#[derive(Clone)]
struct Direction(Arc<Mutex<Directed>>);

struct Directed {
    /// What the next Master is started with.
    settings: MasterSettings,
    running: Option<MasterHandle>,
}

impl Direction {
    fn new(settings: MasterSettings) -> Self {
        Self(Arc::new(Mutex::new(Directed { settings, running: None })))
    }

    fn with<T>(&self, action: impl FnOnce(&mut Directed) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn settings(&self) -> MasterSettings {
        self.with(|directed| directed.settings.clone())
    }

    /// A new Master runs. What was changed while it started is changed there too.
    fn directs(&self, master: &MasterHandle) {
        self.with(|directed| {
            directed.running = Some(master.clone());
            directed.apply();
        });
    }

    fn change(&self, settings: MasterSettings) {
        self.with(|directed| {
            directed.settings = settings;
            directed.apply();
        });
    }

    fn let_waiters_go(&self) {
        if let Some(master) = self.with(|directed| directed.running.clone()) {
            master.let_waiters_go();
        }
    }
}

impl Directed {
    fn apply(&self) {
        let applied = self.running.as_ref().map(|master| master.apply_settings(self.settings.clone()));
        if let Some(Err(error)) = applied {
            tracing::error!(%error, "the Master's settings stay as they were");
        }
    }
}

impl Pool {
    pub(super) async fn start_master(&mut self, node: PktdClient) -> anyhow::Result<()> {
        let folder = self.folder("master")?;
        let config = MasterConfig {
            admission: Arc::clone(&self.admission),
            ..roles::master(&self.config, &self.urls, &folder)
        };
        let direction = Direction::new(config.settings.clone());
        let (directing, metrics) = (direction.clone(), self.metrics.clone());
        let start: Start = Box::new(move |stop| {
            let config = MasterConfig { settings: directing.settings(), ..config.clone() };
            let (directing, node, metrics) = (directing.clone(), node.clone(), metrics.clone());
            Box::pin(async move {
                let master = Master::start(config, node, &metrics, stop).await.context("Master")?;
                let handle = master.handle();
                directing.directs(&handle);
                let (routes, health) = (master.routes(), master.health());
                Ok(Instance::new(routes, health, async move {
                    master.stopped().await;
                    // Whoever waits for work waits with this instance, which then is never gone.
                    handle.let_waiters_go();
                }))
            })
        });
        self.run_role(Stage::Master, "Master".to_owned(), Place::Below("/master"), start).await?;
        logging::say(format_args!("Master: serves work to everyone at {}", self.urls.master));
        self.direct(direction);
        Ok(())
    }

    /// The Master takes new settings, and lets go who waits when the listener stops.
    fn direct(&mut self, direction: Direction) {
        let (urls, old, alone) = (self.urls.clone(), self.config.clone(), !self.process.is_up());
        let (directed, shared) = (direction.clone(), self.shared);
        self.prepares.push(Box::new(move |new| {
            let urls = if alone { urls.with_handlers_of(new, shared) } else { urls.with_list_of(new) };
            let settings = roles::master_settings_after(&old, new, &urls);
            settings.check()?;
            let directed = directed.clone();
            Ok(Box::new(move || directed.change(settings)))
        }));
        let stop = self.supervisor.stop_signal(Stage::Listener);
        self.supervisor.run(Stage::Listener, "long polls", async move {
            stop.cancelled().await;
            direction.let_waiters_go();
            Ok(())
        });
    }
}
