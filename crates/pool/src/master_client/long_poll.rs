//! Waiting for the next work, so that a new block is noticed when the Master has it (W7, P8).

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use packetcrypt::Height;
use wire::work;

use super::Shared;
use crate::http_client;

/// A Master answers after 30 s at the latest; one that does not is asked again.
const LONGEST_POLL: Duration = Duration::from_mins(1);
/// Pause after an answer that makes no sense, or none.
const PAUSE: Duration = Duration::from_secs(5);
/// An empty answer that comes sooner than this was no long poll: then there is a pause too.
const SHORTEST_POLL: Duration = Duration::from_secs(1);
/// Looks at a `config.json` that still shows the block before (it may be cached on the way).
const LOOKS: u32 = 20;
/// Pause between these looks.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// Holds a long poll for the work above the published one, again and again.
pub(super) async fn wait_for_work(shared: Arc<Shared>) {
    let mut view = shared.view.subscribe();
    loop {
        // An error cannot be met: `shared` holds the sender.
        let Ok(current) = view.wait_for(Option::is_some).await.map(|view| height_of(view.as_deref())) else {
            return;
        };
        let Some(next) = current.checked_add(1) else { return };
        tokio::select! {
            () = poll(&shared, next) => {}
            _ = view.wait_for(|view| height_of(view.as_deref()) != current) => {}
        }
    }
}

fn height_of(view: Option<&super::PoolView>) -> Height {
    view.map_or(Height(0), |view| view.config.current_height)
}

/// One long poll. Returns when it is time for the next.
async fn poll(shared: &Shared, next: Height) {
    let request = shared.http.get(shared.url(&work::file_name(next)));
    let asked = Instant::now();
    let answer = http_client::ask(request, work::LIMIT, LONGEST_POLL).await;
    match answer.map(|answer| answer.status) {
        Ok(StatusCode::OK) => look_until(shared, next).await,
        Ok(StatusCode::MULTIPLE_CHOICES) if asked.elapsed() >= SHORTEST_POLL => {}
        Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
    }
}

/// Has the configuration looked at until it shows the height that is mined now.
async fn look_until(shared: &Shared, next: Height) {
    let mut view = shared.view.subscribe();
    for _ in 0..LOOKS {
        shared.look.notify_one();
        let arrived = view.wait_for(|view| height_of(view.as_deref()) >= next);
        if tokio::time::timeout(LOOK_PAUSE, arrived).await.is_ok() {
            return;
        }
    }
}
