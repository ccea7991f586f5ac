//! Who is looked at: the configuration of a pool in a folder of its own, and what the doctor says about it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::sandbox::free_ports;

/// Somebody whom a PKT pool can pay.
const PAYEE: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
/// An account of a Nimiq pool.
pub const ACCOUNT: &str = "NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9";

/// A folder for one patient.
pub struct Patient {
    folder: tempfile::TempDir,
    pub http: u16,
}

impl Patient {
    pub fn new() -> Self {
        let [http] = free_ports();
        Self { folder: tempfile::tempdir().unwrap(), http }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A pool with few connections, and more lines.
    pub fn configuration(&self, more: &str) -> PathBuf {
        let file = self.path("pool.toml");
        let text = format!(
            "[pool]\ndata = \"{}\"\n[http]\nlisten = \"127.0.0.1:{}\"\nconnections = 64\n{more}",
            self.path("data").display(),
            self.http
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    /// A PacketCrypt pool on this node, with more lines in its section and behind it.
    pub fn on_node(&self, url: &str, of_node: &str, more: &str) -> PathBuf {
        self.configuration(&format!(
            "[[node]]\nurl = \"{url}\"\n{of_node}\n{more}\n[pay_maker]\ndefault_address = \"{PAYEE}\"\n\
             error_address = \"{PAYEE}\"\npool_fee_address = \"{PAYEE}\"\npool_fee = 0.01\n"
        ))
    }

    /// A Nimiq pool on this node, with more lines in its section and behind it.
    pub fn on_nimiq_node(&self, url: &str, of_node: &str, more: &str) -> PathBuf {
        let [listen] = free_ports();
        self.configuration(&format!(
            "[[nimiq_node]]\nurl = \"{url}\"\n{of_node}\n[nimiq]\nnetwork = \"dev\"\naddress = \"{ACCOUNT}\"\n{more}\n\
             [[nimiq_server]]\nname = \"main\"\nlisten = \"127.0.0.1:{listen}\"\nconnections = 16\n"
        ))
    }
}

/// Asks it.
pub fn doctor(configuration: &Path, more: &[&str]) -> Report {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
    command.arg("doctor").arg("--config").arg(configuration).args(more);
    Report::of(&command.output().unwrap())
}

/// What the doctor said.
pub struct Report {
    pub text: String,
    code: Option<i32>,
}

impl Report {
    pub fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        Self { text: text.into_owned(), code: output.status.code() }
    }

    /// There is a fault with all these words, and in the line behind it a fix with these.
    pub fn fault(&self, words: &[&str], fix: &str) {
        let mut lines = self.text.lines().zip(self.text.lines().skip(1));
        let found = lines.any(|(line, next)| {
            line.starts_with("FAULT") && words.iter().all(|word| line.contains(word)) && next.contains(fix)
        });
        assert!(found, "no fault with {words:?}, mended by {fix:?}:\n{}", self.text);
        assert_eq!(self.code, Some(1), "{}", self.text);
    }

    /// All these words stand there, in one line.
    pub fn says(&self, words: &[&str]) {
        let found = self.text.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line with {words:?}:\n{}", self.text);
    }

    pub fn has_no_fault(&self) {
        assert!(!self.text.contains("FAULT"), "{}", self.text);
        assert_eq!(self.code, Some(0), "{}", self.text);
    }

    /// One thing is wrong, and nothing else is said to be.
    pub fn has_one_fault(&self) {
        assert_eq!(self.text.matches("FAULT").count(), 1, "{}", self.text);
    }
}
