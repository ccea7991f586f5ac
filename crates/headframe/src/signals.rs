//! ^C and its relatives: the first drains, the second stops, SIGHUP reads the configuration again; but where it tells that the
//! terminal was closed from which the program was started, it stops too.

use std::io::{IsTerminal, Write};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code after a second ^C.
const STOPPED: i32 = 130;

/// A token that the first ^C (or SIGTERM) cancels; the second one ends the process.
pub fn shutdown(waiting_for: &'static str) -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first {
                cancelled.cancel();
                say(&format!("stopping: waiting for {waiting_for}; ^C again stops at once"));
            } else {
                say("stopped at once; what was accepted is on disk");
                std::process::exit(STOPPED);
            }
        }
    });
    Ok(token)
}

/// Tells whoever still reads; a pipe whose reader has gone is no reason not to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Every SIGHUP from now on. Without anybody who waits for them they are kept, and do not end the process.
pub struct Hangups {
    signals: Signal,
    has_terminal: bool,
}

/// What a SIGHUP means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// Somebody wants the configuration to be read again.
    Reload,
    /// Nobody sees any more that the program runs.
    TerminalClosed,
}

impl Hangups {
    /// Begins to take them.
    pub fn new() -> anyhow::Result<Self> {
        let has_terminal = std::io::stdin().is_terminal();
        Ok(Self { signals: signal(SignalKind::hangup())?, has_terminal })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Hangup {
        // The stream does not end as long as the runtime runs.
        self.signals.recv().await;
        // A terminal that was closed is none any more.
        if self.has_terminal && !std::io::stdin().is_terminal() {
            Hangup::TerminalClosed
        } else {
            Hangup::Reload
        }
    }
}
