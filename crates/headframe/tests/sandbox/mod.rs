//! Real processes of the real program, in a folder of their own, that a test starts, stops and kills.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod disk;
pub mod relay;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Long enough for anything that ends at all, on a machine that does ten other things.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// A running program; killed when the test ends.
pub struct Program {
    name: String,
    child: Child,
    lines: Arc<Mutex<VecDeque<String>>>,
    /// They end with the program, after its last line.
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts headframe. What it prints is kept, and shown if the test fails.
    pub fn headframe(arguments: &[&str]) -> Self {
        Self::start(Path::new(env!("CARGO_BIN_EXE_headframe")), arguments)
    }

    /// Starts any program.
    pub fn start(program: &Path, arguments: &[&str]) -> Self {
        Self::with_environment(program, arguments, &[])
    }

    /// Starts any program, with these variables beside those of the test.
    pub fn with_environment(program: &Path, arguments: &[&str], environment: &[(&str, &OsStr)]) -> Self {
        // A script's name is its file's.
        let name =
            arguments.first().copied().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
        Self::spawn(name, Command::new(program).args(arguments).envs(environment.iter().copied()))
    }

    /// Starts headframe so that a file which grows past its limit ([`limit_files`](Self::limit_files)) is an error, as on
    /// a full disk, and not a deadly signal.
    pub fn headframe_with_small_files(arguments: &[&str]) -> Self {
        let script = r#"trap "" XFSZ; exec "$0" "$@""#;
        let program = env!("CARGO_BIN_EXE_headframe");
        Self::spawn(arguments[0].to_owned(), Command::new("sh").args(["-c", script, program]).args(arguments))
    }

    /// From now on none of its files may grow past so many bytes; `None`: past what the system allows.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let process = rustix::process::Pid::from_raw(self.id().cast_signed());
        let present = rustix::process::getrlimit(rustix::process::Resource::Fsize);
        let limit = rustix::process::Rlimit { current: bytes.or(present.maximum), maximum: present.maximum };
        rustix::process::prlimit(process, rustix::process::Resource::Fsize, limit).unwrap();
    }

    /// Starts headframe as systemd does: it is told where to give its sockets to, and is handed one that was given before.
    pub fn headframe_under_a_keeper(arguments: &[&str], keeper: &Path, socket: Option<OwnedFd>) -> Self {
        let program = env!("CARGO_BIN_EXE_headframe");
        let script = r#"export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" "$@" 3<&0 </dev/null"#;
        let mut command = match &socket {
            Some(_) => Command::new("sh"),
            None => Command::new(program),
        };
        if socket.is_some() {
            command.args(["-c", script, program]);
        }
        let stdin = socket.map_or_else(Stdio::null, Stdio::from);
        Self::spawn_with(arguments[0].to_owned(), command.args(arguments).env("NOTIFY_SOCKET", keeper), stdin)
    }

    fn spawn(name: String, command: &mut Command) -> Self {
        Self::spawn_with(name, command, Stdio::null())
    }

    fn spawn_with(name: String, command: &mut Command, stdin: Stdio) -> Self {
        let mut child = command
            .env_remove("HEADFRAME_CONFIG")
            .env_remove("RUST_LOG")
            .env("RUST_BACKTRACE", "0")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let readers = vec![keep(child.stdout.take(), &lines), keep(child.stderr.take(), &lines)];
        Self { name, child, lines, readers }
    }

    /// The first line that contains all of these, from now or before.
    pub fn line(&mut self, parts: &[&str]) -> String {
        let what = format!("{} to print a line with {parts:?}", self.name);
        eventually(&what, || {
            let has_ended = self.child.try_wait().unwrap();
            if has_ended.is_some() {
                self.readers.drain(..).for_each(|reader| reader.join().unwrap());
            }
            let found = {
                let lines = self.lines.lock().unwrap();
                lines.iter().find(|line| parts.iter().all(|part| line.contains(part))).cloned()
            };
            if let (None, Some(status)) = (&found, has_ended) {
                panic!("{} ended with {status} while the test waited for {parts:?}", self.name);
            }
            found
        })
    }

    /// Whether it prints a line with all of these within a time.
    pub fn has_line(&self, parts: &[&str], time: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < time {
            let is_there = |line: &String| parts.iter().all(|part| line.contains(part));
            if self.lines.lock().unwrap().iter().any(is_there) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// Everything that was printed so far.
    pub fn printed(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().cloned().collect()
    }

    /// Everything that a program has printed which has ended.
    pub fn ended_printing(&mut self) -> Vec<String> {
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        self.printed()
    }

    /// ^C
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status();
        assert!(status.unwrap().success(), "kill -{name}");
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let name = self.name.clone();
        eventually(&format!("{name} to end"), || self.child.try_wait().unwrap())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.show_last_lines();
        }
    }
}

/// How much of a program's lines a failed test shows: the last so many, and of each so many characters.
const SHOWN_LINES: usize = 60;
const SHOWN_CHARACTERS: usize = 300;

