//! What must hold between keys, once each of them is fine by itself.

mod files;
mod listeners;
mod notify;

use std::collections::HashMap;
use std::net::SocketAddr;

use nimiq::Network;

use super::problem::{Place, Problem, nearest};
use super::values::{PublicUrl, Secret};
use super::written::{Content, Table};
use super::{Config, Files};

/// Checks a configuration against the tables it came from, which know the places.
pub fn check(config: &Config, tables: &[Table], files: Files) -> Vec<Problem> {
    let mut rules = Rules { tables, problems: Vec::new() };
    rules.nodes(config);
    rules.announcement_target(tables);
    rules.handlers(config, "ann_handler", "announcement_urls");
    rules.handlers(config, "blk_handler", "block_urls");
    rules.public_addresses(config);
    rules.passwords(config);
    rules.admin(config);
    rules.payees(config);
    rules.nimiq_nodes(config);
    rules.nimiq_servers(config);
    rules.nimiq_signer(config);
    rules.nimiq_thresholds(config);
    rules.listeners(config);
    rules.notify(config);
    rules.mail_for_miners(config);
    if files == Files::MustBeHere {
        rules.files(config);
    }
    rules.problems
}

struct Rules<'t> {
    tables: &'t [Table],
    problems: Vec<Problem>,
}

