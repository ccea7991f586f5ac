//! SIGHUP: the configuration is read again, what may change in a running process changes, and the log says what that was
//! and what waits for a restart.
//!
//! Which keys these are is said where they are defined (`keys.at_reload()`). Each role that has some leaves a [`Prepare`]
//! when it starts. All of them get ready before the first changes anything: a configuration that one of them cannot use
//! changes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::{LoadConfig, Pool, Process};
use crate::config::{Change, Config, InForce, Settings};
use crate::signals;

/// Puts a configuration in force; cannot fail any more.
pub(super) type Commit = Box<dyn FnOnce() + Send>;
/// Gets ready for a configuration, without any effect yet.
pub(super) type Prepare = Box<dyn Fn(&Config) -> anyhow::Result<Commit> + Send>;

/// What the process runs with, and who takes new settings.
struct Reload {
    process: Process,
    in_force: Arc<Mutex<Settings>>,
    prepares: Vec<Prepare>,
}

impl Pool {
    /// Reads the configuration anew at each signal, from the same sources.
    pub(super) fn reload_at(
        &mut self,
        mut hangups: signals::Hangups,
        load: LoadConfig,
        shutdown: CancellationToken,
    ) {
        let mut reload = Reload {
            process: self.process.clone(),
            in_force: Arc::clone(&self.in_force),
            prepares: std::mem::take(&mut self.prepares),
        };
        tokio::spawn(async move {
            while shutdown.run_until_cancelled(hangups.next()).await.is_some() {
                match load() {
                    Ok(config) => reload.take(&config),
                    Err(error) => tracing::error!("nothing has changed: {error:#}"),
                }
            }
        });
    }
}

impl Reload {
    fn take(&mut self, config: &Config) {
        let mut commits = Vec::new();
        let mut is_usable = true;
        for prepare in &self.prepares {
            match prepare(config) {
                Ok(commit) => commits.push(commit),
                Err(error) => {
                    is_usable = false;
                    tracing::error!("nothing has changed: {error:#}");
                }
            }
        }
        if !is_usable {
            return;
        }
        for commit in commits {
            commit();
        }
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = in_force.changes_to(&config.settings);
        let of_this_process =
            changes.into_iter().filter_map(|change| Some((when(&self.process, &change)?, change)));
        let (now, waiting): (Vec<_>, Vec<_>) =
            of_this_process.partition(|(when, _)| *when == InForce::AtReload);
        report(&now, &waiting);
        let waiting: Vec<Change> = waiting.into_iter().map(|(_, change)| change).collect();
        *in_force = in_force.changed_to(&config.settings, &waiting);
    }
}

fn report(now: &[(InForce, Change)], waiting: &[(InForce, Change)]) {
    tracing::info!(
        in_force = now.len(),
        waiting_for_a_restart = waiting.len(),
        "the configuration has been read again"
    );
    for (_, change) in now {
        tracing::info!("in force now: {} is {} (it was {})", change.name(), change.after, change.before);
    }
    for (_, change) in waiting {
        tracing::warn!(
            "waits for a restart: {} is {}, and will be {}",
            change.name(),
            change.before,
            change.after
        );
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
