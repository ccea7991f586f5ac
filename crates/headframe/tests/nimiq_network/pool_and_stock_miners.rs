//! Our pool with stock miners on real nodes, from the first share to mined payouts, through the death of the server and
//! a reorganisation.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ledger::nimiq::found_block::FoundState;
use nimiq::reward::block_reward;
use nimiq::{Address, BlockHash, Header, Height, PrivateKey};
use node::nimiq::SubmitOutcome;
use serde_json::Value;
use wire::nimiq::{ClientMessage, Share};

use crate::network::{Network, Pushed, mined, recorded_chain};
use crate::pool::{CONFIRMATIONS, Pool};
use crate::sandbox::{Program, eventually, within};

/// With two busy miners on two processors, a block takes about half a minute.
const MINING_PATIENCE: Duration = Duration::from_mins(8);
/// Whom the blocks of others pay.
const SOMEBODY: Address = Address([8; 20]);

/// A stock miner, and whom it works for.
struct StockMiner {
    mode: &'static str,
    seed: [u8; 32],
    payee: Address,
    program: Program,
}

impl StockMiner {
    fn start(network: &Network, pool: &Pool<'_>, mode: &'static str, seed: u8) -> Self {
        let seed = [seed; 32];
        let payee = PrivateKey::new(&seed).public_key().address();
        let program = network.stock_miner(mode, pool.port, &pool.certificate.file, &payee);
        Self { mode, seed, payee, program }
    }

    /// The messages of the pool of one kind.
    fn told(&self, kind: &str) -> Vec<Value> {
        let printed = self.program.printed();
        let messages =
            printed.iter().filter_map(|line| serde_json::from_str(line.strip_prefix("pool ")?).ok());
        messages.filter(|message: &Value| message["message"] == kind).collect()
    }

    /// The headers of the shares that it has sent. Each message is printed before it goes.
    fn sent(&self) -> Vec<Header> {
        let printed = self.program.printed();
        let messages = printed.iter().filter_map(|line| line.strip_prefix("miner "));
        let header = |text: &str| match ClientMessage::parse(text.as_bytes()) {
            Ok(ClientMessage::Share(share)) => match *share {
                Share::Smart(share) => Some(share.header),
                Share::Nano(share) => Some(share.block.header),
                Share::Dumb { .. } => None,
            },
            _ => None,
        };
        messages.filter_map(header).collect()
    }
}

fn sent(miners: &[StockMiner]) -> Vec<Header> {
    miners.iter().flat_map(StockMiner::sent).collect()
}

/// How many shares were sent at heights where not everybody had the same newest block: two miners on nodes of their own
/// may find a block each at the same moment, and one of the two blocks is lost.
fn sent_on_forks(pool: &Pool<'_>, start: Height, miners: &[StockMiner]) -> u64 {
    let sent = sent(miners);
    let mut rivals: HashMap<u32, HashSet<BlockHash>> = HashMap::new();
    for block in pool.chain_from(start) {
        rivals.entry(block.facts.height.0 + 1).or_default().insert(block.facts.hash);
    }
    for header in &sent {
        rivals.entry(header.height.0).or_default().insert(header.previous);
    }
    sent.iter().filter(|header| rivals[&header.height.0].len() > 1).count() as u64
}

#[test]
fn stock_miners_are_credited_and_paid() {
    let Some(network) = Network::start("pool and stock miners") else { return };
    let chain = recorded_chain();
    let start = chain.last().unwrap().header.height;
    network.extend(&chain);
    let folder = tempfile::tempdir().unwrap();
    let mut pool = Pool::start(&network, folder.path());
    let mut miners =
        [("smart", 1), ("nano", 2)].map(|(mode, seed)| StockMiner::start(&network, &pool, mode, seed));
    let before = both_mine_blocks_at_difficulties_that_suit_them(&pool, &miners, start);
    the_server_dies_and_they_come_back(&mut pool, &miners, start);
    both_have_what_no_single_block_takes_back(&network, &pool, &miners);
    for miner in &mut miners {
        miner.program.kill();
        // What it printed last may be on its way to us.
        miner.program.ended_printing();
    }
    what_counted_is_in_the_accounts_once(&pool, start, &miners, before);
    let found = every_block_is_credited(&network, &pool, start);
    a_longer_branch_voids_the_newest(&network, &pool, &found);
    one_asks_to_be_paid(&network, &pool, &miners[0]);
    payouts_are_mined(&network, &pool, &miners);
    pool.audit();
}

