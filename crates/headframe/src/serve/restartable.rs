//! A role that can be started again while the others of its process go on.
//!
//! Requests reach it through a [`Front`], which shows the newest instance. A role that ends by itself, or is ordered to, is
//! taken off the front, told to stop, and waited for until nothing of it is left: two instances must never use one folder.
//! One that does not stop ends the whole process, which systemd then starts again.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::StatusCode;
use pool::Health;
use pool::backoff::Backoff;
use pool::monitor::{RestartOrder, RoleName};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long an instance may take to answer what it has, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at whether requests are still answered.
const LOOK: Duration = Duration::from_millis(20);
/// Between the restarts of a role that does not live: at first, and at most.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// A role that has lived for so long starts with the first wait again.
const LIVED: Duration = Duration::from_secs(600);
/// Orders that wait.
const ORDERS: usize = 4;

/// One instance of a role.
pub struct Instance {
    /// What it serves.
    pub routes: Router,
    /// How it is.
    pub health: Health,
    /// Ends when it has ended.
    pub ended: BoxFuture<'static, anyhow::Result<()>>,
}

impl Instance {
    /// An instance that is over when `stopped` is.
    pub fn new(routes: Router, health: Health, stopped: impl Future<Output = ()> + Send + 'static) -> Self {
        let ended = Box::pin(async {
            stopped.await;
            Ok(())
        });
        Self { routes, health, ended }
    }
}

/// Who takes orders for which role; clones are the same list.
#[derive(Clone, Default)]
pub struct Orders(Arc<Mutex<Vec<Taker>>>);

/// A role, and where it takes reasons to be started again.
type Taker = (RoleName, mpsc::Sender<String>);

impl Orders {
    /// A role more.
    pub fn add(&self, shown: &Shown) {
        let state = shown.health.state();
        self.list().push((RoleName::new(state.role, state.name), shown.orders.clone()));
    }

    /// Every role that takes orders.
    pub fn roles(&self) -> Vec<RoleName> {
        self.list().iter().map(|(role, _)| role.clone()).collect()
    }

    /// Has a role started again. `false` if there is no such role, or too many orders wait for it.
    pub fn give(&self, role: &RoleName, reason: &str) -> bool {
        self.list().iter().any(|(known, orders)| known == role && orders.try_send(reason.to_owned()).is_ok())
    }

    /// Passes the monitor's orders on until there are no more.
    pub async fn pass_on(self, mut orders: mpsc::Receiver<RestartOrder>) -> anyhow::Result<()> {
        while let Some(RestartOrder { role, reason }) = orders.recv().await {
            if !self.give(&role, &reason) {
                tracing::error!(%role, "cannot be started again alone: restart the whole process");
            }
        }
        Ok(())
    }

    fn list(&self) -> MutexGuard<'_, Vec<Taker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts an instance, which ends after the signal.
pub type Start = Box<dyn Fn(CancellationToken) -> BoxFuture<'static, anyhow::Result<Instance>> + Send + Sync>;

/// Shows the newest instance.
#[derive(Clone)]
struct Front(Arc<ArcSwap<Router>>);

impl Front {
    fn routes(&self) -> Router {
        let front = self.clone();
        Router::new().fallback(move |request: Request| {
            let front = front.clone();
            async move { front.answer(request).await }
        })
    }

    async fn answer(&self, request: Request) -> Response {
        // Held until the answer is there, so that it can be seen when an instance answers nobody any more.
        let instance = self.0.load_full();
        let answered: Result<Response, Infallible> = instance.as_ref().clone().oneshot(request).await;
        answered.unwrap_or_else(|never| match never {})
    }
}

/// A role with its instance.
pub struct Restartable {
    label: String,
    start: Start,
    stop: CancellationToken,
    front: Front,
    health: Health,
    orders: mpsc::Receiver<String>,
    running: Running,
}

struct Running {
    stop: CancellationToken,
    ended: JoinHandle<anyhow::Result<()>>,
    since: Instant,
}

/// What others see of such a role.
pub struct Shown {
    /// What it serves, whichever instance.
    pub routes: Router,
    /// How it is, whichever instance.
    pub health: Health,
    /// Takes reasons to start it again.
    pub orders: mpsc::Sender<String>,
}

impl Restartable {
    /// Starts the first instance. `stop` is the signal after which there is no other; `label` is for people.
    pub async fn start(
        label: impl Into<String>,
        stop: CancellationToken,
        start: Start,
    ) -> anyhow::Result<(Self, Shown)> {
        let own_stop = stop.child_token();
        let instance = start(own_stop.clone()).await?;
        let (sender, orders) = mpsc::channel(ORDERS);
        let front = Front(Arc::new(ArcSwap::from_pointee(instance.routes)));
        let health = Health::in_front_of(&instance.health);
        let shown = Shown { routes: front.routes(), health: health.clone(), orders: sender };
        let running = Running::new(own_stop, instance.ended);
        Ok((Self { label: label.into(), start, stop, front, health, orders, running }, shown))
    }

