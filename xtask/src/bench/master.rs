//! The Master: how fast a new block reaches everybody who waits for it, and what waiting costs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::dev_node::DevNode;
use super::files::raise_limit;
use super::load::{self, PATIENCE, Shape};
use super::program::{ADDRESS, PASSWORD, Program, folder, free_address, metric};
use super::{Goal, Reference, Row};

/// Clients that wait.
const CLIENTS: usize = 10_000;
/// As many as the reference was measured with.
const FEWER_CLIENTS: usize = 1000;
/// New blocks, each of which answers all clients; the first also has the clients connect.
const ROUNDS: usize = 5;
/// Time for all clients to begin to wait. Those whom the Master sends away meanwhile ask again, as real clients do.
const WAITING: Duration = PATIENCE;
/// Files that a process must be able to open, besides a connection for each client.
const OTHER_FILES: u64 = 500;

/// Measures.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    raise_limit(CLIENTS as u64 + OTHER_FILES)?;
    let fewer = Measured::with(FEWER_CLIENTS)?;
    let all = Measured::with(CLIENTS)?;
    let milliseconds = |measure: String, ours: f64, reference: Option<f64>, goal: Option<f64>| Row {
        measure,
        unit: "ms",
        ours,
        reference: reference.map(Reference::Known),
        goal: goal.map(Goal::AtMost),
    };
    Ok(vec![
        milliseconds(
            format!("Master, {FEWER_CLIENTS} long polls, new block to last answer"),
            fewer.last_answer,
            Some(290.0),
            None,
        ),
        milliseconds(
            format!("Master, {CLIENTS} long polls, new block to last answer"),
            all.last_answer,
            None,
            Some(250.0),
        ),
        milliseconds(
            "Master, new block to first answer".to_owned(),
            all.first_answer,
            Some(500.0),
            Some(100.0),
        ),
        Row {
            measure: format!("Master, {CLIENTS} long polls"),
            unit: "answers per core-second",
            ours: all.answers_per_core_second,
            reference: Some(Reference::Known(6000.0)),
            goal: Some(Goal::AtLeast(40_000.0)),
        },
        Row {
            measure: "Master, the same with connecting and asking".to_owned(),
            unit: "answers per core-second",
            ours: all.whole_polls_per_core_second,
            reference: None,
            goal: None,
        },
        Row {
            measure: "Master, memory of a waiting client".to_owned(),
            unit: "KiB",
            ours: all.kibibytes_per_client,
            reference: None,
            goal: Some(Goal::AtMost(20.0)),
        },
    ])
}

/// What was seen; times are medians over all rounds, in milliseconds.
struct Measured {
    first_answer: f64,
    last_answer: f64,
    answers_per_core_second: f64,
    whole_polls_per_core_second: f64,
    kibibytes_per_client: f64,
}

impl Measured {
    fn with(clients: usize) -> anyhow::Result<Self> {
        let node = DevNode::start()?;
        let (folder, address) = (folder()?, free_address()?);
        let configuration = format!(
            "[pool]\npassword = \"{PASSWORD}\"\n[http]\nlisten = \"{address}\"\n[[node]]\nurl = \"{}\"\n\
             password = \"x\"\n[pay_maker]\ndefault_address = \"{ADDRESS}\"\nerror_address = \"{ADDRESS}\"\n",
            node.url()
        );
        let mut master = Program::headframe(folder.path(), &["master"], &configuration)?;
        master.until_ready(address)?;
        let before = master.usage()?;
        let mut clients = Clients::connect(address, clients)?;
        let (mut first, mut last, mut answering) = (Vec::new(), Vec::new(), 0.0);
        let (mut waiting_bytes, mut whole) = (0, 0.0);
        for round in 0..ROUNDS {
            clients.wait(node.chain().tip().height.0 + 2)?;
            if round == 0 {
                waiting_bytes = master.usage()?.resident_bytes;
            }
            let (answers, seconds) = master.seconds_of(|| {
                let (block, answers) = clients.answers(|| Ok(node.chain().extend(1).map(drop)?))?;
                Ok(answers.into_iter().map(|answer| answer - block).collect::<Vec<_>>())
            })?;
            let milliseconds = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
            first.push(milliseconds(answers.iter().min()));
            last.push(milliseconds(answers.iter().max()));
            answering += seconds;
            if round == 0 {
                whole = master.usage()?.seconds - before.seconds;
            }
        }
        let count = clients.count() as f64;
        Ok(Self {
            first_answer: median(first),
            last_answer: median(last),
            answers_per_core_second: count * ROUNDS as f64 / answering,
            whole_polls_per_core_second: count / whole,
            kibibytes_per_client: waiting_bytes.saturating_sub(before.resident_bytes) as f64 / 1024.0 / count,
        })
    }
}

