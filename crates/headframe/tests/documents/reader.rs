//! Somebody who reads a page and does what it says, in an empty folder, with `headframe` and `target/release/headframe` at
//! hand.
//!
//! Addresses on loopback are others than on the page, so that pages can be read side by side: the program gets its usual
//! ones replaced by its environment, and those in blocks are replaced before they are run.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::page::{Block, Mark, Page};
use super::sandbox::free_ports;

/// For a single block.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where a pool listens if nobody says otherwise, and the keys that say otherwise.
const USUAL: [(u16, &str); 4] = [
    (8080, "HEADFRAME_HTTP_LISTEN"),
    (64765, "HEADFRAME_DEV_CHAIN_LISTEN"),
    (8648, "HEADFRAME_NIMIQ_DEV_CHAIN_LISTEN"),
    (8443, "HEADFRAME_NIMIQ_SERVER_MAIN_LISTEN"),
];
/// What pages leave to their readers, and what this one puts there.
const BLANKS: [(&str, &str); 3] = [
    ("\"…\"", "\"b7f3c01d9e8a4c55f1e2\""),
    ("pkt1q…", "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2"),
    ("NQ…", "NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9"),
];
/// A server that is just starting answers a little later; an answer that is an error is one.
const CURL: &str = "#!/bin/sh\nexec /usr/bin/curl --fail --silent --show-error --retry 60 --retry-delay 1 \
                    --retry-connrefused \"$@\"\n";
/// Before each block: what earlier ones have set. A variable that is not set is an error, as is a command that fails.
const BEGIN: &str = "set -eua\n. ./.variables\n";
const END: &str = "export -p > ./.variables\n";

/// Does what a page says. The error begins with the line of the block that failed.
pub fn read(name: &str, page: &Page) -> Result<(), String> {
    let mut reader = Reader::new(name);
    for block in &page.blocks {
        reader.block(block).map_err(|fault| format!("{}: {fault}", block.line))?;
    }
    reader.stop()
}

fn filled_in(text: String) -> String {
    BLANKS.into_iter().fold(text, |text, (blank, filled)| text.replace(blank, filled))
}

struct Reader {
    folder: tempfile::TempDir,
    ports: BTreeMap<u16, u16>,
    running: Vec<Running>,
}

/// A block that stays.
struct Running {
    line: usize,
    child: Child,
    output: PathBuf,
}

impl Reader {
    fn new(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(&name.replace('/', "-")).tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_headframe"));
        for place in ["target/release", ".programs"] {
            let place = folder.path().join(place);
            std::fs::create_dir_all(&place).unwrap();
            symlink(program, place.join("headframe")).unwrap();
        }
        let curl = folder.path().join(".programs/curl");
        std::fs::write(&curl, CURL).unwrap();
        std::fs::set_permissions(&curl, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join(".variables"), "").unwrap();
        let ports = USUAL.map(|(port, _)| port).into_iter().zip(free_ports::<{ USUAL.len() }>());
        Self { ports: ports.collect(), folder, running: Vec::new() }
    }

    fn block(&mut self, block: &Block) -> Result<(), String> {
        let text = self.with_own_ports(&block.text);
        match &block.mark {
            Mark::NotRun => Ok(()),
            Mark::Configuration => {
                std::fs::write(self.configuration(), filled_in(text)).unwrap();
                self.run("headframe config check pool.toml").map(drop)
            }
            Mark::MoreConfiguration => {
                let before = std::fs::read_to_string(self.configuration()).unwrap();
                std::fs::write(self.configuration(), before + &filled_in(text)).unwrap();
                self.run("headframe config check --elsewhere pool.toml").map(drop)
            }
            Mark::Run => self.once(block.is_console, &text),
            Mark::Eventually => {
                let start = Instant::now();
                loop {
                    match self.once(block.is_console, &text) {
                        Err(_) if start.elapsed() < PATIENCE => {
                            std::thread::sleep(Duration::from_millis(200));
                        }
                        result => return result,
                    }
                }
            }
            Mark::Stay(once) => self.start(block.line, &text, once),
        }
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("pool.toml")
    }

