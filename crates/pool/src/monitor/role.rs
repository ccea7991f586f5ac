//! The role: looks at everybody, lets [`Watch`] decide, and does what was decided.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::look::{Sight, WatchedProcess, look_on};
use super::message::{Message, Severity};
use super::routes::{Desk, RecentMessage, routes};
use super::watch::{Decision, MotionState, ProcessState, RoleName, Subject, Watch, WatchRules};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::notify::{Destination, Notifier};
use crate::parts::Parts;
use crate::site::facts::Moment;

/// Sights that wait to be looked through.
const SIGHTS: usize = 1024;
/// Orders that wait.
const ORDERS: usize = 16;
/// Messages that are shown.
const RECENT: usize = 50;

/// What the monitor is started with.
#[derive(Debug, Clone)]
pub struct MonitorConfig {
    /// Whom it watches.
    pub processes: Vec<WatchedProcess>,
    /// How it judges.
    pub rules: WatchRules,
    /// Pause between two looks at the health of a process.
    pub interval: Duration,
    /// What those must show who ask or order something.
    pub token: String,
    /// The pool's name, for those who are told.
    pub pool: String,
    /// Who is told.
    pub destinations: Vec<Destination>,
}

/// A running monitor.
pub struct Monitor {
    desk: Desk,
    health: Health,
    parts: Parts,
}

/// What is known, for those who ask.
pub(super) struct Shared {
    watch: Mutex<Watch>,
    recent: Mutex<VecDeque<RecentMessage>>,
}

impl Monitor {
    /// Starts it.
    pub fn start(
        config: MonitorConfig,
        http: &reqwest::Client,
        metrics: &Metrics,
        shutdown: &CancellationToken,
    ) -> Self {
        let health = Health::starting("monitor", "");
        let subject = |process: &WatchedProcess| Subject {
            url: process.url.clone(),
            roles: process.roles.clone(),
            restartable: process.restart.restarts_processes(),
        };
        let subjects = config.processes.iter().map(subject).collect();
        let watch = Watch::new(subjects, config.rules, Instant::now());
        let shared = Arc::new(Shared { watch: Mutex::new(watch), recent: Mutex::default() });
        metrics.collect("monitor", Seen(Arc::clone(&shared)));
        let (orders, ordered) = mpsc::channel(ORDERS);
        let desk = Desk { shared: Arc::clone(&shared), orders, token: config.token.as_str().into() };
        let mut parts = Parts::until(shutdown);
        let acting = Acting {
            figures: MonitorFigures::new(&metrics.for_role("monitor", "")),
            processes: config.processes,
            shared,
            notifier: Notifier::start(&config.pool, config.destinations, http, metrics, &parts.stop()),
            health: health.clone(),
            restarts: JoinSet::new(),
        };
        parts.run("watching", acting.run(http.clone(), config.interval, ordered, parts.stop()));
        health.ready();
        Self { desk, health, parts }
    }

    /// What it tells and does for those who show its token.
    pub fn routes(&self) -> Router {
        routes(self.desk.clone())
    }

    /// Whether it runs.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Returns when it has ended after the stop signal, or since a part of it died.
    pub async fn stopped(self) {
        self.parts.ended().await;
    }
}