    /// The life of the role: it ends after the stop signal.
    pub async fn live(mut self) -> anyhow::Result<()> {
        let mut backoff = Backoff::new(WAITS[0], WAITS[1]);
        loop {
            let (reason, wait) = tokio::select! {
                ended = &mut self.running.ended => {
                    if self.stop.is_cancelled() {
                        return ended?;
                    }
                    if self.running.since.elapsed() >= LIVED {
                        backoff.reset();
                    }
                    (why(ended), backoff.after_failure())
                }
                Some(reason) = self.orders.recv() => (reason, Duration::ZERO),
            };
            tracing::warn!(role = %self.label, %reason, "is started again");
            self.take_down().await?;
            self.wait(wait).await;
            while !self.stop.is_cancelled()
                && let Err(error) = self.start_instance().await
            {
                tracing::error!(role = %self.label, "cannot be started: {error:#}");
                self.health.hide(format!("cannot be started: {error:#}"));
                self.wait(backoff.after_failure()).await;
            }
            if self.stop.is_cancelled() && self.running.ended.is_finished() {
                return Ok(());
            }
            self.health.note(format!("started again: {reason}"));
        }
    }

    async fn wait(&self, time: Duration) {
        self.stop.run_until_cancelled(tokio::time::sleep(time)).await;
    }

    /// Takes the instance off the front and waits until nothing of it is left.
    async fn take_down(&mut self) -> anyhow::Result<()> {
        self.health.hide("it is being started again");
        let unavailable = async || (StatusCode::SERVICE_UNAVAILABLE, "being started again\n").into_response();
        let old = self.front.0.swap(Arc::new(Router::new().fallback(unavailable)));
        self.running.stop.cancel();
        let gone = async {
            while Arc::strong_count(&old) > 1 {
                tokio::time::sleep(LOOK).await;
            }
            drop(old);
            if !self.running.ended.is_finished() {
                // How it ends does not matter any more.
                let _ = (&mut self.running.ended).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.map_err(|_| {
            anyhow::anyhow!(
                "{} does not stop within {} s, so the whole process must be started again",
                self.label,
                PATIENCE.as_secs()
            )
        })
    }

    async fn start_instance(&mut self) -> anyhow::Result<()> {
        let own_stop = self.stop.child_token();
        let instance = (self.start)(own_stop.clone()).await?;
        self.health.show(&instance.health);
        self.front.0.store(Arc::new(instance.routes));
        self.running = Running::new(own_stop, instance.ended);
        tracing::info!(role = %self.label, "runs again");
        Ok(())
    }
}

impl Running {
    /// In a task of its own, so that a panic ends the instance alone.
    fn new(stop: CancellationToken, ended: BoxFuture<'static, anyhow::Result<()>>) -> Self {
        Self { stop, ended: tokio::spawn(ended), since: Instant::now() }
    }
}

fn why(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> String {
    match ended {
        Ok(Ok(())) => "it ended, although nobody told it to".to_owned(),
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => format!("a panic: {panic}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Body;
    use axum::routing::get;

    use super::*;

    /// A role that serves the number of its instance, and whose second instance ends when it is told to by a request.
    async fn role() -> (JoinHandle<anyhow::Result<()>>, Shown, CancellationToken) {
        let count = Arc::new(AtomicUsize::new(0));
        let start = move |stop: CancellationToken| -> BoxFuture<'static, anyhow::Result<Instance>> {
            let number = count.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                anyhow::ensure!(number != 1, "the disk is full");
                let (end, health) = (CancellationToken::new(), Health::starting("master", ""));
                health.ready();
                let ending = end.clone();
                let routes = Router::new()
                    .route("/number", get(move || async move { number.to_string() }))
                    .route("/end", get(move || async move { ending.cancel() }));
                let ended = Box::pin(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = end.cancelled() => anyhow::bail!("out of order"),
                    }
                    Ok(())
                });
                Ok(Instance { routes, health, ended })
            })
        };
        let stop = CancellationToken::new();
        let (role, shown) = Restartable::start("Master", stop.clone(), Box::new(start)).await.unwrap();
        (tokio::spawn(role.live()), shown, stop)
    }

    async fn ask(shown: &Shown, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = shown.routes.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn until_number(shown: &Shown, number: &str) {
        while ask(shown, "/number").await.1 != number {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_that_ends_is_started_again_until_it_runs() {
        let (living, shown, stop) = role().await;
        assert_eq!(ask(&shown, "/number").await, (StatusCode::OK, "0".to_owned()));
        assert!(shown.health.is_ready());
        ask(&shown, "/end").await;
        until_number(&shown, "2").await;
        assert!(shown.health.is_ready());
        assert_eq!(shown.health.state().note.as_deref(), Some("started again: out of order"));
        stop.cancel();
        living.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_is_started_again_when_somebody_orders_it() {
        let (living, shown, stop) = role().await;
        shown.orders.send("somebody asked for it".to_owned()).await.unwrap();
        until_number(&shown, "2").await;
        assert_eq!(shown.health.state().note.as_deref(), Some("started again: somebody asked for it"));
        stop.cancel();
        living.await.unwrap().unwrap();
    }
}
