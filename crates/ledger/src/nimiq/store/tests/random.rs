//! Random lives of a pool: work, blocks, reorganisations, requests, payouts and crashes between any two durable steps,
//! against a model of the chain. After every step the second opinion finds nothing, and in the end what the chain
//! paid is what the book says.

use std::collections::{BTreeMap, BTreeSet};

use nimiq::{BlockHash, Height, Luna, TransactionHash};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::stand::{Stand, TOTAL, address, foreign, ours, payout_rules, sign};
use crate::nimiq::payout_plan;
use crate::nimiq::payout_state::{PayoutState, PayoutTerms, PayoutTurn};
use crate::nimiq::{ChainBlock, NewShare, SignedPayment};

/// Shares of these users.
const USERS: u8 = 4;

/// A step of a pool's life.
#[derive(Debug, Clone)]
enum Step {
    /// Shares on the newest block; `again`: the same batch comes twice.
    Work { users: Vec<u8>, again: bool },
    /// The next block; `finder`: it is the pool's, and whether its share reaches the store.
    Block { finder: Option<(u8, bool)>, takes: u8 },
    /// The chain turns around `depth` blocks below its head and becomes one block longer.
    Reorganisation { depth: u8, takes: u8 },
    /// Blocks whose time has come are settled.
    Settle,
    /// A miner asks.
    Request(u8),
    /// A run of payout, which ends after preparing (a crash) or goes on to sending.
    Pay { sends: bool },
    /// The node is asked for every payout.
    Reconcile,
    /// All processes stop and start.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let user = 1..=USERS;
    let step = prop_oneof![
        4 => (vec(user.clone(), 1..12), any::<bool>()).prop_map(|(users, again)| Step::Work { users, again }),
        6 => (proptest::option::of((user.clone(), any::<bool>())), any::<u8>())
            .prop_map(|(finder, takes)| Step::Block { finder, takes }),
        1 => (prop_oneof![Just(1u8), 2..12u8, Just(30)], any::<u8>())
            .prop_map(|(depth, takes)| Step::Reorganisation { depth, takes }),
        3 => Just(Step::Settle),
        2 => user.prop_map(Step::Request),
        3 => any::<bool>().prop_map(|sends| Step::Pay { sends }),
        4 => Just(Step::Reconcile),
        1 => Just(Step::Restart),
    ];
    vec(step, 10..50)
}

/// A block of the model, and the transactions in it.
#[derive(Debug, Clone)]
struct ModelBlock {
    block: ChainBlock,
    mined: Vec<TransactionHash>,
}

/// What the node would say.
struct Model {
    stand: Stand,
    chain: Vec<ModelBlock>,
    mempool: BTreeMap<[u8; 32], Height>,
    /// Everything that was ever signed: what it pays whom.
    signed: BTreeMap<[u8; 32], SignedPayment>,
    made: u32,
    nonce: u64,
}

impl Model {
    async fn new(stand: Stand) -> Self {
        let (mempool, signed) = (BTreeMap::new(), BTreeMap::new());
        let mut model = Self { stand, chain: Vec::new(), mempool, signed, made: 0, nonce: 0 };
        model.extend(None, 0).await;
        model
    }

    fn head(&self) -> Height {
        self.chain.last().map_or(Height(99), |top| top.block.height)
    }

    fn head_hash(&self) -> BlockHash {
        self.chain.last().map_or(BlockHash([0; 32]), |top| top.block.hash)
    }

    /// A block on top of the model's chain, with every transaction of the mempool whose turn `takes` says it is.
    fn next_block(&mut self, is_ours: bool, takes: u8) -> ChainBlock {
        self.made += 1;
        let height = self.head().next();
        let mut block = if is_ours { ours(0, height.0) } else { foreign(0, height.0) };
        block.hash.0[4..8].copy_from_slice(&self.made.to_be_bytes());
        let valid = |start: Height| start <= height && height.0 < start.0 + 120;
        let on_chain: BTreeSet<_> =
            self.chain.iter().flat_map(|block| &block.mined).map(|hash| hash.0).collect();
        let mined: Vec<TransactionHash> = self
            .mempool
            .iter()
            .filter(|(hash, start)| valid(**start) && !on_chain.contains(*hash))
            .zip(0..)
            .filter(|(_, number)| takes >> (number % 8) & 1 == 1)
            .map(|((hash, _), _)| TransactionHash(*hash))
            .collect();
        self.mempool
            .retain(|hash, start| height.0 + 1 < start.0 + 120 && !mined.contains(&TransactionHash(*hash)));
        self.chain.push(ModelBlock { block, mined });
        block
    }

