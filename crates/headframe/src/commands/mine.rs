//! `headframe mine announcements` and `blocks`: the miners alone, with the options of the reference ones.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use miner::announcements::config_file::ConfigFile;
use miner::announcements::{self, AnnouncementMinerConfig};
use miner::blocks::{self, AnnouncementSource, BlockMinerConfig, HttpSource, SprayerSource};
use miner::mining_threads::Placement;
use miner::pool_client::PoolUrl;
use miner::status_line::{Status, StatusLine, StatusOutput, Style};

use crate::cli::{LogFormat, MineAnnouncements, MineBlocks};
use crate::logging;
use crate::signals;

/// Mines announcements until ^C.
pub async fn announcements(arguments: MineAnnouncements, format: LogFormat) -> anyhow::Result<()> {
    let config = announcement_config(arguments).await?;
    let shutdown = signals::shutdown("uploads under way")?;
    logging::say(format_args!("{}", configuration_block(&config)));
    Ok(announcements::run(config, status_output(format), shutdown).await?)
}

/// Command line over configuration file over defaults.
async fn announcement_config(arguments: MineAnnouncements) -> anyhow::Result<AnnouncementMinerConfig> {
    let file = match &arguments.config {
        Some(source) => ConfigFile::load(source).await?,
        None => ConfigFile::default(),
    };
    let mut pools =
        if arguments.pools.is_empty() { file.pools } else { pool_urls(&arguments.pools)? }.into_iter();
    let primary =
        pools.next().context("no pool URL, neither on the command line nor in the configuration")?;
    let pay_to = arguments.pay_to.or(file.pay_to).context(
        "nobody would be paid: give an address with --pay-to (or `payment_addr` in the configuration)",
    )?;
    let defaults = AnnouncementMinerConfig::new(primary, pay_to);
    Ok(AnnouncementMinerConfig {
        others: pools.collect(),
        placement: placement(at_least_one("--threads", arguments.threads)?.or(file.threads), arguments.pin),
        uploaders: at_least_one("--uploaders", arguments.uploaders)?
            .or(file.uploaders)
            .unwrap_or(defaults.uploaders),
        upload_timeout: arguments
            .upload_timeout
            .map(Duration::from_secs)
            .or(file.upload_timeout)
            .unwrap_or(defaults.upload_timeout),
        mine_old: match arguments.mine_old {
            None => file.mine_old,
            Some(-1) => None,
            Some(blocks) => {
                Some(u32::try_from(blocks).context("--mine-old: expected -1 or a number of blocks")?)
            }
        },
        ..defaults
    })
}

fn pool_urls(texts: &[String]) -> anyhow::Result<Vec<PoolUrl>> {
    texts.iter().map(|text| Ok(text.parse::<PoolUrl>()?)).collect()
}

pub(super) fn at_least_one(flag: &str, number: Option<usize>) -> anyhow::Result<Option<NonZeroUsize>> {
    number.map(|number| NonZeroUsize::new(number).with_context(|| format!("{flag}: at least 1"))).transpose()
}

/// Where mining threads run; as many as there are processors, unless the user says otherwise.
pub(super) fn placement(threads: Option<NonZeroUsize>, pinned: bool) -> Placement {
    let usual = threads.map_or_else(Placement::one_per_cpu, Placement::of);
    Placement { pinned, ..usual }
}

/// Mines shares and blocks until ^C.
pub async fn blocks(arguments: MineBlocks, format: LogFormat) -> anyhow::Result<()> {
    let config = block_config(arguments)?;
    let shutdown = signals::shutdown("shares under way")?;
    logging::say(format_args!(
        "Configuration\n  pool: {}\n  payment address: {}\n  threads: {}\n  memory: {} MiB",
        config.pool,
        config.pay_to,
        config.placement.threads,
        config.memory >> 20
    ));
    Ok(blocks::run(config, status_output(format), shutdown).await?)
}

