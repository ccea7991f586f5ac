//! The admin API of the process, on a listener of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use anyhow::Context;
use pool::admin::{Admin, AdminConfig, AdminToken, Configuration, Restarts, Retry};
use pool::listener::{self, Limits};
use pool::nudge::Nudge;
use serde_json::{Value, json};

use super::reload::ReloadOrders;
use super::{LoadConfig, Pool};
use crate::config::{Change, InForce};
use crate::logging;
use crate::supervision::Stage;

/// Below the data folder: the audit log of each process, and where its API is.
pub const FOLDER: &str = "admin";
/// The file that says where the API answers.
pub const ADDRESS: &str = "address";
/// Operators are few.
const CONNECTIONS: usize = 64;

impl Pool {
    /// Serves it, if this process has one.
    pub(super) fn serve_admin(&mut self, load: LoadConfig, reloads: ReloadOrders) -> anyhow::Result<()> {
        let by_default = self.process.is_up().then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let Some(listen) = self.config.admin.listen.or(by_default) else { return Ok(()) };
        let token = self.config.admin.token_file.as_deref().map(AdminToken::from_file).transpose()?;
        let folder = self.folder(format!("{FOLDER}/{}", self.process.name().replace(' ', "-")))?;
        let config = AdminConfig {
            process: self.process.name(),
            token,
            admission: Arc::clone(&self.admission),
            accounts: self.shared_bans.clone(),
            metrics: self.metrics.clone(),
            retries: std::mem::take(&mut self.retries),
            configuration: self.configuration(load, reloads),
            restarts: self.restarts(),
        };
        let audit = folder.join("audit");
        let admin = Admin::open(config, &audit).with_context(|| format!("cannot use {}", audit.display()))?;
        let listener = listener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        note_address(&folder, address)?;
        logging::say(format_args!("admin API: http://{address}/admin (headframe admin)"));
        let limits = Limits { connections: CONNECTIONS, ..Limits::default() };
        let metrics = self.metrics.for_role("admin", "");
        let stop = self.supervisor.stop_signal(Stage::Listener);
        self.supervisor.run(Stage::Listener, "admin API", async move {
            listener::serve(listener, admin.routes(), limits, &metrics, stop).await;
            Ok(())
        });
        Ok(())
    }

    fn configuration(&self, load: LoadConfig, reloads: ReloadOrders) -> Configuration {
        let (shown, compared) = (Arc::clone(&self.in_force), Arc::clone(&self.in_force));
        Configuration {
            in_force: Box::new(move || {
                let settings = shown.lock().unwrap_or_else(PoisonError::into_inner);
                Value::Object(settings.shown().map(|(name, value)| (name, Value::from(value))).collect())
            }),
            difference: Box::new(move || {
                let written = load().map_err(|error| format!("{error:#}"))?;
                let settings = compared.lock().unwrap_or_else(PoisonError::into_inner);
                let changes = settings.changes_to(&written.settings);
                Ok(Value::Array(changes.iter().map(as_json).collect()))
            }),
            reload: Box::new(move |dry_run| Box::pin(reloads.clone().give(dry_run))),
        }
    }

    /// The roles of this process that can be started again alone.
    fn restarts(&self) -> Restarts {
        let (listed, given) = (self.orders.clone(), self.orders.clone());
        Restarts {
            roles: Box::new(move || listed.roles()),
            order: Box::new(move |role| given.give(role, "an operator asked for it")),
        }
    }

    /// Lets the operator end a role's pause. The other end goes into the role's configuration, so that it holds over
    /// restarts of the role.
    pub(super) fn offer(&mut self, what: &'static str, role: String) -> Nudge {
        let nudge = Nudge::default();
        self.retries.push(Retry { what, role, nudge: nudge.clone() });
        nudge
    }
}

fn as_json(change: &Change) -> Value {
    let takes_effect = match change.in_force {
        InForce::AtReload => "at a reload",
        InForce::AtRestart => "at a restart",
    };
    json!({
        "key": change.name(), "in_force": change.before, "written": change.after, "takes_effect": takes_effect,
    })
}

/// For `headframe admin` on this machine.
fn note_address(folder: &Path, address: SocketAddr) -> anyhow::Result<()> {
    let file = folder.join(ADDRESS);
    std::fs::write(&file, format!("{address}\n")).with_context(|| format!("cannot write {}", file.display()))
}
