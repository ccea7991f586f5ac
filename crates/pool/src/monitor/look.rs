//! Looking at a process: its health every few seconds, its figures now and then.

use std::time::Duration;

use tokio::sync::mpsc;

use super::figures::Figures;
use super::restarting::RestartMethod;
use super::watch::{Look, RoleLook, RoleName};
use crate::health::asking::{self, AskFault, ToldState};
use crate::http_client::{self, HttpFault};

/// The largest page of figures that is read.
const FIGURES_LIMIT: usize = 4 << 20;
/// How long that may take.
const FIGURES_TIME: Duration = Duration::from_secs(5);
/// Looks at the health between two at the figures.
const FIGURES_EVERY: u32 = 5;
/// The pause after a look that failed: what is dead is noticed soon.
const SOON: Duration = Duration::from_millis(700);

/// A process that is to be watched.
#[derive(Debug, Clone)]
pub struct WatchedProcess {
    /// Where it is asked: scheme, host and port.
    pub url: String,
    /// The roles that are known to run there.
    pub roles: Vec<RoleName>,
    /// How it is started again.
    pub restart: RestartMethod,
}

/// What was seen.
#[derive(Debug)]
pub(super) enum Sight {
    /// How it is.
    Health(Look),
    /// What it shows.
    Figures(Figures),
}

/// Looks at one process again and again, until nobody takes what was seen.
pub(super) async fn look_on(
    place: usize,
    url: String,
    http: reqwest::Client,
    interval: Duration,
    sights: mpsc::Sender<(usize, Sight)>,
) {
    let mut until_figures = 0;
    loop {
        let look = health(&http, &url).await;
        let answers = matches!(look, Look::Answered(_));
        if sights.send((place, Sight::Health(look))).await.is_err() {
            return;
        }
        if answers && until_figures == 0 {
            until_figures = FIGURES_EVERY;
            // A page that cannot be had now is had the next time.
            if let Some(figures) = figures(&http, &url).await
                && sights.send((place, Sight::Figures(figures))).await.is_err()
            {
                return;
            }
        }
        until_figures = until_figures.saturating_sub(u32::from(answers));
        tokio::time::sleep(if answers { interval } else { SOON.min(interval) }).await;
    }
}

impl From<ToldState> for RoleLook {
    fn from(told: ToldState) -> Self {
        let reason = || told.reason.unwrap_or_else(|| "it does not say why".to_owned());
        Self { trouble: (!told.ready).then(reason), role: RoleName::new(told.role, told.name) }
    }
}

async fn health(http: &reqwest::Client, url: &str) -> Look {
    match asking::ask(http, &format!("{url}/healthz")).await {
        Ok(told) => Look::Answered(told.roles.into_iter().map(RoleLook::from).collect()),
        Err(AskFault::Http(fault @ HttpFault::Transport(_))) => Look::Gone(fault.to_string()),
        Err(fault) => Look::Silent(fault.to_string()),
    }
}

async fn figures(http: &reqwest::Client, url: &str) -> Option<Figures> {
    let body = http_client::fetch(http, &format!("{url}/metrics"), FIGURES_LIMIT, FIGURES_TIME).await.ok()?;
    Some(Figures::read(&String::from_utf8_lossy(&body)))
}
