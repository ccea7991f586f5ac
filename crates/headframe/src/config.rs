//! The configuration: one file for all roles, written once, checked completely, typed afterwards.
//!
//! Layers, the later wins: defaults, file, environment, command line. [`written`] is what the operator wrote, with
//! places; [`sections`] defines every key; [`rules`] is what must hold between keys. A [`Config`] cannot be wrong:
//! [`Config::load`] gives one, or *all* problems.

mod example;
mod keys;
mod problem;
mod rules;
mod sections;
mod settings;
mod values;
mod written;

use std::collections::BTreeMap;
use std::path::Path;

pub use example::Filled;
pub use keys::InForce;
pub use problem::{Place, Problem, Problems};
pub use sections::admin::Admin;
pub use sections::admission::Admission;
pub use sections::log::Log;
pub use sections::monitor::Monitor;
pub use sections::nimiq::{Nimiq, NimiqDevChain, NimiqNode, NimiqPayout, NimiqServer, NimiqService};
pub use sections::notify::{Notify, NotifyKind};
pub use sections::site::Site;
pub use sections::{AnnHandler, BlkHandler, DevChain, Http, Master, Mine, Node, PayMaker, Pool};
pub use settings::{Change, Settings};
pub use values::{PublicUrl, Secret};

use ::nimiq::Network;
use keys::{Definition, Keys, Section};
use written::Table;

/// Everything an operator can say.
#[derive(Debug, Clone)]
pub struct Config {
    /// Every key with its value, as it was written.
    pub settings: Settings,
    pub log: Log,
    pub pool: Pool,
    pub http: Http,
    pub admission: Admission,
    pub admin: Admin,
    /// The nodes in the order of preference; none: the dev chain.
    pub nodes: Vec<Node>,
    pub dev_chain: DevChain,
    pub master: Master,
    /// The ones that the operator defines; one, `main`, if there are none and the Master's list names none either.
    pub ann_handlers: Vec<AnnHandler>,
    /// The same for BlkHandlers.
    pub blk_handlers: Vec<BlkHandler>,
    pub pay_maker: PayMaker,
    pub nimiq: Nimiq,
    /// The Nimiq nodes in the order of preference; none: the Nimiq dev chain.
    pub nimiq_nodes: Vec<NimiqNode>,
    pub nimiq_dev_chain: NimiqDevChain,
    /// At least one, `main`.
    pub nimiq_servers: Vec<NimiqServer>,
    pub nimiq_service: NimiqService,
    pub nimiq_payout: NimiqPayout,
    pub site: Site,
    pub monitor: Monitor,
    /// Everybody who is told what the monitor sees.
    pub notify: Vec<Notify>,
    pub mine: Mine,
}

/// A value from the command line.
#[derive(Debug, Clone)]
pub struct Override {
    /// Section and key, `master.mine_old_anns`; with the name between them for a repeated section.
    pub key: String,
    /// The value: TOML, or a text without quotes.
    pub value: String,
    /// The flag that it came from.
    pub flag: String,
}

/// Whether the files and programs that a configuration names must be on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// All of them: the whole pool runs here.
    MustBeHere,
    /// Some may be on other machines; a role finds out about its own when it opens them.
    MayBeElsewhere,
}

/// The environment variables that start with `HEADFRAME_` and are no keys of the configuration.
const OTHER_VARIABLES: &[&str] =
    &["HEADFRAME_BACKEND", "HEADFRAME_BUILD", "HEADFRAME_CONFIG", "HEADFRAME_LOG"];

