//! Each role as a unit of its own, as on several machines: by the configuration and the words of `docs/operators/public-pool.md`.

use anyhow::Context;

use super::guide::Guide;
use super::installed::CONFIGURATION;
use super::machine::{Machine, until};

const PAGE: &str = "docs/operators/public-pool.md";
/// What the page leaves to its readers, and what this one puts there.
const BLANKS: [(&str, &str); 2] = [
    ("\"…\"", "\"b7f3c01d9e8a4c55f1e2\""),
    ("pkt1q…", "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2"),
];
/// Where its roles listen.
pub const PORTS: [u16; 6] = [8081, 8082, 8083, 8084, 8085, 8088];

/// Starts them in place of `up`, and leaves them running.
pub fn start(machine: &Machine) -> anyhow::Result<()> {
    machine.run(&["systemctl", "stop", "headframe-up"])?;
    let node = "systemd-run --working-directory=/tmp headframe dev-chain --listen 127.0.0.1:64765";
    machine.run(&node.split(' ').collect::<Vec<_>>())?;
    std::fs::write(machine.path(CONFIGURATION), configuration(&std::fs::read_to_string(PAGE)?)?)?;
    let mut guide = Guide::open(machine, "public-pool.md")?;
    guide.follow()?;
    guide.close()?;
    for port in PORTS {
        let order = ["headframe", "health", &format!("http://127.0.0.1:{port}")];
        until("each role to be ready", || Ok(machine.run(&order).ok()))?;
    }
    Ok(())
}

/// The last one of the page, filled in.
fn configuration(page: &str) -> anyhow::Result<String> {
    let block = page.rsplit_once("```toml\n").and_then(|(_, after)| after.split_once("```"));
    let (text, _) = block.with_context(|| format!("{PAGE} has no configuration"))?;
    Ok(BLANKS.iter().fold(text.to_owned(), |text, (blank, filled)| text.replace(blank, filled)))
}
