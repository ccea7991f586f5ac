//! What is put on the website: questions without a pause, and listeners that only listen.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::load::{self, Connection, PATIENCE};
use super::program::{Program, metric};

/// Asks for a page so often over some connections at once.
pub fn ask_for(server: SocketAddr, path: &str, requests: u64, connections: u64) -> anyhow::Result<()> {
    let ask = || -> anyhow::Result<()> {
        let mut connection = Connection::open(server)?;
        for _ in 0..requests / connections {
            connection.get(path)?.success()?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let asking: Vec<_> = (0..connections).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().try_for_each(|one| one.join().unwrap_or_else(|_| anyhow::bail!("a panic")))
    })
}

/// Asks for pages without a pause while `action` runs; gives what that gave, and the answers in each second.
pub fn hammer<T>(
    server: SocketAddr,
    paths: &[String],
    action: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, f64)> {
    let (stop, answers, started) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
    let ask = || -> anyhow::Result<()> {
        let mut connection = Connection::open(server)?;
        for path in paths.iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            connection.get(path)?.success()?;
            answers.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let done = thread::scope(|scope| {
        let asking = scope.spawn(ask);
        let done = action();
        stop.store(true, Ordering::Relaxed);
        let asked = asking.join().unwrap_or_else(|_| anyhow::bail!("a panic"));
        asked.context("hammering").and(done)
    })?;
    Ok((done, answers.into_inner() as f64 / started.elapsed().as_secs_f64()))
}

/// How long a page takes, in milliseconds, for each path; over one connection, one after the other.
pub fn times(server: SocketAddr, paths: impl Iterator<Item = String>) -> anyhow::Result<Vec<f64>> {
    let mut connection = Connection::open(server)?;
    let mut times = Vec::new();
    for path in paths {
        let asked = Instant::now();
        connection.get(&path)?.success()?;
        times.push(asked.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Listeners of the event stream, all on one thread.
pub struct Listeners {
    runtime: Runtime,
    streams: Vec<TcpStream>,
}

impl Listeners {
    /// Connects them, and waits until each has been greeted and the website knows of all.
    pub fn connect(site: &mut Program, server: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let request = load::request("GET", "/api/v1/events", &[], 0);
        let streams = runtime.block_on(async {
            let mut streams = Vec::with_capacity(count);
            for _ in 0..count {
                let mut stream = TcpStream::connect(server).await?;
                stream.write_all(&request).await?;
                streams.push(stream);
            }
            for stream in &mut streams {
                let mut received = [0; 1024];
                let length = tokio::time::timeout(PATIENCE, stream.read(&mut received)).await??;
                anyhow::ensure!(
                    received[..length].starts_with(b"HTTP/1.1 200"),
                    "a listener was turned away"
                );
            }
            anyhow::Ok(streams)
        })?;
        site.until("all listeners to be known", || {
            let open = metric(server, "headframe_event_streams")?;
            anyhow::ensure!(open >= count as f64, "{open} are open");
            Ok(())
        })?;
        Ok(Self { runtime, streams })
    }

    /// Listens for so long; gives how many have heard something.
    pub fn listen(&mut self, time: Duration) -> anyhow::Result<usize> {
        let streams = &self.streams;
        self.runtime.block_on(async {
            tokio::time::sleep(time).await;
            let mut heard = 0;
            for stream in streams {
                let mut received = [0; 4096];
                // What waits to be read is read, and nobody waits for more.
                match stream.try_read(&mut received) {
                    Ok(0) => anyhow::bail!("a listener was cut off"),
                    Ok(_) => heard += 1,
                    Err(_) => {}
                }
            }
            Ok(heard)
        })
    }
}
