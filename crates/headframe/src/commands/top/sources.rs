//! Asking a running pool.

use std::time::Duration;

use pool::http_client;
use pool::site::facts::PoolFacts;
use serde::de::DeserializeOwned;

use super::board::{Board, MonitorState};

const ANSWER_LIMIT: usize = 8 << 20;
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Series of `/metrics` that tell what waits, with the words for them.
const QUEUES: [(&str, &str); 7] = [
    ("headframe_posts_waiting", "posts to check"),
    ("headframe_shares_waiting", "shares to check"),
    ("headframe_outbox_unconfirmed_events", "events for the PayMaker"),
    ("headframe_nimiq_hashing_queue_shares", "Nimiq shares to check"),
    ("headframe_nimiq_undelivered_shares", "Nimiq shares for the accounts"),
    ("headframe_long_poll_waiting", "clients waiting for work"),
    ("headframe_connections_open", "connections"),
];

/// Where a pool is asked.
pub struct Sources {
    site: String,
    monitor: Option<(String, String)>,
    http: reqwest::Client,
}

impl Sources {
    /// The website, and the monitor with its token.
    pub fn new(site: String, monitor: Option<(String, String)>) -> anyhow::Result<Self> {
        Ok(Self { site, monitor, http: http_client::client()? })
    }

    /// The website.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// Asks everybody at once. What is not answered stays as it was.
    pub async fn ask(&self, board: &mut Board) {
        let figures = format!("{}/metrics", self.site);
        let (facts, figures, monitor) = tokio::join!(
            self.json::<PoolFacts>(self.http.get(format!("{}/api/v1/pool", self.site))),
            http_client::fetch(&self.http, &figures, ANSWER_LIMIT, ANSWER_TIME),
            self.monitor(),
        );
        match facts {
            Ok(facts) => (board.facts, board.fault) = (Some(facts), None),
            Err(fault) => board.fault = Some(fault),
        }
        if let Ok(figures) = figures {
            board.queues = queues(&String::from_utf8_lossy(&figures));
        }
        board.monitor = monitor;
    }

    async fn monitor(&self) -> Option<MonitorState> {
        let (url, token) = self.monitor.as_ref()?;
        self.json(self.http.get(format!("{url}/monitor/state")).bearer_auth(token)).await.ok()
    }

    async fn json<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, String> {
        let answer = http_client::ask(request, ANSWER_LIMIT, ANSWER_TIME).await;
        let answer = answer.map_err(|fault| fault.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("it answers {}", answer.status));
        }
        serde_json::from_slice(&answer.body).map_err(|error| format!("its answer cannot be read: {error}"))
    }
}

/// The sums of what waits, for those that are shown at all.
fn queues(text: &str) -> Vec<(&'static str, f64)> {
    let sum = |wanted: &str| {
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            if series.split('{').next() == Some(wanted) { value.parse::<f64>().ok() } else { None }
        });
        values.reduce(|sum, value| sum + value)
    };
    QUEUES.iter().filter_map(|(series, words)| Some((*words, sum(series)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_summed_over_the_roles_that_show_it() {
        let text = "# HELP headframe_posts_waiting x\n\
                    headframe_posts_waiting{role=\"ann_handler\",name=\"a\"} 3\n\
                    headframe_posts_waiting{role=\"ann_handler\",name=\"b\"} 4\n\
                    headframe_connections_open 12\nheadframe_connections_open_ever 99\n";
        assert_eq!(queues(text), [("posts to check", 7.0), ("connections", 12.0)]);
    }
}