    async fn extend(&mut self, finder: Option<(u8, bool)>, takes: u8) {
        let previous = self.head_hash();
        let block = self.next_block(finder.is_some(), takes);
        if let Some((user, true)) = finder {
            let share = NewShare { hash: block.hash, ..self.stand.share(user, previous) };
            self.stand.accounts.accept_shares(self.stand.server, &[share]).await.unwrap();
        }
        self.stand.follow(vec![], vec![block]).await;
    }

    async fn reorganise(&mut self, depth: u8, takes: u8) {
        let depth = usize::from(depth).min(self.chain.len() - 1);
        let removed = self.chain.split_off(self.chain.len() - depth);
        for hash in removed.iter().flat_map(|block| &block.mined) {
            self.mempool.insert(hash.0, self.signed[&hash.0].payment.validity_start);
        }
        let joined: Vec<_> = (0..=depth).map(|number| self.next_block(number % 3 == 2, takes)).collect();
        let left = removed.iter().rev().map(|block| block.block.hash).collect();
        self.stand.follow(left, joined).await;
    }

    async fn pay(&mut self, sends: bool) {
        let stand = &self.stand;
        let (head, on_chain) = (self.head(), Luna(self.on_chain_balance()));
        let surroundings = stand.accounts.surroundings(head, on_chain).await.unwrap();
        let candidates = stand.accounts.candidates(Luna(1_000_000)).await.unwrap();
        if let Ok(plan) = payout_plan::plan(&payout_rules(), head, &candidates, &surroundings) {
            let signed: Vec<_> = plan.payments.into_iter().map(sign).collect();
            let answered: Vec<_> = plan
                .declined
                .into_iter()
                .filter(|(_, decline)| decline.answers_request())
                .map(|(user, _)| user)
                .collect();
            stand.accounts.prepare_payouts(&stand.payout, &signed, &answered, stand.time()).await.unwrap();
            self.signed.extend(signed.into_iter().map(|signed| (signed.hash.0, signed)));
        }
        if sends {
            self.send().await;
        }
    }

    async fn send(&mut self) {
        let head = self.head();
        for payout in self.stand.accounts.payouts_under_way().await.unwrap() {
            let terms = PayoutTerms { validity_start: payout.validity_start, confirmations: 10 };
            let waits = matches!(payout.state, PayoutState::Prepared | PayoutState::Broadcast);
            if waits && terms.is_to_be_sent(head) {
                let stand = &self.stand;
                let turned =
                    stand.accounts.turn_payout(&stand.payout, payout.id, PayoutTurn::Send, 10, stand.time());
                turned.await.unwrap();
                assert_eq!(payout.signed, self.signed[&payout.hash.0].signed);
                self.mempool.insert(payout.hash.0, payout.validity_start);
            }
        }
    }

    /// What the payout role does with the node's answers.
    async fn reconcile(&mut self) {
        let head = self.head();
        let mut payouts = self.stand.accounts.payouts_under_way().await.unwrap();
        payouts.extend(
            self.stand.accounts.payouts_settled_since(Height(head.0.saturating_sub(60))).await.unwrap(),
        );
        for payout in payouts {
            let mined = self
                .chain
                .iter()
                .find(|block| block.mined.contains(&payout.hash))
                .map(|block| block.block.height);
            let mut turns = Vec::new();
            match (payout.state, mined) {
                (PayoutState::Prepared | PayoutState::Broadcast, None) => {
                    turns.push(PayoutTurn::Expire { head });
                }
                (PayoutState::Mined { .. } | PayoutState::Confirmed { .. }, None) => {
                    turns.push(PayoutTurn::Remove);
                }
                (PayoutState::Confirmed { height }, Some(now)) if height != now => {
                    turns.extend([PayoutTurn::Remove, PayoutTurn::Mine { height: now }]);
                }
                (PayoutState::Confirmed { .. }, Some(_))
                | (PayoutState::Expired | PayoutState::Review, None) => {}
                (_, Some(height)) => {
                    turns.extend([PayoutTurn::Mine { height }, PayoutTurn::Confirm { head }]);
                }
            }
            for turn in turns {
                let stand = &self.stand;
                // A turn whose time has not come is refused, and changes nothing.
                let turned =
                    stand.accounts.turn_payout(&stand.payout, payout.id, turn, 10, stand.time()).await;
                if turned.is_err() {
                    break;
                }
            }
        }
    }

