//! The PayMaker: durable events for each core-second, answers meanwhile, a distribution over many addresses, and a
//! start from two days of events.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use ledger::{DurableLedger, Retention, Rules, RulesConfig, UnixMillis};
use packetcrypt::{BlockHash, CompactTarget, Height};
use wire::event::{AnnsEvent, BlockEvent, ShareEvent};
use wire::pkt_address::ChainAddress;
use wire::{Decimal, Event, EventId, PktAddress};

use super::dev_node::DevNode;
use super::load::Connection;
use super::program::{ADDRESS, PASSWORD, Program, folder, free_address};
use super::{Goal, Reference, Row};

/// `x:` and the password between roles, in base 64.
const AUTHORIZATION: &str = "Basic eDphIHBhc3N3b3JkIGJldHdlZW4gcm9sZXM=";
/// Events of an upload: "thousands".
const UPLOAD: u64 = 5000;
/// Uploads of announcement and of share events, after a first one that is not counted.
const UPLOADS: u64 = 100;
/// Addresses that they credit.
const FEW_ADDRESSES: u64 = 1000;
/// Pause between two questions for `/whotopay` during uploads.
const ASKING: Duration = Duration::from_millis(50);

/// Two days.
const HISTORY_MS: u64 = 2 * 24 * 3600 * 1000;
/// Upload events of a pool of one gigabit per second in two days.
const MANY_EVENTS: u64 = 20_000_000;
/// Addresses that they credit.
const MANY_ADDRESSES: u64 = 100_000;
/// Events of an upload of a handler, about as many as in 20 s.
const HANDLER_UPLOAD: u64 = 2000;
/// One block for each minute of two days.
const BLOCKS: u64 = 2880;
/// The windows of [`wide_rules`] in a PayMaker's configuration.
pub const WIDE_WINDOWS: &str = "announcement_window = 1000000\nblock_window = 1000000\n";
/// Distributions whose middle one is shown.
const DISTRIBUTIONS: usize = 9;

/// Measures.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let mut rows = uploads()?;
    rows.extend(two_days()?);
    Ok(rows)
}

fn uploads() -> anyhow::Result<Vec<Row>> {
    let (folder, node) = (folder()?, DevNode::start()?);
    let (pay_maker, address) = start(folder.path(), &node, "")?;
    let source = Source::ending_now(2 * UPLOAD * (UPLOADS + 1) + UPLOAD * UPLOADS, 20, FEW_ADDRESSES)?;
    let mut uploads = Uploads::begin(address, &source)?;
    let rate = |uploads: &mut Uploads<'_>, kind: Kind| -> anyhow::Result<f64> {
        uploads.post(kind, 1)?;
        let ((), seconds) = pay_maker.seconds_of(|| uploads.post(kind, UPLOADS))?;
        Ok((UPLOADS * UPLOAD) as f64 / seconds)
    };
    let announcements = rate(&mut uploads, Kind::Announcements)?;
    let shares = rate(&mut uploads, Kind::Shares)?;
    let asked = ask_during(address, || uploads.post(Kind::Announcements, UPLOADS))?;
    let row = |measure: &str, unit: &'static str, ours: f64| Row {
        measure: measure.to_owned(),
        unit,
        ours,
        reference: None,
        goal: None,
    };
    let (reference, goal) = (Some(Reference::Known(200_000.0)), Some(Goal::AtLeast(200_000.0)));
    Ok(vec![
        Row {
            reference,
            goal,
            ..row("PayMaker, announcement events, durable", "events per core-second", announcements)
        },
        Row { reference, goal, ..row("PayMaker, share events, durable", "events per core-second", shares) },
        row("PayMaker, /whotopay during uploads, median", "ms", asked.median),
        row("PayMaker, /whotopay during uploads, slowest", "ms", asked.slowest),
    ])
}

