//! The announcement handler: announcements taken for each core-second, with and without the proof of work, and the
//! memory that the duplicate table takes.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use packetcrypt::Height;
use packetcrypt::announcement::ANNOUNCEMENT_SIZE;
use packetcrypt::check::Rules;
use pool::Metrics;
use pool::ann_handler::{AnnHandler, AnnHandlerConfig};
use pool::listener::{self, Limits};
use tokio_util::sync::CancellationToken;

use super::load::Connection;
use super::mined::{self, PARENT};
use super::program::{ADDRESS, PASSWORD, Program, folder, free_address};
use super::stand_in_master::{HandlerUrls, StandInMaster};
use super::{Goal, Reference, Row};
use crate::reference;

/// Announcements of a run: 31 MiB.
const CHECKED: usize = 31 * 1024;
/// One more shows that the handler is ready.
pub const MINED: usize = CHECKED + 1;
/// Announcements posted to the handler that checks no proof of work, in large and in small posts.
const UNCHECKED_LARGE: usize = 1536 << 10;
const UNCHECKED_SMALL: usize = 512 << 10;
/// Announcements before the growth of the duplicate table is looked at.
const BEFORE_REMEMBERED: usize = 128 << 10;
/// Announcements over which the growth of the duplicate table is seen.
const REMEMBERED: usize = 6 << 20;
/// Runs of the reference without proof of work: each is too short for the clock.
const REFERENCE_RUNS: usize = 5;
/// Posts of miners: usual ones, and those of a slow miner.
pub const LARGE: usize = 1024;
const SMALL: usize = 128;

const PER_CORE_SECOND: &str = "announcements per core-second";

/// Measures what it takes with every proof of work checked.
pub fn measure_checked() -> anyhow::Result<Vec<Row>> {
    let mined = mined::announcements(MINED)?;
    let reference = reference::packetcrypt::installed();
    let mut rows = Vec::new();
    for (batch, known, goal) in [(LARGE, 5970.0, true), (SMALL, 5970.0, false)] {
        let ours = checked(&Which::Ours, &mined, batch, 0.0)?;
        let theirs = match &reference {
            Some(program) => Reference::Measured(checked(&Which::Reference(program), &mined, batch, 0.0)?),
            None => Reference::Known(known),
        };
        rows.push(Row {
            measure: format!("AnnHandler, fully checked, posts of {batch}"),
            unit: PER_CORE_SECOND,
            ours,
            reference: Some(theirs),
            goal: goal.then_some(Goal::AtLeast(10.0 * theirs.value())),
        });
    }
    Ok(rows)
}

/// Measures what it takes without a look at the proofs of work, and the memory that it needs to know them again.
pub fn measure_unchecked() -> anyhow::Result<Vec<Row>> {
    let unchecked = unchecked()?;
    let mined = mined::announcements(MINED)?;
    let reference = reference::packetcrypt::installed();
    let mut rows = Vec::new();
    let figures =
        [(LARGE, unchecked.large, 335_000.0, Some(700_000.0)), (SMALL, unchecked.small, 265_000.0, None)];
    for (batch, ours, known, goal) in figures {
        let theirs = match &reference {
            Some(program) => Reference::Measured(reference_unchecked(program, &mined, batch)?),
            None => Reference::Known(known),
        };
        rows.push(Row {
            measure: format!("AnnHandler, without proof of work, posts of {batch}"),
            unit: PER_CORE_SECOND,
            ours,
            reference: Some(theirs),
            goal: goal.map(Goal::AtLeast),
        });
    }
    rows.push(Row {
        measure: "AnnHandler, duplicate table".to_owned(),
        unit: "bytes per announcement",
        ours: unchecked.bytes_remembered,
        reference: None,
        goal: Some(Goal::AtMost(16.0)),
    });
    Ok(rows)
}

/// Whose handler.
pub enum Which<'a> {
    /// Ours.
    Ours,
    /// The reference's, by its program.
    Reference(&'a Path),
}

/// A handler that has just been started, with an empty duplicate table, and is ready.
pub struct Handler {
    program: Program,
    address: SocketAddr,
    path: &'static str,
    _master: StandInMaster,
    _folder: tempfile::TempDir,
}

