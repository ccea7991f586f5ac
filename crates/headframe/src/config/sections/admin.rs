//! `[admin]`: where the operator asks and acts.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::super::keys::{Keys, Section};

/// The admin API of a process.
#[derive(Debug, Clone)]
pub struct Admin {
    pub listen: Option<SocketAddr>,
    pub token_file: Option<PathBuf>,
}

impl Section for Admin {
    const NAME: &'static str = "admin";
    const ABOUT: &'static str = "The admin API: queues, bans, the configuration in force, things to do at once. `headframe admin` is its client.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            listen: keys.socket(
                "listen",
                "127.0.0.1:8079",
                "Where it answers, apart from everything else. Without it: `up` takes a free port of loopback, which \
                 `headframe admin` finds in the data folder, and a role of its own has none.",
            ),
            token_file: keys.file(
                "token_file",
                "/etc/headframe/admin-token",
                "A file with a line of at least 16 characters that a client must show (openssl rand -hex 32). Without it \
                 only this machine is answered.",
            ),
        }
    }
}