fn block_config(arguments: MineBlocks) -> anyhow::Result<BlockMinerConfig> {
    let at_least_one =
        |flag, number| at_least_one(flag, Some(number)).map(|number| number.unwrap_or(NonZeroUsize::MIN));
    let source = match arguments.bind {
        Some(bind) => {
            let password = arguments.handler_password.unwrap_or_default();
            let mut sprayers = SprayerSource::new(arguments.subscribe, bind, password, arguments.mcast)?;
            sprayers.receivers = at_least_one("--sprayer-threads", arguments.sprayer_threads)?;
            sprayers.max_segment_size = arguments.max_segment_size;
            AnnouncementSource::Sprayers(sprayers)
        }
        None => AnnouncementSource::Http(HttpSource {
            password: arguments.handler_password,
            downloaders: at_least_one("--downloaders", arguments.downloaders)?,
            ..HttpSource::default()
        }),
    };
    let defaults = BlockMinerConfig::new(arguments.pool.parse::<PoolUrl>()?, arguments.pay_to);
    let memory = arguments.memory.checked_mul(1 << 20).and_then(|bytes| usize::try_from(bytes).ok());
    Ok(BlockMinerConfig {
        placement: placement(self::at_least_one("--threads", arguments.threads)?, arguments.pin),
        memory: memory.context("--memory: more than this machine can address")?,
        min_free: arguments.min_free.try_into().context("--min-free")?,
        source,
        uploaders: at_least_one("--uploaders", arguments.uploaders)?,
        upload_timeout: Duration::from_secs(arguments.upload_timeout),
        ..defaults
    })
}

/// The effective values, as the reference miner prints them at its start.
fn configuration_block(config: &AnnouncementMinerConfig) -> String {
    let pools = std::iter::once(&config.primary).chain(&config.others);
    let pools: Vec<String> = pools.map(ToString::to_string).collect();
    let mine_old = config.mine_old.map_or_else(|| "as the pool says".to_owned(), |blocks| blocks.to_string());
    format!(
        "Configuration\n  pools: {}\n  payment address: {}\n  threads: {}\n  uploaders: {}\n  upload timeout: {} s\n  mine old: {}",
        pools.join(", "),
        config.pay_to,
        config.placement.threads,
        config.uploaders,
        config.upload_timeout.as_secs(),
        mine_old
    )
}

/// A log line now and then, for miners inside a process that does other things too.
pub fn log_output() -> Arc<dyn StatusOutput> {
    Arc::new(LogOutput)
}

struct LogOutput;

impl StatusOutput for LogOutput {
    fn status(&self, status: &Status) {
        match status {
            Status::Announcements(_) => tracing::info!(target: "announcement_miner", "{}", status.line()),
            Status::Blocks(_) => tracing::info!(target: "block_miner", "{}", status.line()),
            Status::Nimiq(_) => tracing::info!(target: "nimiq_miner", "{}", status.line()),
        }
    }
}

/// One line that is written over on a terminal; lines for logs otherwise.
pub(super) fn status_output(format: LogFormat) -> Arc<dyn StatusOutput> {
    let style = match format {
        LogFormat::Json => Style::Json,
        LogFormat::Text if std::io::stdout().is_terminal() => Style::Terminal,
        LogFormat::Text => Style::Plain,
    };
    Arc::new(StatusLine::new(std::io::stdout(), style))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Command, CommandLine, Mine};

    const ADDRESS: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";

    async fn config(line: &str) -> anyhow::Result<AnnouncementMinerConfig> {
        let command = CommandLine::try_parse_from(line.split(' ')).unwrap().command;
        let Command::Mine(Mine::Announcements(arguments)) = command else { panic!("{line}") };
        announcement_config(arguments).await
    }

    #[tokio::test]
    async fn the_command_line_wins_over_the_file_even_with_a_default() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("miner.json");
        let json = format!(
            r#"{{"pools":["http://a/master","http://b/master"],"threads":3,"payment_addr":"{ADDRESS}","uploaders":7,"mine_old_anns":1}}"#
        );
        std::fs::write(&file, json).unwrap();
        let line = format!("headframe mine ann -c {} -U 10 -m -1", file.display());
        let config = config(&line).await.unwrap();
        assert_eq!((config.others.len(), config.placement.threads.get(), config.uploaders.get()), (1, 3, 10));
        assert_eq!(config.mine_old, None);
    }

    #[tokio::test]
    async fn a_miner_that_nobody_would_pay_does_not_start() {
        let error = config("headframe mine ann http://a/master").await.unwrap_err().to_string();
        assert!(error.starts_with("nobody would be paid: give an address with --pay-to"), "{error}");
    }
}
