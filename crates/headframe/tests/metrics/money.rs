//! Prometheus watches a PacketCrypt pool whose node does not pay whom it is told.

use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::role_processes::{ERROR_ADDRESS, Watched};
use crate::sandbox::{Http, eventually, folder};

/// The payout table in a call of the node, if it is that call.
fn table_in(body: &[u8]) -> Option<Value> {
    let mut call: Value = serde_json::from_slice(body).ok()?;
    (call["method"] == "configureminingpayouts").then(|| call["params"][0].take())
}

#[test]
fn payments_that_go_elsewhere_make_their_alerts_fire() {
    let (_folder, path) = folder();
    let mut pool = Watched::start(&path);
    let prometheus = &pool.prometheus;
    eventually("payouts and uploads in Prometheus", || {
        let payouts = prometheus.asked("sum(headframe_payout_cycles_total)")?;
        let uploads = prometheus.asked("min(headframe_outbox_uploads_total)")?;
        (payouts > 0.0 && uploads > 0.0).then_some(())
    });
    for alert in ["TemplatePaysOtherwise", "ErrorAddressPaid", "EventsSetAside"] {
        prometheus.until_silent(alert);
    }

    // The node answers that it has heard, and forgets: it pays the network steward.
    let heard = |body: &[u8]| {
        table_in(body).map(|_| json!({"result": null, "error": null, "id": 1}).to_string().into())
    };
    pool.relay.stand_in(move |to, body| {
        (to == "node").then(|| heard(body)).flatten().map(|said: Bytes| (StatusCode::OK, said))
    });
    pool.kill("dev-chain");
    pool.start_role("dev-chain");
    pool.prometheus.until_fires("TemplatePaysOtherwise", "role", "pay_maker");
    pool.relay.mend();
    pool.prometheus.until_silent("TemplatePaysOtherwise");

    // It fails at every table but one.
    let only_the_error_address = |table: &Value| {
        table.as_object().is_some_and(|table| table.len() == 1 && table.contains_key(ERROR_ADDRESS))
    };
    pool.relay.stand_in(move |to, body| {
        let fails = to == "node" && table_in(body).is_some_and(|table| !only_the_error_address(&table));
        fails.then(|| (StatusCode::SERVICE_UNAVAILABLE, Bytes::new()))
    });
    pool.prometheus.until_fires("ErrorAddressPaid", "outcome", "to_error_address");
    pool.relay.mend();
    pool.prometheus.until_silent("ErrorAddressPaid");

    // The PayMaker will not have what the BlkHandler brings, however often it is asked to try again.
    pool.relay.stand_in(|to, _| (to == "pay").then(|| (StatusCode::BAD_REQUEST, Bytes::new())));
    let http = Http::new();
    eventually("EventsSetAside to fire", || {
        pool.upload_now(&http);
        pool.prometheus.firing("EventsSetAside").first().map(drop)
    });
}