impl Shared {
    fn watch<T>(&self, action: impl FnOnce(&mut Watch) -> T) -> T {
        action(&mut self.watch.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn states(&self) -> (Vec<ProcessState>, Vec<MotionState>) {
        let now = Instant::now();
        self.watch(|watch| (watch.processes(now), watch.motions(now)))
    }

    pub(super) fn roles(&self) -> Vec<RoleName> {
        let (processes, _) = self.states();
        processes.into_iter().flat_map(|process| process.roles).map(|role| role.role).collect()
    }

    pub(super) fn knows(&self, role: &RoleName) -> bool {
        self.watch(|watch| watch.ordered(role).is_some())
    }

    /// What was said of late, the newest first.
    pub(super) fn messages(&self) -> Vec<RecentMessage> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    fn remember(&self, message: Message) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(RecentMessage { at: Moment::now().0, message });
    }
}

/// The monitor at work.
struct Acting {
    figures: MonitorFigures,
    processes: Vec<WatchedProcess>,
    shared: Arc<Shared>,
    notifier: Notifier,
    health: Health,
    restarts: JoinSet<()>,
}

impl Acting {
    async fn run(
        mut self,
        http: reqwest::Client,
        interval: Duration,
        mut ordered: mpsc::Receiver<RoleName>,
        shutdown: CancellationToken,
    ) {
        let (sender, mut sights) = mpsc::channel(SIGHTS);
        let mut looking = JoinSet::new();
        for (place, process) in self.processes.iter().enumerate() {
            looking.spawn(look_on(place, process.url.clone(), http.clone(), interval, sender.clone()));
        }
        loop {
            let decisions = tokio::select! {
                () = shutdown.cancelled() => break,
                Some((place, sight)) = sights.recv() => {
                    let now = Instant::now();
                    self.shared.watch(|watch| match sight {
                        Sight::Health(look) => {
                            self.figures.looks.inc();
                            watch.looked(now, place, &look)
                        }
                        Sight::Figures(figures) => watch.measured(now, place, figures),
                    })
                }
                Some(role) = ordered.recv() => {
                    self.shared.watch(|watch| watch.ordered(&role)).into_iter().collect()
                }
                Some(_) = self.restarts.join_next() => continue,
                // Nobody looks at that process any more: the role ends, and is started again.
                Some(_) = looking.join_next() => return,
            };
            for decision in decisions {
                match decision {
                    Decision::Tell(message) => self.tell(message),
                    Decision::Restart { process, role, reason } => self.restart(process, role, reason),
                }
            }
        }
        self.notifier.stopped().await;
    }

    fn tell(&mut self, message: Message) {
        match message.severity {
            _ if message.resolved => tracing::info!("{message}"),
            Severity::Info => tracing::info!("{message}"),
            Severity::Warning => tracing::warn!("{message}"),
            Severity::Critical => tracing::error!("{message}"),
        }
        self.figures.messages.inc();
        self.notifier.tell(&message);
        self.shared.remember(message);
    }

    /// In a task of its own: a command takes its time.
    fn restart(&mut self, place: usize, role: Option<RoleName>, reason: String) {
        let Some(process) = self.processes.get(place).cloned() else { return };
        let what = role.as_ref().map_or_else(|| names(&process), RoleName::to_string);
        tracing::warn!(%what, url = %process.url, %reason, "starting it again");
        self.figures.restarts.inc();
        self.health.note(format!("started {what} again: {reason}"));
        self.restarts.spawn(async move {
            let first = process.roles.first();
            match process.restart.carry_out(role.as_ref(), first, &reason).await {
                Ok(()) => tracing::info!(%what, "was told to start again"),
                Err(fault) => tracing::error!(%what, %fault, "cannot be started again"),
            }
        });
    }
}

fn names(process: &WatchedProcess) -> String {
    process.roles.iter().map(RoleName::to_string).collect::<Vec<_>>().join(", ")
}

/// What the monitor counts.
struct MonitorFigures {
    looks: Counter,
    restarts: Counter,
    messages: Counter,
}

impl MonitorFigures {
    fn new(metrics: &Metrics) -> Self {
        Self {
            looks: metrics.counter("monitor_looks", "Looks at processes"),
            restarts: metrics.counter("monitor_restarts", "Roles and processes that were started again"),
            messages: metrics.counter("monitor_messages", "Messages about the pool"),
        }
    }
}

/// What the monitor sees, shown to those who ask.
struct Seen(Arc<Shared>);

impl fmt::Debug for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Seen").finish_non_exhaustive()
    }
}

impl Collector for Seen {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (processes, motions) = self.0.states();
        let down = processes.iter().filter(|process| !process.answers).count();
        for (name, help, value) in [
            ("monitor_processes", "Processes that are watched", processes.len()),
            ("monitor_processes_down", "Watched processes that do not answer", down),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            family.encode_gauge(&(value as i64))?;
        }
        let help = "1 if something stands still that ought to move";
        let mut family = encoder.encode_descriptor("monitor_stalled", help, None, MetricType::Gauge)?;
        for state in motions {
            let labels = vec![("motion".to_owned(), state.motion.to_owned())];
            family.encode_family(&labels)?.encode_gauge(&i64::from(state.stalled))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
