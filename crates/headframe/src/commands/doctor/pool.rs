//! The running pool as miners see it: the Master answers, its handlers are those of the configuration, and can be reached.

use std::time::Duration;

use http::StatusCode;
use pool::http_client;
use wire::pool_config::PoolConfig;

use super::finding::Finding;
use super::ports::Running;
use crate::config::Config;
use crate::roles::Urls;
use crate::roles::site::reachable;

const ANSWER_TIME: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: usize = 1 << 20;

/// Asks the Master as a miner would, by its public URL.
pub async fn examine(config: &Config, running: Running) -> Vec<Finding> {
    let urls = Urls::new(config, reachable(config.http.listen));
    let subject = format!("Master {}", urls.master);
    if running == Running::No && config.pool.url.is_none() {
        return vec![Finding::unseen(subject, "the pool does not run")];
    }
    let reach = "start the Master, or correct `pool.url`; behind a proxy, look at what it passes on";
    let document = match get(&format!("{}/config.json", urls.master)).await {
        Ok((StatusCode::OK, body)) => body,
        Ok((status, _)) => return vec![Finding::fault(subject, format!("answers {status}"), reach)],
        Err(error) => return vec![Finding::fault(subject, format!("cannot be reached: {error}"), reach)],
    };
    let said = match PoolConfig::parse(&document) {
        Ok(said) => said,
        Err(error) => {
            return vec![Finding::fault(subject, error.to_string(), "is that a Master? correct `pool.url`")];
        }
    };
    let mut findings = vec![Finding::good(&subject, format!("gives work for block {}", said.current_height))];
    findings.push(agreement(&subject, "AnnHandlers", &urls.ann_handlers, &said.submit_ann_urls));
    findings.push(agreement(&subject, "BlkHandlers", &urls.blk_handlers, &said.submit_block_urls));
    for url in said.submit_ann_urls.iter().chain(&said.submit_block_urls) {
        findings.push(handler(url).await);
    }
    findings
}

/// The lists must be the same, in the same order: it says which handler takes what.
fn agreement(subject: &str, kind: &str, ours: &[String], theirs: &[String]) -> Finding {
    let ours: Vec<String> = ours.iter().map(|base| format!("{base}/submit")).collect();
    if ours == theirs {
        return Finding::good(subject, format!("names the {kind} of this configuration"));
    }
    let what = format!("names the {kind} {}, this configuration {}", theirs.join(", "), ours.join(", "));
    Finding::fault(
        subject,
        what,
        "give all machines the same configuration file, and restart or reload the Master",
    )
}

/// A handler knows its own path, and does not take what this asks.
async fn handler(url: &str) -> Finding {
    let subject = format!("handler {url}");
    let reach = "start it, or correct its `url`; a firewall or a proxy may be between";
    match get(url).await {
        Ok((StatusCode::NOT_FOUND, _)) => {
            Finding::fault(subject, "there is no handler behind this URL (404)", reach)
        }
        Ok((status, _)) if status.is_server_error() => {
            Finding::fault(subject, format!("answers {status}"), reach)
        }
        Ok(_) => Finding::good(subject, "can be reached"),
        Err(error) => Finding::fault(subject, format!("cannot be reached: {error}"), reach),
    }
}

async fn get(url: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let answer = http_client::ask(http_client::client()?.get(url), ANSWER_LIMIT, ANSWER_TIME).await?;
    Ok((answer.status, answer.body.to_vec()))
}