impl Program {
    /// Comes after the reason why the test failed, which so is the first that one reads.
    fn show_last_lines(&self) {
        let Ok(lines) = self.lines.lock() else { return };
        println!("--- the last of {} lines of {}:", lines.len(), self.name);
        for line in lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES)) {
            println!("{}", line.chars().take(SHOWN_CHARACTERS).collect::<String>());
        }
    }
}

/// Collects what comes out of a pipe.
fn keep(
    pipe: Option<impl std::io::Read + Send + 'static>,
    lines: &Arc<Mutex<VecDeque<String>>>,
) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe.unwrap()).lines().map_while(Result::ok) {
            lines.lock().unwrap().push_back(line);
        }
    })
}

/// Asks again and again until there is an answer.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ask)
}

/// Asks again and again until there is an answer, for so long.
pub fn within<T>(time: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < time, "waited {} s in vain for {what}", time.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Free ports on loopback, of those that no system gives to a connection or to whoever asks for any port: such a port is
/// often taken a moment later. All are held until the last is known, so that they differ.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let held: [std::net::TcpListener; N] = std::array::from_fn(|_| {
        std::iter::repeat_with(|| rand::random_range(10_000..32_000))
            .find_map(|port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).ok())
            .unwrap()
    });
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// A client of the pool's documents and of a node's RPC.
pub struct Http {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

impl Http {
    /// One for a test.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // A connection each: one that is kept may be closed by the other side just when it is used again.
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).pool_max_idle_per_host(0);
        let client = client.build().unwrap();
        Self { runtime, client }
    }

    /// One that trusts nobody but this certificate (PEM).
    pub fn trusting(certificate: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let certificate = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
        let client =
            reqwest::Client::builder().timeout(Duration::from_secs(30)).tls_certs_only([certificate]);
        Self { runtime, client: client.build().unwrap() }
    }

    /// The body of a document, if it is served.
    pub fn get(&self, url: &str) -> Option<String> {
        self.runtime.block_on(async {
            let answer = self.client.get(url).send().await.ok()?;
            if answer.status().is_success() { answer.text().await.ok() } else { None }
        })
    }

    /// A JSON document, if it is served.
    pub fn json(&self, url: &str) -> Option<Value> {
        serde_json::from_str(&self.get(url)?).ok()
    }

    /// A JSON document, whether it comes with good news or with bad.
    pub fn json_whatever_the_status(&self, url: &str) -> Option<Value> {
        let answer = async { self.client.get(url).send().await.ok()?.text().await.ok() };
        serde_json::from_str(&self.runtime.block_on(answer)?).ok()
    }

    /// Status and body of a post.
    pub fn post(&self, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<(u16, String)> {
        self.post_named(url, headers, body).map(|(status, body, _)| (status, body))
    }

    /// The same, and the id by which the log of a pool names the request; nothing where it is no pool.
    pub fn post_named(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Option<(u16, String, String)> {
        self.runtime.block_on(async {
            let mut request = self.client.post(url).body(body);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.ok()?;
            let id = answer.headers().get("x-request-id").map_or("", |id| id.to_str().unwrap()).to_owned();
            Some((answer.status().as_u16(), answer.text().await.ok()?, id))
        })
    }

    /// A call of a node's RPC that must succeed.
    pub fn rpc(&self, url: &str, method: &str, params: &Value) -> Value {
        let reply = self.rpc_reply(url, method, params);
        let reply = reply.unwrap_or_else(|| panic!("{method} {params}: nobody answers at {url}"));
        assert!(reply["error"].is_null(), "{method} {params}: {}", reply["error"]);
        reply["result"].clone()
    }

    /// A call of a Nimiq node's RPC that must succeed.
    pub fn nimiq_rpc(&self, url: &str, method: &str, params: &Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let reply = self.post(url, &[], body.to_string().into_bytes());
        let (_, text) = reply.unwrap_or_else(|| panic!("{method} {params}: nobody answers at {url}"));
        let mut reply: Value = serde_json::from_str(&text).unwrap();
        assert!(reply["error"].is_null(), "{method} {params}: {}", reply["error"]);
        reply["result"].take()
    }

    /// The whole reply to a call of a node's RPC, if there is one.
    pub fn rpc_reply(&self, url: &str, method: &str, params: &Value) -> Option<Value> {
        let body = json!({"jsonrpc": "1.0", "id": 1, "method": method, "params": params});
        let (_, text) = self.post(url, &[("authorization", "Basic eDp4")], body.to_string().into_bytes())?;
        serde_json::from_str(&text).ok()
    }

    /// The sum of a metric over all its labels that contain `labels`.
    pub fn metric(&self, base: &str, name: &str, labels: &str) -> Option<f64> {
        let text = self.get(&format!("{base}/metrics"))?;
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let wanted = series.split('{').next() == Some(name) && series.contains(labels);
            if wanted { value.parse::<f64>().ok() } else { None }
        });
        Some(values.sum())
    }
}

/// A folder for one test.
pub fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}
