//! What an operator does with the package, by the words of `docs/operators`: installs it, starts the pool, changes its
//! configuration, upgrades it, opens a low port, has the monitor restart a role, restores a backup, and removes it all.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use wire::who_to_pay::WhoToPay;

use super::alone::PORTS;
use super::callers::while_asking;
use super::guide::Guide;
use super::machine::{Machine, until};

/// Where the package puts the configuration.
pub const CONFIGURATION: &str = "/etc/headframe/pool.toml";
/// Where the pool listens, if nobody says otherwise.
const PORT: u16 = 8080;
/// The worst that `systemd-analyze security` may say of a unit, in tenths: 100 is no protection at all.
const EXPOSURE: &str = "--threshold=15";
/// Who may do what with what is installed: owner, group, mode, path.
const RIGHTS: [&str; 3] = [
    "root headframe 750 /etc/headframe",
    "root headframe 640 /etc/headframe/pool.toml",
    "headframe headframe 750 /var/lib/headframe",
];
/// That manual, completions and what is copied from are where people and shells look for them.
const READABLE: [&str; 5] = [
    "zcat /usr/share/man/man1/headframe.1.gz /usr/share/man/man1/headframe-up.1.gz",
    COMPLETION,
    "cat /usr/share/doc/headframe/docs/operators/install.md",
    "zcat /usr/share/doc/headframe/third-party-licenses.gz",
    "cat /usr/share/doc/headframe/deploy/nginx.conf /usr/share/doc/headframe/deploy/prometheus/alerts.yml",
];
/// What bash makes of `headframe ledger ba` and the tabulator.
const COMPLETION: &str = r#"bash -e -c '. /usr/share/bash-completion/completions/headframe
COMP_WORDS=(headframe ledger ba) COMP_CWORD=2
_headframe headframe ba ledger
test "${COMPREPLY[*]}" = backup'"#;
/// What only its owner may read.
const SECRETS: [&str; 2] = ["/var/lib/headframe/monitor/token", "/var/lib/headframe/nimiq/pool.key"];

/// What says that the pool is reached by these, since it listens on all interfaces.
const URLS: &str = "[Service]
Environment=HEADFRAME_POOL_URL=http://127.0.0.1/master HEADFRAME_PAY_MAKER_URL=http://127.0.0.1/paymaker
Environment=HEADFRAME_ANN_HANDLER_MAIN_URL=http://127.0.0.1/ann/main
Environment=HEADFRAME_BLK_HANDLER_MAIN_URL=http://127.0.0.1/blk/main
";

/// Puts the package where the guide looks for it, and installs it.
pub fn install(machine: &Machine, guide: &mut Guide, package: &Path) -> anyhow::Result<()> {
    let folder = machine.path("/root/target/dist");
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(package, folder.join(package.file_name().context("a package has a name")?))?;
    guide.follow()?;
    for right in RIGHTS {
        let path = right.rsplit(' ').next().unwrap_or_default();
        let is = machine.run(&["stat", "--format=%U %G %a %n", path])?;
        anyhow::ensure!(is == right, "expected {right:?}: {is:?}");
    }
    for readable in READABLE {
        machine.run(&["sh", "-c", &format!("{readable} > /dev/null")])?;
    }
    let enabled = machine.run(&["find", "/etc/systemd/system", "-name", "headframe-*"])?;
    anyhow::ensure!(enabled.is_empty(), "nothing starts by itself: {enabled}");
    Ok(())
}

/// The units say nothing that systemd does not understand, and protect it and us.
pub fn units_are_sound(machine: &Machine) -> anyhow::Result<()> {
    let said = machine.run(&["systemctl", "list-unit-files", "--no-legend", "--plain", "headframe*"])?;
    let units = said.lines().filter_map(|line| line.split_whitespace().next());
    let units: Vec<String> = units.map(|unit| unit.replace("@.", "@main.")).collect();
    let (services, sockets): (Vec<&str>, Vec<&str>) =
        units.iter().map(String::as_str).partition(|unit| unit.ends_with(".service"));
    anyhow::ensure!(services.len() > 5 && sockets.len() > 5, "only these units are installed: {units:?}");
    machine.run(&[&["systemd-analyze", "verify", "--man=no"], &services[..], &sockets[..]].concat())?;
    // What an instance is protected by is known once it is loaded; it need not run.
    let exposure = ["systemd-analyze", "security", "--no-pager", EXPOSURE];
    machine.run(&[&exposure[..], &services[..]].concat()).map(drop)
}

