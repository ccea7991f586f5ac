//! The website, started last: it asks everybody else.

use std::sync::Arc;

use anyhow::Context;
use ledger::nimiq::Accounts;
use pool::site::{Site, SiteConfig};

use super::restartable::{Instance, Start};
use super::{Place, Pool};
use crate::logging;
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
        self.start_site(accounts).await
    }

    /// The website of this process.
    pub(super) async fn start_site(&mut self, accounts: Option<Accounts>) -> anyhow::Result<()> {
        let folder = self.folder("site")?;
        let here = self.process.is_up().then_some(self.listen);
        let config = SiteConfig {
            admission: Arc::clone(&self.admission),
            ..roles::site::site(&self.config, &self.urls, here, self.listen, &folder, accounts)?
        };
        logging::say(format_args!("site: shows the pool at {}", config.sources.identity.url));
        let (http, metrics) = (pool::http_client::client()?, self.metrics.clone());
        let start: Start = Box::new(move |stop| {
            let site = Site::start(config.clone(), &http, &metrics, &stop).context("site");
            let instance = site.map(|site| Instance::new(site.routes(), site.health(), site.stopped()));
            Box::pin(async { instance })
        });
        self.run_role(Stage::Handlers, "site".to_owned(), Place::Else, start).await
    }
}