fn two_days() -> anyhow::Result<Vec<Row>> {
    let (folder, node) = (folder()?, DevNode::start()?);
    eprintln!("making {MANY_EVENTS} events of two days; some minutes");
    let rules = Rules::new(&wide_rules()?)?;
    let source = Source::ending_now(MANY_EVENTS, HISTORY_MS / MANY_EVENTS, MANY_ADDRESSES)?;
    let store = folder.path().join("data/pay-maker/ledger");
    fill(&store, &rules, &source, MANY_EVENTS)?;

    let launched = Instant::now();
    let (pay_maker, _) = start(folder.path(), &node, WIDE_WINDOWS)?;
    let cold_start = launched.elapsed().as_secs_f64();
    let memory = pay_maker.usage()?.resident_bytes as f64 / f64::from(1 << 20);
    drop(pay_maker);

    let (ledger, _) = DurableLedger::open(&store, rules, Retention::Delete)?;
    let timed = || {
        let started = Instant::now();
        let distribution = ledger.read().distribution(None);
        std::hint::black_box(&distribution);
        started.elapsed().as_secs_f64() * 1000.0
    };
    let first = timed();
    let mut later = Vec::new();
    for upload in 0..DISTRIBUTIONS as u64 {
        // A distribution is wanted when something has changed, so the newest slot is another one each time.
        let lines = source.lines(Kind::Announcements, MANY_EVENTS + upload * HANDLER_UPLOAD, HANDLER_UPLOAD);
        ledger.accept(lines.as_bytes(), now())?;
        later.push(timed());
    }
    later.sort_by(f64::total_cmp);
    let row = |measure: String, unit: &'static str, ours: f64, goal: Option<f64>| Row {
        measure,
        unit,
        ours,
        reference: None,
        goal: goal.map(Goal::AtMost),
    };
    let of = "100,000 addresses, 2,880 slots";
    Ok(vec![
        row(format!("PayMaker, distribution, {of}"), "ms", later[DISTRIBUTIONS / 2], Some(100.0)),
        row(format!("PayMaker, first distribution after a start, {of}"), "ms", first, None),
        row("PayMaker, start from 20 million upload events".to_owned(), "s", cold_start, Some(5.0)),
        row("PayMaker, memory with 20 million upload events".to_owned(), "MiB", memory, None),
    ])
}

/// Starts a PayMaker and waits until it is ready.
pub fn start(folder: &Path, node: &DevNode, windows: &str) -> anyhow::Result<(Program, SocketAddr)> {
    let address = free_address()?;
    let configuration = format!(
        "[pool]\npassword = \"{PASSWORD}\"\n[http]\nlisten = \"{address}\"\n[[node]]\nurl = \"{}\"\n\
         password = \"x\"\n[pay_maker]\ndefault_address = \"{ADDRESS}\"\nerror_address = \"{ADDRESS}\"\n{windows}",
        node.url()
    );
    let mut program = Program::headframe(folder, &["pay-maker"], &configuration)?;
    program.until("the ledger to be loaded", || {
        // Answered only when the ledger is there.
        Connection::open(address)?.get("/paymaker/whotopay?maxtime=1")?.success()?;
        Ok(())
    })?;
    Ok((program, address))
}

/// Rules by which two days of work never fill a window, so that a distribution looks at all of it.
pub fn wide_rules() -> anyhow::Result<RulesConfig> {
    Ok(RulesConfig {
        has_private_seed: false,
        block_payout_fraction: Decimal::new(5, -1)?,
        pplns_block_constant: Decimal::from_u64(1_000_000),
        pplns_announcement_constant: Decimal::from_u64(1_000_000),
        history_depth_ms: HISTORY_MS,
        slot_span_ms: 60_000,
        slots_to_keep_events: None,
        pool_fee: None,
        pool_fee_address: None,
        default_address: PktAddress::parse(ADDRESS)?,
        most_payees: 10_000,
    })
}

/// Has a ledger accept the first `events` of `source`; lines are made on another thread meanwhile.
pub fn fill(folder: &Path, rules: &Rules, source: &Source, events: u64) -> anyhow::Result<()> {
    let (ledger, _) = DurableLedger::open(folder, rules.clone(), Retention::Delete)?;
    ledger.accept(source.blocks().as_bytes(), now())?;
    let (sender, bodies) = mpsc::sync_channel(16);
    thread::scope(|scope| {
        scope.spawn(move || {
            for first in (0..events).step_by(HANDLER_UPLOAD as usize) {
                if sender.send(source.lines(Kind::Announcements, first, HANDLER_UPLOAD)).is_err() {
                    return;
                }
            }
        });
        bodies.into_iter().try_for_each(|body| {
            let accepted = ledger.accept(body.as_bytes(), now())?;
            anyhow::ensure!(accepted.receipt.credited == HANDLER_UPLOAD as u32, "events were not credited");
            Ok(())
        })
    })
}

/// The time.
pub fn now() -> UnixMillis {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixMillis(since_1970.map_or(0, |since| since.as_millis() as u64))
}

/// What the events of an upload tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Announcements,
    Shares,
}

/// Makes events by their numbers: distinct, and ascending in time.
pub struct Source {
    /// Whom they credit.
    pub addresses: Vec<PktAddress>,
    first_ms: u64,
    /// Thousandths of a millisecond between two events.
    step_us: u64,
    newest_ms: u64,
}