    fn paid_on_chain(&self) -> BTreeMap<u8, u64> {
        let mut paid = BTreeMap::new();
        for hash in self.chain.iter().flat_map(|block| &block.mined) {
            let payment = &self.signed[&hash.0].payment;
            *paid.entry(payment.recipient.0[0]).or_default() += payment.value.0;
        }
        paid
    }

    fn on_chain_balance(&self) -> u64 {
        let earned = self.chain.iter().filter(|block| block.block.found.is_some()).count() as u64 * TOTAL;
        let hashes = self.chain.iter().flat_map(|block| &block.mined);
        let spent: u64 = hashes.map(|hash| self.signed[&hash.0].payment.outlay().0).sum();
        earned.saturating_sub(spent)
    }

    async fn step(&mut self, step: &Step) {
        self.stand.now += 20_000;
        match step {
            Step::Work { users, again } => {
                let head = self.head_hash();
                let shares: Vec<_> = users.iter().map(|user| self.stand.share(*user, head)).collect();
                for _ in 0..=u8::from(*again) {
                    self.stand.accounts.accept_shares(self.stand.server, &shares).await.unwrap();
                }
            }
            Step::Block { finder, takes } => self.extend(*finder, *takes).await,
            Step::Reorganisation { depth, takes } => self.reorganise(*depth, *takes).await,
            Step::Settle => drop(self.stand.settle().await),
            Step::Request(user) => {
                self.nonce += 1;
                let stand = &self.stand;
                let request = stand.accounts.request_payout(address(*user), self.nonce, b"", stand.time());
                request.await.unwrap();
            }
            Step::Pay { sends } => self.pay(*sends).await,
            Step::Reconcile => self.reconcile().await,
            Step::Restart => self.stand.restart().await,
        }
        self.stand.assert_sound().await;
        self.assert_nobody_is_paid_twice().await;
    }

    /// What the chain paid a user is at most what the book has debited and not given back.
    async fn assert_nobody_is_paid_twice(&self) {
        for (user, paid) in self.paid_on_chain() {
            let payouts = self.stand.accounts.payouts_to(address(user), 10_000).await.unwrap();
            let debited = payouts.iter().filter(|payout| payout.state != PayoutState::Expired);
            let debited: u64 = debited.map(|payout| payout.value.0).sum();
            assert!(paid <= debited, "user {user} was paid {paid} and debited {debited}");
        }
    }

    /// Nothing happens any more but blocks, until everything has come to an end.
    async fn finish(mut self) {
        self.stand.now += self.stand.rules.settle_after_ms;
        self.stand.settle().await;
        for round in 0..16 {
            if round < 3 {
                self.send().await;
            }
            let blocks: Vec<_> = (0..10).map(|_| self.next_block(false, 0xff)).collect();
            self.stand.follow(vec![], blocks).await;
            self.reconcile().await;
        }
        self.stand.assert_sound().await;
        assert_eq!(self.stand.accounts.payouts_under_way().await.unwrap(), []);
        let totals = self.stand.accounts.totals().await.unwrap();
        let total = |account: &str| totals.get(account).copied().unwrap_or_default();
        let in_the_book = -(total("reward") + total("paid") + total("network_fees"));
        let earned = self.chain.iter().filter(|block| block.block.found.is_some()).count() as i64;
        assert_eq!(total("reward"), -earned * TOTAL as i64);
        assert_eq!((total("outgoing"), total("immature")), (0, 0));
        let paid = self.paid_on_chain();
        assert_eq!(total("paid"), paid.values().sum::<u64>() as i64);
        assert_eq!(in_the_book, self.on_chain_balance() as i64);
        for (user, paid) in paid {
            let payouts = self.stand.accounts.payouts_to(address(user), 10_000).await.unwrap();
            let confirmed =
                payouts.iter().filter(|payout| matches!(payout.state, PayoutState::Confirmed { .. }));
            assert_eq!(confirmed.map(|payout| payout.value.0).sum::<u64>(), paid);
        }
    }
}

fn run(cases: u32, stand: impl AsyncFn() -> Option<Stand>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(async {
            let Some(stand) = stand().await else { return };
            let mut model = Model::new(stand).await;
            for step in &steps {
                model.step(step).await;
            }
            model.finish().await;
        });
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_random_life_on_sqlite_keeps_its_books() {
    run(16, async || Some(Stand::sqlite().await));
}

#[test]
fn a_random_life_on_postgres_keeps_its_books() {
    run(4, Stand::postgres);
}
