//! The database of the Nimiq pool: it can be opened, and its book balances.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ledger::nimiq::Accounts;

use super::finding::Finding;
use crate::config::Config;
use crate::roles::nimiq::accounts_url;

/// A database that does not answer sooner is a fault.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// What a SQLite file begins with.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// Opens the accounts as a role would; what is not there yet is not made.
pub async fn examine(config: &Config) -> Finding {
    let (url, subject) = (accounts_url(config), "accounts of the Nimiq pool");
    let file = url.strip_prefix("sqlite://").map(Path::new);
    if file.is_some_and(|file| !file.exists()) {
        return Finding::good(subject, "will be made at the first start");
    }
    let fix = "correct `nimiq.accounts`; with PostgreSQL: is the server running, the user allowed, the database made?";
    if let Some(file) = file.filter(|file| !is_sqlite(file)) {
        return Finding::fault(subject, format!("{} is no SQLite database", file.display()), fix);
    }
    match tokio::time::timeout(ANSWER_TIME, balance(&url)).await {
        Err(_) => Finding::fault(subject, format!("no answer within {} s", ANSWER_TIME.as_secs()), fix),
        Ok(Err(error)) => Finding::fault(subject, format!("cannot be read: {error:#}"), fix),
        Ok(Ok(0)) => Finding::good(subject, "can be read, and the book balances"),
        Ok(Ok(rest)) => {
            let what = format!("the book does not balance: its sum is {rest} Luna, not 0");
            Finding::fault(subject, what, "stop the payout, and look with `headframe ledger verify`")
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

/// The sum of all balances, which is 0.
async fn balance(url: &str) -> anyhow::Result<i64> {
    let accounts = Accounts::open(url).await?;
    let totals = accounts.totals().await;
    accounts.close().await;
    Ok(totals?.values().sum())
}
