//! A pool for a browser to look at.

use std::path::Path;

use crate::sandbox::{Http, Program, eventually, free_ports};

/// `headframe up`, on a port that stays the same over restarts.
pub struct Pool {
    program: Program,
    data: String,
    ports: [u16; 4],
    /// Where its website is, without a slash at the end.
    pub base: String,
}

impl Pool {
    /// Starts it in a folder; `more` are further arguments.
    pub fn start(data: &Path, more: &[&str]) -> Self {
        let data = data.to_str().unwrap().to_owned();
        let ports = free_ports();
        let program = run(&data, ports, more);
        let pool = Self { program, data, ports, base: format!("http://127.0.0.1:{}", ports[0]) };
        pool.wait_until_it_answers();
        pool
    }

    fn wait_until_it_answers(&self) {
        let http = Http::new();
        eventually("the website to answer", || http.get(&format!("{}/", self.base)));
    }

    /// Ends it without warning.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again, on what it has kept; `more` are further arguments.
    pub fn start_again(&mut self, more: &[&str]) {
        self.program = run(&self.data, self.ports, more);
        self.wait_until_it_answers();
    }
}

fn run(data: &str, ports: [u16; 4], more: &[&str]) -> Program {
    let [http, node, nimiq_node, nimiq] = ports.map(|port| format!("127.0.0.1:{port}"));
    let nimiq_node = format!("nimiq_dev_chain.listen={nimiq_node}");
    let nimiq = format!("nimiq_server.main.listen={nimiq}");
    let mut arguments = vec![
        "up",
        "--data",
        data,
        "--listen",
        &http,
        "--dev-chain-listen",
        &node,
        "--set",
        "pay_maker.update_cycle=1",
        "--set",
        "mine.memory_mebibytes=64",
        "--set",
        &nimiq_node,
        "--set",
        &nimiq,
        "--set",
        "nimiq_service.confirmations=1",
        "--set",
        "nimiq_service.settle_after=0",
    ];
    arguments.extend(more);
    Program::headframe(&arguments)
}