/// The pool of the installed configuration, with miners, until its first block is paid for.
pub fn first_block(machine: &Machine, guide: &mut Guide, installing: Instant) -> anyhow::Result<()> {
    let mining = "[Service]\nExecStart=\nExecStart=/usr/bin/headframe up --mine\n";
    drop_in(machine, "headframe-up.service", mining)?;
    guide.follow()?;
    until("the first block", || Ok(last_won_block(machine)))?;
    println!("from the package to the first block: {:.1} s", installing.elapsed().as_secs_f64());
    let open = machine.run(&["find", "/var/lib/headframe", "-perm", "/o=rwx"])?;
    anyhow::ensure!(open.is_empty(), "anybody may use these: {open}");
    for secret in SECRETS {
        let is = machine.run(&["stat", "--format=%U %a", secret])?;
        anyhow::ensure!(is == "headframe 600", "{secret}: {is}");
    }
    machine.run_in_vain(&["runuser", "-u", "nobody", "--", "cat", CONFIGURATION])?;
    drop_in(machine, "headframe-up.service", "")?;
    Ok(())
}

/// A change is taken up, and a mistake is not.
pub fn reload(machine: &Machine, guide: &mut Guide) -> anyhow::Result<()> {
    configure(machine, "# mine_old_anns = 2", "mine_old_anns = 3")?;
    // The guide reloads, and then restarts.
    guide.follow()?;
    journal(machine, "headframe-up", "in force now: master.mine_old_anns is 3 (it was 2)")?;
    let before = process(machine, "headframe-up")?;
    configure(machine, "mine_old_anns = 3", "mine_old_anns = 99")?;
    machine.run_in_vain(&["systemctl", "reload", "headframe-up"])?;
    journal(machine, "headframe-up", "must be a whole number from 0 to 5")?;
    anyhow::ensure!(process(machine, "headframe-up")? == before, "it was restarted instead");
    configure(machine, "mine_old_anns = 99", "# mine_old_anns = 2")
}

/// A newer package, and a process that dies: nobody is refused, and each time another process goes on.
pub fn upgrade(machine: &Machine) -> anyhow::Result<()> {
    while_asking(machine, PORT, || {
        for order in
            ["dpkg --install target/dist/headframe_*.deb", "systemctl kill --signal=KILL headframe-up"]
        {
            let before = process(machine, "headframe-up")?;
            machine.run(&["sh", "-c", &format!("cd /root; {order}")])?;
            until("another process", || {
                let now = process(machine, "headframe-up")?;
                Ok((now != before && now != "0").then_some(()))
            })?;
        }
        Ok(())
    })
}

/// A port that only root may open is opened by systemd. It stays open while the pool is stopped: who comes then, starts it.
pub fn low_port(machine: &Machine, guide: &mut Guide) -> anyhow::Result<()> {
    configure(machine, "# listen = \"127.0.0.1:8080\"", "listen = \"0.0.0.0:80\"")?;
    drop_in(machine, "headframe-up.service", URLS)?;
    guide.follow()?;
    while_asking(machine, 80, || machine.run(&["systemctl", "stop", "headframe-up"]))?;
    journal(machine, "headframe-up", "goes on with the socket of the process before address=0.0.0.0:80")?;
    machine.run(&["systemctl", "disable", "--now", "headframe-up.socket", "headframe-up.service"])?;
    anyhow::ensure!(machine.get(80, "/healthz").is_err(), "somebody listens on");
    drop_in(machine, "headframe-up.service", "")?;
    configure(machine, "listen = \"0.0.0.0:80\"", "# listen = \"127.0.0.1:8080\"")
}