impl Config {
    /// Puts all layers together. `file` is the path with its text, `environment` every variable of the process.
    pub fn load(
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &[Override],
        files: Files,
    ) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut tables =
            file.map_or_else(Vec::new, |(path, text)| written::read_file(path, text, &mut problems));
        check_sections(&mut tables, &mut problems);
        add_missing_sections(&mut tables);
        apply_environment(&mut tables, environment, &mut problems);
        apply_overrides(&mut tables, overrides, &mut problems);
        drop_handlers_of_others(&mut tables);
        let config = Self::read(&tables, &mut problems);
        problems.extend(rules::check(&config, &tables, files));
        problems.sort_by_key(|problem| match problem.place {
            Place::File { line, column, .. } => (0, line, column),
            _ => (1, 0, 0),
        });
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }

    fn read(tables: &[Table], problems: &mut Vec<Problem>) -> Self {
        let mut reader = Reader { tables, settings: Settings::default(), problems };
        let reader = &mut reader;
        Self {
            log: reader.single(),
            pool: reader.single(),
            http: reader.single(),
            admission: reader.single(),
            admin: reader.single(),
            nodes: reader.repeated(),
            dev_chain: reader.single(),
            master: reader.single(),
            ann_handlers: reader.repeated(),
            blk_handlers: reader.repeated(),
            pay_maker: reader.single(),
            nimiq: reader.single(),
            nimiq_nodes: reader.repeated(),
            nimiq_dev_chain: reader.single(),
            nimiq_servers: reader.repeated(),
            nimiq_service: reader.single(),
            nimiq_payout: reader.single(),
            site: reader.single(),
            monitor: reader.single(),
            notify: reader.repeated(),
            mine: reader.single(),
            settings: std::mem::take(&mut reader.settings),
        }
    }

    /// Whether `up` runs the PacketCrypt pool.
    pub fn runs_packetcrypt(&self) -> bool {
        self.pool.run_packetcrypt.unwrap_or(!self.nodes.is_empty() || self.nimiq_nodes.is_empty())
    }

    /// Whether `up` runs the Nimiq pool.
    pub fn runs_nimiq(&self) -> bool {
        self.nimiq.run.unwrap_or(!self.nimiq_nodes.is_empty() || self.nodes.is_empty())
    }

    /// Which Nimiq network the pool is on.
    pub fn nimiq_network(&self) -> Network {
        let by_node = if self.nimiq_nodes.is_empty() { Network::Dev } else { Network::Main };
        self.nimiq.network.unwrap_or(by_node)
    }

    /// The commented example of every key.
    pub fn example() -> String {
        Self::example_with(&[])
    }

    /// The commented example with some values in it.
    pub fn example_with(filled: &[Filled]) -> String {
        let sections = [
            sketch::<Log>(),
            sketch::<Pool>(),
            sketch::<Http>(),
            sketch::<Admission>(),
            sketch::<Admin>(),
            sketch::<Node>(),
            sketch::<DevChain>(),
            sketch::<Master>(),
            sketch::<AnnHandler>(),
            sketch::<BlkHandler>(),
            sketch::<PayMaker>(),
            sketch::<Nimiq>(),
            sketch::<NimiqNode>(),
            sketch::<NimiqDevChain>(),
            sketch::<NimiqServer>(),
            sketch::<NimiqService>(),
            sketch::<NimiqPayout>(),
            sketch::<Site>(),
            sketch::<Monitor>(),
            sketch::<Notify>(),
            sketch::<Mine>(),
        ];
        example::render(&sections, filled)
    }
}

/// Every section by name, and whether it is a repeated one.
const SECTIONS: &[(&str, bool)] = &[
    (Log::NAME, Log::REPEATED),
    (Pool::NAME, Pool::REPEATED),
    (Http::NAME, Http::REPEATED),
    (Admission::NAME, Admission::REPEATED),
    (Admin::NAME, Admin::REPEATED),
    (Node::NAME, Node::REPEATED),
    (DevChain::NAME, DevChain::REPEATED),
    (Master::NAME, Master::REPEATED),
    (AnnHandler::NAME, AnnHandler::REPEATED),
    (BlkHandler::NAME, BlkHandler::REPEATED),
    (PayMaker::NAME, PayMaker::REPEATED),
    (Nimiq::NAME, Nimiq::REPEATED),
    (NimiqNode::NAME, NimiqNode::REPEATED),
    (NimiqDevChain::NAME, NimiqDevChain::REPEATED),
    (NimiqServer::NAME, NimiqServer::REPEATED),
    (NimiqService::NAME, NimiqService::REPEATED),
    (NimiqPayout::NAME, NimiqPayout::REPEATED),
    (Site::NAME, Site::REPEATED),
    (Monitor::NAME, Monitor::REPEATED),
    (Notify::NAME, Notify::REPEATED),
    (Mine::NAME, Mine::REPEATED),
];

/// Reads sections of a configuration, one after the other.
struct Reader<'a> {
    tables: &'a [Table],
    settings: Settings,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn single<S: Section>(&mut self) -> S {
        let absent = Table::absent(S::NAME);
        let tables = self.tables;
        let table = tables.iter().find(|table| table.section == S::NAME).unwrap_or(&absent);
        self.section(table, S::NAME)
    }

    fn repeated<S: Section>(&mut self) -> Vec<S> {
        let tables = self.tables;
        let of_this_kind = tables.iter().filter(|table| table.section == S::NAME);
        of_this_kind.enumerate().map(|(index, table)| self.section(table, &label(table, index))).collect()
    }

    fn section<S: Section>(&mut self, table: &Table, label: &str) -> S {
        let (section, definitions) = read_section(table, label.to_owned(), self.problems);
        self.settings.add(S::NAME, label, table, &definitions);
        section
    }
}

fn read_section<S: Section>(
    table: &Table,
    label: String,
    problems: &mut Vec<Problem>,
) -> (S, Vec<Definition>) {
    let mut keys = Keys::new(table, label, problems);
    let section = S::read(&mut keys);
    (section, keys.finish())
}

fn sketch<S: Section>() -> example::Sketch {
    let (_, definitions) = read_section::<S>(&Table::absent(S::NAME), String::new(), &mut Vec::new());
    example::Sketch { name: S::NAME, repeated: S::REPEATED, about: S::ABOUT, definitions }
}

