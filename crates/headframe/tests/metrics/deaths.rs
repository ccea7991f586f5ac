//! Prometheus watches a pool whose processes are killed: the right alerts fire, and are gone when all is well again.

use std::time::Duration;

use crate::role_processes::Watched;
use crate::sandbox::{eventually, folder};

#[test]
fn deaths_make_their_alerts_fire_and_life_ends_them() {
    let (_folder, path) = folder();
    let mut pool = Watched::start(&path);
    eventually("announcements and shares in Prometheus", || {
        let accepted = |what: &str| pool.prometheus.asked(&format!("sum(headframe_{what}_accepted_total)"));
        (accepted("announcements")? > 0.0 && accepted("shares")? > 0.0).then_some(())
    });
    eventually("uploads in Prometheus", || {
        pool.prometheus.asked("min(headframe_outbox_uploads_total)").filter(|uploads| *uploads > 0.0)
    });
    for alert in [
        "ProcessDown",
        "PayMakerUnreachable",
        "NodeUnreachable",
        "PayoutsRefused",
        "RoleNotReady",
        "MonitorDown",
        "NotificationsFail",
    ] {
        pool.prometheus.until_silent(alert);
    }

    // The PayMaker dies: its process is missed, and what handlers have for it waits.
    pool.kill("pay-maker");
    pool.prometheus.until_fires("ProcessDown", "job", "headframe");
    pool.prometheus.until_fires("PayMakerUnreachable", "role", "ann_handler");
    pool.prometheus.until_fires("PayMakerUnreachable", "role", "blk_handler");
    pool.prometheus.until_fires("OutboxGrowing", "role", "blk_handler");
    pool.start_role("pay-maker");
    pool.prometheus.until_silent("ProcessDown");
    pool.prometheus.until_silent("PayMakerUnreachable");
    pool.prometheus.until_silent("OutboxGrowing");

    // The node dies: nobody knows new work, payouts are not taken, and in the end nothing comes in any more.
    pool.kill("dev-chain");
    pool.prometheus.until_fires("NodeUnreachable", "name", "packetcrypt");
    pool.prometheus.until_fires("RoleNotReady", "role", "pay_maker");
    pool.prometheus.until_fires("PayoutsRefused", "outcome", "failed");
    pool.prometheus.until_fires("NodeStalled", "role", "master");
    pool.start_role("dev-chain");
    pool.prometheus.until_silent("NodeUnreachable");
    pool.prometheus.until_silent("NodeStalled");
    pool.prometheus.until_silent("PayoutsRefused");

    // Of all that the monitor has told nobody, since its destination is not there.
    pool.prometheus.until_fires("NotificationsFail", "destination", "nobody");

    // The monitor and the miners go.
    pool.kill("monitor");
    pool.kill("announcement miner");
    pool.kill("block miner");
    pool.prometheus.until_fires("IntakeStopped", "work", "announcements");
    pool.prometheus.until_fires("IntakeStopped", "work", "shares");
    pool.prometheus.until_fires("MonitorDown", "role", "monitor");

    // A process that somebody starts again and again.
    eventually("ProcessRestarts to fire", || {
        pool.kill("pay-maker");
        pool.start_role("pay-maker");
        std::thread::sleep(Duration::from_secs(2));
        pool.prometheus.firing("ProcessRestarts").first().map(drop)
    });
}
