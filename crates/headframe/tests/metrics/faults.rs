//! Prometheus watches a pool whose processes all run, while clients, a node, a hook and a database do what they should not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ledger::local_postgres::{Durability, LocalPostgres};
use nimiq::Address;
use serde_json::json;

use crate::pool::Pool;
use crate::prometheus::Prometheus;
use crate::sandbox::{Http, eventually, folder};

/// Clients that misbehave until they are told to stop.
struct Misbehaving {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Misbehaving {
    fn start(clients: impl IntoIterator<Item = Box<dyn Fn() + Send>>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let start = |act: Box<dyn Fn() + Send>| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    act();
                }
            })
        };
        let clients = clients.into_iter().map(start).collect();
        Self { stop, clients }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
    }
}

/// A post whose body is no work at all, the last byte of it after `pause`.
fn bad_post(address: &str, path: &str, pause: Duration) {
    // A connection that fails is tried again by the next call.
    let _ = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: pool\r\ncontent-length: 4\r\nconnection: close\r\n\r\nabc"
        );
        stream.write_all(head.as_bytes())?;
        std::thread::sleep(pause);
        stream.write_all(b"d")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }();
}

#[test]
fn faults_around_a_pool_make_their_alerts_fire() {
    let mut postgres = LocalPostgres::start(Durability::Fast).expect("apt-get install postgresql");
    let (_folder, path) = folder();
    let accounts = postgres.new_database().unwrap();
    let configuration =
        format!("[pay_maker]\nupdate_hook = [\"false\"]\n[nimiq]\naccounts = \"{accounts}\"\n");
    let mut pool = Pool::configured(&path, &configuration);
    let (node, nimiq_node) = (pool.node(), pool.nimiq_node());
    let prometheus = Prometheus::start(&path, &[pool.address().to_owned()]);
    let http = Http::new();
    eventually("figures in Prometheus", || {
        prometheus.asked("min(headframe_nimiq_duty_held)").filter(|held| *held > 0.0)
    });
    for alert in ["RefusalRateHigh", "RepliesSlow", "NodeUnreachable", "AccountsUnreachable"] {
        prometheus.until_silent(alert);
    }

    // Clients send rubbish to one handler, and crawl at the other. The hook of the operator never works.
    let (address, slow_address) = (pool.address().to_owned(), pool.address().to_owned());
    let (second, third) = (slow_address.clone(), slow_address.clone());
    let slow = |address: String| -> Box<dyn Fn() + Send> {
        Box::new(move || bad_post(&address, "/blk/main/submit", Duration::from_secs(5)))
    };
    let clients = Misbehaving::start([
        Box::new(move || bad_post(&address, "/ann/main/submit", Duration::from_millis(50)))
            as Box<dyn Fn() + Send>,
        slow(slow_address),
        slow(second),
        slow(third),
    ]);
    prometheus.until_fires("RefusalRateHigh", "role", "ann_handler");
    prometheus.until_fires("RepliesSlow", "role", "blk_handler");
    prometheus.until_fires("PayoutHookFails", "role", "pay_maker");
    clients.stop();
    prometheus.until_silent("RefusalRateHigh");
    prometheus.until_silent("RepliesSlow");

    // The PacketCrypt node becomes slow.
    http.rpc(&node, "devchain_slow", &json!([5000]));
    prometheus.until_fires("NodeSlow", "name", "packetcrypt");
    http.rpc(&node, "devchain_behave", &json!([]));
    prometheus.until_silent("NodeSlow");

    // The Nimiq node loses its peers, and with them its chain stands still.
    let somebody = Address([7; 20]).to_string();
    http.nimiq_rpc(&nimiq_node, "devchain_extend", &json!([somebody, 1]));
    http.nimiq_rpc(&nimiq_node, "devchain_consensus", &json!([false]));
    prometheus.until_fires("NodeUnreachable", "role", "nimiq_service");
    prometheus.until_fires("NodeStalled", "role", "nimiq_server");
    http.nimiq_rpc(&nimiq_node, "devchain_consensus", &json!([true]));
    prometheus.until_silent("NodeUnreachable");

    // The database dies.
    postgres.kill().unwrap();
    prometheus.until_fires("AccountsUnreachable", "role", "nimiq_service");
    postgres.restart().unwrap();
    prometheus.until_silent("AccountsUnreachable");
}
