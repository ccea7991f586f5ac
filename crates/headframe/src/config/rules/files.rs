//! What a configuration names must be there: certificates, keys, programs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pool::admin::{AdminToken, TokenFault};
use pool::nimiq::payout::signer::key_file::{self, KeyFileFault};

use super::{DRAW, GUESSABLE, Rules, place_in};
use crate::config::{Config, Secret};

impl Rules<'_> {
    /// A node's cookie is not looked for: the node makes one at each of its starts.
    pub(super) fn files(&mut self, config: &Config) {
        let nodes = config.nodes.iter().map(|node| node.certificate.as_deref());
        self.readable("node", "certificate", nodes);
        let servers = &config.nimiq_servers;
        self.readable(
            "nimiq_server",
            "certificate",
            servers.iter().map(|server| server.certificate.as_deref()),
        );
        self.readable("nimiq_server", "key", servers.iter().map(|server| server.key.as_deref()));
        self.pool_key(config);
        let secrets = config.notify.iter().map(|notify| notify.secret_file.as_deref());
        self.readable("notify", "secret_file", secrets);
        self.program("monitor", "restart_command", &config.monitor.restart_command);
        self.admin_token(config);
        self.program("pay_maker", "update_hook", &config.pay_maker.update_hook);
        self.program("nimiq_payout", "signing_command", &config.nimiq_payout.signing_command);
    }

    /// It is read, so that no pool starts whose blocks pay an account that nobody can pay miners from.
    fn pool_key(&mut self, config: &Config) {
        let Some(file) = &config.nimiq_payout.key_file else { return };
        let names = format!("names {}, which", file.display());
        let (fault, way_out) = match key_file::read(file) {
            Ok(key) => {
                let (own, wanted) = (key.public_key().address(), config.nimiq.address);
                // On an embedded chain the pool may take the address from the key.
                if wanted == Some(own) || (wanted.is_none() && config.nimiq_nodes.is_empty()) {
                    return;
                }
                let fault = format!("{names} holds the key of {own}, and that is not `nimiq.address`");
                (fault, "write that address there, or give the key of the other one".to_owned())
            }
            Err(KeyFileFault::Mode { mode, .. }) => (
                format!("{names} others may use too (mode {mode:04o})"),
                format!("chmod 600 {}", file.display()),
            ),
            Err(KeyFileFault::Content { fault, .. }) => (
                format!("{names} holds no key: {fault}"),
                "give one of 64 hexadecimal digits, or the wallet.seed of a node".to_owned(),
            ),
            Err(fault) => (unreadable(file).unwrap_or_else(|| fault.to_string()), READABLE.to_owned()),
        };
        self.report("nimiq_payout", "key_file", fault, Some(way_out));
    }

    /// It is read, since a token that is none, or that anyone would guess, guards nothing.
    fn admin_token(&mut self, config: &Config) {
        let Some(file) = &config.admin.token_file else { return };
        let public = config.admin.listen.is_some_and(|listen| !listen.ip().is_loopback());
        let fault = match AdminToken::from_file(file) {
            Err(fault @ TokenFault::NoToken { .. }) => Some(fault.to_string()),
            Err(TokenFault::Unreadable { .. }) => unreadable(file),
            Ok(token) => (public && Secret::new(token.reveal()).is_weak()).then(|| GUESSABLE.to_owned()),
        };
        if let Some(fault) = fault {
            self.report("admin", "token_file", fault, Some(DRAW.to_owned()));
        }
    }

    fn readable<'f>(&mut self, section: &str, key: &str, files: impl Iterator<Item = Option<&'f Path>>) {
        for ((label, table), file) in self.repeated(section).into_iter().zip(files) {
            if let Some(fault) = file.and_then(unreadable) {
                let place = place_in(&table, key);
                self.report_at(place, format!("{label}.{key}"), fault, Some(READABLE.to_owned()));
            }
        }
    }

    fn program(&mut self, section: &str, key: &str, command: &[String]) {
        let Some(program) = command.first() else { return };
        let is_there = candidates(program).iter().any(|file| is_executable(file));
        if !is_there {
            let fault = format!("names {program:?}, and there is no such program");
            let suggestion = "give the path of a file that may be executed".to_owned();
            self.report(section, key, fault, Some(suggestion));
        }
    }
}

const READABLE: &str = "give the path of a file that the account of the pool can read";

fn unreadable(file: &Path) -> Option<String> {
    match std::fs::File::open(file).and_then(|file| file.metadata()) {
        Ok(file) if file.is_file() => None,
        Ok(_) => Some(format!("names {}, which is no file", file.display())),
        Err(error) => Some(format!("names {}, which cannot be read: {error}", file.display())),
    }
}

/// Where the system looks for a program.
fn candidates(program: &str) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![PathBuf::from(program)];
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).collect()
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