    fn once(&mut self, is_console: bool, text: &str) -> Result<(), String> {
        if is_console { self.console(text) } else { self.run(text).map(drop) }
    }

    /// Commands behind `$`, each with what it prints; `…` is anything.
    fn console(&mut self, text: &str) -> Result<(), String> {
        for part in text.split("$ ").skip(1) {
            let (command, expected) = part.split_once('\n').unwrap_or((part, ""));
            let printed = self.run(command)?;
            let mut rest = printed.as_str();
            for piece in
                expected.lines().flat_map(|line| line.split('…')).filter(|piece| !piece.trim().is_empty())
            {
                let found = rest.find(piece);
                let at = found
                    .ok_or_else(|| format!("`{command}` does not print `{piece}` there, but:\n{printed}"))?;
                rest = &rest[at + piece.len()..];
            }
        }
        Ok(())
    }

    /// Runs commands; gives what they print.
    fn run(&mut self, commands: &str) -> Result<String, String> {
        let output = self.folder.path().join(".output");
        let mut child = self.shell(&format!("{BEGIN}{commands}\n{END}"), &output);
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                let _ = child.kill();
                break child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let printed = std::fs::read_to_string(&output).unwrap();
        if status.success() {
            return Ok(printed);
        }
        let others: String = self.running.iter().map(Running::said).collect();
        Err(format!("ended with {status}:\n{commands}\n--- printed:\n{printed}\n{others}"))
    }

    /// Starts the last command of a block in place of the shell, so that it is the one that gets the ^C.
    fn start(&mut self, line: usize, commands: &str, once: &str) -> Result<(), String> {
        let output = self.folder.path().join(format!(".output-{line}"));
        let joined = commands.trim_end().replace("\\\n", "");
        let (before, last) = joined.rsplit_once('\n').unwrap_or(("", &joined));
        let child = self.shell(&format!("{BEGIN}{before}\n{END}exec {last}"), &output);
        self.running.push(Running { line, child, output });
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let Some(running) = self.running.last_mut() else { break };
            if running.output().contains(once) {
                return Ok(());
            }
            if let Some(status) = running.child.try_wait().unwrap() {
                return Err(format!("ended with {status}:\n{}", running.said()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let said: String = self.running.iter().map(Running::said).collect();
        Err(format!("did not say {once:?} but:\n{said}"))
    }

    fn shell(&mut self, script: &str, output: &Path) -> Child {
        let output = std::fs::File::create(output).unwrap();
        let path =
            format!("{}:{}", self.folder.path().join(".programs").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env_remove("HEADFRAME_CONFIG");
        for (port, key) in USUAL {
            command.env(key, format!("127.0.0.1:{}", self.port(port)));
        }
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap()
    }

    /// The same port for the same port of the page.
    fn port(&mut self, port: u16) -> u16 {
        *self.ports.entry(port).or_insert_with(|| free_ports::<1>()[0])
    }

    fn with_own_ports(&mut self, text: &str) -> String {
        let loopback = "127.0.0.1:";
        let mut parts = text.split(loopback);
        let mut replaced = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let (port, rest) = part.split_at(digits);
            let port = port.parse().map_or_else(|_| port.to_owned(), |port| self.port(port).to_string());
            replaced.extend([loopback, &port, rest]);
        }
        replaced
    }

    /// ^C for everything that stayed, in the order in which a reader closes terminals: the newest first.
    fn stop(mut self) -> Result<(), String> {
        while let Some(mut running) = self.running.pop() {
            let stopped = Command::new("kill").args(["-INT", &running.child.id().to_string()]).status();
            assert!(stopped.unwrap().success(), "kill -INT");
            let status = running.child.wait().unwrap();
            if !status.success() {
                return Err(format!("{}: ^C ends it with {status}:\n{}", running.line, running.said()));
            }
        }
        Ok(())
    }
}

impl Running {
    fn output(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// For people who look for what went wrong.
    fn said(&self) -> String {
        format!("--- the block of line {}:\n{}\n", self.line, self.output())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
