//! The monitor, started when everybody is there whom it watches.

use pool::monitor::Monitor;
use tokio::sync::mpsc;

use super::Pool;
use crate::roles;
use crate::supervision::Stage;

impl Pool {
    /// The monitor of this process.
    pub(super) fn start_monitor(&mut self) -> anyhow::Result<()> {
        let folder = self.folder(roles::monitor::FOLDER)?;
        let token = roles::monitor::token(&self.config, &folder)?;
        let (tasks, _) = mpsc::channel(1);
        let here = self.process.is_up().then_some((self.listen, tasks));
        let config = roles::monitor::monitor(&self.config, &self.urls, here.as_ref(), &token)?;
        println!("monitor: watches {} processes", config.processes.len());
        let stop = self.supervisor.stop_signal(Stage::Miners);
        let http = pool::http_client::client()?;
        let monitor = Monitor::start(config, &http, &self.metrics, stop);
        let router = std::mem::take(&mut self.router);
        self.router = router.merge(monitor.routes());
        self.health.push(monitor.health());
        self.supervisor.run(Stage::Miners, "monitor", async {
            monitor.stopped().await;
            Ok(())
        });
        Ok(())
    }
}
