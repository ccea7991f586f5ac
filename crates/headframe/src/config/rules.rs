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
                self.report_at(place_of(table), format!("{label}.url"), "is missing", Some(RPC.to_owned()));
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
                self.report_at(place_of(table), format!("{label}.name"), "is missing", Some(NAME.to_owned()));
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
                self.report("master", list, fault, Some("write it once".to_owned()));
            }
        }
        for (label, table) in &tables {
            self.is_listed(label, table, listed, list);
        }
    }

    fn is_listed(&mut self, label: &str, table: &Table, listed: &[PublicUrl], list: &str) {
        let Some(value) = table.get("url") else {
            let fault = format!("is missing, although `master.{list}` names every handler by its URL");
            let suggestion = Some("give the entry of that list which is this handler".to_owned());
            self.report_at(place_of(table), format!("{label}.url"), fault, suggestion);
            return;
        };
        let Content::Text(url) = &value.content else { return };
        if listed.iter().any(|entry| entry.as_str() == url) {
            return;
        }
        let suggestion = nearest(url, listed.iter().map(PublicUrl::as_str)).map_or_else(
            || "correct it, or add it to the list".to_owned(),
            |entry| format!("the nearest entry of the list is {entry}"),
        );
        let fault = format!("is {url}, which is not in `master.{list}`: no miner would find this handler");
        self.report_at(value.place.clone(), format!("{label}.url"), fault, Some(suggestion));
    }

    /// Who listens on all interfaces must say how others reach it.
    fn public_addresses(&mut self, config: &Config) {
        let wildcard = |own: Option<SocketAddr>| own.unwrap_or(config.http.listen).ip().is_unspecified();
        let is_missing = |url: &Option<PublicUrl>, listen| url.is_none() && wildcard(listen);
        if is_missing(&config.pool.url, config.master.listen) {
            self.unreached("pool", "pool.url", self.listening("master"), "/master");
        }
        if is_missing(&config.pay_maker.url, config.pay_maker.listen) {
            self.unreached("pay_maker", "pay_maker.url", self.listening("pay_maker"), "/paymaker");
        }
        let anns = config.ann_handlers.iter().map(|handler| is_missing(&handler.url, handler.listen));
        let blks = config.blk_handlers.iter().map(|handler| is_missing(&handler.url, handler.listen));
        for (section, missing) in [("ann_handler", anns.collect::<Vec<_>>()), ("blk_handler", blks.collect())]
        {
            for ((label, table), _) in
                self.repeated(section).iter().zip(missing).filter(|(_, missing)| *missing)
            {
                let path = format!("/{}", label.replace("_handler.", "/"));
                let listens = table.get("listen").map(|value| value.place.clone());
                let because = listens.unwrap_or_else(|| self.listening("http"));
                let place = written_or(place_of(table), because);
                self.report_at(place, format!("{label}.url"), REACHED, Some(reach(&path)));
            }
        }
    }

    fn unreached(&mut self, section: &str, key: &str, because: Place, path: &str) {
        let place = written_or(self.place(section, "url"), because);
        self.report_at(place, key.to_owned(), REACHED, Some(reach(path)));
    }

    /// Where it is written that a role listens: in its own section, or in [http].
    fn listening(&self, section: &str) -> Place {
        let own = self.tables.iter().find(|table| table.section == section);
        let own = own.and_then(|table| table.get("listen")).map(|value| value.place.clone());
        own.unwrap_or_else(|| self.place("http", "listen"))
    }

    /// Nobody may be able to guess a password that guards something on a public address.
    fn passwords(&mut self, config: &Config) {
        let public = |own: Option<SocketAddr>| !own.unwrap_or(config.http.listen).ip().is_loopback();
        let weak = |secret: &Option<Secret>| secret.as_ref().is_some_and(Secret::is_weak);
        if public(config.pay_maker.listen) {
            if config.pool.password.is_none() && !config.nodes.is_empty() {
                let place = written_or(self.place("pool", "password"), self.listening("pay_maker"));
                let fault = "is missing, and the PayMaker is public";
                self.report_at(place, "pool.password".to_owned(), fault, Some(DRAW.to_owned()));
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
                self.report_at(place_of(&table), key, fault, Some(DRAW.to_owned()));
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
            let fault = "is missing, and `pool_fee` is not 0";
            let suggestion = Some("give the address that the fee is for".to_owned());
            let place = self.place("pay_maker", "pool_fee");
            self.report_at(place, "pay_maker.pool_fee_address".to_owned(), fault, suggestion);
        }
        if config.nodes.is_empty() {
            return;
        }
        let required =
            [("default_address", &pay_maker.default_address), ("error_address", &pay_maker.error_address)];
        for (key, address) in required {
            if address.is_none() {
                let node = self.tables.iter().find(|table| table.section == "node").map(place_of);
                let place = written_or(self.place("pay_maker", key), node.unwrap_or(Place::Default));
                let fault = "is missing, and a real node pays somebody in any case";
                let suggestion = Some("give an address of yours".to_owned());
                self.report_at(place, format!("pay_maker.{key}"), fault, suggestion);
            }
        }
    }

    /// Each node once, each with a URL, and then an account that blocks pay.
    fn nimiq_nodes(&mut self, config: &Config) {
        let nodes = self.repeated("nimiq_node");
        for (label, table) in nodes.iter().filter(|(_, table)| table.get("url").is_none()) {
            self.report_at(place_of(table), format!("{label}.url"), "is missing", Some(RPC.to_owned()));
        }
        self.unique(&nodes, "url", "nimiq_node");
        if nodes.is_empty() && config.nimiq_network() != Network::Dev {
            let fault = format!("is {}, but the embedded chain is a dev chain", config.nimiq_network());
            self.report("nimiq", "network", fault, Some("give a [[nimiq_node]]".to_owned()));
        }
        let account =
            self.tables.iter().any(|table| table.section == "nimiq" && table.get("address").is_some());
        if let Some((_, node)) = nodes.first().filter(|_| !account) {
            let fault = "is missing: with a real node the pool needs an account that blocks pay";
            let suggestion = Some("give an address whose key the pool's payout has".to_owned());
            let place = written_or(self.place("nimiq", "address"), place_of(node));
            self.report_at(place, "nimiq.address".to_owned(), fault, suggestion);
        }
    }

    /// Servers have names of their own, and TLS wants both its files.
    fn nimiq_servers(&mut self, config: &Config) {
        let tables = self.repeated("nimiq_server");
        for (label, table) in tables.iter().filter(|(_, table)| table.get("name").is_none()) {
            self.report_at(place_of(table), format!("{label}.name"), "is missing", Some(NAME.to_owned()));
        }
        self.unique(&tables, "name", "nimiq_server");
        for (server, (label, table)) in config.nimiq_servers.iter().zip(&tables) {
            let (given, missing) = match (&server.certificate, &server.key) {
                (Some(_), None) => ("certificate", "key"),
                (None, Some(_)) => ("key", "certificate"),
                _ => continue,
            };
            let fault = "is missing: TLS needs certificate and key";
            let suggestion = Some(format!("give it, or leave `{given}` out too (then without TLS)"));
            self.report_at(place_in(table, given), format!("{label}.{missing}"), fault, suggestion);
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
            let suggestion = Some("lower it, or raise the other".to_owned());
            self.report("nimiq_payout", "least_threshold", fault, suggestion);
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
                let suggestion = Some("give it another, or leave one of them out".to_owned());
                self.report_at(value.place.clone(), format!("{label}.{key}"), fault, suggestion);
            }
        }
    }
}

/// Where a key is written, or its table if it is not.
fn place_in(table: &Table, key: &str) -> Place {
    table.get(key).map_or_else(|| place_of(table), |value| value.place.clone())
}

/// Where a table begins; one that is not in the file, with its first key from elsewhere.
fn place_of(table: &Table) -> Place {
    let first = table.entries.iter().map(|entry| &entry.place).find(|place| **place != Place::Default);
    written_or(table.place.clone(), first.cloned().unwrap_or(Place::Default))
}

/// A place that an operator can go to: this one, or that of the reason.
fn written_or(place: Place, because: Place) -> Place {
    if place == Place::Default { because } else { place }
}

/// What to write for a role at this path of `up`.
fn reach(path: &str) -> String {
    format!("give the URL that others reach it by, such as http://pool.example{path}")
}

const REACHED: &str =
    "is missing: the role listens on all interfaces, so it cannot tell others how to reach it";
const RPC: &str = "give where its JSON-RPC is, such as http://127.0.0.1:64765";
const NAME: &str = "give it one, of 1 to 32 characters of a-z, 0-9 and -";
const GUESSABLE: &str = "is easy to guess, and it guards a public address";
const DRAW: &str = "draw one with: openssl rand -hex 16";
