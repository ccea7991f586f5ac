//! Real processes under load, killed with `kill -9` at random moments, cut off, out of disk, and a node that comes back on a
//! fork.
//! Whatever a miner was told was accepted must be credited exactly once, nothing else may be, and no block that was
//! found may be lost.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sandbox::disk::Disk;
use sandbox::relay::Relay;
use sandbox::{Http, Program, eventually, folder, free_ports};
use serde_json::{Value, json};
use wire::EventId;

/// Kills in a run; each is followed by a restart.
const KILLS: usize = 14;

/// Bytes that are less than any record or upload has.
const ROOM_FOR_NOTHING: u64 = 64;

/// The processes of a pool by name, with what starts each.
struct Pool {
    folder: PathBuf,
    configuration: String,
    running: BTreeMap<&'static str, Program>,
    node: String,
    bases: BTreeMap<&'static str, String>,
    relay: Relay,
    /// Where the data folder is; `None`: on that of everybody.
    disk: Option<Disk>,
}

impl Pool {
    fn start(folder: &Path) -> Self {
        Self::start_on(folder, None)
    }

    fn start_on(folder: &Path, disk: Option<Disk>) -> Self {
        let [chain, master, ann, blk, pay] = free_ports();
        let base = |port: u16| format!("http://127.0.0.1:{port}");
        let relay = Relay::start(&[("ann", base(ann)), ("blk", base(blk)), ("pay", base(pay))]);
        let configuration = folder.join("pool.toml");
        let text = format!(
            r#"
            [pool]
            password = "a password between roles"
            data = "{data}"
            url = "http://127.0.0.1:{master}"
            [dev_chain]
            listen = "127.0.0.1:{chain}"
            [master]
            listen = "127.0.0.1:{master}"
            [[ann_handler]]
            name = "main"
            listen = "127.0.0.1:{ann}"
            url = "http://{relay}/ann"
            [[blk_handler]]
            name = "main"
            listen = "127.0.0.1:{blk}"
            url = "http://{relay}/blk"
            [pay_maker]
            listen = "127.0.0.1:{pay}"
            url = "http://{relay}/pay"
            update_cycle = 1
            "#,
            data = folder.join("data").display(),
            relay = relay.address,
        );
        std::fs::write(&configuration, text).unwrap();
        let bases = BTreeMap::from([
            ("master", base(master)),
            ("ann-handler", base(ann)),
            ("blk-handler", base(blk)),
            ("pay-maker", base(pay)),
        ]);
        let configuration = configuration.to_str().unwrap().to_owned();
        let (folder, running) = (folder.to_owned(), BTreeMap::new());
        let mut pool = Self { folder, configuration, running, node: base(chain), bases, relay, disk };
        for name in ["dev-chain", "master", "pay-maker", "ann-handler", "blk-handler"] {
            pool.start_process(name);
        }
        pool
    }

    fn start_process(&mut self, name: &'static str) {
        let data = self.folder.join("data");
        let data = data.to_str().unwrap();
        let listen = self.node.trim_start_matches("http://").to_owned();
        let arguments = match name {
            "dev-chain" => vec![name, "--data", data, "--listen", &listen],
            "ann-handler" | "blk-handler" => vec![name, "main", "--config", &self.configuration],
            _ => vec![name, "--config", &self.configuration],
        };
        let program = match &self.disk {
            Some(disk) => disk.headframe(&arguments),
            None => Program::headframe_with_small_files(&arguments),
        };
        self.running.insert(name, program);
    }

    fn kill(&mut self, name: &'static str) {
        self.running.remove(name).unwrap().kill();
    }

    /// No file of these roles may grow past so many bytes, as if the disk were full.
    fn limit_files(&self, names: &[&'static str], bytes: Option<u64>) {
        for name in names {
            self.running[name].limit_files(bytes);
        }
    }

    /// Waits for somebody behind the relay to answer that its disk takes nothing.
    fn until_refused(&self, to: &str) {
        let before = self.relay.posts(to).len();
        eventually(&format!("{to} to refuse what it cannot store"), || {
            let is_refusal = |answer: &(axum::http::StatusCode, axum::body::Bytes)| {
                answer.0 == axum::http::StatusCode::SERVICE_UNAVAILABLE
                    && String::from_utf8_lossy(&answer.1).contains("storage_failed")
            };
            let posts = self.relay.posts(to);
            posts[before..].iter().any(|post| post.answer.as_ref().is_some_and(is_refusal)).then_some(())
        });
    }

    /// Answers of the handler behind the relay that were "accepted", as events.
    fn told(&self, to: &str) -> Vec<Value> {
        let accepted = |answer: &(axum::http::StatusCode, axum::body::Bytes)| {
            let reply: Value = serde_json::from_slice(&answer.1).ok()?;
            let fine = answer.0.is_success() && reply["error"].as_array()?.is_empty();
            if fine { Some(reply["result"].clone()) } else { None }
        };
        self.relay.posts(to).iter().filter_map(|post| post.answer.as_ref().and_then(accepted)).collect()
    }

    /// The events of all uploads that the PayMaker keeps, each id once.
    fn credited(&self) -> BTreeMap<String, Value> {
        let mut events = BTreeMap::new();
        let uploads = self.folder.join("data/pay-maker/ledger/uploads");
        let uploads = self.disk.as_ref().map_or(uploads.clone(), |disk| disk.seen_from_outside(&uploads));
        for entry in std::fs::read_dir(uploads).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "bin") {
                continue;
            }
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                let id = event["eventId"].as_str().unwrap().to_owned();
                let first = events.entry(id).or_insert_with(|| event.clone());
                assert_eq!(*first, event, "one event with two contents");
            }
        }
        events
    }
}

