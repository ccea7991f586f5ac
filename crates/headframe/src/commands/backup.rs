//! `headframe ledger backup | restore`, and `ledger verify --backup`: the whole pool's money as of one moment.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use ledger::UnixMillis;
use ledger::backup::{self, Checked};
use ledger::nimiq::Accounts;

use crate::cli::Configuration;
use crate::commands::config;
use crate::config::{Config, Files};
use crate::roles::nimiq as roles;

/// Copies what the configuration names.
pub async fn take(arguments: &Configuration, folder: &Path) -> anyhow::Result<ExitCode> {
    let config = load(arguments)?;
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let begun = UnixMillis(since_1970.as_millis() as u64);
    anyhow::ensure!(config.pool.data.exists(), "there is no data folder {}", config.pool.data.display());
    let accounts = accounts_elsewhere(&config);
    let taken = backup::take(&config.pool.data, accounts.as_deref(), folder, begun).await?;
    writeln!(std::io::stdout(), "{}: {} files, {} bytes", folder.display(), taken.files, taken.bytes)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the data folder of the configuration, and its database if that is on PostgreSQL.
pub async fn restore(arguments: &Configuration, folder: &Path) -> anyhow::Result<ExitCode> {
    let config = load(arguments)?;
    let accounts = accounts_elsewhere(&config).filter(|url| !url.starts_with("sqlite:"));
    let restored = backup::restore(folder, &config.pool.data, accounts.as_deref()).await?;
    let mut output = std::io::stdout();
    describe(&mut output, &config.pool.data, &restored)?;
    if restored.accounts.is_some() || restored.postgres_dump.is_some() {
        writeln!(
            output,
            "payouts are held: these accounts do not know what was paid since; compare them with the chain, then \
             let them go on: headframe ledger release-payouts"
        )?;
    }
    writeln!(output, "keys are not in a backup: put yours back")?;
    Ok(ExitCode::SUCCESS)
}

/// Checks every file, and audits a copy of the accounts.
pub async fn verify(folder: &Path) -> anyhow::Result<ExitCode> {
    let checked = backup::check(folder)?;
    describe(&mut std::io::stdout(), folder, &checked)?;
    let Some(accounts) = &checked.accounts else { return Ok(ExitCode::SUCCESS) };
    // Opening them changes the file, and a backup is not to be changed.
    let scratch = Scratch::new()?;
    let copy = scratch.0.join("accounts.db");
    std::fs::copy(accounts, &copy).with_context(|| copy.display().to_string())?;
    super::accounts_audit::run(&format!("sqlite://{}", copy.display())).await
}

/// Lets payouts go on that a restore has stopped.
pub async fn release_payouts(store: &str) -> anyhow::Result<ExitCode> {
    let accounts = Accounts::open(store).await.context("cannot open the accounts")?;
    let was_held = accounts.release_payouts().await?;
    accounts.close().await;
    let outcome = if was_held { "payouts go on" } else { "payouts were not held" };
    writeln!(std::io::stdout(), "{outcome}")?;
    Ok(ExitCode::SUCCESS)
}

fn load(arguments: &Configuration) -> anyhow::Result<Config> {
    config::load(arguments, Vec::new(), Files::MayBeElsewhere)
}

/// The URL of the accounts where the configuration writes one.
fn accounts_elsewhere(config: &Config) -> Option<String> {
    config.nimiq.accounts.is_some().then(|| roles::accounts_url(config))
}

fn describe(output: &mut impl Write, folder: &Path, checked: &Checked) -> std::io::Result<()> {
    let Checked { begun, files, bytes, uploads, .. } = checked;
    let begun = jiff::Timestamp::from_millisecond(begun.0 as i64).unwrap_or_default();
    let (accounts, dump) = (&checked.accounts, &checked.postgres_dump);
    let accounts = match (accounts, dump) {
        (Some(_), _) => "accounts on SQLite",
        (None, Some(_)) => "accounts on PostgreSQL",
        (None, None) => "no accounts",
    };
    let folder = folder.display();
    writeln!(output, "{folder}: as of {begun}, {files} files, {bytes} bytes, {uploads} uploads, {accounts}")
}

/// A folder for a moment.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("headframe-verify-{}", std::process::id()));
        std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a copy could not be removed");
        }
    }
}
