//! One role restarts, in front of visitors: each role of this pool is a process of its own.

use std::path::Path;

use crate::browser::{Browser, Look};
use crate::sandbox::{Http, Program, eventually, folder, free_ports};

/// An address that a pool can pay.
const MINER: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";

/// A pool of PacketCrypt without handlers.
struct Roles {
    configuration: String,
    site: Program,
    pay_maker: Program,
    _others: [Program; 2],
    base: String,
}

impl Roles {
    fn start(path: &Path) -> Self {
        let [chain, master, pay_maker, site] = free_ports().map(|port| format!("127.0.0.1:{port}"));
        let file = path.join("pool.toml");
        let text = format!(
            "[pool]\ndata = \"{}\"\npassword = \"between roles\"\nrun_packetcrypt = \"yes\"\n[nimiq]\nrun = \"no\"\n\
             [dev_chain]\nlisten = \"{chain}\"\n[master]\nlisten = \"{master}\"\n[pay_maker]\nlisten = \"{pay_maker}\"\n\
             [site]\nlisten = \"{site}\"\n",
            path.join("data").display()
        );
        std::fs::write(&file, text).unwrap();
        let configuration = file.to_str().unwrap().to_owned();
        let run = |role: &str| Program::headframe(&[role, "--config", &configuration]);
        let chain_folder = path.join("chain");
        let arguments = ["dev-chain", "--listen", &chain, "--data", chain_folder.to_str().unwrap()];
        let chain = Program::headframe(&arguments);
        let (master, pay_maker, website) = (run("master"), run("pay-maker"), run("site"));
        let roles = Self {
            site: website,
            pay_maker,
            _others: [chain, master],
            configuration,
            base: format!("http://{site}"),
        };
        let http = Http::new();
        eventually("the website to answer", || http.get(&format!("{}/", roles.base)));
        roles
    }

    fn run(&self, role: &str) -> Program {
        Program::headframe(&[role, "--config", &self.configuration])
    }
}

/// Whether the Status page says this of the PayMaker.
fn pay_maker_is(state: &str) -> String {
    format!(
        "[...document.querySelectorAll('#status-table tbody tr')]
           .some((row) => row.innerText.includes('PayMaker') && row.querySelector('.state.{state}'))"
    )
}

#[test]
fn pages_survive_the_restart_of_one_role() {
    if !crate::is_equipped() {
        return;
    }
    let (_folder, path) = folder();
    let (mut roles, browser) = Browser::start_beside(|| Roles::start(&path));
    browser.look(Look::DARK);
    let (status, miner) = (format!("{}/status", roles.base), format!("{}/m/{MINER}", roles.base));
    browser.open(&status);
    browser.until("the PayMaker to work", &pay_maker_is("good"));

    roles.pay_maker.kill();
    browser.until("the page to say so", &pay_maker_is("bad"));
    // What nobody knows now is said; everything else is there.
    let http = Http::new();
    eventually("the Miner page to say that it cannot be told", || {
        browser.open(&miner);
        browser.text("h1").filter(|title| title == "Not now")
    });
    assert!(http.get(&format!("{}/", roles.base)).is_some(), "Home is gone with the PayMaker");

    browser.open(&status);
    roles.pay_maker = roles.run("pay-maker");
    browser.until("the page to see it again, without a reload", &pay_maker_is("good"));
    eventually("the Miner page to be back", || {
        browser.open(&miner);
        browser.text("h1").filter(|title| title == "Miner")
    });

    // The website itself: a page that is open finds it again.
    browser.open(&status);
    let started = "document.querySelector('#started time').dateTime";
    let before = browser.script(&format!("return {started}"));
    roles.site.kill();
    roles.site = roles.run("site");
    browser.until("the page to find the website again", &format!("{started} !== {before}"));
    browser.until("the PayMaker to be known again", &pay_maker_is("good"));
}
