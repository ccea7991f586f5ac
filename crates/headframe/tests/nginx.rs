//! `deploy/nginx.conf` in a real nginx in front of `headframe up`: thousands of polls become a handful of requests
//! upstream, and a limit that one client has reached holds for that client alone.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sandbox::{Http, Program, eventually, free_ports};
use serde_json::json;

/// Clients that wait for the next block at once; each then asks for the other documents of the new work.
const CLIENTS: usize = 2_000;
/// Documents that a client asks for.
const POLLS: usize = 5;
/// All that the Master may be asked for meanwhile: some documents, each some times, since the newest expire.
const UPSTREAM: usize = 40;
/// The header by which the nginx of this test is told whose request it shall be.
const PRETEND: &str = "x-pretended-address";

/// What it keeps of the Master's documents. It makes this folder, and none above it.
const CACHE: &str = "/var/cache/headframe-nginx";

struct Nginx {
    _program: Program,
    log: PathBuf,
    url: String,
}

impl Nginx {
    /// In `folder`, in front of the pool on port `upstream`. `None`, aloud, where there is no nginx.
    fn start(folder: &Path, upstream: u16) -> Option<Self> {
        if Command::new("nginx").arg("-v").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "the tests need nginx (apt-get install nginx-light)");
            println!("SKIPPED: nginx in front, which is not installed (apt-get install nginx-light)");
            return None;
        }
        let [port] = free_ports();
        let log = folder.join("access.log");
        std::fs::write(folder.join("site.conf"), site(folder, port, upstream)).unwrap();
        let main = folder.join("nginx.conf");
        std::fs::write(&main, main_configuration(folder)).unwrap();
        let arguments = ["-c", main.to_str().unwrap(), "-p", folder.to_str().unwrap()];
        let program = Program::start(Path::new("nginx"), &arguments);
        let url = format!("http://127.0.0.1:{port}");
        eventually("nginx to answer", || Http::new().get(&format!("{url}/healthz")));
        Some(Self { _program: program, log, url })
    }

    /// How many requests have gone to the pool, for paths that begin so.
    fn upstream(&self, path: &str) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap();
        let gone_up = |line: &&str| line.starts_with(path) && !line.ends_with(" -");
        log.lines().filter(gone_up).count()
    }
}

/// The file that is handed to operators, with the addresses and the folder of this test.
fn site(folder: &Path, port: u16, upstream: u16) -> String {
    let handed_out = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/nginx.conf");
    let mut text = std::fs::read_to_string(handed_out).unwrap();
    assert_eq!(Path::new(CACHE).parent(), Some(Path::new("/var/cache")), "a folder that every system has");
    for (from, to) in [
        ("127.0.0.1:8080;", format!("127.0.0.1:{upstream};")),
        ("listen 80;", format!("listen 127.0.0.1:{port} backlog=4096;")),
        ("    listen [::]:80;\n", String::new()),
        (CACHE, folder.join("cache").display().to_string()),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, &to);
    }
    text
}

/// What surrounds it. Clients may pretend to come from elsewhere, since all of this test come from here.
fn main_configuration(folder: &Path) -> String {
    let folder = folder.display();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "daemon off; {user} worker_processes 1; worker_rlimit_nofile 16000; pid {folder}/pid; error_log {folder}/error.log;\n\
         events {{ worker_connections 8000; }}\n\
         http {{\n\
         log_format upstream '$request_uri $upstream_status'; access_log {folder}/access.log upstream;\n\
         client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         set_real_ip_from 127.0.0.1; real_ip_header {PRETEND};\n\
         include {folder}/site.conf;\n\
         }}\n"
    )
}

/// A pool behind a proxy on this machine, where it takes requests, and its node.
fn pool(folder: &Path) -> (Program, u16, String) {
    let [port] = free_ports();
    let listen = format!("127.0.0.1:{port}");
    let mut program = Program::headframe(&[
        "up",
        "--data",
        folder.join("data").to_str().unwrap(),
        "--listen",
        &listen,
        "--dev-chain-listen",
        "127.0.0.1:0",
        "--set",
        "http.trusted_proxies=[\"127.0.0.1\"]",
        "--set",
        "nimiq.run=no",
    ]);
    let said = program.line(&["dev chain:", "pktd", "http://"]);
    let node = said[said.find("http://").unwrap()..].to_owned();
    let http = Http::new();
    eventually("the Master to have work", || http.get(&format!("http://{listen}/master/config.json")));
    (program, port, node)
}

