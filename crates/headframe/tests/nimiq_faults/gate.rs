//! A gate in front of PostgreSQL that stops a process at its n-th commit: before the server hears of it, or after it was
//! carried out and before the process hears of that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// When at a commit the process is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The server has not heard of it.
    Before,
    /// The server has carried it out, and its answer is lost.
    After,
}

/// Listens in front of a server.
pub struct Gate {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    /// Commits to let pass, and what happens at the next one.
    order: Mutex<Option<(u64, Moment)>>,
    stopped: AtomicBool,
    /// Changes when all connections are to be cut.
    cut: watch::Sender<u64>,
}

impl Gate {
    pub fn start(runtime: &tokio::runtime::Runtime, server: u16) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server,
            order: Mutex::default(),
            stopped: AtomicBool::new(false),
            cut: watch::channel(0).0,
        });
        let accepting = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                let mut cut = shared.cut.subscribe();
                tokio::spawn(async move {
                    tokio::select! { () = shared.relay(client) => {}, _ = cut.changed() => {} }
                });
            }
        });
        Self { port, shared }
    }

    /// Whoever comes to this commit, counted from 0, hears nothing more.
    pub fn stop_at(&self, commit: u64, moment: Moment) {
        self.shared.stopped.store(false, Ordering::SeqCst);
        *self.shared.order.lock().unwrap() = Some((commit, moment));
    }

    /// Whether somebody has come to it.
    pub fn has_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst)
    }

    /// Cuts all connections, and lets everybody pass from now on.
    pub fn open(&self) {
        *self.shared.order.lock().unwrap() = None;
        self.shared.stopped.store(false, Ordering::SeqCst);
        self.shared.cut.send_modify(|count| *count += 1);
    }
}

impl Shared {
    /// A connection. The client's bytes are read message by message: the first has no type.
    async fn relay(&self, client: TcpStream) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.server)).await else { return };
        let ((mut from_client, to_client), (from_server, mut to_server)) =
            (client.into_split(), server.into_split());
        let (muted, heard) = (AtomicBool::new(false), Notify::new());
        let forward = async {
            let mut is_typed = false;
            while let Some(message) = read_message(&mut from_client, is_typed).await {
                is_typed = true;
                let is_commit = message.first() == Some(&b'Q') && message[5..].starts_with(b"COMMIT");
                let moment = if is_commit { self.moment() } else { None };
                if moment == Some(Moment::Before) {
                    self.stop().await;
                }
                muted.store(moment.is_some(), Ordering::SeqCst);
                if to_server.write_all(&message).await.is_err() {
                    return;
                }
                if moment.is_some() {
                    heard.notified().await;
                    self.stop().await;
                }
            }
        };
        tokio::select! { () = forward => {}, () = answer(from_server, to_client, &muted, &heard) => {} }
    }

    /// What is to happen at a commit that comes now.
    fn moment(&self) -> Option<Moment> {
        let mut order = self.order.lock().unwrap();
        let (left, moment) = order.as_mut()?;
        if *left == 0 {
            return order.take().map(|(_, moment)| moment);
        }
        *left -= 1;
        let _ = moment;
        None
    }

    async fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        std::future::pending::<()>().await;
    }
}

async fn answer(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, muted: &AtomicBool, heard: &Notify) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count) = server.read(&mut bytes).await {
        if muted.load(Ordering::SeqCst) {
            heard.notify_one();
            std::future::pending::<()>().await;
        }
        if count == 0 || client.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn read_message(client: &mut OwnedReadHalf, is_typed: bool) -> Option<Vec<u8>> {
    let head = if is_typed { 5 } else { 4 };
    let mut message = vec![0; head];
    client.read_exact(&mut message).await.ok()?;
    let length = u32::from_be_bytes(message[head - 4..].try_into().unwrap()) as usize;
    message.resize(head - 4 + length, 0);
    client.read_exact(&mut message[head..]).await.ok()?;
    Some(message)
}
