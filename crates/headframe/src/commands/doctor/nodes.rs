//! The chain nodes: reachable, on the newest block, able to give work, and willing to pay whom the pool pays.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::fmt::rfc2822;
use nimiq::Height;
use node::nimiq::NimiqClient;
use node::{NodeError, PktdClient};
use pool::{Metrics, http_client};
use wire::PktAddress;

use super::finding::Finding;
use super::ports::Running;
use crate::config::Config;
use crate::roles;

/// Both chains have a block each minute.
const OLD_BLOCK: u64 = 30 * 60;
/// A template's header time is the node's clock; both chains refuse blocks that are hours away, miners notice sooner.
const CLOCK_TOLERANCE: u64 = 120;
const ANSWER_TIME: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: usize = 1 << 20;
const NOT_RUNNING: &str = "the embedded chain runs only while the pool does";
const CLOCK: &str = "set both clocks from the network (timedatectl set-ntp true)";
const IN_SYNC: &str = "wait until the node is in sync, and look again";

/// Each pktd by itself: where one fails, the pool would go on with the next and nobody would notice.
pub async fn pktd(config: &Config, running: Running) -> Vec<Finding> {
    if config.nodes.is_empty() && running == Running::No {
        return vec![Finding::unseen("PacketCrypt node", NOT_RUNNING)];
    }
    let mut findings = Vec::new();
    for single in singly(config, |config| &mut config.nodes) {
        let url = single
            .nodes
            .first()
            .and_then(|node| node.url.as_ref())
            .map_or_else(|| format!("http://{}", single.dev_chain.listen), ToString::to_string);
        let subject = format!("PacketCrypt node {url}");
        let chain = single.nodes.is_empty().then_some(single.dev_chain.listen);
        match roles::node(&single, chain, &Metrics::new()) {
            Ok(client) => findings.extend(one_pktd(&subject, &client, config).await),
            Err(error) => findings.push(Finding::fault(subject, format!("{error:#}"), "correct [[node]]")),
        }
    }
    findings
}

async fn one_pktd(subject: &str, client: &PktdClient, config: &Config) -> Vec<Finding> {
    let tip = match client.best_block().await {
        Ok(tip) => tip,
        Err(error) => return vec![unanswered(subject, &error, "node")],
    };
    let mut findings = Vec::new();
    findings.push(match client.block(&tip.hash).await {
        Ok(block) if tip.height.0 > 0 => {
            age(subject, tip.height.0, u64::from(block.time), now(), "getpeerinfo")
        }
        Ok(_) => Finding::good(subject, "answers, and is at its first block"),
        Err(error) => unanswered(subject, &error, "node"),
    });
    match client.raw_block_template().await {
        Ok(template) => {
            findings.push(Finding::good(subject, "gives templates"));
            findings.push(clock(subject, u64::from(template.header.time), now()));
        }
        Err(error) => findings.push(Finding::fault(
            subject,
            format!("gives no template: {error}"),
            match &error {
                NodeError::Rpc { message, .. } if message.contains("limited user") => {
                    "give [[node]] the user and password of the node's --rpcuser and --rpcpass".to_owned()
                }
                NodeError::Rpc { message, .. } if message.contains("miningaddr") => {
                    "start pktd with --miningaddr and an address of yours".to_owned()
                }
                NodeError::Rpc { .. } => IN_SYNC.to_owned(),
                error => fix(error, "node"),
            },
        )),
    }
    findings.extend(payees(subject, client, config).await);
    findings
}

