//! `headframe ledger export-reference | import-reference`: to and from the database of the reference's pool.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use ledger::UnixMillis;
use ledger::nimiq::reference_tables::opening::openings;
use ledger::nimiq::reference_tables::{Version, dump};
use ledger::nimiq::{Accounts, Import};

use crate::cli::ReferenceVersion;

/// Writes the script; a file that is there is left alone.
pub async fn export(store: &str, version: ReferenceVersion, path: &Path) -> anyhow::Result<ExitCode> {
    let version = match version {
        ReferenceVersion::V1_0 => Version::V1_0,
        ReferenceVersion::V1_1 => Version::V1_1,
    };
    let accounts = Accounts::open(store).await.context("cannot open the accounts")?;
    let shown = || path.display().to_string();
    let file = File::create_new(path).with_context(shown)?;
    let file = accounts.export_reference(version, BufWriter::new(file)).await.with_context(shown)?;
    file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all().with_context(shown)?;
    accounts.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Reads the whole dump before anything is booked.
pub async fn import(store: &str, path: &Path, dry_run: bool) -> anyhow::Result<ExitCode> {
    let shown = || path.display().to_string();
    let dump = dump::read(File::open(path).with_context(shown)?).with_context(shown)?;
    let openings = openings(&dump.tables).with_context(shown)?;
    let owed: i128 = openings.balances.values().map(|balance| i128::from(*balance)).sum();
    let mut output = std::io::stdout();
    writeln!(
        output,
        "{} miners are owed {owed} luna: {} credits ({} more are void, their blocks are off the main chain), {} payouts",
        openings.balances.len(),
        openings.payins,
        openings.void_payins,
        openings.payouts
    )?;
    if openings.requests > 0 {
        writeln!(
            output,
            "{} payout requests are not taken over: their miners can ask again",
            openings.requests
        )?;
    }
    if openings.unconfirmed > 0 {
        let luna = openings.unconfirmed;
        writeln!(
            output,
            "{luna} luna are of blocks that had fewer than 10 blocks on top, and might still leave the chain"
        )?;
    }
    if dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let accounts = Accounts::open(store).await.context("cannot open the accounts")?;
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = UnixMillis(since_1970.as_millis() as u64);
    let imported = accounts.import(dump.hash, &openings, now).await?;
    accounts.close().await;
    let result = match imported {
        Import::Booked => "imported",
        Import::KnownBefore => "this dump has been imported before; nothing was changed",
    };
    writeln!(output, "{result}")?;
    Ok(ExitCode::SUCCESS)
}
