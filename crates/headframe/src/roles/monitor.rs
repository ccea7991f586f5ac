//! What the monitor is started with, made from what the operator wrote.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use pool::monitor::progress::MotionLimits;
use pool::monitor::restarts::RestartRules;
use pool::monitor::{MonitorConfig, RestartMethod, RestartOrder, RoleName, WatchRules, WatchedProcess};
use tokio::sync::mpsc;

use super::notify::destinations;
use super::site::{components, origin, reachable};
use super::{Urls, random_secret};
use crate::config::{Config, Secret};

/// The subfolder of the data folder for what the monitor keeps.
pub const FOLDER: &str = "monitor";
/// The file in it that its token is in.
const TOKEN_FILE: &str = "token";
/// The longest token that is read.
const LONGEST_TOKEN: u64 = 256;

/// Looks in a row at which nobody is there.
const GONE_LOOKS: u32 = 2;
/// Looks in a row at which somebody says nothing: a machine with much to do is slow, and not dead.
const SILENT_LOOKS: u32 = 4;
/// Looks in a row at which all is well again.
const GOOD_LOOKS: u32 = 2;
/// What has never answered is given so long.
const STARTUP: Duration = Duration::from_secs(60);
/// Between two restarts of the same thing: at first, and at most.
const RESTART_WAITS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(600)];

/// The monitor. `here` is the address of this process if it runs the whole pool; its single roles are then started again
/// through `tasks`.
pub fn monitor(
    config: &Config,
    urls: &Urls,
    here: Option<&(SocketAddr, mpsc::Sender<RestartOrder>)>,
    token: &Secret,
) -> anyhow::Result<MonitorConfig> {
    let own_address = here.map(|(address, _)| *address);
    let own_url = own_address.map(|address| format!("http://{}", reachable(address)));
    let process = |(url, roles): (String, Vec<RoleName>)| {
        let restart = match here {
            Some((_, tasks)) if own_url.as_deref() == Some(&url) => RestartMethod::Tasks(tasks.clone()),
            _ => by_command(config, &url, &roles),
        };
        WatchedProcess { url, roles, restart }
    };
    Ok(MonitorConfig {
        processes: processes(config, urls, own_address).into_iter().map(process).collect(),
        rules: rules(config),
        interval: config.monitor.interval,
        token: token.reveal().to_owned(),
        pool: config.site.name.clone(),
        destinations: destinations(config)?,
    })
}

/// Every process with the roles that are known to run there.
fn processes(config: &Config, urls: &Urls, here: Option<SocketAddr>) -> Vec<(String, Vec<RoleName>)> {
    let mut processes: Vec<(String, Vec<RoleName>)> = components(config, urls, here)
        .into_iter()
        .map(|source| {
            let roles = source.expected.into_iter().map(|known| RoleName::new(known.role, known.name));
            (origin(&source.url), roles.collect())
        })
        .collect();
    let mut add =
        |url: String, role: Option<RoleName>| match processes.iter_mut().find(|known| known.0 == url) {
            Some((_, roles)) => roles.extend(role),
            None => processes.push((url, role.into_iter().collect())),
        };
    // Alone, the website is watched where it has an address of its own; without one nobody says that it runs.
    let site = here.or(config.site.listen).filter(|_| config.site.run);
    if let Some(site) = site {
        add(format!("http://{}", reachable(site)), Some(RoleName::new("site", "")));
    }
    for url in &config.monitor.also_watch {
        add(origin(url.as_str()), None);
    }
    processes
}

fn by_command(config: &Config, url: &str, roles: &[RoleName]) -> RestartMethod {
    let words = config.monitor.restart_command.clone();
    if words.is_empty() {
        return RestartMethod::None;
    }
    let authority = url.split_once("://").map_or(url, |(_, authority)| authority);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned();
    RestartMethod::Command { words, unit: unit(roles), host }
}

/// The systemd unit of a process that runs these roles.
fn unit(roles: &[RoleName]) -> String {
    let [RoleName { role, name }] = roles else { return "headframe-up".to_owned() };
    let role = role.replace('_', "-");
    if name.is_empty() { format!("headframe-{role}") } else { format!("headframe-{role}@{name}") }
}