impl Source {
    /// So many events, the last one now.
    pub fn ending_now(events: u64, step_ms: u64, addresses: u64) -> anyhow::Result<Self> {
        let address = |number: u64| {
            let mut hash = [7; 20];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            PktAddress::parse(&ChainAddress::WitnessPublicKeyHash(hash).to_string())
        };
        let addresses = (0..addresses).map(address).collect::<Result<Vec<_>, _>>()?;
        let newest_ms = now().0;
        let span_ms = if step_ms * events < HISTORY_MS / 2 { step_ms * events } else { HISTORY_MS - 120_000 };
        Ok(Self { addresses, first_ms: newest_ms - span_ms, step_us: span_ms * 1000 / events, newest_ms })
    }

    /// A block for each minute of the history.
    fn blocks(&self) -> String {
        let block = |number: u64| {
            let mut hash = [0; 32];
            // At the end, with which the hash as people write it begins, and so the event's id.
            hash[24..].copy_from_slice(&(number + 1).to_le_bytes());
            let hash = BlockHash::from_internal(hash);
            let event = BlockEvent {
                hash: Some(hash),
                height: Height(200_000 + number as u32),
                difficulty: Decimal::from_u64(4096),
                time_ms: self.newest_ms + 60_000 - HISTORY_MS + number * (HISTORY_MS / BLOCKS),
                event_id: EventId::of_block(&hash),
            };
            Event::Block(event).to_line()
        };
        (0..BLOCKS).map(block).collect()
    }

    /// `count` events from number `first` on.
    fn lines(&self, kind: Kind, first: u64, count: u64) -> String {
        (first..first + count).map(|number| self.event(kind, number).to_line()).collect()
    }

    fn event(&self, kind: Kind, number: u64) -> Event {
        // Scattered, so that neighbours in time are neighbours nowhere else.
        let scattered = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let pay_to = self.addresses[(scattered >> 32) as usize % self.addresses.len()];
        let mut id = [kind as u8 + 1; 16];
        id[..8].copy_from_slice(&scattered.to_le_bytes());
        let (event_id, target) = (EventId::from_bytes(id), CompactTarget(0x201f_ffff));
        let time_ms = self.first_ms + number * self.step_us / 1000;
        match kind {
            Kind::Announcements => Event::Anns(AnnsEvent {
                accepted: 1000 + (number % 24) as u32,
                duplicate: 0,
                pay_to,
                unsigned: 1024,
                total_length: 0,
                target,
                time_ms,
                event_id,
            }),
            Kind::Shares => Event::Share(ShareEvent {
                pay_to,
                won_block: None,
                time_ms,
                event_id,
                target,
                announcement_count: 100_000 + number % 1000,
                announcement_min_work: target,
                encryptions: 1 << 20,
            }),
        }
    }
}

/// Uploads in sequence over one connection.
struct Uploads<'a> {
    connection: Connection,
    source: &'a Source,
    next: u64,
}

impl<'a> Uploads<'a> {
    /// The blocks come first: without them no work is worth anything.
    fn begin(server: SocketAddr, source: &'a Source) -> anyhow::Result<Self> {
        let mut connection = Connection::open(server)?;
        upload(&mut connection, &source.blocks())?;
        Ok(Self { connection, source, next: 0 })
    }

    fn post(&mut self, kind: Kind, uploads: u64) -> anyhow::Result<()> {
        for _ in 0..uploads {
            upload(&mut self.connection, &self.source.lines(kind, self.next, UPLOAD))?;
            self.next += UPLOAD;
        }
        Ok(())
    }
}

fn upload(connection: &mut Connection, lines: &str) -> anyhow::Result<()> {
    let headers = [("authorization", AUTHORIZATION), ("content-type", "application/json")];
    let reply = connection.post("/paymaker/events", &headers, lines.as_bytes())?.json()?;
    let warnings = reply["warn"].as_array().map_or(0, Vec::len);
    anyhow::ensure!(warnings == 0, "an upload was answered {reply}");
    Ok(())
}

/// How long answers took, in milliseconds.
struct Asked {
    median: f64,
    slowest: f64,
}

/// Asks for `/whotopay` again and again while `action` runs.
fn ask_during(server: SocketAddr, action: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Asked> {
    let stop = AtomicBool::new(false);
    let ask = || -> anyhow::Result<Vec<f64>> {
        let mut connection = Connection::open(server)?;
        let mut times = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let asked = Instant::now();
            connection.get("/paymaker/whotopay")?.success()?;
            times.push(asked.elapsed().as_secs_f64() * 1000.0);
            thread::sleep(ASKING);
        }
        Ok(times)
    };
    let mut times = thread::scope(|scope| {
        let asking = scope.spawn(ask);
        let done = action();
        stop.store(true, Ordering::Relaxed);
        let times = asking.join().unwrap_or_else(|_| anyhow::bail!("a panic"));
        done.and(times)
    })?;
    times.sort_by(f64::total_cmp);
    let slowest = times.last().copied().context("nothing was asked")?;
    Ok(Asked { median: times[times.len() / 2], slowest })
}
