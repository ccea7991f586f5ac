//! The programs that are measured: real processes with folders of their own.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::load::Connection;
use super::processor_time::{self, Usage};
use crate::reference::target_folder;

/// A server that is not ready after this time has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// The password between roles in measurements.
pub const PASSWORD: &str = "a password between roles";
/// An address that a pool can pay.
pub const ADDRESS: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";

/// The program under measurement, which was built with this one and lies beside it.
pub fn headframe() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("headframe");
    anyhow::ensure!(program.exists(), "{} is not there; `cargo xtask bench` builds it", program.display());
    Ok(program)
}

/// A folder for what measurements leave for the next time.
pub fn cache_folder() -> anyhow::Result<PathBuf> {
    let folder = target_folder().join("bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A folder that is removed afterwards; on the disk of the build, since a temporary folder may lie in memory.
pub fn folder() -> anyhow::Result<tempfile::TempDir> {
    Ok(tempfile::tempdir_in(cache_folder()?)?)
}

/// An address on loopback that was free a moment ago.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// A running program; killed when dropped.
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts a program that logs into `folder`.
    pub fn start(program: &Path, folder: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let log = folder.join("log");
        let mut command = Command::new(program);
        // The configuration is ours alone.
        std::env::vars_os().map(|(name, _)| name).filter(|name| is_ours(name)).for_each(|name| {
            command.env_remove(name);
        });
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, log })
    }

    /// Starts headframe with a configuration; its data goes into `folder`.
    pub fn headframe(folder: &Path, role: &[&str], configuration: &str) -> anyhow::Result<Self> {
        let (file, data) = (folder.join("pool.toml"), folder.join("data"));
        std::fs::write(&file, configuration)?;
        let (file, data) = (file.to_string_lossy(), data.to_string_lossy());
        let mut arguments = vec!["--log", "warn"];
        arguments.extend(role);
        arguments.extend(["--config", &*file, "--data", &*data]);
        Self::start(&headframe()?, folder, &arguments)
    }

    /// Asks again and again until `ask` has an answer.
    pub fn until<T>(&mut self, what: &str, mut ask: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let started = Instant::now();
        loop {
            let fault = match ask() {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let ended = self.child.try_wait()?;
            if ended.is_some() || started.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let end = log.lines().rev().take(10).collect::<Vec<_>>();
                let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
                anyhow::bail!("waited in vain for {what}: {fault:#}; the program said:\n{end}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until all roles at `address` are ready.
    pub fn until_ready(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        self.until("the server to be ready", || {
            Connection::open(address)?.get("/healthz")?.success()?;
            Ok(())
        })
    }

    /// What it has used so far.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        processor_time::of_process(self.child.id())
    }

    /// Processor seconds that its threads used during `action`, to the microsecond; no thread may end meanwhile.
    pub fn exact_seconds_of<T>(
        &self,
        action: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, f64)> {
        let before = processor_time::of_threads(self.child.id())?;
        let result = action()?;
        Ok((result, (processor_time::of_threads(self.child.id())? - before).max(1e-6)))
    }

    /// Processor seconds that it used during `action`.
    pub fn seconds_of<T>(&self, action: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, f64)> {
        let before = self.usage()?.seconds;
        let result = action()?;
        Ok((result, (self.usage()?.seconds - before).max(0.01)))
    }
}

fn is_ours(variable: &OsStr) -> bool {
    variable.to_str().is_some_and(|name| name.starts_with("HEADFRAME_") || name == "RUST_LOG")
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of a series that `/metrics` at `address` shows, summed over its labels.
pub fn metric(address: SocketAddr, name: &str) -> anyhow::Result<f64> {
    let text = Connection::open(address)?.get("/metrics")?.success()?;
    let text = String::from_utf8(text)?;
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        if series.split('{').next() == Some(name) { value.parse::<f64>().ok() } else { None }
    });
    Ok(values.sum())
}
