//! A restart under load, as an upgrade of the package is one: the sockets are kept by whoever starts the program, here by
//! the test in place of systemd. No client is refused, and none loses an answer.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use sandbox::{Http, PATIENCE, Program, eventually, folder, free_ports};
use tokio_util::sync::CancellationToken;

/// Answers before and after the restart.
const ANSWERS: usize = 300;

/// Keeps sockets, as systemd's file descriptor store does.
struct Keeper {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Keeper {
    fn new(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { path, socket }
    }

    /// What a program says next, and the socket that it gives.
    fn receive(&self) -> (String, Option<OwnedFd>) {
        let mut message = [0; 256];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut attached = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut message)];
        let received = recvmsg(&self.socket, &mut parts, &mut attached, RecvFlags::CMSG_CLOEXEC).unwrap();
        let mut sockets = attached.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        });
        let socket = sockets.next().and_then(|mut sockets| sockets.next());
        drop(sockets);
        (String::from_utf8(message[..received.bytes].to_vec()).unwrap(), socket)
    }
}

/// Clients of all kinds, who go on until they are told to stop.
struct Load {
    stop: CancellationToken,
    answers: Arc<AtomicUsize>,
    long_polls: Arc<AtomicUsize>,
    faults: Arc<Mutex<Vec<String>>>,
    runtime: tokio::runtime::Runtime,
}

impl Load {
    fn start(base: &str, height: u64) -> Self {
        let load = Self {
            stop: CancellationToken::new(),
            answers: Arc::default(),
            long_polls: Arc::default(),
            faults: Arc::default(),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
        };
        for _ in 0..16 {
            load.client(format!("{base}/master/config.json"), false, Duration::from_millis(2), &load.answers);
            load.client(format!("{base}/healthz"), true, Duration::from_millis(5), &load.answers);
        }
        for _ in 0..50 {
            let url = format!("{base}/master/work_{}.bin", height + 1);
            load.client(url, false, Duration::ZERO, &load.long_polls);
        }
        load
    }

    /// Asks again and again, on a connection that it keeps or on a new one each time. Every answer is a good one: who
    /// comes too early is told so.
    fn client(&self, url: String, keeps: bool, pause: Duration, answers: &Arc<AtomicUsize>) {
        let (stop, answers, faults) = (self.stop.clone(), Arc::clone(answers), Arc::clone(&self.faults));
        let client = reqwest::Client::builder().timeout(PATIENCE);
        let client = client.pool_max_idle_per_host(usize::from(keeps)).build().unwrap();
        let asking = async move {
            loop {
                let answer = async { client.get(&url).send().await?.bytes().await };
                match answer.await {
                    Ok(_) => drop(answers.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => faults.lock().unwrap().push(format!("{url}: {error:?}")),
                }
                tokio::time::sleep(pause).await;
            }
        };
        self.runtime.spawn(async move { stop.run_until_cancelled(asking).await });
    }
}

fn wait_for_more(answers: &AtomicUsize, more: usize) {
    let aim = answers.load(Ordering::Relaxed) + more;
    eventually("more answers", || (answers.load(Ordering::Relaxed) >= aim).then_some(()));
}

fn start(data: &Path, listen: &str, keeper: &Keeper, socket: Option<OwnedFd>) -> Program {
    let arguments =
        ["up", "--data", data.to_str().unwrap(), "--listen", listen, "--dev-chain-listen", "127.0.0.1:0"];
    let more = ["--set", "nimiq.run=no"];
    Program::headframe_under_a_keeper(&[&arguments[..], &more[..]].concat(), &keeper.path, socket)
}

#[test]
fn s7_nobody_is_refused_or_cut_off_while_the_pool_is_started_again() {
    let (_folder, path) = folder();
    let keeper = Keeper::new(&path);
    let listen = format!("127.0.0.1:{}", free_ports::<1>()[0]);
    let base = format!("http://{listen}");
    let http = Http::new();
    let mut first = start(&path.join("data"), &listen, &keeper, None);
    let (message, socket) = keeper.receive();
    assert_eq!(message, format!("FDSTORE=1\nFDNAME=tcp-{}", listen.replace(':', "-")));
    let config = eventually("the Master to have work", || http.json(&format!("{base}/master/config.json")));

    let load = Load::start(&base, config["currentHeight"].as_u64().unwrap());
    wait_for_more(&load.answers, ANSWERS);
    first.signal("TERM");
    assert!(first.wait().success());
    let let_go = load.long_polls.load(Ordering::Relaxed);
    assert!(let_go >= 50, "{let_go} of those who waited for work were told to ask again");
    let mut second = start(&path.join("data"), &listen, &keeper, socket);
    second.line(&["goes on with the socket", &listen]);
    wait_for_more(&load.answers, ANSWERS);
    load.stop.cancel();
    let faults = load.faults.lock().unwrap();
    assert!(faults.is_empty(), "{} faults, such as {}", faults.len(), faults[0]);
}

#[test]
fn a_socket_for_an_address_that_is_not_wanted_any_more_is_given_up() {
    let (_folder, path) = folder();
    let keeper = Keeper::new(&path);
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let mut program = start(&path.join("data"), "127.0.0.1:0", &keeper, Some(socket.into()));
    program.line(&["a socket was handed over", &address.to_string()]);
    let (message, nothing) = keeper.receive();
    assert_eq!(message, format!("FDSTOREREMOVE=1\nFDNAME=tcp-{}", address.to_string().replace(':', "-")));
    assert!(nothing.is_none());
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens there");
}
