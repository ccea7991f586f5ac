//! The second opinion on accounts, of a pool or in a backup.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use ledger::nimiq::Accounts;
use ledger::nimiq::audit::audit;

/// Works everything out again; one line for each finding, and exit code 1 if there is one.
pub async fn run(store: &str) -> anyhow::Result<ExitCode> {
    let accounts = Accounts::open(store).await.context("cannot open the accounts")?;
    let report = audit(&accounts).await?;
    accounts.close().await;
    let mut output = std::io::stdout();
    for finding in &report.findings {
        writeln!(output, "WRONG: {finding}")?;
    }
    writeln!(
        output,
        "{} entries, {} blocks ({} windows cut again from their shares), {} payouts: {} findings",
        report.entries,
        report.blocks,
        report.windows_cut_again,
        report.payouts,
        report.findings.len()
    )?;
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