impl Handler {
    /// Starts one that listens at `address`. `probe` is a valid announcement.
    pub fn start(
        which: &Which<'_>,
        address: SocketAddr,
        skip_check_chance: f64,
        probe: &mined::Bytes,
    ) -> anyhow::Result<Self> {
        let folder = folder()?;
        let path = match which {
            Which::Ours => "/ann/main/submit",
            Which::Reference(_) => "/submit",
        };
        let urls = HandlerUrls { ann: vec![format!("http://{address}{path}")], blk: Vec::new() };
        let tip = Height(PARENT.0 - 1);
        let master = StandInMaster::start(tip, &urls)?;
        let mut program = match which {
            Which::Ours => {
                let configuration = format!(
                    "[pool]\nurl = \"{}\"\npassword = \"{PASSWORD}\"\n[http]\nlisten = \"{address}\"\n\
                     [[ann_handler]]\nname = \"main\"\nthreads = 1\n",
                    master.url()
                );
                Program::headframe(folder.path(), &["ann-handler", "main"], &configuration)?
            }
            Which::Reference(program) => {
                let file = folder.path().join("pool.toml");
                let text = format!(
                    "paymaker_http_password = \"{PASSWORD}\"\nmaster_url = \"{}\"\nroot_workdir = \"{}\"\n\
                     [ann_handler.main]\nskip_check_chance = {skip_check_chance:.1}\nnum_workers = 1\n\
                     input_queue_len = 64\npublic_url = \"{}\"\nbind_port = {}\nfiles_to_keep = 10\n",
                    master.url(),
                    folder.path().join("data").display(),
                    urls.ann[0],
                    address.port(),
                );
                std::fs::write(&file, text)?;
                let file = file.to_string_lossy();
                Program::start(program, folder.path(), &["ah", "-C", &*file, "main"])?
            }
        };
        program.until("the handler to listen", || Connection::open(address))?;
        // The reference takes nothing before it has seen a new block.
        master.show(PARENT, &urls);
        program.until("the handler to take announcements", || {
            let accepted = post(&mut Connection::open(address)?, path, probe)?;
            anyhow::ensure!(accepted == 1, "the announcement is not accepted");
            Ok(())
        })?;
        Ok(Self { program, address, path, _master: master, _folder: folder })
    }

    /// Posts announcements over one connection, and gives those accepted for each core-second.
    pub fn accept(&self, announcements: &[mined::Bytes], batch: usize) -> anyhow::Result<f64> {
        let mut connection = Connection::open(self.address)?;
        let (accepted, seconds) = self.program.exact_seconds_of(|| {
            announcements.chunks(batch).try_fold(0, |sum, posted| -> anyhow::Result<_> {
                Ok(sum + post(&mut connection, self.path, posted.as_flattened())?)
            })
        })?;
        anyhow::ensure!(accepted == announcements.len(), "only {accepted} announcements were accepted");
        Ok(accepted as f64 / seconds)
    }
}

/// Posts announcements and gives the number of those accepted.
fn post(connection: &mut Connection, path: &str, body: &[u8]) -> anyhow::Result<usize> {
    let work_number = (PARENT.0 + 1).to_string();
    let headers =
        [("x-pc-payto", ADDRESS), ("x-pc-sver", "1"), ("x-pc-annver", "1"), ("x-pc-worknum", &work_number)];
    let reply = connection.post(path, &headers, body)?.json()?;
    let accepted = reply["result"]["accepted"].as_u64();
    Ok(accepted.with_context(|| format!("a reply without a count: {reply}"))? as usize)
}

fn checked(which: &Which<'_>, mined: &[mined::Bytes], batch: usize, skip: f64) -> anyhow::Result<f64> {
    let (probe, rest) = mined.split_last().context("nothing was mined")?;
    Handler::start(which, free_address()?, skip, probe)?.accept(rest, batch)
}

fn reference_unchecked(program: &Path, mined: &[mined::Bytes], batch: usize) -> anyhow::Result<f64> {
    let runs = (0..REFERENCE_RUNS).map(|_| checked(&Which::Reference(program), mined, batch, 1.0));
    let seconds = runs.map(|rate| Ok(1.0 / rate?)).sum::<anyhow::Result<f64>>()?;
    Ok(REFERENCE_RUNS as f64 / seconds)
}

/// What a handler of ours does that checks no proof of work.
struct Unchecked {
    large: f64,
    small: f64,
    bytes_remembered: f64,
}

