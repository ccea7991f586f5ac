//! `headframe mine nimiq`: the Nimiq miner alone.

use anyhow::Context;
use miner::nimiq::{self, MiningMode, NimiqMinerConfig};
use node::{Credentials, NodeAddress, TlsTrust};
use wire::nimiq::DeviceName;

use super::mine::{at_least_one, placement, status_output};
use crate::cli::{LogFormat, MineNimiq, NimiqMode};
use crate::logging;
use crate::signals;

/// Mines until ^C.
pub async fn run(arguments: MineNimiq, format: LogFormat) -> anyhow::Result<()> {
    let config = config(arguments)?;
    let shutdown = signals::shutdown("shares under way")?;
    logging::say(format_args!(
        "Configuration\n  pool: {}\n  address: {}\n  mode: {}\n  network: {}\n  threads: {}\n  backend: {}",
        config.pool,
        config.address,
        config.mode.mode(),
        config.network,
        config.placement.threads,
        ::nimiq::argon2d::Backend::chosen()
    ));
    Ok(nimiq::run(config, status_output(format), shutdown).await?)
}

fn config(arguments: MineNimiq) -> anyhow::Result<NimiqMinerConfig> {
    let login = arguments.node_login.as_deref();
    let node = arguments.node.map(|url| node_address(url, login)).transpose()?;
    let mode = match (arguments.mode, node) {
        (NimiqMode::Nano, node) => MiningMode::Nano { node },
        (NimiqMode::Smart, node) => MiningMode::Smart { node: node.context("smart mining needs --node")? },
        (NimiqMode::Dumb, _) => MiningMode::Dumb,
    };
    let wish = arguments.start_difficulty;
    anyhow::ensure!(wish.is_none_or(|wish| wish.is_finite() && wish > 0.0), "--start-difficulty: above 0");
    Ok(NimiqMinerConfig {
        trust: arguments.certificate.map_or(TlsTrust::PublicAuthorities, TlsTrust::CertificateFile),
        mode,
        network: arguments.network,
        device: arguments.device.as_deref().and_then(DeviceName::new),
        start_difficulty: wish,
        placement: placement(at_least_one("--threads", arguments.threads)?, arguments.pin),
        ..NimiqMinerConfig::new(arguments.pool, arguments.address)
    })
}

fn node_address(url: String, login: Option<&str>) -> anyhow::Result<NodeAddress> {
    let Some(login) = login else {
        return Ok(NodeAddress { url, credentials: Credentials::None, trust: TlsTrust::default() });
    };
    let (user, password) = login.split_once(':').context("--node-login: expected USER:PASSWORD")?;
    Ok(NodeAddress::new(url, user, password))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Command, CommandLine, Mine};

    fn configured(more: &[&str]) -> anyhow::Result<NimiqMinerConfig> {
        let address = "NQ88Q4DE829CAQ8188FP8MGJPP3BA70XCHN6";
        let words = ["headframe", "mine", "nimiq", "ws://127.0.0.1:1", "--address", address];
        let command = CommandLine::try_parse_from(words.iter().chain(more))?.command;
        let Command::Mine(Mine::Nimiq(arguments)) = command else { panic!("{more:?}") };
        config(arguments)
    }

    #[test]
    fn a_node_is_logged_in_to_where_a_login_is_given() {
        let node = ["--mode", "smart", "--node", "http://127.0.0.1:8648"];
        let open = configured(&node).unwrap();
        assert_eq!(open.mode.node().unwrap().credentials, Credentials::None);
        let with = |login| configured(&[&node[..], &["--node-login", login]].concat());
        assert_eq!(
            with("a:b:c").unwrap().mode.node(),
            Some(&NodeAddress::new("http://127.0.0.1:8648", "a", "b:c"))
        );
        assert!(with("a").unwrap_err().to_string().contains("USER:PASSWORD"));
    }

    #[test]
    fn wishes_and_threads_are_sensible_numbers() {
        assert!(configured(&["--start-difficulty", "0.01", "--threads", "2"]).is_ok());
        for wrong in [["--start-difficulty", "0"], ["--start-difficulty", "inf"], ["--threads", "0"]] {
            assert!(configured(&wrong).is_err(), "{wrong:?}");
        }
    }
}
