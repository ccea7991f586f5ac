//! `headframe top`: a running pool on a terminal, read over HTTP like everybody else reads it.
//!
//! [`sources`] asks the website's API, `/metrics` and the monitor; [`board`] is what they said; [`view`] draws it.

mod board;
mod sources;
mod view;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use pool::site::facts::Moment;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use crate::cli::Running;
use crate::commands::config;
use crate::config::{Config, Files};
use crate::roles;
use board::Board;
use sources::Sources;

/// Between two rounds of questions.
const ROUND: Duration = Duration::from_secs(2);
/// How long the keyboard is waited for before somebody may ask whether it is still wanted.
const KEYS: Duration = Duration::from_millis(250);

/// Draws until somebody presses q.
pub async fn run(arguments: &Running) -> anyhow::Result<()> {
    anyhow::ensure!(
        std::io::stdout().is_terminal(),
        "`headframe top` draws on a terminal, and the standard output is none; `curl URL/api/v1/pool` has the same figures"
    );
    let sources = sources(arguments)?;
    let (sender, mut keys) = mpsc::channel(16);
    // It ends with the process, or when nobody waits for keys any more.
    std::thread::spawn(move || read_keys(&sender));
    let mut terminal = ratatui::try_init().context("cannot draw on this terminal")?;
    let drawn = draw(&mut terminal, sources, &mut keys).await;
    ratatui::restore();
    drawn
}

/// Where the pool is asked: the URL that was given, or what the configuration says.
fn sources(arguments: &Running) -> anyhow::Result<Sources> {
    let url = arguments.url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
    let has_configuration = arguments.configuration.config.is_some();
    let config = if url.is_none() || has_configuration {
        Some(config::load(&arguments.configuration, Vec::new(), Files::MayBeElsewhere)?)
    } else {
        None
    };
    let (site, monitor) = config.as_ref().map(roles::monitor::where_to_ask).unzip();
    let site = url.or(site).context("give the URL of the pool's website, or its configuration")?;
    let monitor = monitor.zip(config.as_ref().and_then(monitors_token));
    Sources::new(site, monitor)
}

/// Without the right to read it, the board is without the monitor.
fn monitors_token(config: &Config) -> Option<String> {
    let folder = config.pool.data.join(roles::monitor::FOLDER);
    Some(roles::monitor::token_of_running(config, &folder).ok()?.reveal().to_owned())
}

async fn draw(
    terminal: &mut DefaultTerminal,
    sources: Sources,
    keys: &mut mpsc::Receiver<Event>,
) -> anyhow::Result<()> {
    let mut board = Board::of(sources.site());
    let mut rounds = tokio::time::interval(ROUND);
    loop {
        terminal.draw(|frame| view::draw(frame, &board, Moment::now()))?;
        tokio::select! {
            _ = rounds.tick() => sources.ask(&mut board).await,
            key = keys.recv() => match key {
                Some(Event::Key(key)) if ends(key) => return Ok(()),
                // A new size, or another key: it is drawn again.
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

fn ends(key: KeyEvent) -> bool {
    let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || is_interrupt)
}

fn read_keys(sender: &mpsc::Sender<Event>) {
    while !sender.is_closed() {
        match event::poll(KEYS).and_then(|there| if there { event::read().map(Some) } else { Ok(None) }) {
            Ok(None) => {}
            Ok(Some(event)) => {
                if sender.blocking_send(event).is_err() {
                    return;
                }
            }
            // Without a keyboard there is nobody to stop it: it stops.
            Err(_) => return,
        }
    }
}
