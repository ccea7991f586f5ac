//! The package where the kernel does not let us start a machine of its own: installed in the fresh root by `chroot`, and a
//! pool started there by hand until it has won a block. What needs a running systemd is not tested.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::Context;

use super::installed::won_block_in;
use super::machine::{get, until};

/// Installs the package and waits for a block.
pub fn run(root: &Path, package: &Path) -> anyhow::Result<()> {
    let name = package.file_name().context("a package has a name")?;
    std::fs::copy(package, root.join("tmp").join(name))?;
    let start = Instant::now();
    let mut install = Command::new("chroot");
    install.arg(root).args(["dpkg", "--install"]).arg(Path::new("/tmp").join(name)).stdout(Stdio::null());
    let status = install.status().context("cannot start chroot")?;
    anyhow::ensure!(status.success(), "{install:?} failed");
    first_block(root)?;
    println!("from the package to the first block: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// As the account that the units use, with the installed configuration, on ports that are free here.
fn first_block(root: &Path) -> anyhow::Result<()> {
    let [http, chain, nimiq, nimiq_chain] = free_ports()?;
    let mut command = Command::new("chroot");
    command.args(["--userspec=headframe:headframe"]).arg(root);
    command.args(["/usr/bin/headframe", "up", "--mine", "--config", "/etc/headframe/pool.toml"]);
    command.args(["--listen", &format!("127.0.0.1:{http}")]);
    for (key, port) in [
        ("dev_chain.listen", chain),
        ("nimiq_server.main.listen", nimiq),
        ("nimiq_dev_chain.listen", nimiq_chain),
    ] {
        command.args(["--set", &format!("{key}=127.0.0.1:{port}")]);
    }
    let mut pool = Running(command.stdout(Stdio::null()).spawn().context("cannot start chroot")?);
    until("the first block", || {
        anyhow::ensure!(pool.0.try_wait()?.is_none(), "the pool does not stay");
        Ok(get(http, "/paymaker/whotopay").ok().and_then(|(_, body)| won_block_in(&body)))
    })?;
    let process = rustix::process::Pid::from_child(&pool.0);
    rustix::process::kill_process(process, rustix::process::Signal::TERM)?;
    let status = pool.0.wait()?;
    anyhow::ensure!(status.success(), "the pool ended with {status}");
    Ok(())
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

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
