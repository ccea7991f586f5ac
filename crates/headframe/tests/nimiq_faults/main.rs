//! Service and payout as real processes, killed with `kill -9` at every durable step, with PostgreSQL killed at every
//! durable step, and both at random under reorganisations and a node that answers late, twice or never: every miner is
//! paid exactly once, and the books balance without a hand.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod full_disk;
mod gate;
#[path = "../nimiq_pool/mod.rs"]
mod nimiq_pool;
#[path = "../sandbox/mod.rs"]
mod sandbox;
mod server;

use std::time::Duration;

use gate::{Gate, Moment};
use nimiq_pool::node_front::Conduct;
use nimiq_pool::{Pool, STRANGER};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sandbox::eventually;

/// Faults of the random run.
const FAULTS: u32 = 24;

/// Lets a role die at each of its commits: first before the commit reaches PostgreSQL, then, when it is repeated, after
/// it was carried out and before the role hears of that.
struct Reaper {
    gate: Gate,
    role: &'static str,
    /// Commits that the role makes whenever it starts.
    at_start: u64,
    next: Moment,
    deaths: u32,
}

impl Reaper {
    fn new(pool: &Pool, role: &'static str, at_start: u64) -> Self {
        let gate = Gate::start(&pool.runtime, pool.postgres_port());
        gate.stop_at(0, Moment::Before);
        Self { gate, role, at_start, next: Moment::After, deaths: 0 }
    }

    /// Buries and revives the role if it has come to its next commit.
    fn tend(&mut self, pool: &mut Pool) {
        if !self.gate.has_stopped() {
            return;
        }
        pool.kill(self.role);
        self.gate.open();
        self.deaths += 1;
        // Commits of its start that it has died at twice already.
        let passed = u64::from(self.deaths / 2).min(self.at_start);
        self.gate.stop_at(passed, self.next);
        self.next = if self.next == Moment::Before { Moment::After } else { Moment::Before };
        pool.start(self.role, Some(self.gate.port));
    }
}

#[test]
fn a_payout_killed_at_each_durable_step_pays_once() {
    let Some(mut pool) = Pool::on_postgres() else { return };
    pool.start("service", None);
    // It takes its duty.
    let mut reaper = Reaper::new(&pool, "payout", 1);
    pool.earn_and_mature();
    pool.start("payout", Some(reaper.gate.port));
    loop {
        pool.live_until(|pool| reaper.gate.has_stopped() || pool.all_is_final());
        if !reaper.gate.has_stopped() {
            break;
        }
        reaper.tend(&mut pool);
    }
    pool.assert_paid_once();
    println!("{} deaths of the payout, each miner paid once", reaper.deaths);
    // The duty, two payouts prepared, each of them mined and confirmed. Sending may be no step: a block may be faster.
    assert!(reaper.deaths >= 10, "only {} deaths: the durable steps were not met", reaper.deaths);
    pool.verify();
}

#[test]
fn postgresql_killed_at_each_durable_step_of_a_payout_loses_and_doubles_nothing() {
    let Some(mut pool) = Pool::on_postgres() else { return };
    let gate = Gate::start(&pool.runtime, pool.postgres_port());
    pool.start("service", None);
    for (moment, step) in [Moment::Before, Moment::After].into_iter().flat_map(|moment| {
        // The duty, two payouts prepared, and each of them sent, mined and confirmed.
        (0..8).map(move |step| (moment, step))
    }) {
        pool.earn_and_mature();
        gate.stop_at(step, moment);
        pool.start("payout", Some(gate.port));
        pool.live_until(|_| gate.has_stopped());
        pool.kill_postgres();
        gate.open();
        pool.restart_postgres();
        pool.live_until(Pool::all_is_final);
        pool.assert_paid_once();
        pool.kill("payout");
    }
    pool.verify();
}

#[test]
fn a_service_killed_at_each_durable_step_books_everything_once() {
    let Some(mut pool) = Pool::on_postgres() else { return };
    let mut reaper = Reaper::new(&pool, "service", 1);
    pool.start("service", Some(reaper.gate.port));
    pool.bury(40);
    until(&mut pool, &mut reaper, |pool| pool.is_settled(true));
    for depth in [1, 9, 30] {
        let credited = pool.credited();
        // Found and settled; orphaned by a reorganisation; back again; mature.
        let found = pool.earn();
        pool.bury(depth);
        until(&mut pool, &mut reaper, |pool| pool.is_settled(false));
        pool.chain.reorganise(STRANGER, depth + 1).unwrap();
        until(&mut pool, &mut reaper, |pool| pool.is_settled(false));
        assert_eq!(pool.credited(), credited);
        pool.chain.extend_from(found, STRANGER, depth + 2).unwrap();
        until(&mut pool, &mut reaper, |pool| pool.is_settled(false));
        pool.bury(11);
        until(&mut pool, &mut reaper, |pool| pool.is_settled(true));
        assert!(pool.credited() > credited);
        pool.assert_sound();
    }
    println!("{} deaths of the service, everything booked once", reaper.deaths);
    assert!(reaper.deaths >= 24, "only {} deaths: the durable steps were not met", reaper.deaths);
    pool.verify();
}

/// Waits for something, and revives who dies meanwhile.
fn until(pool: &mut Pool, reaper: &mut Reaper, condition: impl Fn(&Pool) -> bool) {
    eventually("the service to book it", || {
        reaper.tend(pool);
        condition(pool).then_some(())
    });
}

#[test]
fn whatever_happens_every_miner_is_paid_once() {
    let Some(pool) = Pool::on_postgres() else { return };
    random_faults(pool, true);
}

#[test]
fn the_same_on_sqlite() {
    random_faults(Pool::on_sqlite(), false);
}

fn random_faults(mut pool: Pool, with_database: bool) {
    let seed = rand::random();
    println!("the seed of this run is {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    pool.start("service", None);
    pool.start("payout", None);
    pool.until_followed();
    pool.bury(40);
    for fault in 0..FAULTS {
        pool.earn();
        pool.bury(random.random_range(1..13));
        std::thread::sleep(Duration::from_millis(random.random_range(100..1500)));
        match fault % if with_database { 7 } else { 6 } {
            0 => pool.kill_and_restart("payout", &mut random),
            1 => drop(pool.chain.reorganise(STRANGER, [1, 9, 30][random.random_range(0..3)]).unwrap()),
            2 => pool.front.treat_all(Some(Conduct::Never)),
            3 => {
                pool.front.treat_all(Some(Conduct::Twice));
                pool.kill_and_restart("service", &mut random);
            }
            4 => {
                let time = Duration::from_millis(random.random_range(50..800));
                pool.front.treat_all(Some(Conduct::Late(time)));
            }
            5 => pool.front.treat_all(None),
            _ => {
                pool.kill_postgres();
                std::thread::sleep(Duration::from_millis(random.random_range(0..1000)));
                pool.restart_postgres();
            }
        }
    }
    pool.front.treat_all(None);
    // Blocks may have left with the money for what was paid; more of it comes.
    for _ in 0..4 {
        pool.earn();
    }
    eventually("the last payouts to be final", || {
        pool.earn();
        pool.bury(11);
        std::thread::sleep(Duration::from_millis(1500));
        pool.nobody_waits().then_some(())
    });
    pool.live_until(Pool::all_is_final);
    pool.assert_paid_once();
    pool.verify();
}