/// Gives back how many shares have counted.
fn both_mine_blocks_at_difficulties_that_suit_them(
    pool: &Pool<'_>,
    miners: &[StockMiner],
    start: Height,
) -> u64 {
    for miner in miners {
        let mode = miner.mode;
        within(MINING_PATIENCE, &format!("a block of the {mode} miner"), || {
            pool.has_block_of(&miner.payee, start).then_some(())
        });
        within(MINING_PATIENCE, &format!("another share difficulty for the {mode} miner"), || {
            let settings = miner.told("settings");
            let targets: HashSet<_> = settings.iter().map(|said| said["targetCompact"].as_u64()).collect();
            (targets.len() > 1).then_some(())
        });
        let counted = pool.counted(mode);
        within(MINING_PATIENCE, &format!("shares of the {mode} miner at that difficulty"), || {
            (pool.counted(mode) > counted).then_some(())
        });
        assert!(!miner.told("balance").is_empty());
    }
    pool.only_late_shares_are_refused(sent_on_forks(pool, start, miners));
    miners.iter().map(|miner| pool.counted(miner.mode)).sum()
}

/// They come back by themselves, and go on.
fn the_server_dies_and_they_come_back(pool: &mut Pool<'_>, miners: &[StockMiner], start: Height) {
    pool.kill_and_restart_server();
    for miner in miners {
        let mode = miner.mode;
        eventually(&format!("the {mode} miner to come back"), || {
            (miner.told("registered").len() > 1).then_some(())
        });
        within(MINING_PATIENCE, &format!("shares of the {mode} miner after that"), || {
            (pool.counted(mode) > 0).then_some(())
        });
    }
    pool.only_late_shares_are_refused(sent_on_forks(pool, start, miners));
}

/// One may have begun to mine late, and the newest block is to be lost.
fn both_have_what_no_single_block_takes_back(network: &Network, pool: &Pool<'_>, miners: &[StockMiner]) {
    for miner in miners {
        within(MINING_PATIENCE, &format!("a confirmed credit of the {} miner", miner.mode), || {
            let view = network.wait(pool.accounts.balance(miner.payee)).unwrap();
            (view.confirmed > 0).then_some(())
        });
    }
}

/// Those that counted before the server died too, of which `before` are known; also those on blocks that were lost.
fn what_counted_is_in_the_accounts_once(pool: &Pool<'_>, start: Height, miners: &[StockMiner], before: u64) {
    let sent = sent(miners);
    let chain = pool.chain_from(start);
    let heads = sent.iter().map(|header| header.previous).chain(chain.iter().map(|block| block.facts.hash));
    let heads: HashSet<BlockHash> = heads.collect();
    let stored = eventually("all shares to be in the accounts", || {
        let counted = before + miners.iter().map(|miner| pool.counted(miner.mode)).sum::<u64>();
        let stored = pool.shares_on(&heads);
        (stored.len() as u64 >= counted).then_some(stored)
    });
    let sent: HashSet<BlockHash> = sent.iter().map(Header::hash).collect();
    assert!(stored.is_subset(&sent), "nobody is credited for what was not sent");
}