/// The node can pay everybody whom the configuration names.
async fn payees(subject: &str, client: &PktdClient, config: &Config) -> Vec<Finding> {
    let pay_maker = &config.pay_maker;
    let named: [(&str, Option<PktAddress>); 3] = [
        ("default_address", pay_maker.default_address),
        ("error_address", pay_maker.error_address),
        ("pool_fee_address", pay_maker.pool_fee_address),
    ];
    let mut findings = Vec::new();
    for (key, address) in named {
        let Some(address) = address else { continue };
        let fix =
            format!("give another address as `pay_maker.{key}`, or a node of the network that it is of");
        findings.push(match client.is_valid_address(&address).await {
            Ok(true) => Finding::good(subject, format!("can pay `pay_maker.{key}`")),
            Ok(false) => Finding::fault(subject, format!("cannot pay {address} (`pay_maker.{key}`)"), fix),
            Err(error) => Finding::unseen(subject, format!("whether it can pay `pay_maker.{key}`: {error}")),
        });
    }
    findings
}

/// Each Nimiq node by itself.
pub async fn nimiq(config: &Config, running: Running) -> Vec<Finding> {
    if config.nimiq_nodes.is_empty() && running == Running::No {
        return vec![Finding::unseen("Nimiq node", NOT_RUNNING)];
    }
    let mut findings = Vec::new();
    for single in singly(config, |config| &mut config.nimiq_nodes) {
        let url = single
            .nimiq_nodes
            .first()
            .and_then(|node| node.url.as_ref())
            .map_or_else(|| format!("http://{}", single.nimiq_dev_chain.listen), ToString::to_string);
        let subject = format!("Nimiq node {url}");
        match roles::nimiq::node(&single, None, &Metrics::new()) {
            Ok(client) => {
                let well = one_nimiq(&subject, &client, config).await;
                let answers = well.iter().any(|finding| !finding.is_fault());
                findings.extend(well);
                if let Some(theirs) = time_of(&url).await.filter(|_| answers) {
                    findings.push(clock(&subject, theirs, now()));
                }
            }
            Err(error) => {
                findings.push(Finding::fault(subject, format!("{error:#}"), "correct [[nimiq_node]]"));
            }
        }
    }
    findings
}

async fn one_nimiq(subject: &str, client: &NimiqClient, config: &Config) -> Vec<Finding> {
    match client.has_consensus().await {
        Ok(true) => {}
        Ok(false) => {
            let fix = "wait until it has found its network; if it does not, look at its connections";
            return vec![Finding::fault(subject, "has no consensus with its network", fix)];
        }
        Err(error) => return vec![unanswered(subject, &error, "nimiq_node")],
    }
    let mut findings = vec![Finding::good(subject, "answers, and has consensus with its network")];
    findings.push(match newest_nimiq_block(client).await {
        Ok((Height::GENESIS, _)) => Finding::good(subject, "is at its first block"),
        Ok((height, time)) => age(subject, height.0, time, now(), "peerList"),
        Err(error) => unanswered(subject, &error, "nimiq_node"),
    });
    let address = match roles::nimiq::pool_address(config) {
        Ok(address) => address,
        Err(error) => {
            findings.push(Finding::fault(
                "account of the Nimiq pool",
                format!("{error:#}"),
                "correct [nimiq] and [nimiq_payout]",
            ));
            return findings;
        }
    };
    findings.push(match client.template(&address).await {
        Ok(_) => Finding::good(subject, "gives templates"),
        Err(error) => {
            let fix = match &error {
                NodeError::Rpc { .. } => IN_SYNC.to_owned(),
                NodeError::BadReply { what } if what.contains("this network") => {
                    "correct `nimiq.network`: it is not the node's".to_owned()
                }
                error => fix(error, "nimiq_node"),
            };
            Finding::fault(subject, format!("gives no template: {error}"), fix)
        }
    });
    findings
}

/// By the clock of whoever answers there over HTTP, in unix seconds. The templates of a Nimiq node have no time.
async fn time_of(url: &str) -> Option<u64> {
    let request = http_client::client().ok()?.get(url);
    let answer = http_client::ask(request, ANSWER_LIMIT, ANSWER_TIME).await.ok()?;
    let date = answer.headers.get(http::header::DATE)?.to_str().ok()?;
    u64::try_from(rfc2822::parse(date).ok()?.timestamp().as_second()).ok()
}