fn unchecked() -> anyhow::Result<Unchecked> {
    let (folder, address) = (folder()?, free_address()?);
    let path = "/submit";
    let urls = HandlerUrls { ann: vec![format!("http://{address}{path}")], blk: Vec::new() };
    let master = StandInMaster::start(PARENT, &urls)?;
    let (listen, data) = (address.to_string(), folder.path().join("data"));
    let arguments = ["serve-unchecked", &*master.url(), &*listen, &*urls.ann[0], &*data.to_string_lossy()]
        .map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut program = Program::start(&std::env::current_exe()?, folder.path(), &arguments)?;
    let mut fresh = Fresh::default();
    program.until("the handler to take announcements", || {
        post(&mut Connection::open(address)?, path, &fresh.next_post(1))
    })?;
    let mut take = |count: usize, batch: usize| -> anyhow::Result<f64> {
        let (accepted, seconds) = program.seconds_of(|| fresh.post(address, path, count, batch))?;
        anyhow::ensure!(accepted == count, "only {accepted} of {count} announcements were accepted");
        Ok(accepted as f64 / seconds)
    };
    let (large, small) = (take(UNCHECKED_LARGE, LARGE)?, take(UNCHECKED_SMALL, SMALL)?);
    // The buffers of posts get the size that they have with large posts.
    take(BEFORE_REMEMBERED, LARGE)?;
    let before = program.usage()?.resident_bytes;
    take(REMEMBERED, LARGE)?;
    let grown = program.usage()?.resident_bytes.saturating_sub(before);
    Ok(Unchecked { large, small, bytes_remembered: grown as f64 / REMEMBERED as f64 })
}

/// Connections that post to the unchecked handler at once.
const POSTING: usize = 16;

/// Makes announcements that look well and differ from each other, without any work.
#[derive(Default)]
struct Fresh {
    made: u64,
}

impl Fresh {
    fn next_post(&mut self, count: usize) -> Vec<u8> {
        let mut announcement = [0; ANNOUNCEMENT_SIZE];
        let header = mined::header(0).to_bytes();
        announcement[..header.len()].copy_from_slice(&header);
        let mut body = announcement.repeat(count);
        self.renew(&mut body);
        body
    }

    /// Makes all announcements of a body different from all that were before.
    fn renew(&mut self, body: &mut [u8]) {
        for announcement in body.as_chunks_mut::<ANNOUNCEMENT_SIZE>().0 {
            self.made += 1;
            announcement[ANNOUNCEMENT_SIZE / 2..][..8].copy_from_slice(&self.made.to_le_bytes());
        }
    }

    /// Posts `count` new announcements over some connections; gives the number of those accepted.
    fn post(&mut self, server: SocketAddr, path: &str, count: usize, batch: usize) -> anyhow::Result<usize> {
        let posts_each = count / batch / POSTING;
        let posting = |mut fresh: Self| -> anyhow::Result<usize> {
            let mut connection = Connection::open(server)?;
            let mut body = fresh.next_post(batch);
            let mut accepted = 0;
            for _ in 0..posts_each {
                accepted += post(&mut connection, path, &body)?;
                fresh.renew(&mut body);
            }
            Ok(accepted)
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..POSTING)
                .map(|_| {
                    let fresh = Self { made: self.made };
                    // Each thread renews once more than it posts.
                    self.made += ((posts_each + 1) * batch) as u64;
                    scope.spawn(move || posting(fresh))
                })
                .collect();
            let accepted =
                threads.into_iter().map(|one| one.join().unwrap_or_else(|_| anyhow::bail!("a panic")));
            accepted.sum()
        })
    }
}

/// Where a handler that checks no proof of work is, and whom it follows.
#[derive(Debug, clap::Args)]
pub struct UncheckedHandler {
    /// The Master
    pool_url: String,
    /// Where to listen
    listen: SocketAddr,
    /// Its own submit URL
    public_url: String,
    /// A folder of its own
    folder: PathBuf,
}

/// Serves announcements without a look at their proofs of work, until killed. No configuration makes headframe do this.
pub fn serve_unchecked(handler: UncheckedHandler) -> anyhow::Result<()> {
    let config = AnnHandlerConfig {
        skip_check_chance: 1.0,
        workers: NonZeroUsize::MIN,
        files_to_keep: 16,
        paymaker_password: PASSWORD.to_owned(),
        ..AnnHandlerConfig::new("main", &handler.public_url, handler.folder, &handler.pool_url, Rules::PKT)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (metrics, stop) = (Metrics::new(), CancellationToken::new());
        let http = pool::http_client::client()?;
        let running = AnnHandler::start(config, http, &metrics, stop.clone()).await?;
        let listener = listener::bind(handler.listen)?;
        let limits = Limits { large_bodies: true, ..Limits::default() };
        listener::serve(listener, running.routes(), limits, &metrics, stop).await;
        running.stopped().await;
        Ok(())
    })
}