/// All blocks of the pool are in the book, with their rewards; those that were lost on the way are void. Gives those of
/// the chain back, the newest last.
fn every_block_is_credited(network: &Network, pool: &Pool<'_>, start: Height) -> Vec<(Height, BlockHash)> {
    let blocks = eventually("every block to be credited", || {
        let blocks = pool.blocks_above(start);
        let mut found = network.wait(pool.accounts.found_blocks(100)).unwrap();
        found.retain(|block| block.state != FoundState::Orphaned);
        let is_settled = found.iter().all(|block| block.state != FoundState::Found);
        let credited: HashSet<BlockHash> = found.iter().map(|block| block.hash).collect();
        let on_chain = blocks.iter().map(|block| block.facts.hash).collect();
        (is_settled && credited == on_chain).then_some(blocks)
    });
    let rewards: u64 = blocks.iter().map(|block| block_reward(block.facts.height).0 + block.fees.0).sum();
    assert_eq!(-pool.total("reward"), rewards as i64);
    pool.audit();
    blocks.iter().map(|block| (block.facts.height, block.facts.hash)).collect()
}

/// Another network finds more blocks on the predecessor of the pool's newest.
fn a_longer_branch_voids_the_newest(network: &Network, pool: &Pool<'_>, found: &[(Height, BlockHash)]) {
    let rival = Network::start("the rival network").unwrap();
    let &(lost_height, lost) = found.last().unwrap();
    let head = network.wait(network.client().head_height()).unwrap();
    for height in 2..lost_height.0 {
        rival.extend(&[network.block(Height(height))]);
    }
    let branch = lost_height.0..=head.0 + 1;
    for _ in branch.clone() {
        mine_for_somebody(&rival);
    }
    let credited = pool.total("reward");
    let pushed: Vec<Pushed> = branch.map(|height| network.push(&rival.block(Height(height)))).collect();
    assert_eq!(pushed.last(), Some(&Pushed::Rebranched));
    eventually("the credits of the lost block to be void", || {
        let found = network.wait(pool.accounts.found_blocks(100)).unwrap();
        let block = found.iter().find(|block| block.hash == lost).unwrap();
        (block.state == FoundState::Orphaned).then_some(())
    });
    assert_eq!(pool.total("reward") - credited, block_reward(lost_height).0 as i64);
}

fn mine_for_somebody(network: &Network) {
    let client = network.client();
    let template = network.wait(client.template(&SOMEBODY)).unwrap();
    assert_eq!(network.wait(client.submit(&mined(&template, b""))).unwrap(), SubmitOutcome::Accepted);
}

/// The request is signed by the library, over the nonce that the pool gave.
fn one_asks_to_be_paid(network: &Network, pool: &Pool<'_>, miner: &StockMiner) {
    let mut client = network.payout_request(pool.port, &pool.certificate.file, &miner.seed);
    client.line(&["granted"]);
    let view = network.wait(pool.accounts.balance(miner.payee)).unwrap();
    assert!(view.payout_request_active && view.confirmed > 0, "{view:?}");
}

/// One payout for the request, one for the other's balance, which is above the limit.
fn payouts_are_mined(network: &Network, pool: &Pool<'_>, miners: &[StockMiner]) {
    let _payout = pool.start_payout();
    let client = network.client();
    eventually("the payouts to wait in the node", || {
        (network.wait(client.waiting()).unwrap().len() == miners.len()).then_some(())
    });
    for _ in 0..=CONFIRMATIONS {
        mine_for_somebody(network);
    }
    eventually("the payouts to be final", || {
        let figures = network.wait(pool.accounts.payout_figures()).unwrap();
        (figures.by_state.get("confirmed")?.0 == miners.len() as u64).then_some(())
    });
    for miner in miners {
        let view = network.wait(pool.accounts.balance(miner.payee)).unwrap();
        assert!(!view.payout_request_active);
        assert_eq!(view.confirmed, 0, "all that could be paid was paid");
        assert!(network.wait(client.balance(&miner.payee)).unwrap().0 > 0, "the real chain has it");
    }
}
