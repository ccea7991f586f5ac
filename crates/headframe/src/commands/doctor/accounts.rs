//! The money of the Nimiq pool: its database can be opened, its book balances, somebody signs payouts, and the account on the
//! chain has what miners are owed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ledger::nimiq::Accounts;
use nimiq::Luna;
use pool::Metrics;

use super::finding::Finding;
use crate::config::Config;
use crate::roles::nimiq::{self as roles, accounts_url};

/// A database that does not answer sooner is a fault.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// What a SQLite file begins with.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// Opens the accounts as a role would; what is not there yet is not made.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![signer(config)];
    let (url, subject) = (accounts_url(config), "accounts of the Nimiq pool");
    let file = url.strip_prefix("sqlite://").map(Path::new);
    if file.is_some_and(|file| !file.exists()) {
        findings.push(Finding::good(subject, "will be made at the first start"));
        return findings;
    }
    let fix = "correct `nimiq.accounts`; with PostgreSQL: is the server running, the user allowed, the database made?";
    if let Some(file) = file.filter(|file| !is_sqlite(file)) {
        findings.push(Finding::fault(subject, format!("{} is no SQLite database", file.display()), fix));
        return findings;
    }
    match tokio::time::timeout(ANSWER_TIME, totals(&url)).await {
        Err(_) => {
            let what = format!("no answer within {} s", ANSWER_TIME.as_secs());
            findings.push(Finding::fault(subject, what, fix));
        }
        Ok(Err(error)) => {
            findings.push(Finding::fault(subject, format!("cannot be read: {error:#}"), fix));
        }
        Ok(Ok(totals)) => {
            findings.push(match totals.values().sum::<i64>() {
                0 => Finding::good(subject, "can be read, and the book balances"),
                rest => Finding::fault(
                    subject,
                    format!("the book does not balance: its sum is {rest} Luna, not 0"),
                    "stop the payout, and look with `headframe ledger verify`",
                ),
            });
            findings.push(reserve(config, totals.get("mature").copied().unwrap_or_default()).await);
        }
    }
    findings
}

/// Whoever signs payouts does so for the account that blocks pay.
fn signer(config: &Config) -> Finding {
    let (subject, payout) = ("payouts of the Nimiq pool", &config.nimiq_payout);
    if payout.key_file.is_none() && payout.signing_command.is_empty() {
        return if config.nimiq_nodes.is_empty() {
            Finding::good(subject, "signed with a key that is drawn at the first start")
        } else {
            Finding::unseen(
                subject,
                "neither `key_file` nor `signing_command`: nobody signs them on this machine",
            )
        };
    }
    match roles::signer(config) {
        Ok(_) => Finding::good(subject, "somebody signs them for `nimiq.address`"),
        Err(error) => Finding::fault(
            subject,
            format!("{error:#}"),
            "give the key of `nimiq.address`, in a file that only the account of the payout can read (chmod 600)",
        ),
    }
}

/// What is on the account covers what miners could be paid at once, and what is to stay there.
async fn reserve(config: &Config, mature: i64) -> Finding {
    let subject = "reserve of the Nimiq pool";
    let owed = Luna(u64::try_from(mature).unwrap_or_default());
    let holds = async {
        let address = roles::pool_address(config)?;
        anyhow::Ok((address, roles::node(config, None, &Metrics::new())?.balance(&address).await?))
    };
    match holds.await {
        Err(error) => {
            Finding::unseen(subject, format!("the node does not say what the account has: {error:#}"))
        }
        Ok((_, holds)) if holds.0 >= owed.0.saturating_add(config.nimiq_payout.reserve.0) => {
            Finding::good(subject, format!("the account has {holds}, miners could be paid {owed}"))
        }
        Ok((address, holds)) => {
            let kept = config.nimiq_payout.reserve;
            let what =
                format!("the account has {holds}; miners could be paid {owed}, and {kept} are to stay");
            let fix = format!(
                "payouts wait until it has: send the rest to {address}, and look with `headframe ledger verify` \
                 where it went"
            );
            Finding::fault(subject, what, fix)
        }
    }
}

/// A file begins so, or is empty: opening anything else would only be tried for a long time.
fn is_sqlite(file: &Path) -> bool {
    let mut start = [0; SQLITE.len()];
    let read = File::open(file).and_then(|mut file| match file.metadata()?.len() {
        0 => Ok(true),
        _ => file.read_exact(&mut start).map(|()| start == *SQLITE),
    });
    read.unwrap_or(false)
}

/// The sums of all accounts of each name, which together are 0.
async fn totals(url: &str) -> anyhow::Result<BTreeMap<String, i64>> {
    let accounts = Accounts::open(url).await?;
    let totals = accounts.totals().await;
    accounts.close().await;
    Ok(totals?)
}
