//! SIGHUP, or an operator's order: the configuration is read again, what may change in a running process changes, and log
//! and answer say what that was and what waits for a restart.
//!
//! Which keys these are is said where they are defined (`keys.at_reload()`). Each role that has some leaves a [`Prepare`]
//! when it starts. All of them get ready before the first changes anything: a configuration that one of them cannot use
//! changes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{LoadConfig, Pool, Process};
use crate::config::{Change, Config, InForce, Settings};
use crate::signals::{Hangup, Hangups};

/// Puts a configuration in force; cannot fail any more.
pub(super) type Commit = Box<dyn FnOnce() + Send>;
/// Gets ready for a configuration, without any effect yet.
pub(super) type Prepare = Box<dyn Fn(&Config) -> anyhow::Result<Commit> + Send>;

/// What the process runs with, and who takes new settings.
struct Reload {
    process: Process,
    in_force: Arc<Mutex<Settings>>,
    prepares: Vec<Prepare>,
    load: LoadConfig,
}

/// An operator's order to read the configuration again.
pub(super) struct ReloadOrder {
    /// Whether it is only asked what would change.
    dry_run: bool,
    answer: oneshot::Sender<Result<Value, String>>,
}

/// Gives orders, and the answers to them.
#[derive(Clone)]
pub(super) struct ReloadOrders(mpsc::Sender<ReloadOrder>);

/// Orders that wait.
const ORDERS: usize = 4;

impl ReloadOrders {
    pub(super) fn new() -> (Self, mpsc::Receiver<ReloadOrder>) {
        let (sender, orders) = mpsc::channel(ORDERS);
        (Self(sender), orders)
    }

    /// What has changed or would change; or why nothing has.
    pub(super) async fn give(self, dry_run: bool) -> Result<Value, String> {
        let (answer, answered) = oneshot::channel();
        let ending = || "the process is ending".to_owned();
        self.0.send(ReloadOrder { dry_run, answer }).await.map_err(|_| ending())?;
        answered.await.unwrap_or_else(|_| Err(ending()))
    }
}

/// What a configuration changes.
struct Report {
    now: Vec<Change>,
    waiting: Vec<Change>,
}

impl Pool {
    /// Reads the configuration anew at each signal and each order, from the same sources.
    pub(super) fn reload_at(
        &mut self,
        mut hangups: Hangups,
        mut orders: mpsc::Receiver<ReloadOrder>,
        load: LoadConfig,
        shutdown: CancellationToken,
    ) {
        let reload = Reload {
            process: self.process.clone(),
            in_force: Arc::clone(&self.in_force),
            prepares: std::mem::take(&mut self.prepares),
            load,
        };
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    hangup = hangups.next() => match hangup {
                        Hangup::Reload => drop(reload.take(false)),
                        Hangup::TerminalClosed => {
                            tracing::info!("stopping: the terminal was closed");
                            shutdown.cancel();
                        }
                    },
                    Some(ReloadOrder { dry_run, answer }) = orders.recv() => {
                        // Whoever asked may have gone.
                        let _ = answer.send(reload.take(dry_run));
                    }
                }
            }
        });
    }
}

impl Reload {
    /// Takes the configuration as it is written now, unless it is only asked what that would change.
    fn take(&self, dry_run: bool) -> Result<Value, String> {
        let taken = self.report(dry_run);
        match &taken {
            Err(reason) => tracing::error!("nothing has changed: {reason}"),
            Ok(report) if !dry_run => report.log(),
            Ok(_) => {}
        }
        taken.map(|report| report.as_json())
    }

    fn report(&self, dry_run: bool) -> Result<Report, String> {
        let config = (self.load)().map_err(|error| format!("{error:#}"))?;
        let (mut commits, mut reasons) = (Vec::new(), Vec::new());
        for prepare in &self.prepares {
            match prepare(&config) {
                Ok(commit) => commits.push(commit),
                Err(error) => reasons.push(format!("{error:#}")),
            }
        }
        if !reasons.is_empty() {
            return Err(reasons.join("\n"));
        }
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let mut report = Report { now: Vec::new(), waiting: Vec::new() };
        for change in in_force.changes_to(&config.settings) {
            match when(&self.process, &change) {
                Some(InForce::AtReload) => report.now.push(change),
                Some(InForce::AtRestart) => report.waiting.push(change),
                None => {}
            }
        }
        if !dry_run {
            for commit in commits {
                commit();
            }
            *in_force = in_force.changed_to(&config.settings, &report.waiting);
        }
        Ok(report)
    }
}