#[test]
fn nothing_accepted_is_lost_or_credited_twice_whatever_is_killed() {
    let (_folder, path) = folder();
    let http = Http::new();
    let mut pool = Pool::start(&path);
    let mut miners = start_miners(&pool);
    eventually("announcements and shares to be accepted", || {
        (!pool.told("ann").is_empty() && !pool.told("blk").is_empty()).then_some(())
    });

    let seed = rand::random();
    println!("the seed of this run is {seed}");
    make_trouble(&mut pool, &http, &mut StdRng::seed_from_u64(seed));

    for miner in &mut miners {
        miner.interrupt();
        miner.wait();
    }
    wait_until_all_is_delivered(&pool);
    check_credits(&pool, &http);
    check_blocks(&pool, &http);
}

/// A full disk, as far as a process can tell: intake stops with an error before anything accepted can be lost, and goes on
/// by itself once there is room.
#[test]
fn a_full_disk_stops_the_intake_of_every_role_and_loses_nothing() {
    let (_folder, path) = folder();
    let http = Http::new();
    let pool = Pool::start(&path);
    let mut miners = start_miners(&pool);
    let some_of_each = || {
        let (announcements, shares) = (pool.told("ann").len(), pool.told("blk").len());
        eventually("announcements and shares to be accepted", || {
            (pool.told("ann").len() > announcements && pool.told("blk").len() > shares).then_some(())
        });
    };
    some_of_each();
    // The PayMaker takes no uploads, which stay with the handlers: miners do not notice.
    pool.limit_files(&["pay-maker"], Some(ROOM_FOR_NOTHING));
    pool.until_refused("pay");
    some_of_each();
    // Handlers that can store nothing accept nothing.
    pool.limit_files(&["ann-handler", "blk-handler"], Some(ROOM_FOR_NOTHING));
    pool.until_refused("ann");
    pool.until_refused("blk");
    pool.limit_files(&["ann-handler", "blk-handler", "pay-maker"], None);
    some_of_each();
    for miner in &mut miners {
        miner.interrupt();
        miner.wait();
    }
    wait_until_all_is_delivered(&pool);
    check_credits(&pool, &http);
}

/// The same on a disk of which nothing is left, not for the journals of the databases and the chain either.
#[test]
fn a_disk_without_room_stops_the_intake_and_loses_nothing() {
    let (_folder, path) = folder();
    let http = Http::new();
    let Some(disk) = Disk::small(&path.join("data")) else { return };
    let pool = Pool::start_on(&path, Some(disk));
    let disk = pool.disk.as_ref().unwrap();
    let mut miners = start_miners(&pool);
    let accepted = || (pool.told("ann").len(), pool.told("blk").len());
    let some_of_each = || {
        let before = accepted();
        eventually("announcements and shares to be accepted", || {
            let now = accepted();
            (now.0 > before.0 && now.1 > before.1).then_some(())
        });
    };
    some_of_each();
    disk.fill();
    pool.until_refused("ann");
    pool.until_refused("blk");
    disk.free();
    some_of_each();
    for miner in &mut miners {
        miner.interrupt();
        miner.wait();
    }
    wait_until_all_is_delivered(&pool);
    check_credits(&pool, &http);
}

fn start_miners(pool: &Pool) -> [Program; 2] {
    let address = wire::pkt_address::ChainAddress::WitnessPublicKeyHash([1; 20]).to_string();
    let shares = wire::pkt_address::ChainAddress::WitnessPublicKeyHash([2; 20]).to_string();
    let url = pool.bases["master"].as_str();
    [
        Program::headframe(&["mine", "announcements", url, "--pay-to", &address, "--threads", "1"]),
        Program::headframe(&["mine", "blocks", url, "--pay-to", &shares, "--threads", "1", "--memory", "64"]),
    ]
}

