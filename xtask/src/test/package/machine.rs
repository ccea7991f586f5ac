//! A machine of its own for the package: a Debian root with systemd as its first process, in name spaces of the kernel. No
//! program of containers is needed; its processes, control groups and network are nobody else's, and every port is free.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What the first process does before it becomes systemd.
const BOOT: &str = include_str!("boot.sh");
/// For whatever happens in it, on a host that does ten other things.
const PATIENCE: Duration = Duration::from_mins(5);
/// For its last processes to end.
const DYING: Duration = Duration::from_secs(10);

/// A running machine; gone when this is.
pub struct Machine {
    /// Stands outside, and takes everything with it when it ends.
    keeper: Child,
    /// Its first process, as the host counts.
    init: u32,
    root: PathBuf,
    group: String,
}

impl Machine {
    /// Starts systemd in a root that has it, and waits until it has started everything.
    pub fn boot(root: &Path) -> anyhow::Result<Self> {
        let group = format!("{}/headframe-package", own_group()?.trim_end_matches('/'));
        let mut command = Command::new("unshare");
        command.args(["--pid", "--mount", "--uts", "--ipc", "--net", "--fork", "--kill-child"]);
        command.args(["sh", "-c", BOOT, "boot.sh"]).arg(root).arg(&group);
        let keeper = command.stdin(Stdio::null()).spawn().context("cannot start unshare (util-linux)")?;
        let mut machine = Self { keeper, init: 0, root: root.to_owned(), group };
        machine.init = until("the machine to start", || {
            let ended = machine.keeper.try_wait()?;
            anyhow::ensure!(ended.is_none(), "a machine of its own is not possible here: {ended:?}");
            Ok(child_of(machine.keeper.id())?.filter(|init| is_systemd(*init)))
        })?;
        until("systemd to start everything", || {
            // What has failed is asked of each unit where it matters.
            let state = machine.command(&["systemctl", "is-system-running"]).output()?.stdout;
            Ok(["running\n", "degraded\n"].iter().any(|up| up.as_bytes() == state).then_some(()))
        })?;
        Ok(machine)
    }

    /// Where a file of the machine is on the host.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A command in the machine, by root.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &self.init.to_string(), "--"]).args(words).stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed, and gives back what it prints.
    pub fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = self.command(words).output().context("cannot start nsenter (util-linux)")?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "`{}` failed: {said} {complaint}", words.join(" "));
        Ok(said)
    }

    /// Runs a command that must fail, and gives back what it complains of.
    pub fn run_in_vain(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = self.command(words).output().context("cannot start nsenter (util-linux)")?;
        anyhow::ensure!(!output.status.success(), "`{}` succeeded, and must not", words.join(" "));
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Does something in the machine's network.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let network = File::open(format!("/proc/{}/ns/net", self.init))?;
        std::thread::scope(|scope| {
            let there = scope.spawn(move || {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
                work()
            });
            there
                .join()
                .map_err(|_| anyhow::anyhow!("what was done in the machine's network was given up"))?
        })
    }

    /// What its loopback answers: the status and the body.
    pub fn get(&self, port: u16, path: &str) -> anyhow::Result<(u16, String)> {
        self.inside(|| get(port, path))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its first process dies with the keeper, and everything else with that; soon its control groups are empty.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        for mounted in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
            let group = Path::new(mounted).join(self.group.trim_start_matches('/'));
            let start = Instant::now();
            while group.exists() && start.elapsed() < DYING {
                std::thread::sleep(Duration::from_millis(50));
                // It fails as long as something is in it.
                let _ = remove_groups(&group);
            }
        }
    }
}

/// Asks what listens on loopback here, on a connection of its own.
pub fn get(port: u16, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is cut off")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.with_context(|| format!("no status in {head:?}"))?, body.to_owned()))
}

/// Looks again and again until there is what is waited for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        anyhow::ensure!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The control group that this process is in.
fn own_group() -> anyhow::Result<String> {
    let groups = std::fs::read_to_string("/proc/self/cgroup")?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
    Ok(own.context("this kernel has no control groups of version 2")?.to_owned())
}

fn child_of(parent: u32) -> anyhow::Result<Option<u32>> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
    Ok(children.split_whitespace().next().map(str::parse).transpose()?)
}

fn is_systemd(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name == "systemd\n")
}

fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(group)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_groups(&path)?;
        }
    }
    std::fs::remove_dir(group)
}
