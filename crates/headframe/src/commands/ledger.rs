//! `headframe ledger`: the accounts of a pool that pays its miners itself, seen from outside.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use ledger::nimiq::Accounts;

use super::{accounts_audit, backup, reference_tables};
use crate::cli::LedgerCommand;

/// Runs one of the commands.
pub async fn run(command: &LedgerCommand) -> anyhow::Result<ExitCode> {
    match command {
        LedgerCommand::Verify { backup: Some(folder), .. } => backup::verify(folder).await,
        LedgerCommand::Verify { store, backup: None } => {
            accounts_audit::run(store.as_deref().unwrap_or_default()).await
        }
        LedgerCommand::Backup { folder, configuration } => backup::take(configuration, folder).await,
        LedgerCommand::Restore { folder, configuration } => backup::restore(configuration, folder).await,
        LedgerCommand::ReleasePayouts { store } => backup::release_payouts(&store.url).await,
        LedgerCommand::ExportReference { store, version, file } => {
            reference_tables::export(&store.url, *version, file).await
        }
        LedgerCommand::ImportReference { store, dry_run, file } => {
            reference_tables::import(&store.url, file, *dry_run).await
        }
        LedgerCommand::GrantRoles { store: Some(store) } => grant_roles(store).await,
        LedgerCommand::GrantRoles { store: None } => {
            write!(std::io::stdout(), "{}", Accounts::ROLES)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn grant_roles(store: &str) -> anyhow::Result<ExitCode> {
    let accounts = Accounts::open(store).await.context("cannot open the accounts")?;
    let granted = accounts.grant_roles().await?;
    anyhow::ensure!(granted, "SQLite has no users: what can read the file can do everything with it");
    writeln!(
        std::io::stdout(),
        "granted: headframe_server, headframe_service, headframe_payout, headframe_site"
    )?;
    Ok(ExitCode::SUCCESS)
}