/// Kills and restarts; cuts the PayMaker off for a while; lets the node come back on a fork.
fn make_trouble(pool: &mut Pool, http: &Http, random: &mut StdRng) {
    let names = ["ann-handler", "blk-handler", "pay-maker", "master", "dev-chain"];
    let pause = |random: &mut StdRng, from: u64, to: u64| {
        std::thread::sleep(Duration::from_millis(random.random_range(from..to)));
    };
    for round in 0..KILLS {
        // Each role at least twice, and the rest by chance.
        let name = if round < 2 * names.len() {
            names[round % names.len()]
        } else {
            names[random.random_range(0..names.len())]
        };
        pause(random, 300, 2500);
        pool.kill(name);
        pause(random, 100, 1200);
        pool.start_process(name);
        if round == 3 {
            pool.relay.cut("pay");
        }
        if round == 8 {
            pool.relay.mend();
        }
        if name == "dev-chain" {
            let node = pool.node.clone();
            eventually("the node to be back", || http.rpc_reply(&node, "getblockcount", &json!([])));
            // It has been away, and comes back with another branch.
            http.rpc(&node, "devchain_reorganise", &json!([1]));
        }
    }
    pool.relay.mend();
    for (name, base) in &pool.bases {
        eventually(&format!("{name} to be well"), || http.get(&format!("{base}/healthz")));
    }
}

/// Handlers upload within seconds; everything told must arrive.
fn wait_until_all_is_delivered(pool: &Pool) {
    let told: Vec<Value> = [pool.told("ann"), pool.told("blk")].concat();
    assert!(told.len() > 10, "too little happened: {}", told.len());
    eventually("all events to be delivered", || {
        let credited = pool.credited();
        told.iter().all(|event| credited.contains_key(event["eventId"].as_str().unwrap())).then_some(())
    });
}

fn check_credits(pool: &Pool, http: &Http) {
    let credited = pool.credited();
    for event in [pool.told("ann"), pool.told("blk")].concat() {
        let mut kept = credited[event["eventId"].as_str().unwrap()].clone();
        // The log line says of a share what the reply leaves out.
        kept.as_object_mut().unwrap().retain(|key, _| event.get(key).is_some());
        assert_eq!(kept, event, "credited otherwise than told");
    }
    check_that_nothing_else_is_credited(pool, &credited);

    // The running ledger, which saw repeated deliveries and restarts, pays as one that saw each event once.
    let once = pool.folder.join("once.ndjson");
    let lines: Vec<String> = credited.values().map(|event| format!("{event}\n")).collect();
    std::fs::write(&once, lines.concat()).unwrap();
    let recomputed = std::process::Command::new(env!("CARGO_BIN_EXE_headframe"))
        .args(["who-to-pay", "--config", &pool.configuration, "--events", once.to_str().unwrap()])
        .output()
        .unwrap();
    let recomputed: Value = serde_json::from_slice(&recomputed.stdout).unwrap();
    let url = format!("{}/whotopay", pool.bases["pay-maker"]);
    eventually("the running ledger to pay the same", || {
        let running = http.json(&url)?;
        (running["result"] == recomputed["result"]).then_some(())
    });
}

/// Every credited event comes from a post that was made, and no announcement was credited in two of them.
fn check_that_nothing_else_is_credited(pool: &Pool, credited: &BTreeMap<String, Value>) {
    let posts = pool.relay.posts("ann");
    let sent: BTreeMap<String, &axum::body::Bytes> = posts
        .iter()
        .map(|post| (EventId::of_announcement_post(&post.body).to_string(), &post.body))
        .collect();
    let (mut accepted, mut distinct) = (0, HashSet::new());
    for (id, event) in credited.iter().filter(|(_, event)| event["type"] == "anns") {
        let body = sent.get(id).unwrap_or_else(|| panic!("nobody sent what {event} credits"));
        distinct.extend(body.chunks(1024).map(<[u8]>::to_vec));
        accepted += event["accepted"].as_u64().unwrap();
    }
    assert!(
        accepted <= distinct.len() as u64,
        "{accepted} credited, only {} different ones sent",
        distinct.len()
    );
    let shares = credited.values().filter(|event| event["type"] == "share").count();
    let bodies: HashSet<_> = pool.relay.posts("blk").into_iter().map(|post| post.body).collect();
    assert!(shares <= bodies.len(), "{shares} shares credited, only {} different ones sent", bodies.len());
}

/// Every block that a miner was told it found is known to the node, if only on the branch that was abandoned.
fn check_blocks(pool: &Pool, http: &Http) {
    let found: Vec<String> = pool
        .told("blk")
        .iter()
        .filter(|event| event["block"] == true)
        .map(|event| event["headerHash"].as_str().unwrap_or_else(|| panic!("{event}")).to_owned())
        .collect();
    println!("{} blocks were found", found.len());
    assert!(!found.is_empty(), "no block was found");
    for hash in found {
        let reply = http.rpc_reply(&pool.node, "getblock", &json!([hash])).unwrap();
        let error = reply["error"]["message"].as_str().unwrap_or_default();
        assert!(reply["error"].is_null() || error.contains("is not in the main chain"), "{hash}: {error}");
    }
}