/// What an operator calls a table of a repeated section: by its name, or its number from 1.
fn label(table: &Table, index: usize) -> String {
    match table.name() {
        Some(name) => format!("{}.{name}", table.section),
        None => format!("{}.{}", table.section, index + 1),
    }
}

/// Reports sections that nobody knows or that have the wrong number of brackets, and drops them.
fn check_sections(tables: &mut Vec<Table>, problems: &mut Vec<Problem>) {
    tables.retain(|table| {
        let known = SECTIONS.iter().find(|(name, _)| *name == table.section);
        let (fault, suggestion) = match known {
            Some((_, repeated)) if *repeated == table.repeated => return true,
            Some((name, true)) => ("may be given several times", format!("write it as [[{name}]]")),
            Some((name, false)) => ("can be given only once", format!("write it as [{name}]")),
            None => {
                let names = SECTIONS.iter().map(|(name, _)| *name);
                let suggestion = problem::nearest(&table.section, names.clone()).map_or_else(
                    || format!("there are {}", names.collect::<Vec<_>>().join(", ")),
                    |name| format!("did you mean `{name}`?"),
                );
                ("is no section", suggestion)
            }
        };
        problems.push(Problem {
            place: table.place.clone(),
            key: table.section.clone(),
            fault: fault.to_owned(),
            suggestion: Some(suggestion),
        });
        false
    });
}

/// A pool has at least one handler and server of each kind; and every single section can be set by a flag.
fn add_missing_sections(tables: &mut Vec<Table>) {
    for (name, repeated) in SECTIONS {
        let may_be_none = [Node::NAME, NimiqNode::NAME, Notify::NAME].contains(name);
        if may_be_none || tables.iter().any(|table| table.section == *name) {
            continue;
        }
        let mut table = Table::absent(name);
        if *repeated {
            table.repeated = true;
            table.set("name", written::read_value("main", Place::Default));
        }
        tables.push(table);
    }
}

/// Where the Master's list names the handlers, and the file defines none, they are run by others: the implied one
/// is not wanted.
fn drop_handlers_of_others(tables: &mut Vec<Table>) {
    let master = tables.iter().find(|table| table.section == Master::NAME);
    let listed = |key| master.is_some_and(|table| table.get(key).is_some());
    let lists = [(AnnHandler::NAME, "announcement_urls"), (BlkHandler::NAME, "block_urls")];
    let unwanted: Vec<&str> = lists.iter().filter(|(_, key)| listed(key)).map(|(name, _)| *name).collect();
    tables.retain(|table| {
        let is_implied = table.place == Place::Default && table.entries.len() == 1;
        !(is_implied && unwanted.contains(&table.section.as_str()))
    });
}

fn apply_environment(
    tables: &mut [Table],
    environment: impl IntoIterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) {
    // Sorted, so that messages do not depend on the system's order.
    let variables: BTreeMap<String, String> = environment.into_iter().collect();
    for (name, value) in variables {
        let Some(path) = name.strip_prefix("HEADFRAME_") else { continue };
        if OTHER_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        let place = Place::Environment(name.clone());
        let path = path.to_lowercase();
        let prefixes = tables.iter().enumerate().filter_map(|(index, table)| {
            let prefix = format!("{}_", environment_prefix(tables, index));
            let key = path.strip_prefix(&prefix)?;
            Some((prefix.len(), index, key.to_owned(), table.section.clone()))
        });
        match prefixes.max_by_key(|(length, ..)| *length) {
            Some((_, index, key, _)) => tables[index].set(&key, written::read_value(&value, place)),
            None => problems.push(Problem {
                place,
                key: String::new(),
                fault: "names no section of the configuration".to_owned(),
                suggestion: Some("for example HEADFRAME_MASTER_MINE_OLD_ANNS".to_owned()),
            }),
        }
    }
}

/// `master`, `ann_handler_main`: what the names of a table's variables start with.
fn environment_prefix(tables: &[Table], index: usize) -> String {
    path_of(tables, index).replace(['.', '-'], "_")
}

/// `master`, `ann_handler.main`: what the overrides for a table start with.
fn path_of(tables: &[Table], index: usize) -> String {
    let table = &tables[index];
    if !table.repeated {
        return table.section.clone();
    }
    let before = tables[..index].iter().filter(|other| other.section == table.section).count();
    label(table, before)
}

fn apply_overrides(tables: &mut [Table], overrides: &[Override], problems: &mut Vec<Problem>) {
    for Override { key, value, flag } in overrides {
        let place = Place::Flag(flag.clone());
        let (section, name) = key.rsplit_once('.').unwrap_or((key, ""));
        match (0..tables.len()).find(|index| path_of(tables, *index) == section) {
            Some(index) => tables[index].set(name, written::read_value(value, place)),
            None => problems.push(Problem {
                place,
                key: key.clone(),
                fault: "names no section of the configuration".to_owned(),
                suggestion: Some("for example master.mine_old_anns, ann_handler.main.threads".to_owned()),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
