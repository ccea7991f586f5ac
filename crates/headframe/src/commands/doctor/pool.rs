//! The running pool as others see it: the Master answers, its handlers are those of the configuration and can be reached, the
//! PayMaker knows the handlers' password, and visitors find the website.

use std::time::Duration;

use http::StatusCode;
use pool::http_client;
use wire::pool_config::PoolConfig;

use super::finding::Finding;
use super::ports::Running;
use crate::config::{Config, PublicUrl};
use crate::roles::site::reachable;
use crate::roles::{Urls, ann_name, blk_name};

const ANSWER_TIME: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: usize = 1 << 20;

/// Asks the Master as a miner would, by its public URL, and the PayMaker as a handler would.
pub async fn examine(config: &Config, running: Running) -> Vec<Finding> {
    let urls = Urls::new(config, reachable(config.http.listen));
    let mut findings = seen_by_miners(config, running, &urls).await;
    if running == Running::Yes || config.pay_maker.url.is_some() {
        findings.push(pay_maker(config, &urls.pay_maker).await);
    }
    findings
}

/// The website at the address that visitors are told; `None` where none is written.
pub async fn website(config: &Config) -> Option<Finding> {
    let url = config.site.url.as_ref()?;
    let subject = format!("website {url}");
    let reach = "start it, or correct `site.url`; behind a proxy, look at what it passes on";
    Some(match get(&format!("{url}/pool.json")).await {
        Ok((StatusCode::OK, _)) => Finding::good(subject, "can be reached"),
        Ok((status, _)) if status.is_redirection() => {
            let fix =
                "give `site.url` the address that it leads to: links and lists of pools then need no detour";
            Finding::fault(subject, format!("leads elsewhere ({status})"), fix)
        }
        Ok((status, _)) => Finding::fault(subject, format!("answers {status}"), reach),
        Err(error) => unreachable(&subject, &error, reach),
    })
}

/// Handlers bring their events there. Whoever may do so is told that they are to be posted; nobody else gets so far.
async fn pay_maker(config: &Config, url: &str) -> Finding {
    let subject = format!("PayMaker {url}");
    let reach = "start it, or correct `pay_maker.url`; accepted work waits with the handlers meanwhile";
    let password = config.pool.password.as_ref();
    let status = async {
        let request = http_client::client()?.get(format!("{url}/events"));
        let request = match password {
            Some(password) => request.basic_auth("x", Some(password.reveal())),
            None => request,
        };
        anyhow::Ok(http_client::ask(request, ANSWER_LIMIT, ANSWER_TIME).await?.status)
    };
    match status.await {
        Ok(StatusCode::METHOD_NOT_ALLOWED) if password.is_some() => {
            Finding::good(subject, "can be reached, and knows `pool.password`")
        }
        Ok(StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNAUTHORIZED) if password.is_none() => {
            Finding::good(subject, "can be reached")
        }
        Ok(StatusCode::UNAUTHORIZED) => Finding::fault(
            subject,
            "refuses `pool.password`: no handler of this configuration could deliver what it has accepted",
            "give all machines the same `pool.password`, and restart those that have another",
        ),
        Ok(StatusCode::FORBIDDEN) => Finding::unseen(
            subject,
            "takes no events from this machine; if a handler runs here, add its network to `pay_maker.upload_networks`",
        ),
        Ok(StatusCode::NOT_FOUND) => {
            Finding::fault(subject, "there is no PayMaker behind this URL (404)", reach)
        }
        Ok(status) => Finding::fault(subject, format!("answers {status}"), reach),
        Err(error) => unreachable(&subject, &error, reach),
    }
}

/// The Master, and each handler that it names.
async fn seen_by_miners(config: &Config, running: Running, urls: &Urls) -> Vec<Finding> {
    let subject = format!("Master {}", urls.master);
    let mut findings = seen_from_elsewhere(config);
    if running == Running::No && config.pool.url.is_none() {
        findings.push(Finding::unseen(subject, "the pool does not run"));
        return findings;
    }
    let said = match master(&urls.master, &subject).await {
        Ok(said) => said,
        Err(fault) => {
            findings.push(fault);
            return findings;
        }
    };
    findings.push(Finding::good(&subject, format!("gives work for block {}", said.current_height)));
    findings.push(agreement(&subject, "AnnHandlers", &urls.ann_handlers, &said.submit_ann_urls));
    findings.push(agreement(&subject, "BlkHandlers", &urls.blk_handlers, &said.submit_block_urls));
    for url in said.submit_ann_urls.iter().chain(&said.submit_block_urls) {
        findings.push(handler(url).await);
    }
    findings
}

/// What the Master says of the pool.
async fn master(url: &str, subject: &str) -> Result<PoolConfig, Finding> {
    let reach = "start the Master, or correct `pool.url`; behind a proxy, look at what it passes on";
    match get(&format!("{url}/config.json")).await {
        Ok((StatusCode::OK, document)) => PoolConfig::parse(&document).map_err(|error| {
            Finding::fault(subject, error.to_string(), "is that a Master? correct `pool.url`")
        }),
        Ok((status, _)) => Err(Finding::fault(subject, format!("answers {status}"), reach)),
        Err(error) => Err(unreachable(subject, &error, reach)),
    }
}

/// Whoever serves other machines tells them URLs that mean the same there.
fn seen_from_elsewhere(config: &Config) -> Vec<Finding> {
    let ann = config.ann_handlers.iter().map(|handler| {
        (format!("ann_handler.{}.url", ann_name(handler)), handler.url.as_ref(), handler.listen)
    });
    let blk = config.blk_handlers.iter().map(|handler| {
        (format!("blk_handler.{}.url", blk_name(handler)), handler.url.as_ref(), handler.listen)
    });
    let master = [("pool.url".to_owned(), config.pool.url.as_ref(), config.master.listen)];
    let told = master.into_iter().chain(ann).chain(blk);
    let wrong = told.filter(|(_, url, own)| {
        let listen = own.unwrap_or(config.http.listen).ip();
        !listen.is_loopback() && url.is_some_and(PublicUrl::is_loopback)
    });
    let fault = |(key, url, _): (String, Option<&PublicUrl>, _)| {
        let url = url.map(PublicUrl::as_str).unwrap_or_default();
        let what = format!("{url} leads everybody to their own machine");
        let fix = format!("give `{key}` the name or address that miners reach this one by");
        Finding::fault(format!("`{key}`"), what, fix)
    };
    wrong.map(fault).collect()
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
        Err(error) => unreachable(&subject, &error, reach),
    }
}

fn unreachable(subject: &str, error: &anyhow::Error, reach: &str) -> Finding {
    let error = error.to_string();
    let fix = if error.contains("certificate") {
        "give its proxy a certificate that browsers trust, of this name and not expired"
    } else {
        reach
    };
    Finding::fault(subject, format!("cannot be reached: {error}"), fix)
}

async fn get(url: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let answer = http_client::ask(http_client::client()?.get(url), ANSWER_LIMIT, ANSWER_TIME).await?;
    Ok((answer.status, answer.body.to_vec()))
}
