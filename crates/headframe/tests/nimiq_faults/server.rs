//! The server as a real process, killed with `kill -9` at each of its commits, and at any moment between the steps of a
//! share on disk: whatever it answered as accepted is in the accounts, once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nimiq::{BlockHash, PrivateKey};
use rand::RngExt;

use crate::Reaper;
use crate::gate::Moment;
use crate::nimiq_pool::Pool;
use crate::nimiq_pool::client::{Answer, Client};
use crate::nimiq_pool::node_front::Conduct;
use crate::sandbox::eventually;

/// Whom the shares are for.
pub const KEY: [u8; 32] = [5; 32];
/// Deaths at any moment.
const DEATHS: usize = 16;

/// The shares of a test, by what was said to them.
#[derive(Default)]
pub struct Work {
    sent: HashSet<BlockHash>,
    accepted: HashSet<BlockHash>,
}

impl Work {
    /// Notes a share; whether the connection still stands.
    pub fn note(&mut self, answer: Answer) -> bool {
        let (hash, is_accepted, stands) = match answer {
            Answer::Accepted(hash) => (hash, true, true),
            Answer::Refused(hash, reason) => panic!("{hash} is refused: {reason}"),
            Answer::Lost(hash) => (hash, false, false),
        };
        self.sent.insert(hash);
        if is_accepted {
            self.accepted.insert(hash);
        }
        stands
    }

    /// All that was accepted is in the accounts, each once, and nothing that was never sent. Then a block is found on
    /// the same head, and the miner has its reward.
    pub fn is_credited_once(&self, pool: &mut Pool) {
        assert!(!self.accepted.is_empty());
        let head = pool.chain.head().hash;
        let stored = eventually("the shares to reach the accounts", || {
            let stored = pool.ask("shares", async |accounts| accounts.share_hashes(head).await);
            self.accepted.iter().all(|hash| stored.contains(hash)).then_some(stored)
        });
        let single: HashSet<BlockHash> = stored.iter().copied().collect();
        assert_eq!(single.len(), stored.len(), "a share stands in the accounts twice");
        assert!(single.is_subset(&self.sent), "a share is credited that was never sent");
        pool.chain.extend(Pool::address(), 1).unwrap();
        let payee = PrivateKey::new(&KEY).public_key().address();
        eventually("the block to be credited", || {
            let balance = pool.ask("a balance", async |accounts| accounts.balance(payee).await);
            (balance.balance > 0).then_some(())
        });
        println!(
            "{} shares accepted, {} sent, {} credited",
            self.accepted.len(),
            self.sent.len(),
            stored.len()
        );
        pool.assert_sound();
        pool.verify();
    }
}

/// A client of the server, once it is there.
pub fn client(pool: &Pool) -> Client {
    eventually("the server to take a client", || Client::register(pool.port, &KEY))
}

/// The server dies while it makes itself known, while it looks after the bans, when it is asked for a payout, and then
/// three times while it delivers shares: each time once before the commit and once after it.
#[test]
fn a_server_killed_at_each_durable_step_credits_what_it_accepted_once() {
    let Some(mut pool) = Pool::on_postgres() else { return };
    pool.start("service", None);
    pool.until_followed();
    let mut reaper = Reaper::new(&pool, "server", 2);
    pool.start("server", Some(reaper.gate.port));
    let mut work = Work::default();
    while reaper.deaths < 12 {
        if let Some(mut client) = Client::register(pool.port, &KEY) {
            if (4..6).contains(&reaper.deaths) {
                assert!(!client.request_payout(|| reaper.gate.has_stopped()), "nobody hears of it");
            }
            while !reaper.gate.has_stopped() && work.note(client.share()) {}
            // Durable, and nobody has begun to deliver them.
            for _ in 0..3 {
                work.note(client.share());
            }
        }
        reaper.tend(&mut pool);
        std::thread::sleep(Duration::from_millis(20));
    }
    pool.kill("server");
    reaper.gate.open();
    pool.start("server", None);
    work.is_credited_once(&mut pool);
    let requests = pool.ask("the requests", async |accounts| accounts.payout_requests().await);
    assert_eq!(requests.len(), 1, "the request that was stored before its server died");
}

#[test]
fn a_server_killed_at_any_moment_credits_what_it_accepted_once() {
    let mut pool = Pool::on_sqlite();
    pool.start("service", None);
    pool.until_followed();
    let mut random = rand::rng();
    let (port, is_over) = (pool.port, AtomicBool::new(false));
    let work = std::thread::scope(|scope| {
        let mining = scope.spawn(|| {
            let mut work = Work::default();
            while !is_over.load(Ordering::SeqCst) {
                match Client::register(port, &KEY) {
                    Some(mut client) => while work.note(client.share()) {},
                    None => std::thread::sleep(Duration::from_millis(10)),
                }
            }
            work
        });
        for _ in 0..DEATHS {
            pool.start("server", None);
            // A segment is closed after two seconds, delivered, and removed.
            std::thread::sleep(Duration::from_millis(random.random_range(300..2600)));
            pool.kill("server");
        }
        is_over.store(true, Ordering::SeqCst);
        mining.join().unwrap()
    });
    pool.start("server", None);
    work.is_credited_once(&mut pool);
}

/// The node hears nothing of it before the server dies.
#[test]
fn a_block_that_a_server_found_before_it_died_reaches_the_node() {
    let mut pool = Pool::on_sqlite();
    pool.start("service", None);
    pool.until_followed();
    pool.start("server", None);
    let mut client = client(&pool);
    pool.front.treat_all(Some(Conduct::Deaf));
    let Answer::Accepted(hash) = client.block() else { panic!("a block is a good share") };
    pool.kill("server");
    assert_ne!(pool.chain.head().hash, hash);
    pool.front.treat_all(None);
    pool.start("server", None);
    eventually("the node to take the block", || (pool.chain.head().hash == hash).then_some(()));
    pool.assert_sound();
}

#[test]
fn postgresql_killed_while_a_server_delivers_loses_and_doubles_nothing() {
    let Some(mut pool) = Pool::on_postgres() else { return };
    pool.start("service", None);
    pool.until_followed();
    let gate = crate::gate::Gate::start(&pool.runtime, pool.postgres_port());
    pool.start("server", Some(gate.port));
    let mut client = client(&pool);
    let mut work = Work::default();
    for moment in [Moment::Before, Moment::After, Moment::Before, Moment::After] {
        gate.stop_at(0, moment);
        while !gate.has_stopped() {
            assert!(work.note(client.share()));
        }
        pool.kill_postgres();
        gate.open();
        // Intake does not wait for the accounts.
        assert!(work.note(client.share()));
        pool.restart_postgres();
    }
    work.is_credited_once(&mut pool);
}