/// The monitor has systemd start a role again, which it may do with the pool's units alone.
pub fn monitor(machine: &Machine) -> anyhow::Result<()> {
    configure(
        machine,
        "# restart_command = []",
        "restart_command = [\"systemctl\", \"restart\", \"{unit}\"]",
    )?;
    for port in [8088, 8089] {
        let listen = format!("listen = \"127.0.0.1:{port}\"");
        configure(machine, &format!("# {listen}"), &listen)?;
    }
    machine.run(&["systemctl", "start", "headframe-site", "headframe-monitor"])?;
    for port in [8088, 8089] {
        until("website and monitor", || Ok(machine.get(port, "/healthz").ok().map(drop)))?;
    }
    let before = process(machine, "headframe-site")?;
    let by_account = ["runuser", "-u", "headframe", "--"];
    let order = ["headframe", "monitor", "restart", "site", "--config", CONFIGURATION];
    machine.run(&[&by_account[..], &order].concat())?;
    until("another process of the website", || {
        let now = process(machine, "headframe-site")?;
        Ok((now != before && now != "0").then_some(()))
    })?;
    let warned = machine.run(&["journalctl", "--priority=warning", "--unit", "headframe-monitor"])?;
    anyhow::ensure!(warned.contains("starting it again"), "a restart is a warning in the journal: {warned}");
    anyhow::ensure!(!warned.contains("was told to start again"), "its success is none: {warned}");
    for order in ["stop headframe-site.service", "restart dbus.service"] {
        let order = format!("systemctl {order}");
        machine.run_in_vain(&[&by_account[..], &order.split(' ').collect::<Vec<_>>()].concat())?;
    }
    machine.run_in_vain(&[
        "runuser",
        "-u",
        "nobody",
        "--",
        "systemctl",
        "restart",
        "headframe-site.service",
    ])?;
    // All roles in one process have a website of their own, in the same folder.
    machine.run(&["systemctl", "stop", "headframe-site", "headframe-monitor"])?;
    machine.run(&["systemctl", "start", "headframe-up"])?;
    until("the pool to be shown again", || Ok(last_won_block(machine).map(drop)))
}

/// A backup of the running pool, in whose place the pool goes on with the same ledger.
pub fn backup(machine: &Machine) -> anyhow::Result<()> {
    let mut guide = Guide::open(machine, "backup.md")?;
    guide.follow()?;
    let paid = last_won_block(machine).context("a block was won")?;
    guide.follow()?;
    guide.follow()?;
    guide.close()?;
    machine.run(&["systemctl", "start", "headframe-up"])?;
    let restored = until("the ledger to be shown again", || Ok(last_won_block(machine)))?;
    anyhow::ensure!(restored == paid, "the last block that was won is {restored}, and was {paid}");
    Ok(())
}

/// What is removed does not run on, and is not started at the next boot; other people's money stays.
pub fn remove(machine: &Machine) -> anyhow::Result<()> {
    machine.run(&["systemctl", "enable", "headframe-up"])?;
    machine.run(&["dpkg", "--purge", "headframe"])?;
    let running = PORTS.iter().find(|port| machine.get(**port, "/healthz").is_ok());
    anyhow::ensure!(running.is_none(), "a role runs on: {running:?}");
    let left = machine.run(&["find", "/etc/systemd/system", "-name", "headframe-*.service"])?;
    anyhow::ensure!(left.is_empty(), "these stay enabled: {left}");
    machine.run(&["test", "-d", "/var/lib/headframe/pay-maker/ledger"]).map(drop)
}

/// The newest block that the PayMaker shows as won.
fn last_won_block(machine: &Machine) -> Option<String> {
    let (_, body) = machine.get(PORT, "/paymaker/whotopay").ok()?;
    won_block_in(&body)
}

/// The newest block that a PayMaker's document shows as won.
pub fn won_block_in(document: &str) -> Option<String> {
    Some(WhoToPay::parse(document.as_bytes()).ok()?.last_won_block?.to_string())
}

/// Replaces a line of the installed configuration.
fn configure(machine: &Machine, from: &str, to: &str) -> anyhow::Result<()> {
    let path = machine.path(CONFIGURATION);
    let text = std::fs::read_to_string(&path)?;
    let lines: Vec<&str> = text.lines().collect();
    let index = lines.iter().position(|line| *line == from);
    let index = index.with_context(|| format!("the configuration has no line {from:?}"))?;
    let changed = [&lines[..index], &[to], &lines[index + 1..]].concat().join("\n") + "\n";
    // In place: owner and mode stay what they are.
    Ok(std::fs::write(&path, changed)?)
}

/// Changes single lines of a unit, as `systemctl edit` does.
fn drop_in(machine: &Machine, unit: &str, lines: &str) -> anyhow::Result<()> {
    let folder = machine.path(&format!("/etc/systemd/system/{unit}.d"));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("override.conf"), lines)?;
    machine.run(&["systemctl", "daemon-reload"]).map(drop)
}

/// The process of a unit; `0` if there is none.
fn process(machine: &Machine, unit: &str) -> anyhow::Result<String> {
    machine.run(&["systemctl", "show", "--property=MainPID", "--value", unit])
}

/// Waits until a unit has logged this.
fn journal(machine: &Machine, unit: &str, text: &str) -> anyhow::Result<()> {
    until(&format!("{unit} to log {text:?}"), || {
        Ok(machine.run(&["journalctl", "--output=cat", "--unit", unit])?.contains(text).then_some(()))
    })
}
