//! The monitor over fifty processes that are all well: what watching them takes.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::program::{Program, folder, free_address, metric};
use super::{Goal, Row};

/// Processes that are watched, each with one role.
const PROCESSES: usize = 50;
/// Until all have been seen.
const SETTLING: Duration = Duration::from_secs(5);
/// How long is measured: several rounds of figures.
const WATCHING: Duration = Duration::from_secs(25);
/// Series of a handler's page, about as many as a real one has.
const SERIES: usize = 250;

/// What a process answers.
struct Pages {
    health: String,
    figures: String,
}

/// Measures.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let pages = Arc::new(Pages::new()?);
    let processes = (0..PROCESSES).map(|_| serve(&pages)).collect::<anyhow::Result<Vec<SocketAddr>>>()?;
    let urls: Vec<String> = processes.iter().map(|address| format!("\"http://{address}\"")).collect();
    let (folder, address) = (folder()?, free_address()?);
    let configuration = format!(
        "[http]\nlisten = \"{address}\"\n[pool]\nrun_packetcrypt = \"no\"\n[nimiq]\nrun = \"no\"\n[site]\nrun = false\n\
         [monitor]\nalso_watch = [{}]\n",
        urls.join(", ")
    );
    let mut program = Program::headframe(folder.path(), &["monitor"], &configuration)?;
    program.until_ready(address)?;
    program.until("everybody to be seen", || {
        let down = metric(address, "headframe_monitor_processes_down")?;
        anyhow::ensure!(down == 0.0, "{down} processes have not been seen");
        Ok(())
    })?;
    thread::sleep(SETTLING);
    let (before, started) = (program.usage()?, Instant::now());
    thread::sleep(WATCHING);
    let after = program.usage()?;
    let part = (after.seconds - before.seconds) / started.elapsed().as_secs_f64();
    Ok(vec![
        Row {
            measure: format!("monitor of {PROCESSES} roles, processor time"),
            unit: "% of a core",
            ours: part * 100.0,
            reference: None,
            goal: Some(Goal::AtMost(1.0)),
        },
        Row {
            measure: format!("monitor of {PROCESSES} roles, memory"),
            unit: "MiB",
            ours: after.resident_bytes as f64 / f64::from(1 << 20),
            reference: None,
            goal: Some(Goal::AtMost(30.0)),
        },
    ])
}

impl Pages {
    fn new() -> anyhow::Result<Self> {
        let health = r#"{"status":"ok","roles":[{"role":"ann_handler","name":"main","ready":true}]}"#;
        let mut figures = String::new();
        for series in 0..SERIES {
            let labels = format!("role=\"ann_handler\",name=\"main\",stage=\"check\",le=\"{series}\"");
            writeln!(figures, "headframe_stage_seconds_bucket{{{labels}}} {}", series * 1000)?;
        }
        writeln!(
            figures,
            "headframe_announcements_accepted_total{{role=\"ann_handler\",name=\"main\"}} 1000"
        )?;
        Ok(Self { health: answer(health), figures: answer(&figures) })
    }
}

fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Answers on a port of its own until the program ends.
fn serve(pages: &Arc<Pages>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let pages = Arc::clone(pages);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let pages = Arc::clone(&pages);
            // A client that breaks off ends its own thread only.
            thread::spawn(move || answer_all(&stream, &pages));
        }
    });
    Ok(address)
}

fn answer_all(stream: &TcpStream, pages: &Pages) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let mut line = String::new();
    loop {
        line.clear();
        anyhow::ensure!(reader.read_line(&mut line)? > 0, "the client has gone");
        let path = line.split(' ').nth(1).context("a request has a path")?.to_owned();
        while line != "\r\n" {
            line.clear();
            anyhow::ensure!(reader.read_line(&mut line)? > 0, "the client has gone");
        }
        let page = if path == "/healthz" { &pages.health } else { &pages.figures };
        writer.write_all(page.as_bytes())?;
    }
}
