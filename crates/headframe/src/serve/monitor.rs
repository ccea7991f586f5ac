//! The monitor, started when everybody is there whom it watches.

use pool::monitor::{Monitor, RestartOrder};
use tokio::sync::mpsc;

use super::restartable::{Instance, Start};
use super::{Place, Pool};
use crate::logging;
use crate::roles;
use crate::supervision::Stage;

/// Orders of the monitor that wait.
const ORDERS: usize = 16;

impl Pool {
    /// The monitor of this process.
    pub(super) async fn start_monitor(&mut self) -> anyhow::Result<()> {
        let folder = self.folder(roles::monitor::FOLDER)?;
        let token = roles::monitor::token(&self.config, &folder)?;
        let here = self.process.is_up().then(|| (self.listen, self.take_orders()));
        let config = roles::monitor::monitor(&self.config, &self.urls, here.as_ref(), &token)?;
        logging::say(format_args!("monitor: watches {} processes", config.processes.len()));
        let (http, metrics) = (pool::http_client::client()?, self.metrics.clone());
        let start: Start = Box::new(move |stop| {
            let monitor = Monitor::start(config.clone(), &http, &metrics, &stop);
            let instance = Instance::new(monitor.routes(), monitor.health(), monitor.stopped());
            Box::pin(async { Ok(instance) })
        });
        self.run_role(Stage::Miners, "monitor".to_owned(), Place::At("/monitor/{*path}"), start).await
    }

    /// Where the monitor orders roles of this process to be started again.
    fn take_orders(&mut self) -> mpsc::Sender<RestartOrder> {
        let (sender, orders) = mpsc::channel(ORDERS);
        let passing_on = self.orders.clone().pass_on(orders);
        self.supervisor.run(Stage::Miners, "orders of the monitor", passing_on);
        sender
    }
}