/// The middle one.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Clients with a connection each, all on one thread.
struct Clients {
    server: SocketAddr,
    runtime: Runtime,
    /// Connections of clients that do nothing.
    idle: Vec<TcpStream>,
    /// Clients that have asked, and give their connection back with the time of their answer.
    asking: Vec<JoinHandle<anyhow::Result<(TcpStream, Instant)>>>,
}

impl Clients {
    fn connect(server: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let idle = runtime.block_on(async {
            let mut streams = Vec::with_capacity(count);
            for _ in 0..count {
                streams.push(TcpStream::connect(server).await?);
            }
            anyhow::Ok(streams)
        })?;
        Ok(Self { server, runtime, idle, asking: Vec::new() })
    }

    fn count(&self) -> usize {
        self.idle.len() + self.asking.len()
    }

    /// Has all ask for the work of a height that is not there yet; returns when all are known to wait.
    fn wait(&mut self, height: u32) -> anyhow::Result<()> {
        let request: Arc<[u8]> = load::request("GET", &format!("/master/work_{height}.bin"), &[], 0).into();
        let ask = |stream| self.runtime.spawn(poll(stream, Arc::clone(&request)));
        self.asking = self.idle.drain(..).map(ask).collect();
        let started = Instant::now();
        loop {
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
            let waiting = metric(self.server, "headframe_long_poll_waiting")?;
            if waiting >= self.asking.len() as f64 {
                return Ok(());
            }
            if let Some(ended) = self.asking.iter().position(JoinHandle::is_finished) {
                self.runtime.block_on(self.asking.swap_remove(ended))??;
                anyhow::bail!("work {height} came before all clients waited for it");
            }
            anyhow::ensure!(started.elapsed() < WAITING, "only {waiting} clients wait for work {height}");
        }
    }

    /// Makes a new block, and tells when that was and when each client had its whole answer.
    fn answers(
        &mut self,
        new_block: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<(Instant, Vec<Instant>)> {
        let asking = std::mem::take(&mut self.asking);
        let block = Instant::now();
        new_block()?;
        self.runtime.block_on(async {
            let mut answers = Vec::with_capacity(asking.len());
            for one in asking {
                let (stream, when) = tokio::time::timeout(PATIENCE, one).await???;
                self.idle.push(stream);
                answers.push(when);
            }
            Ok((block, answers))
        })
    }
}

/// Asks until there is work, and says when it was there.
async fn poll(mut stream: TcpStream, request: Arc<[u8]>) -> anyhow::Result<(TcpStream, Instant)> {
    let mut received = Vec::with_capacity(2048);
    loop {
        received.clear();
        stream.write_all(&request).await?;
        let status = loop {
            anyhow::ensure!(stream.read_buf(&mut received).await? > 0, "the Master closed the connection");
            match Shape::read(&received)? {
                Some(shape) if received.len() >= shape.end => break shape.status,
                _ => {}
            }
        };
        match status {
            200 => return Ok((stream, Instant::now())),
            300 => {}
            status => anyhow::bail!("a long poll was answered with status {status}"),
        }
    }
}