/// Height and time, in unix seconds, of the newest block.
async fn newest_nimiq_block(client: &NimiqClient) -> Result<(Height, u64), NodeError> {
    let newest = client.newest_block().await?;
    let block = client.block(&newest.hash).await?;
    let block =
        block.ok_or_else(|| NodeError::BadReply { what: "it does not know its newest block".to_owned() })?;
    Ok((newest.height, u64::from(block.facts.timestamp.0)))
}

/// A configuration for each node, as if there were no other; one for the embedded chain where there is none.
fn singly<N: Clone>(config: &Config, nodes: fn(&mut Config) -> &mut Vec<N>) -> Vec<Config> {
    let all = std::mem::take(nodes(&mut config.clone()));
    if all.is_empty() {
        return vec![config.clone()];
    }
    let alone = |node| {
        let mut single = config.clone();
        *nodes(&mut single) = vec![node];
        single
    };
    all.into_iter().map(alone).collect()
}

fn unanswered(subject: &str, error: &NodeError, section: &str) -> Finding {
    Finding::fault(subject, error.to_string(), fix(error, section))
}

/// What mends a node that does not do what it is asked.
fn fix(error: &NodeError, section: &str) -> String {
    match error {
        NodeError::Unauthorized { what } if what.contains("cookie file") => {
            format!("correct `cookie_file` of [[{section}]], and let the account that runs the pool read it")
        }
        NodeError::Unauthorized { .. } => {
            format!("give [[{section}]] the user and password that the node was started with")
        }
        NodeError::Unreachable { what } if what.contains("certificate") => {
            format!(
                "nobody vouches for the node's certificate: give its own as `certificate` of [[{section}]]"
            )
        }
        NodeError::Unreachable { .. } => {
            format!("start the node, or correct `url` of [[{section}]]; a firewall may be between")
        }
        NodeError::TooBusy => "raise the node's --rpcmaxclients".to_owned(),
        NodeError::Rpc { .. } | NodeError::BadReply { .. } => {
            format!("is that a node of this chain? correct `url` of [[{section}]]")
        }
    }
}

/// Of the newest block, in seconds. `peers` is the call that shows the node's connections.
fn age(subject: &str, height: u32, time: u64, now: u64, peers: &str) -> Finding {
    if time > now + CLOCK_TOLERANCE {
        let what = format!("its newest block, {height}, is {} s in the future", time - now);
        return Finding::fault(subject, what, "set the clock of this machine (timedatectl set-ntp true)");
    }
    let age = now.saturating_sub(time);
    if age <= OLD_BLOCK {
        return Finding::good(subject, format!("answers; block {height} is {age} s old"));
    }
    let what = format!(
        "its newest block, {height}, is {} minutes old: it still loads the chain, or has lost its network",
        age / 60
    );
    let fix = format!("look at its connections ({peers}); work on an old block earns nothing");
    Finding::fault(subject, what, fix)
}

fn clock(subject: &str, theirs: u64, ours: u64) -> Finding {
    let apart = theirs.abs_diff(ours);
    if apart <= CLOCK_TOLERANCE {
        return Finding::good(subject, "has the same time as this machine");
    }
    let order = if theirs > ours { "ahead of" } else { "behind" };
    Finding::fault(subject, format!("its clock is {apart} s {order} ours"), CLOCK)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_block_and_a_wrong_clock_are_faults() {
        assert!(!age("node", 7, 1000, 1000 + OLD_BLOCK, "").is_fault());
        assert!(age("node", 7, 1000, 1001 + OLD_BLOCK, "").to_string().contains("30 minutes old"));
        assert!(!age("node", 7, 1120, 1000, "").is_fault());
        assert!(age("node", 7, 1121, 1000, "").to_string().contains("121 s in the future"));
        assert!(!clock("node", 1000, 1120).is_fault());
        assert!(clock("node", 1000, 1121).to_string().contains("121 s behind ours"));
        assert!(clock("node", 1121, 1000).to_string().contains("121 s ahead of ours"));
    }
}
