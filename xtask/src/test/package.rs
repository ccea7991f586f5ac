//! The Debian package in a fresh root: installed as an operator would, its units looked at, and a pool started from it
//! until it has won a block.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use wire::who_to_pay::WhoToPay;

use super::{ahead, answers, in_ci, install_package};
use crate::dist::{self, Dist};
use crate::reference::target_folder;

const SUITE: &str = "bookworm";
/// What the package depends on and a minimal Debian lacks.
const NEEDED: &str = "ca-certificates";
/// Where the package puts the configuration.
const CONFIGURATION: &str = "/etc/headframe/pool.toml";
/// The first block of an unoptimised build on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);
/// The worst that `systemd-analyze security` may say of a unit, in tenths: 100 is no protection at all.
const EXPOSURE: &str = "20";

/// Runs it all.
pub fn run() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        anyhow::ensure!(!in_ci(), "a fresh root is made by root");
        println!("SKIPPED: the package in a fresh root, which only root can make");
        return Ok(());
    }
    tools()?;
    let package = dist::package(&Dist::unoptimised())?;
    let root = fresh_root()?;
    let start = Instant::now();
    install(&package, &root)?;
    units_are_sound(&root)?;
    first_block(&root)?;
    println!("from the package to the first block: {} s", start.elapsed().as_secs());
    Ok(())
}

/// What makes the root and looks at the units.
pub fn tools() -> anyhow::Result<()> {
    for (program, package) in [("debootstrap", "debootstrap"), ("systemd-analyze", "systemd")] {
        if !answers(program, &["--version"]) {
            install_package(program, package)?;
        }
    }
    Ok(())
}

/// Downloads the packages of the root, if nobody has, and says where they are.
pub fn download() -> anyhow::Result<PathBuf> {
    let folder = folder()?;
    let (half, kept) = (folder.join("half"), folder.join(format!("{SUITE}.tar")));
    if !kept.exists() {
        expect_success(debootstrap().arg("--make-tarball").arg(&half).arg(SUITE).arg(folder.join("unused")))?;
        std::fs::rename(half, &kept)?;
    }
    Ok(kept)
}

/// A minimal Debian.
fn fresh_root() -> anyhow::Result<PathBuf> {
    let (kept, root) = (ahead::DEBIAN.get()?, folder()?.join("root"));
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    expect_success(debootstrap().arg("--unpack-tarball").arg(&kept).arg(SUITE).arg(&root))?;
    Ok(root)
}

fn folder() -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(target_folder().join("package"))?;
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn debootstrap() -> Command {
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", &format!("--include={NEEDED}")]).stdout(Stdio::null());
    command
}

fn install(package: &Path, root: &Path) -> anyhow::Result<()> {
    let name = package.file_name().context("a package has a name")?;
    std::fs::copy(package, root.join("tmp").join(name))?;
    let file = Path::new("/tmp").join(name);
    expect_success(
        Command::new("chroot").arg(root).args(["dpkg", "--install"]).arg(file).stdout(Stdio::null()),
    )
}

/// They say nothing that the system does not understand, and protect it and us.
fn units_are_sound(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("usr/lib/systemd/system");
    let mut units = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if name.starts_with("headframe-") && name.ends_with(".service") {
            units.push(name.replace("@.", "@main."));
        }
    }
    anyhow::ensure!(units.len() > 5, "only these units are installed: {units:?}");
    let analyze = || {
        let mut command = Command::new("systemd-analyze");
        command.arg(format!("--root={}", root.display()));
        command
    };
    expect_success(analyze().args(["verify", "--man=no", "--recursive-errors=no"]).args(&units))?;
    let threshold = format!("--threshold={EXPOSURE}");
    expect_success(
        analyze()
            .args(["security", "--offline=yes", "--no-pager", &threshold])
            .args(&units)
            .stdout(Stdio::null()),
    )
}

/// As the account that the units use, with the installed configuration.
fn first_block(root: &Path) -> anyhow::Result<()> {
    let [http, chain, nimiq, nimiq_chain] = free_ports()?;
    let mut command = Command::new("chroot");
    command.args(["--userspec=headframe:headframe"]).arg(root).args(["/usr/bin/headframe", "up", "--mine"]);
    command.args(["--config", CONFIGURATION, "--listen", &format!("127.0.0.1:{http}")]);
    for (key, port) in [
        ("dev_chain.listen", chain),
        ("nimiq_server.main.listen", nimiq),
        ("nimiq_dev_chain.listen", nimiq_chain),
    ] {
        command.args(["--set", &format!("{key}=127.0.0.1:{port}")]);
    }
    let mut pool =
        Running(command.stdout(Stdio::null()).spawn().context("cannot start the installed program")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let won =
        runtime.block_on(wins_a_block(&mut pool, &format!("http://127.0.0.1:{http}/paymaker/whotopay")));
    let status = pool.stop()?;
    won?;
    anyhow::ensure!(status.success(), "the pool ended with {status}");
    Ok(())
}

async fn wins_a_block(pool: &mut Running, url: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        anyhow::ensure!(pool.0.try_wait()?.is_none(), "the pool does not stay");
        if let Ok(answer) = reqwest::get(url).await
            && let Ok(body) = answer.bytes().await
            && WhoToPay::parse(&body).is_ok_and(|document| document.last_won_block.is_some())
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("no block within {} s", PATIENCE.as_secs())
}

/// Ports that nobody uses at the moment.
fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// The installed program; gone when this is.
struct Running(Child);

impl Running {
    /// Asks it to stop, as systemd does.
    fn stop(mut self) -> anyhow::Result<std::process::ExitStatus> {
        let process = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(process, rustix::process::Signal::TERM)?;
        Ok(self.0.wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn expect_success(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?} failed");
    Ok(())
}