impl Rules<'_> {
    fn report(&mut self, section: &str, key: &str, fault: impl Into<String>, suggestion: Option<String>) {
        self.report_at(self.place(section, key), format!("{section}.{key}"), fault, suggestion);
    }

    /// Where a key of a section is written, or the section if it is not.
    fn place(&self, section: &str, key: &str) -> Place {
        let table = self.tables.iter().find(|table| table.section == section);
        table.map_or(Place::Default, |table| place_in(table, key))
    }

    fn report_at(&mut self, place: Place, key: String, fault: impl Into<String>, suggestion: Option<String>) {
        self.problems.push(Problem { place, key, fault: fault.into(), suggestion });
    }

    /// Each node once, and each with a URL.
    fn nodes(&mut self, config: &Config) {
        let nodes = self.repeated("node");
        for ((label, table), node) in nodes.iter().zip(&config.nodes) {
            if node.url.is_none() && table.get("url").is_none() {
                self.report_at(table.place.clone(), format!("{label}.url"), "is missing", None);
            }
        }
        self.unique(&nodes, "url", "node");
    }

    /// Work or target, not both.
    fn announcement_target(&mut self, tables: &[Table]) {
        let master = tables.iter().find(|table| table.section == "master");
        let both = master.filter(|table| table.get("announcement_work").is_some());
        if both.is_some_and(|table| table.get("announcement_target").is_some()) {
            let fault = "says the same as `announcement_work`, which is also given";
            self.report("master", "announcement_target", fault, Some("keep one of them".to_owned()));
        }
    }

    /// Handlers have names and URLs of their own, and the Master's list, where it is written out, has them all
    /// once (rule R-M8): otherwise miners would send to nobody, or count wrongly.
    fn handlers(&mut self, config: &Config, section: &str, list: &str) {
        let tables = self.repeated(section);
        for (label, table) in &tables {
            if table.get("name").is_none() {
                self.report_at(table.place.clone(), format!("{label}.name"), "is missing", None);
            }
        }
        self.unique(&tables, "name", section);
        self.unique(&tables, "url", section);
        let listed = if section == "ann_handler" {
            &config.master.announcement_urls
        } else {
            &config.master.block_urls
        };
        if listed.is_empty() {
            return;
        }
        for (position, url) in listed.iter().enumerate() {
            if listed[..position].contains(url) {
                let fault =
                    format!("has {url} twice; miners and handlers would then count handlers differently");
                self.report("master", list, fault, None);
            }
        }
        for (label, table) in &tables {
            self.is_listed(label, table, listed, list);
        }
    }

    fn is_listed(&mut self, label: &str, table: &Table, listed: &[PublicUrl], list: &str) {
        let Some(value) = table.get("url") else {
            let fault = format!("is missing, although `master.{list}` names every handler by its URL");
            self.report_at(table.place.clone(), format!("{label}.url"), fault, None);
            return;
        };
        let Content::Text(url) = &value.content else { return };
        if listed.iter().any(|entry| entry.as_str() == url) {
            return;
        }
        let suggestion = nearest(url, listed.iter().map(PublicUrl::as_str))
            .map(|entry| format!("the nearest entry of the list is {entry}"));
        let fault = format!("is {url}, which is not in `master.{list}`: no miner would find this handler");
        self.report_at(value.place.clone(), format!("{label}.url"), fault, suggestion);
    }

    /// Who listens on all interfaces must say how others reach it.
    fn public_addresses(&mut self, config: &Config) {
        let wildcard = |own: Option<SocketAddr>| own.unwrap_or(config.http.listen).ip().is_unspecified();
        if config.pool.url.is_none() && wildcard(config.master.listen) {
            self.report("pool", "url", REACHED, None);
        }
        if config.pay_maker.url.is_none() && wildcard(config.pay_maker.listen) {
            self.report("pay_maker", "url", REACHED, None);
        }
        let anns = config.ann_handlers.iter().map(|handler| (handler.url.is_none(), handler.listen));
        let blks = config.blk_handlers.iter().map(|handler| (handler.url.is_none(), handler.listen));
        let missing: Vec<(&str, bool)> = std::iter::repeat("ann_handler")
            .zip(anns)
            .chain(std::iter::repeat("blk_handler").zip(blks))
            .map(|(section, (absent, listen))| (section, absent && wildcard(listen)))
            .collect();
        let tables: Vec<_> =
            self.repeated("ann_handler").into_iter().chain(self.repeated("blk_handler")).collect();
        for ((_, missing), (label, table)) in missing.into_iter().zip(tables) {
            if missing {
                self.report_at(table.place.clone(), format!("{label}.url"), REACHED, None);
            }
        }
    }

    /// Nobody may be able to guess a password that guards something on a public address.
    fn passwords(&mut self, config: &Config) {
        let public = |own: Option<SocketAddr>| !own.unwrap_or(config.http.listen).ip().is_loopback();
        let weak = |secret: &Option<Secret>| secret.as_ref().is_some_and(Secret::is_weak);
        if public(config.pay_maker.listen) {
            if config.pool.password.is_none() && !config.nodes.is_empty() {
                self.report(
                    "pool",
                    "password",
                    "is missing, and the PayMaker is public",
                    Some(DRAW.to_owned()),
                );
            } else if weak(&config.pool.password) {
                self.report("pool", "password", GUESSABLE, Some(DRAW.to_owned()));
            }
        }
        if public(config.monitor.listen) && weak(&config.monitor.token) {
            self.report("monitor", "token", GUESSABLE, Some(DRAW.to_owned()));
        }
        let tables = self.repeated("ann_handler");
        for (handler, (label, table)) in config.ann_handlers.iter().zip(tables) {
            let mut check = |key: &str, exposed: bool, secret: &Option<Secret>| {
                if exposed && weak(secret) {
                    self.report_at(
                        place_in(&table, key),
                        format!("{label}.{key}"),
                        GUESSABLE,
                        Some(DRAW.to_owned()),
                    );
                }
            };
            let feed = handler.sprayer_listen.is_some_and(|listen| !listen.ip().is_loopback());
            check("password", public(handler.listen) || feed, &handler.password);
            if handler.sprayer_listen.is_some() && handler.password.is_none() {
                let fault = "is missing: whoever subscribes to the feed (`sprayer_listen`) must show one";
                let key = format!("{label}.password");
                self.report_at(table.place.clone(), key, fault, Some(DRAW.to_owned()));
            }
        }
    }

    /// What others can reach asks for a token.
    fn admin(&mut self, config: &Config) {
        let public = config.admin.listen.filter(|listen| !listen.ip().is_loopback());
        if let (Some(listen), None) = (public, &config.admin.token_file) {
            let fault = format!("is missing: the admin API at {listen} can be reached from other machines");
            let suggestion = "write one with: openssl rand -hex 32 > FILE".to_owned();
            self.report("admin", "token_file", fault, Some(suggestion));
        }
    }

    /// Somebody must be paid, whatever happens.
    fn payees(&mut self, config: &Config) {
        let pay_maker = &config.pay_maker;
        if !pay_maker.pool_fee.is_zero() && pay_maker.pool_fee_address.is_none() {
            self.report("pay_maker", "pool_fee_address", "is missing, and `pool_fee` is not 0", None);
        }
        if config.nodes.is_empty() {
            return;
        }
        let required =
            [("default_address", &pay_maker.default_address), ("error_address", &pay_maker.error_address)];
        for (key, address) in required {
            if address.is_none() {
                self.report("pay_maker", key, "is missing; it is needed with a real node", None);
            }
        }
    }

    /// Each node once, each with a URL, and then an account that blocks pay.
    fn nimiq_nodes(&mut self, config: &Config) {
        let nodes = self.repeated("nimiq_node");
        for (label, table) in nodes.iter().filter(|(_, table)| table.get("url").is_none()) {
            self.report_at(table.place.clone(), format!("{label}.url"), "is missing", None);
        }
        self.unique(&nodes, "url", "nimiq_node");
        if nodes.is_empty() && config.nimiq_network() != Network::Dev {
            let fault = format!("is {}, but the embedded chain is a dev chain", config.nimiq_network());
            self.report("nimiq", "network", fault, Some("give a [[nimiq_node]]".to_owned()));
        }
        let account =
            self.tables.iter().any(|table| table.section == "nimiq" && table.get("address").is_some());
        if !nodes.is_empty() && !account {
            let fault = "is missing; with a real node the pool needs an account that blocks pay";
            self.report("nimiq", "address", fault, None);
        }
    }

    /// Servers have names of their own, and TLS wants both its files.
    fn nimiq_servers(&mut self, config: &Config) {
        let tables = self.repeated("nimiq_server");
        for (label, table) in tables.iter().filter(|(_, table)| table.get("name").is_none()) {
            self.report_at(table.place.clone(), format!("{label}.name"), "is missing", None);
        }
        self.unique(&tables, "name", "nimiq_server");
        for (server, (label, table)) in config.nimiq_servers.iter().zip(&tables) {
            let missing = match (&server.certificate, &server.key) {
                (Some(_), None) => "key",
                (None, Some(_)) => "certificate",
                _ => continue,
            };
            let fault = "is missing: TLS needs certificate and key";
            self.report_at(table.place.clone(), format!("{label}.{missing}"), fault, None);
        }
    }

    /// One signs payouts, not two.
    fn nimiq_signer(&mut self, config: &Config) {
        if config.nimiq_payout.key_file.is_some() && !config.nimiq_payout.signing_command.is_empty() {
            let fault = "does the same as `key_file`, which is also given";
            self.report("nimiq_payout", "signing_command", fault, Some("keep one of them".to_owned()));
        }
    }

    /// Limits between which there is something.
    fn nimiq_thresholds(&mut self, config: &Config) {
        let (least, most) = (config.nimiq_payout.least_threshold, config.nimiq_payout.most_threshold);
        if least > most {
            let fault = format!("is {least}, above `most_threshold` ({most})");
            self.report("nimiq_payout", "least_threshold", fault, None);
        }
    }

    /// All tables of a repeated section with the labels that an operator knows them by.
    fn repeated(&self, section: &str) -> Vec<(String, Table)> {
        let tables = self.tables.iter().filter(|table| table.section == section);
        tables.enumerate().map(|(index, table)| (super::label(table, index), table.clone())).collect()
    }

    fn unique(&mut self, tables: &[(String, Table)], key: &str, section: &str) {
        let mut seen: HashMap<&str, &Place> = HashMap::new();
        for (label, table) in tables {
            let Some(value) = table.get(key) else { continue };
            let Content::Text(text) = &value.content else { continue };
            if let Some(first) = seen.insert(text, &value.place) {
                let fault = format!("{text:?} is already the {key} of the {section} at {first}");
                self.report_at(value.place.clone(), format!("{label}.{key}"), fault, None);
            }
        }
    }
}

/// Where a key is written, or its table if it is not.
fn place_in(table: &Table, key: &str) -> Place {
    table.get(key).map_or_else(|| table.place.clone(), |value| value.place.clone())
}

const REACHED: &str =
    "is missing: the role listens on all interfaces, so it cannot tell others how to reach it";
const GUESSABLE: &str = "is easy to guess, and it guards a public address";
const DRAW: &str = "draw one with: openssl rand -hex 16";
