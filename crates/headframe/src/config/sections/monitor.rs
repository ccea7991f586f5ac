//! `[monitor]`: who watches the pool, starts again what died, and tells people.

use std::net::SocketAddr;
use std::time::Duration;

use super::OWN_LISTEN;
use crate::config::keys::{Keys, Section};
use crate::config::values::{PublicUrl, Secret};

/// `[monitor]`: the watch over the whole pool.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub run: bool,
    pub listen: Option<SocketAddr>,
    pub token: Option<Secret>,
    pub also_watch: Vec<PublicUrl>,
    pub interval: Duration,
    pub quiet: Duration,
    pub trouble_after: Duration,
    pub restart_command: Vec<String>,
    pub restarts_per_hour: u32,
    pub restart_troubled_after: Duration,
    pub chain_stalls_after: Duration,
    pub intake_stalls_after: Duration,
    pub payouts_stall_after: Duration,
}

impl Section for Monitor {
    const NAME: &'static str = "monitor";
    const ABOUT: &'static str = "The monitor watches every role of this file, wherever it runs: whether it answers, whether it \
                                 can work, and whether the pool gets on. It starts again what died, and tells people \
                                 ([[notify]]).";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            run: keys.flag("run", true, "Whether `up` runs a monitor."),
            listen: keys.socket("listen", "127.0.0.1:8089", OWN_LISTEN),
            token: keys.secret(
                "token",
                "3210fedcba9876543210fedcba987654",
                "Who shows it may ask the monitor what it knows, and have roles started again. Without it one is drawn, \
                 which only this machine can read in the data folder.",
            ),
            also_watch: keys.urls(
                "also_watch",
                "[\"http://10.0.0.9:8080\"]",
                "Processes of Headframe that this file does not name: scheme, host and port of each.",
            ),
            interval: keys.seconds("interval", 2, 1..=60, "Pause between two looks at a process that is well."),
            quiet: keys.seconds(
                "quiet",
                60,
                1..=3600,
                "The least time between two messages about the same thing. It doubles with each message, up to an hour, \
                 as long as the thing does not come to rest.",
            ),
            trouble_after: keys.seconds(
                "trouble_after",
                60,
                0..=3600,
                "A role that answers and says why it cannot work may take so long before anybody is told.",
            ),
            restart_command: keys.list(
                "restart_command",
                "a program or an argument of it",
                "[\"systemctl\", \"restart\", \"{unit}\"]",
                "What starts a process that is gone or silent; {unit} is its systemd unit, {host} its host, {role} and \
                 {name} its first role. None: nothing is started again, except roles of the same `up`.",
                |text| if text.is_empty() { Err(None) } else { Ok(text.to_owned()) },
            ),
            restarts_per_hour: keys.whole(
                "restarts_per_hour",
                6,
                0..=60,
                "restarts",
                "What was started again so often within an hour is left to a person. 0: nothing is started again.",
            ),
            restart_troubled_after: keys.seconds(
                "restart_troubled_after",
                0,
                0..=86_400,
                "A role that has said for so long that it cannot work is started again. 0: never, since most troubles \
                 are the node's or the disk's.",
            ),
            chain_stalls_after: keys.seconds(
                "chain_stalls_after",
                1200,
                0..=86_400,
                "People are told when a chain has not grown for so long. 0: never.",
            ),
            intake_stalls_after: keys.seconds(
                "intake_stalls_after",
                600,
                0..=86_400,
                "The same for announcements and shares, while there are miners. 0: never.",
            ),
            payouts_stall_after: keys.seconds(
                "payouts_stall_after",
                600,
                0..=86_400,
                "The same for payout tables and the accounts, and for Nimiq payouts beyond their own interval. 0: never.",
            ),
        }
    }
}
