//! The doorkeeper with a million clients, none of whose buckets is full: memory for each, and checks in a second.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context;
use pool::Metrics;
use pool::admission::{Admission, AdmissionConfig, Allowance, Counted, Request};
use pool::listener::Client;

use super::processor_time::{of_process, of_this_thread};
use super::{Goal, Row};

/// Clients that are limited at once, each in a neighbourhood of its own and with a payee of its own.
const CLIENTS: u32 = 1_000_000;
/// Looks at random clients.
const CHECKS: u32 = 4_000_000;
/// A client that pays back so slowly that nothing is full again before the end.
const SLOW: Allowance = Allowance::new(1000.0, 0.001);

/// Measures.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let config = AdmissionConfig { clients: CLIENTS as usize, processor: 1e-6, ..AdmissionConfig::default() };
    let before = of_process(std::process::id())?.resident_bytes;
    let admission = Admission::new(config, &Metrics::new());
    for number in 0..CLIENTS {
        admission.enter(client(number), Request::Share).context("a client's first request")?;
        admission.charge_payee(Counted::Processor, &number.to_le_bytes(), SLOW, 1.0);
    }
    let bytes = of_process(std::process::id())?.resident_bytes.saturating_sub(before);
    let forgotten = admission.forgotten();
    let started = of_this_thread();
    for number in 0..CHECKS {
        // A step that visits all, in no order.
        let number = (u64::from(number) * 777_767_777 % u64::from(CLIENTS)) as u32;
        black_box(admission.enter(client(number), Request::Document).is_ok());
    }
    let seconds = of_this_thread() - started;
    Ok(vec![
        Row {
            measure: "admission, a million limited clients with three buckets each".to_owned(),
            unit: "MiB",
            ours: bytes as f64 / f64::from(1 << 20),
            reference: None,
            goal: Some(Goal::AtMost(100.0)),
        },
        Row {
            measure: "the same, memory of one".to_owned(),
            unit: "bytes",
            ours: bytes as f64 / f64::from(CLIENTS),
            reference: None,
            goal: None,
        },
        Row {
            measure: "the same, buckets forgotten before they were full".to_owned(),
            unit: "% of all",
            ours: forgotten as f64 / f64::from(CLIENTS) / 3.0 * 100.0,
            reference: None,
            goal: Some(Goal::AtMost(1.0)),
        },
        Row {
            measure: "the same, requests let in (ban, client, neighbourhood)".to_owned(),
            unit: "per core-second",
            ours: f64::from(CHECKS) / seconds,
            reference: None,
            goal: Some(Goal::AtLeast(1e6)),
        },
    ])
}

/// Public addresses, each in another /24.
fn client(number: u32) -> Client {
    Client { address: IpAddr::V4(Ipv4Addr::from(0x1000_0000 + (number << 8))), exempt: false }
}
