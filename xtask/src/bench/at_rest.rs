//! Both whole pools without miners: what they take when nothing happens.

use std::thread;
use std::time::{Duration, Instant};

use super::program::{Program, folder, free_address};
use super::{Goal, Row};

/// Until everything that a start brings with it is over.
const SETTLING: Duration = Duration::from_secs(10);
/// How long is measured.
const RESTING: Duration = Duration::from_secs(30);

/// Measures.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let (folder, address) = (folder()?, free_address()?);
    let (chain, nimiq_chain, nimiq_server) = (free_address()?, free_address()?, free_address()?);
    let configuration = format!(
        "[http]\nlisten = \"{address}\"\n[dev_chain]\nlisten = \"{chain}\"\n[nimiq_dev_chain]\nlisten = \"{nimiq_chain}\"\n\
         [[nimiq_server]]\nname = \"main\"\nlisten = \"{nimiq_server}\"\n"
    );
    let mut program = Program::headframe(folder.path(), &["up"], &configuration)?;
    program.until_ready(address)?;
    thread::sleep(SETTLING);
    let (before, started) = (program.usage()?, Instant::now());
    thread::sleep(RESTING);
    let after = program.usage()?;
    let part = (after.seconds - before.seconds) / started.elapsed().as_secs_f64();
    Ok(vec![
        Row {
            measure: "up at rest, memory of all server roles".to_owned(),
            unit: "MiB",
            ours: after.resident_bytes as f64 / f64::from(1 << 20),
            reference: None,
            goal: Some(Goal::AtMost(300.0)),
        },
        Row {
            measure: "up at rest, processor time".to_owned(),
            unit: "% of a core",
            ours: part * 100.0,
            reference: None,
            goal: Some(Goal::AtMost(2.0)),
        },
    ])
}
