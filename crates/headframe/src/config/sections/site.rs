//! `[site]`: the website and its API.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::OWN_LISTEN;
use crate::config::keys::{Keys, Section};
use crate::config::values::{ExplorerUrl, PublicUrl, Secret};

/// `[site]`: what the pool shows of itself.
#[derive(Debug, Clone)]
pub struct Site {
    pub run: bool,
    pub listen: Option<SocketAddr>,
    pub url: Option<PublicUrl>,
    pub name: String,
    pub contact: String,
    pub explorer_pkt: Option<ExplorerUrl>,
    pub explorer_nimiq: Option<ExplorerUrl>,
    pub folder: Option<PathBuf>,
    pub accounts: Option<Secret>,
    pub requests_per_minute: u32,
    pub event_streams: usize,
    pub event_streams_per_address: usize,
    pub subscriptions: bool,
    pub private_targets: bool,
    pub mail: String,
}

impl Section for Site {
    const NAME: &'static str = "site";
    const ABOUT: &'static str =
        "The website, and its API under /api/v1. It only reads: whatever it does, mining goes on.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            run: keys.flag("run", true, "Whether `up` serves the website, at / of its address."),
            listen: keys.socket("listen", "127.0.0.1:8088", OWN_LISTEN),
            url: keys.url(
                "url",
                "https://pool.example",
                "Its address from outside, for links and pool lists. Without it: http://LISTEN.",
            ),
            name: keys.text("name", "Headframe", "The pool's name, as people read it."),
            contact: keys.text("contact", "", "Whom miners can ask: an address that a link can have. Empty: nobody."),
            explorer_pkt: keys.explorer_url(
                "explorer_pkt",
                "https://explorer.example/pkt/block/{hash}",
                "Where blocks of PKT can be looked up: the pages link their hashes to it. Without it: no links.",
            ),
            explorer_nimiq: keys.explorer_url(
                "explorer_nimiq",
                "https://explorer.example/nimiq/#{hash}",
                "The same for blocks and transactions of Nimiq.",
            ),
            folder: keys.optional_folder(
                "folder",
                "/etc/headframe/site",
                "A folder with files that replace those of the default website or are added to them (headframe site \
                 export writes the default ones).",
            ),
            accounts: keys.accounts_url(
                "accounts",
                "Where the Nimiq accounts are, for a role that may only read them (headframe_site). Without it: \
                 [nimiq] accounts.",
            ),
            requests_per_minute: keys.whole(
                "requests_per_minute",
                1200,
                10..=1_000_000,
                "requests",
                "Requests of one client address (IPv6: one /64) to the API; beyond, it is told to wait. Loopback and \
                 trusted proxies are exempt.",
            ),
            event_streams: keys.whole(
                "event_streams",
                10_000,
                1..=1_000_000,
                "streams",
                "Event streams (live pages) held at once; more are told to come back.",
            ),
            event_streams_per_address: keys.whole(
                "event_streams_per_address",
                16,
                1..=1_000_000,
                "streams",
                "The same for one client address. Loopback and trusted proxies are exempt.",
            ),
            subscriptions: keys.flag(
                "subscriptions",
                true,
                "Whether miners may be told when their work stops arriving, at a webhook, a topic of ntfy or an e-mail \
                 address that they name with the signature of their address.",
            ),
            mail: keys.text(
                "mail",
                "",
                "The name of the [[notify]] of kind email by whose server miners get e-mail, each after it has said yes. \
                 Empty: no e-mail for miners.",
            ),
            private_targets: keys.flag(
                "private_targets",
                false,
                "Whether those may be on this machine, in its networks, and without TLS. With a public website never: \
                 anybody could make the pool ask what only it can reach.",
            ),
        }
    }
}
