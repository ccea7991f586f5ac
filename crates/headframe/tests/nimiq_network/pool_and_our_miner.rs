//! Our miner in every mode with our pool, on real nodes: blocks of each are in the real chain.

use std::time::Duration;

use nimiq::Address;

use crate::network::{Network, recorded_chain};
use crate::pool::Pool;
use crate::sandbox::{Program, within};

/// With three miners on two processors.
const MINING_PATIENCE: Duration = Duration::from_mins(8);

#[test]
fn our_miner_mines_shares_and_blocks_in_every_mode() {
    let Some(network) = Network::start("pool and our miner") else { return };
    let chain = recorded_chain();
    network.extend(&chain);
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::start(&network, folder.path());
    let url = format!("wss://localhost:{}", pool.port);
    let certificate = pool.certificate.file.to_str().unwrap();
    let modes = [("smart", Address([1; 20])), ("nano", Address([2; 20])), ("dumb", Address([3; 20]))];
    let _miners = modes.map(|(mode, payee)| {
        let payee = payee.to_string();
        let mut arguments =
            vec!["mine", "nimiq", &url, "--address", &payee, "--mode", mode, "--threads", "1"];
        arguments.extend(["--network", "dev", "--certificate", certificate]);
        if mode == "smart" {
            arguments.extend(["--node", &network.url]);
        }
        Program::headframe(&arguments)
    });
    let start = chain.last().unwrap().header.height;
    for (mode, payee) in &modes {
        within(MINING_PATIENCE, &format!("a block of the {mode} miner"), || {
            pool.has_block_of(payee, start).then_some(())
        });
        assert!(pool.counted(mode) > 1);
    }
    // All of them follow the pool's node, so there are no forks.
    pool.only_late_shares_are_refused(0);
}
