//! Service and payout as real processes, killed with `kill -9` at every durable step, with PostgreSQL killed at every
//! durable step, and both at random under reorganisations and a node that answers late, twice or never: every miner is
//! paid exactly once, and the books balance without a hand.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod gate;
mod node_front;
mod pool;
#[path = "../sandbox/mod.rs"]
mod sandbox;

use std::time::Duration;

use gate::{Gate, Moment};
use node_front::Conduct;
use pool::{Pool, STRANGER};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sandbox::eventually;

/// More durable steps than any life here has.
const MOST_STEPS: u64 = 60;
/// Faults of the random run.
const FAULTS: u32 = 24;

#[test]
fn a_payout_killed_at_each_durable_step_pays_once() {
    let Some(mut pool) = Pool::on_postgres() else { return };
    let gate = Gate::start(&pool.runtime, pool.postgres_port());
    pool.start("service", None);
    for moment in [Moment::Before, Moment::After] {
        let deaths = sweep(|step| {
            pool.earn_and_mature();
            gate.stop_at(step, moment);
            pool.start("payout", Some(gate.port));
            let died = pool.live_until(|pool| gate.has_stopped() || pool.all_is_final());
            let died = died && gate.has_stopped();
            pool.kill("payout");
            gate.open();
            pool.start("payout", Some(gate.port));
            pool.live_until(Pool::all_is_final);
            pool.assert_paid_once();
            pool.kill("payout");
            died
        });
        println!("{deaths} deaths of the payout {moment:?} a commit: each miner was paid once");
    }
    pool.verify();
}

#[test]
fn postgresql_killed_at_each_durable_step_of_a_payout_loses_and_doubles_nothing() {
    let Some(mut pool) = Pool::on_postgres() else { return };
    let gate = Gate::start(&pool.runtime, pool.postgres_port());
    pool.start("service", None);
    for moment in [Moment::Before, Moment::After] {
        let deaths = sweep(|step| {
            pool.earn_and_mature();
            gate.stop_at(step, moment);
            pool.start("payout", Some(gate.port));
            pool.live_until(|pool| gate.has_stopped() || pool.all_is_final());
            let died = gate.has_stopped();
            if died {
                pool.kill_postgres();
                gate.open();
                pool.restart_postgres();
            }
            gate.open();
            pool.live_until(Pool::all_is_final);
            pool.assert_paid_once();
            pool.kill("payout");
            died
        });
        println!("{deaths} deaths of PostgreSQL {moment:?} a commit: each miner was paid once");
    }
    pool.verify();
}

#[test]
fn a_service_killed_at_each_durable_step_books_everything_once() {
    let Some(mut pool) = Pool::on_postgres() else { return };
    let gate = Gate::start(&pool.runtime, pool.postgres_port());
    pool.start("service", Some(gate.port));
    pool.bury(40);
    pool.until_followed();
    for moment in [Moment::Before, Moment::After] {
        let mut depths = [1, 9, 30].into_iter().cycle();
        let deaths = sweep(|step| {
            let credited = pool.credited();
            pool.kill("service");
            gate.stop_at(step, moment);
            pool.start("service", Some(gate.port));
            // Found and settled; orphaned by a reorganisation; back again; mature.
            let depth = depths.next().unwrap();
            let found = pool.earn();
            let mut died = false;
            for step in [Step::Bury(depth), Step::Orphan(depth), Step::Return(depth + 2), Step::Bury(11)] {
                let is_last = matches!(step, Step::Bury(11));
                match step {
                    Step::Bury(blocks) => pool.bury(blocks),
                    Step::Orphan(depth) => drop(pool.chain.reorganise(STRANGER, depth + 1).unwrap()),
                    Step::Return(blocks) => drop(pool.chain.extend_from(found, STRANGER, blocks).unwrap()),
                }
                eventually("the service to book it, or to stop", || {
                    (gate.has_stopped() || pool.is_settled(is_last)).then_some(())
                });
                if gate.has_stopped() {
                    died = true;
                    pool.kill("service");
                    gate.open();
                    pool.start("service", Some(gate.port));
                    eventually("the service to book it", || pool.is_settled(is_last).then_some(()));
                }
                pool.assert_sound();
            }
            assert!(pool.credited() > credited);
            gate.open();
            died
        });
        println!("{deaths} deaths of the service {moment:?} a commit: the books balance");
    }
    pool.verify();
}

/// What happens to the chain.
enum Step {
    Bury(u32),
    Orphan(u32),
    Return(u32),
}

/// Lets a process die one durable step later each time, until it gets to its end; gives the number of deaths.
fn sweep(mut life: impl FnMut(u64) -> bool) -> u64 {
    for step in 0..MOST_STEPS {
        if !life(step) {
            assert!(step > 4, "only {step} durable steps: the sweep has not met them");
            return step;
        }
    }
    panic!("more than {MOST_STEPS} durable steps: a life has no end");
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
