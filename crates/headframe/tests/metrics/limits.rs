//! Prometheus watches a pool that comes to its limits: of the disk, of open files, of connections, and of its luck.

use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger::UnixMillis;
use ledger::nimiq::{Accounts, NewShare};
use nimiq::{Address, BlockHash, ShareWeight};

use crate::pool::Pool;
use crate::prometheus::Prometheus;
use crate::sandbox::{eventually, folder};

#[test]
fn a_small_machine_makes_its_alerts_fire() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root can give the pool a small disk");
        return;
    }
    let (_folder, path) = folder();
    let pool = Pool::on_a_disk_that_is_nearly_full(&path, "[http]\nconnections = 32\n");
    let prometheus = Prometheus::start(&path, &[pool.address().to_owned()]);
    prometheus.until_fires("DiskLow", "folder", "data");
    pool.free_the_disk();
    prometheus.until_silent("DiskLow");

    for alert in ["OpenFilesShort", "ConnectionsRefused"] {
        prometheus.until_silent(alert);
    }
    let open = pool.sum("process_open_fds", &[]);
    pool.limit_open_files(Some((open * 1.05) as u64));
    prometheus.until_fires("OpenFilesShort", "job", "headframe");
    pool.limit_open_files(None);
    prometheus.until_silent("OpenFilesShort");

    let mut held = Vec::new();
    eventually("ConnectionsRefused to fire", || {
        held.extend(TcpStream::connect(pool.address()));
        if held.len() > 200 {
            held.drain(..100);
        }
        std::thread::sleep(Duration::from_millis(20));
        prometheus.firing("ConnectionsRefused").first().map(drop)
    });
}

#[test]
fn much_work_without_a_block_makes_its_alert_fire() {
    let (_folder, path) = folder();
    let pool = Pool::start(&path);
    let prometheus = Prometheus::start(&path, &[pool.address().to_owned()]);
    pool.until_every_role_has_worked();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let url = format!("sqlite://{}", path.join("nimiq/accounts.db").display());
    let accounts = runtime.block_on(Accounts::open(&url)).unwrap();
    let server = runtime.block_on(accounts.server("much work")).unwrap();
    let mut number = 0;
    // The miners go on, and each block that they find begins a new count.
    eventually("NoBlockForLong to fire", || {
        number += 1;
        let mut hash = [0xbb; 32];
        hash[..8].copy_from_slice(&u64::to_be_bytes(number));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let (_, head) = runtime.block_on(accounts.main_chain(1)).ok()?.first().copied()?;
        let share = NewShare {
            server_sequence: number,
            address: Address([3; 20]),
            device: 1,
            previous_block: head,
            hash: BlockHash(hash),
            weight: ShareWeight(1 << 40),
            accepted_at: UnixMillis(now),
        };
        // Whoever else writes comes first; then again.
        let _ = runtime.block_on(accounts.accept_shares(server, &[share]));
        std::thread::sleep(Duration::from_millis(500));
        prometheus.firing("NoBlockForLong").first().map(drop)
    });
}
