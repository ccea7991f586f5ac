//! No two listeners of a whole pool can have one port.

use std::net::SocketAddr;

use super::{Rules, place_in};
use crate::config::Config;
use crate::config::problem::Place;

/// What `up` would open.
struct Listener {
    place: Place,
    key: String,
    at: SocketAddr,
}

impl Rules<'_> {
    /// Roles that share the address of [http] are one listener. What runs alone, on a machine of its own perhaps,
    /// is not looked at.
    pub(super) fn listeners(&mut self, config: &Config) {
        let mut tcp = vec![self.listener("http", "listen", config.http.listen)];
        tcp.extend(config.admin.listen.map(|at| self.listener("admin", "listen", at)));
        if config.nodes.is_empty() && config.runs_packetcrypt() {
            tcp.push(self.listener("dev_chain", "listen", config.dev_chain.listen));
        }
        if config.nimiq_nodes.is_empty() && config.runs_nimiq() {
            tcp.push(self.listener("nimiq_dev_chain", "listen", config.nimiq_dev_chain.listen));
        }
        if config.runs_nimiq() {
            let servers = config.nimiq_servers.iter().map(|server| Some(server.listen));
            tcp.extend(self.listeners_of("nimiq_server", "listen", servers));
        }
        let feeds = config.ann_handlers.iter().map(|handler| handler.sprayer_listen);
        let udp = self.listeners_of("ann_handler", "sprayer_listen", feeds);
        self.clashes(&tcp);
        self.clashes(&udp);
    }

    fn listener(&self, section: &str, key: &str, at: SocketAddr) -> Listener {
        Listener { place: self.place(section, key), key: format!("{section}.{key}"), at }
    }

    fn listeners_of(
        &self,
        section: &str,
        key: &str,
        addresses: impl Iterator<Item = Option<SocketAddr>>,
    ) -> Vec<Listener> {
        let tables = self.repeated(section);
        let placed = tables.into_iter().zip(addresses).filter_map(|((label, table), at)| {
            let place = place_in(&table, key);
            Some(Listener { place, key: format!("{label}.{key}"), at: at? })
        });
        placed.collect()
    }

    fn clashes(&mut self, listeners: &[Listener]) {
        for (index, later) in listeners.iter().enumerate() {
            let Some(earlier) = listeners[..index].iter().find(|earlier| overlap(earlier.at, later.at))
            else {
                continue;
            };
            // What the operator wrote is at fault, not the default that was there before.
            let (wrong, other) =
                if later.place == Place::Default { (earlier, later) } else { (later, earlier) };
            let fault = format!("is {}, where `{}` listens already ({})", wrong.at, other.key, other.at);
            let suggestion = "give it another port".to_owned();
            self.report_at(wrong.place.clone(), wrong.key.clone(), fault, Some(suggestion));
        }
    }
}

/// Whether the second cannot be opened beside the first. Port 0 is any that is free.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && (everywhere || one.ip() == other.ip())
}