#[test]
fn thousands_of_polls_are_a_handful_of_requests_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let (_pool, port, node) = pool(folder.path());
    let Some(nginx) = Nginx::start(folder.path(), port) else { return };
    let http = Http::new();
    let config = http.json(&format!("{}/master/config.json", nginx.url)).unwrap();
    let height = config["currentHeight"].as_u64().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answers = runtime.block_on(async {
        let client = reqwest::Client::new();
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| tokio::spawn(follow(client.clone(), nginx.url.clone(), height))).collect();
        // They wait together before there is a block.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let node = node.clone();
        let extended =
            tokio::task::spawn_blocking(move || Http::new().rpc(&node, "devchain_extend", &json!([1])));
        extended.await.unwrap();
        let mut answers = 0;
        for client in clients {
            answers += client.await.unwrap();
        }
        answers
    });
    assert_eq!(answers, CLIENTS * POLLS);
    let upstream = nginx.upstream("/master/");
    assert!((2..=UPSTREAM).contains(&upstream), "{answers} polls were {upstream} requests");
}

/// Waits for the work of the next block, and asks for what a miner then needs. Gives back how much was answered.
async fn follow(client: reqwest::Client, nginx: String, height: u64) -> usize {
    let mut answered = 0;
    let get = async |path: String| {
        let answer = client.get(format!("{nginx}/master/{path}")).send().await.unwrap();
        (answer.status().is_success(), answer.bytes().await.unwrap())
    };
    while !get(format!("work_{}.bin", height + 1)).await.0 {}
    answered += 1;
    for path in [
        "config.json".to_owned(),
        format!("work_{height}.bin"),
        format!("work_{}.bin", height + 1),
        format!("bt_{}.bin", height + 1),
    ] {
        let (is_good, body) = get(path.clone()).await;
        assert!(is_good && !body.is_empty(), "{path}");
        answered += 1;
    }
    answered
}

#[test]
fn limits_and_bans_hit_the_client_and_not_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let (mut pool, port, _) = pool(folder.path());
    let Some(nginx) = Nginx::start(folder.path(), port) else { return };
    let http = Http::new();
    // The password is wrong, and what the client says of its own address is no help to it.
    let guess = |address: &str, claim: &str| {
        let headers = [("authorization", "Basic eDpiYWQ="), (PRETEND, address), ("x-forwarded-for", claim)];
        http.post(&format!("{}/paymaker/events", nginx.url), &headers, Vec::new()).unwrap().0
    };
    eventually("the guessing client to be told to wait", || {
        (guess("192.0.2.1", "192.0.2.9") == 429).then_some(())
    });
    assert_eq!(guess("192.0.2.1", "192.0.2.2"), 429);
    assert_eq!(guess("192.0.2.2", "192.0.2.1"), 401);

    let garbage = |address: &str| {
        let payee = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
        let headers = [("x-pc-payto", payee), ("x-pc-sver", "1"), (PRETEND, address)];
        http.post(&format!("{}/blk/main/submit", nginx.url), &headers, b"garbage".to_vec()).unwrap()
    };
    assert_eq!(garbage("192.0.2.3").0, 400, "a single mistake is none");
    let banned = eventually("the client that sends garbage to be banned", || {
        Some(garbage("192.0.2.3")).filter(|(status, _)| *status == 403)
    });
    assert!(banned.1.contains("banned: "), "{}", banned.1);
    assert_eq!(garbage("192.0.2.4").0, 400);

    let events = format!("{}/paymaker/events", nginx.url);
    let headers = [("authorization", "Basic eDpiYWQ="), (PRETEND, "192.0.2.5"), ("x-request-id", "mine")];
    let (status, _, id) = http.post_named(&events, &headers, Vec::new()).unwrap();
    assert_eq!((status, id.len()), (401, 32), "the id is that of the proxy: {id}");
    pool.line(&["an upload was refused", &id, "client=192.0.2.5"]);
}
