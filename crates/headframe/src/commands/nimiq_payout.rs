//! `headframe nimiq payout`: the role; or one round of it, or what one would pay.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use pool::Metrics;
use pool::nimiq::duty::holder_name;
use pool::nimiq::payout;

use crate::cli::NimiqPayout;
use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::roles::nimiq as roles;
use crate::serve::{self, Process};

/// Runs the role until ^C, or does once what the flags say.
pub async fn run(arguments: NimiqPayout) -> anyhow::Result<ExitCode> {
    let (dry_run, json, once) = (arguments.dry_run, arguments.json, arguments.once);
    let load = arguments.load();
    match (dry_run, once) {
        (true, _) => plan(&load()?, json).await,
        (false, true) => one_round(&load()?).await,
        (false, false) => {
            serve::run(Process::NimiqPayout, load).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints a plan. Fails if nothing would be paid because the reserve is too small.
async fn plan(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let accounts = roles::open_accounts(config).await?;
    let planning = roles::payout(config, String::new())?.planning();
    let planned = planning.plan_now(&accounts, &roles::node(config, None, &Metrics::new())?).await?;
    accounts.close().await;
    let text = if json { planned.json_lines() } else { planned.table() };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(if planned.outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Pays once and prints what it has prepared and sent.
async fn one_round(config: &Config) -> anyhow::Result<ExitCode> {
    let folder = DataFolder::lock(&roles::folder(config).join("payout"), "nimiq payout --once")?;
    let accounts = roles::open_accounts(config).await?;
    let settings = roles::payout(config, holder_name(folder.path())?)?;
    let metrics = Metrics::new();
    let (signer, node) = (roles::signer(config)?, roles::node(config, None, &metrics)?);
    let round = payout::once(settings, signer, accounts.clone(), node, &metrics).await;
    accounts.close().await;
    let mut output = std::io::stdout();
    for (id, payment) in round.context("the round of payouts")?.prepared {
        let (recipient, value, kind) = (payment.recipient, payment.value, payment.kind.name());
        writeln!(output, "payout {}: {value} to {recipient} ({kind})", id.0)?;
    }
    Ok(ExitCode::SUCCESS)
}
