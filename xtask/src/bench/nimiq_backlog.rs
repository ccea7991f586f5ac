//! The Nimiq server while its accounts are away: what it goes on accepting waits on disk, not in memory.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ledger::local_postgres::{Durability, LocalPostgres};
use wire::nimiq::Mode;

use super::nimiq_server::{SENDING, SHARES_EACH, Stage, mine, until};
use super::{Goal, Row};

/// Heads, each with as many shares as the clients send.
const HEADS: usize = 6;
/// Heads after which the server has everything that it works with: shares of two heads are remembered.
const WARM: usize = 3;

/// What a share may take, in bytes: a backlog in memory would take at least the 112 bytes that it has on disk; what the
/// allocator does meanwhile comes to some tens either way.
const FLAT: f64 = 32.0;

/// Measures.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let mut postgres = LocalPostgres::start(Durability::Real)?;
    let stage = Stage::start(Some(&postgres.new_database()?))?;
    let mut clients = stage.register(SENDING, Mode::Smart)?;
    postgres.kill()?;
    let mut resident = Vec::new();
    for head in 1..=HEADS {
        let settings: Vec<_> = clients.iter().map(|client| client.settings.clone()).collect();
        let messages = mine(&stage.chain, &settings)?;
        stage.runtime.block_on(async {
            let mut sending: FuturesUnordered<_> = clients
                .iter_mut()
                .zip(&messages)
                .map(|(client, messages)| client.send_all(messages))
                .collect();
            while let Some(sent) = sending.next().await {
                sent?;
            }
            anyhow::Ok(())
        })?;
        until(stage.figures, "headframe_nimiq_shares_accepted_total", (head * SENDING * SHARES_EACH) as f64)?;
        resident.push(stage.program.usage()?.resident_bytes);
        stage.extend()?;
    }
    postgres.restart()?;
    let shares = HEADS * SENDING * SHARES_EACH;
    until(stage.figures, "headframe_nimiq_shares_delivered_total", shares as f64)?;
    let waiting = (HEADS - WARM) * SENDING * SHARES_EACH;
    let grown = resident[HEADS - 1].saturating_sub(resident[WARM - 1]);
    Ok(vec![Row {
        measure: format!("server, memory that {waiting} more shares take while PostgreSQL is away"),
        unit: "bytes per share",
        ours: grown as f64 / waiting as f64,
        reference: None,
        goal: Some(Goal::AtMost(FLAT)),
    }])
}
