//! A PostgreSQL of one's own, for tests and benches: on a free port, in a temporary folder, as an unprivileged user, and
//! gone with the process that started it, however that ends.
//!
//! The server runs below a shell that waits for its standard input to close. The kernel closes it when the process
//! ends, even by `kill -9`; then the shell stops the server and removes the folder.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Arguments: folder of the programs, own folder, port, fsync. `keep` on standard input keeps the folder.
const GUARD: &str = r#"
"$1/postgres" -D "$2/data" -c listen_addresses=127.0.0.1 -c port="$3" -c unix_socket_directories= \
    -c fsync="$4" -c max_connections=300 -c shared_buffers=128MB -c log_min_messages=fatal >>"$2/log" 2>&1 &
echo $! >"$2/pid"
read answer
# TERM ends a server that is only starting, INT one whose clients stay.
kill -TERM $! 2>/dev/null && kill -INT $! 2>/dev/null
wait
[ "$answer" = keep ] || rm -rf "$2"
"#;

/// How long a server may take to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Whether commits reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// They do not: a crash of the server loses nothing, one of the machine everything. For tests.
    Fast,
    /// They do, as in production. For benches.
    Real,
}

/// A running server.
#[derive(Debug)]
pub struct LocalPostgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    durability: Durability,
    guard: Child,
    databases: AtomicU32,
}

/// The server that [`database_for_a_test`] uses; a lock, because databases are made one after the other.
static OF_THE_TESTS: OnceLock<Option<Mutex<LocalPostgres>>> = OnceLock::new();

/// The URL of a new database, on one server for all tests of the program; `None` where PostgreSQL is not installed.
///
/// # Panics
///
/// As [`LocalPostgres::is_there_for_tests`], and where it does not work.
pub fn database_for_a_test() -> Option<String> {
    let server = OF_THE_TESTS.get_or_init(|| {
        let start = || Mutex::new(LocalPostgres::start(Durability::Fast).expect("PostgreSQL starts"));
        LocalPostgres::is_there_for_tests().then(start)
    });
    let server = server.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
    Some(server.new_database().expect("PostgreSQL makes a database"))
}

impl LocalPostgres {
    /// Where the server's programs are; `None` if they are not installed (Debian: `postgresql`).
    pub fn programs() -> Option<PathBuf> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
        folders.sort();
        folders.reverse();
        folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
        let needed = ["initdb", "postgres", "psql", "createdb"];
        folders.into_iter().find(|folder| needed.iter().all(|program| folder.join(program).is_file()))
    }

    /// Whether it is installed; a line says so where it is not.
    ///
    /// # Panics
    ///
    /// Where it is not, and the variable `CI` is set: there no test is left out.
    pub fn is_there_for_tests() -> bool {
        let installed = Self::programs().is_some();
        assert!(
            installed || std::env::var_os("CI").is_none(),
            "the tests need PostgreSQL (apt-get install postgresql)"
        );
        if !installed {
            eprintln!("SKIPPED: PostgreSQL is not installed (apt-get install postgresql)");
        }
        installed
    }

    /// Makes a cluster and starts its server.
    pub fn start(durability: Durability) -> io::Result<Self> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "PostgreSQL is not installed");
        let programs = Self::programs().ok_or_else(missing)?;
        let folder = own_folder()?;
        let initdb = programs.join("initdb");
        let arguments = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"];
        let output = unprivileged(&initdb).args(arguments).arg(folder.join("data")).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let guard = guard(&programs, &folder, port, durability)?;
        let server = Self { programs, folder, port, durability, guard, databases: AtomicU32::new(0) };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Makes an empty database and gives its URL, as the owner of everything.
    pub fn new_database(&self) -> io::Result<String> {
        let name = format!("pool_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let output = self.client("createdb").arg(&name).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(format!("postgres://postgres@127.0.0.1:{}/{name}", self.port))
    }

    /// Kills the server as a power cut would, without a chance to tidy up.
    pub fn kill(&mut self) -> io::Result<()> {
        let pid = std::fs::read_to_string(self.folder.join("pid"))?;
        Command::new("kill").args(["-9", pid.trim()]).status()?;
        if let Some(mut input) = self.guard.stdin.take() {
            input.write_all(b"keep\n")?;
        }
        self.guard.wait().map(drop)
    }

    /// Starts it again after [`LocalPostgres::kill`], on the same port and data.
    pub fn restart(&mut self) -> io::Result<()> {
        // The lock file of a killed server names a process that is gone; its children may take a moment to notice.
        let deadline = Instant::now() + START_LIMIT;
        loop {
            self.guard = guard(&self.programs, &self.folder, self.port, self.durability)?;
            match self.wait_until_ready() {
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
                Ok(()) => return Ok(()),
            }
            self.kill()?;
        }
    }

    fn wait_until_ready(&self) -> io::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let answers = self.client("psql").args(["-d", "postgres", "-Atc", "SELECT 1"]).output()?;
            if answers.status.success() {
                return Ok(());
            }
            if Instant::now() > deadline || self.has_ended() {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("PostgreSQL did not start: {log}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether the server is a process that has ended and that nobody has waited for.
    fn has_ended(&self) -> bool {
        let pid = std::fs::read_to_string(self.folder.join("pid")).unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        status.contains(") Z ")
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres"]);
        command
    }
}

impl Drop for LocalPostgres {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // A guard that is gone has nothing left to stop.
        let _ = self.guard.wait();
    }
}

fn guard(programs: &Path, folder: &Path, port: u16, durability: Durability) -> io::Result<Child> {
    let fsync = if durability == Durability::Real { "on" } else { "off" };
    unprivileged(Path::new("/bin/sh"))
        .args(["-c", GUARD, "guard"])
        .args([programs, folder])
        .args([&port.to_string(), fsync])
        .stdin(Stdio::piped())
        .spawn()
}

/// A folder that the unprivileged user owns.
fn own_folder() -> io::Result<PathBuf> {
    let mut command = unprivileged(Path::new("mktemp"));
    let output = command.args(["-d", "-p"]).arg(std::env::temp_dir()).output()?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if path.is_empty() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(path.into())
}

/// PostgreSQL refuses to run as root: then `nobody` does it.
fn unprivileged(program: &Path) -> Command {
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program);
    command.current_dir("/");
    command
}