impl Report {
    fn log(&self) {
        let Self { now, waiting } = self;
        tracing::info!(
            in_force = now.len(),
            waiting_for_a_restart = waiting.len(),
            "the configuration has been read again"
        );
        for change in now {
            tracing::info!("in force now: {} is {} (it was {})", change.name(), change.after, change.before);
        }
        for change in waiting {
            tracing::warn!(
                "waits for a restart: {} is {}, and will be {}",
                change.name(),
                change.before,
                change.after
            );
        }
    }

    fn as_json(&self) -> Value {
        let shown = |changes: &[Change]| -> Value {
            let shown = |change: &Change| json!({"key": change.name(), "before": change.before, "after": change.after});
            changes.iter().map(shown).collect()
        };
        json!({"in_force": shown(&self.now), "waiting_for_a_restart": shown(&self.waiting)})
    }
}

/// When a change takes effect in this process; `None` if it does not concern it.
fn when(process: &Process, change: &Change) -> Option<InForce> {
    let by_key = Some(change.in_force);
    let of_role = |section: &str, name: &str| {
        let is_it = change.section == section && change.table == format!("{section}.{name}");
        if is_it { by_key } else { None }
    };
    match (process, change.section) {
        // TLS cannot begin or end while clients are connected.
        (_, "nimiq_server") if ["certificate", "key"].contains(&change.key?) && is_one_absent(change) => {
            Some(InForce::AtRestart)
        }
        (Process::Up { .. } | Process::Site | Process::Monitor, _) => by_key,
        (Process::AnnHandler(name), "ann_handler") => of_role("ann_handler", name),
        (Process::BlkHandler(name), "blk_handler") => of_role("blk_handler", name),
        (Process::NimiqServer(name), "nimiq_server") => of_role("nimiq_server", name),
        // A Master that runs alone lists the handlers of others.
        (Process::Master, "ann_handler" | "blk_handler") => {
            change.key.is_none_or(|key| key == "url").then_some(InForce::AtReload)
        }
        (_, section) => {
            (read_by_all(section) || read_by(process).contains(&section)).then_some(change.in_force)
        }
    }
}

fn read_by_all(section: &str) -> bool {
    ["log", "pool", "http", "admission", "admin"].contains(&section)
}

/// Sections that a role alone reads, besides its own of several.
fn read_by(process: &Process) -> &'static [&'static str] {
    match process {
        Process::Up { .. } | Process::Site | Process::Monitor | Process::AnnHandler(_) => &[],
        Process::Master => &["node", "dev_chain", "master", "pay_maker"],
        Process::BlkHandler(_) => &["node", "dev_chain"],
        Process::PayMaker => &["node", "dev_chain", "pay_maker"],
        Process::NimiqServer(_) | Process::NimiqService | Process::NimiqPayout => {
            &["nimiq", "nimiq_node", "nimiq_dev_chain", "nimiq_service", "nimiq_payout"]
        }
    }
}

fn is_one_absent(change: &Change) -> bool {
    [&change.before, &change.after].contains(&&"not set".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(table: &str, key: &'static str) -> Change {
        let section = ["master", "ann_handler", "nimiq_server", "pay_maker", "log"];
        Change {
            section: section.into_iter().find(|section| table.starts_with(section)).unwrap(),
            table: table.to_owned(),
            key: Some(key),
            before: "\"1\"".to_owned(),
            after: "\"2\"".to_owned(),
            in_force: InForce::AtReload,
        }
    }

    #[test]
    fn a_process_is_told_only_of_what_it_runs() {
        let one = Process::AnnHandler("one".to_owned());
        assert_eq!(when(&one, &change("ann_handler.one", "threads")), Some(InForce::AtReload));
        assert_eq!(when(&one, &change("ann_handler.two", "threads")), None);
        assert_eq!(when(&one, &change("pay_maker", "pool_fee")), None);
        assert_eq!(when(&one, &change("log", "filter")), Some(InForce::AtReload));
        let all = Process::Up { mine: false };
        assert_eq!(when(&all, &change("ann_handler.two", "threads")), Some(InForce::AtReload));
    }

    #[test]
    fn a_master_alone_lists_a_handler_that_is_new_elsewhere() {
        let mut new = Change { key: None, in_force: InForce::AtRestart, ..change("ann_handler.two", "") };
        assert_eq!(when(&Process::Master, &new), Some(InForce::AtReload));
        assert_eq!(when(&Process::Up { mine: false }, &new), Some(InForce::AtRestart));
        new.key = Some("threads");
        assert_eq!(when(&Process::Master, &new), None);
    }

    #[test]
    fn a_new_certificate_is_taken_but_the_first_one_needs_a_restart() {
        let server = Process::NimiqServer("main".to_owned());
        let mut certificate = change("nimiq_server.main", "certificate");
        assert_eq!(when(&server, &certificate), Some(InForce::AtReload));
        certificate.before = "not set".to_owned();
        assert_eq!(when(&server, &certificate), Some(InForce::AtRestart));
    }
}