fn rules(config: &Config) -> WatchRules {
    let monitor = &config.monitor;
    let payouts = monitor.payouts_stall_after;
    // What happens every so often may be missed three times before anybody is told.
    let beyond = |cycle: Duration| if payouts.is_zero() { payouts } else { payouts.max(cycle * 3) };
    let cycle = config.pay_maker.update_cycle;
    let [first_wait, longest_wait] = RESTART_WAITS;
    let troubled = monitor.restart_troubled_after;
    WatchRules {
        gone_looks: GONE_LOOKS,
        silent_looks: SILENT_LOOKS,
        good_looks: GOOD_LOOKS,
        startup: STARTUP,
        trouble: monitor.trouble_after,
        restart_troubled: (!troubled.is_zero()).then_some(troubled),
        quiet: monitor.quiet,
        limits: MotionLimits {
            chain: monitor.chain_stalls_after,
            intake: monitor.intake_stalls_after,
            payout_tables: if cycle.is_zero() { cycle } else { beyond(cycle) },
            accounts: payouts,
            payouts: beyond(config.nimiq_payout.interval),
        },
        restarts: RestartRules { per_hour: monitor.restarts_per_hour, first_wait, longest_wait },
    }
}

/// The token of the configuration, or the one in the monitor's folder, which is drawn where there is none yet.
pub fn token(config: &Config, folder: &Path) -> anyhow::Result<Secret> {
    if let Some(token) = &config.monitor.token {
        return Ok(token.clone());
    }
    let file = folder.join(TOKEN_FILE);
    let drawn = random_secret();
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file) {
        Ok(mut made) => made.write_all(drawn.reveal().as_bytes()).map(|()| drawn),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return token_of_running(config, folder),
        Err(error) => Err(error),
    }
    .with_context(|| format!("cannot make {}", file.display()))
}

/// The token that a monitor which was started with this configuration on this machine goes by.
pub fn token_of_running(config: &Config, folder: &Path) -> anyhow::Result<Secret> {
    if let Some(token) = &config.monitor.token {
        return Ok(token.clone());
    }
    let file = folder.join(TOKEN_FILE);
    let mut token = String::new();
    File::open(&file)
        .and_then(|opened| opened.take(LONGEST_TOKEN).read_to_string(&mut token))
        .with_context(|| format!("cannot read {} (has a monitor been started here?)", file.display()))?;
    anyhow::ensure!(
        !token.trim().is_empty(),
        "{} is empty; remove it and restart the monitor",
        file.display()
    );
    Ok(Secret::new(token.trim()))
}

/// Where website and monitor of this configuration answer, as seen from their machine.
pub fn where_to_ask(config: &Config) -> (String, String) {
    let site = format!("http://{}", reachable(config.site.listen.unwrap_or(config.http.listen)));
    (site, url(config))
}

/// Where a monitor of this configuration answers.
pub fn url(config: &Config) -> String {
    format!("http://{}", reachable(config.monitor.listen.unwrap_or(config.http.listen)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_the_unit_of_its_role() {
        let role = |role: &str, name: &str| RoleName::new(role, name);
        assert_eq!(unit(&[role("ann_handler", "main")]), "headframe-ann-handler@main");
        assert_eq!(unit(&[role("nimiq_service", "")]), "headframe-nimiq-service");
        assert_eq!(unit(&[role("master", ""), role("pay_maker", "")]), "headframe-up");
    }

    #[test]
    fn a_token_is_drawn_once_and_only_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let config = Config::load(None, [], &[], crate::config::Files::MayBeElsewhere).unwrap();
        assert!(
            token_of_running(&config, folder.path())
                .unwrap_err()
                .to_string()
                .contains("has a monitor been started")
        );
        let drawn = token(&config, folder.path()).unwrap();
        assert_eq!(token(&config, folder.path()).unwrap(), drawn);
        assert_eq!(token_of_running(&config, folder.path()).unwrap(), drawn);
        let mode = folder.path().join(TOKEN_FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
