//! The website, started last: it asks everybody else.

use std::sync::Arc;

use anyhow::Context;
use ledger::nimiq::Accounts;
use pool::site::{Site, SiteConfig};

use super::Pool;
use crate::roles;
use crate::supervision::Stage;

impl Pool {
    /// The website alone: it reads the accounts of a Nimiq pool as a role that may only read.
    pub(super) async fn start_site_alone(&mut self) -> anyhow::Result<()> {
        let accounts = if self.config.runs_nimiq() {
            Some(roles::nimiq::open_accounts_to_read(&self.config).await?)
        } else {
            None
        };
        self.start_site(accounts)
    }

    /// The website of this process.
    pub(super) fn start_site(&mut self, accounts: Option<Accounts>) -> anyhow::Result<()> {
        let folder = self.folder("site")?;
        let here = self.process.is_up().then_some(self.listen);
        let config = SiteConfig {
            admission: Arc::clone(&self.admission),
            ..roles::site::site(&self.config, &self.urls, here, self.listen, &folder, accounts)
        };
        println!("site: shows the pool at {}", config.sources.identity.url);
        let stop = self.supervisor.stop_signal(Stage::Handlers);
        let site = Site::start(config, &pool::http_client::client()?, &self.metrics, stop).context("site")?;
        let router = std::mem::take(&mut self.router);
        self.router = router.fallback_service(site.routes());
        self.health.push(site.health());
        self.supervisor.run(Stage::Handlers, "site", async {
            site.stopped().await;
            Ok(())
        });
        Ok(())
    }
}
