//! Every key with the value that it has, written or by default: what a reload compares.

use super::keys::{Definition, InForce};
use super::problem::Place;
use super::values::Secret;
use super::written::{Content, Table, read_value};

/// All keys of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Settings(Vec<Setting>);

/// One key of one table.
#[derive(Debug, Clone)]
struct Setting {
    section: &'static str,
    /// `master`, `ann_handler.main`
    table: String,
    key: &'static str,
    /// As TOML; `None` if there is neither a value nor a default. Wrapped, so that no dump shows a password.
    value: Option<Secret>,
    is_secret: bool,
    in_force: InForce,
}

/// A difference between two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The section: `master`, `ann_handler`.
    pub section: &'static str,
    /// The table: `master`, `ann_handler.main`.
    pub table: String,
    /// The key; `None` if the whole table is new or gone.
    pub key: Option<&'static str>,
    /// What was there, in words for people.
    pub before: String,
    /// What is there now.
    pub after: String,
    /// When the change takes effect, as far as the key decides it.
    pub in_force: InForce,
}

impl Change {
    /// Table and key: `master.mine_old_anns`.
    pub fn name(&self) -> String {
        self.key.map_or_else(|| self.table.clone(), |key| format!("{}.{key}", self.table))
    }
}

impl Settings {
    /// Takes the keys of a table.
    pub(super) fn add(
        &mut self,
        section: &'static str,
        label: &str,
        table: &Table,
        definitions: &[Definition],
    ) {
        self.0.extend(definitions.iter().map(|definition| {
            let written = table.get(definition.name).map(|value| as_toml(&value.content));
            let default = || {
                let default = definition.default.as_deref()?;
                Some(as_toml(&read_value(default, Place::Default).content))
            };
            Setting {
                section,
                table: label.to_owned(),
                key: definition.name,
                value: written.or_else(default).map(Secret::new),
                is_secret: definition.is_secret,
                in_force: definition.in_force,
            }
        }));
    }

    /// Each key with its value, for people.
    pub fn shown(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.0.iter().map(|setting| (format!("{}.{}", setting.table, setting.key), setting.shown()))
    }

    /// What is different in `new`, in its order; tables that are gone come last.
    pub fn changes_to(&self, new: &Self) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::new();
        let whole_table = |setting: &Setting, before: &str, after: &str| Change {
            section: setting.section,
            table: setting.table.clone(),
            key: None,
            before: before.to_owned(),
            after: after.to_owned(),
            in_force: InForce::AtRestart,
        };
        for setting in &new.0 {
            match self.get(setting) {
                Some(old) if old.value == setting.value => {}
                Some(old) => changes.push(Change {
                    section: setting.section,
                    table: setting.table.clone(),
                    key: Some(setting.key),
                    before: old.shown(),
                    after: setting.shown(),
                    in_force: setting.in_force,
                }),
                None => changes.push(whole_table(setting, "absent", "there")),
            }
        }
        let gone = self.0.iter().filter(|setting| new.get(setting).is_none());
        changes.extend(gone.map(|setting| whole_table(setting, "there", "absent")));
        changes
            .dedup_by(|next, first| next.key.is_none() && first.key.is_none() && next.table == first.table);
        changes
    }

    /// `new`, except for the changes that wait: there it stays as it is here.
    #[must_use]
    pub fn changed_to(&self, new: &Self, waiting: &[Change]) -> Self {
        let waits = |setting: &&Setting| {
            let is_it = |change: &Change| {
                change.table == setting.table && change.key.is_none_or(|key| key == setting.key)
            };
            waiting.iter().any(is_it)
        };
        let taken = new.0.iter().filter(|setting| !waits(setting));
        Self(taken.chain(self.0.iter().filter(waits)).cloned().collect())
    }

    fn get(&self, like: &Setting) -> Option<&Setting> {
        self.0.iter().find(|setting| setting.table == like.table && setting.key == like.key)
    }
}

impl Setting {
    fn shown(&self) -> String {
        match &self.value {
            None => "not set".to_owned(),
            Some(_) if self.is_secret => "a secret".to_owned(),
            Some(value) => value.reveal().to_owned(),
        }
    }
}

fn as_toml(content: &Content) -> String {
    match content {
        Content::Whole(number) => number.to_string(),
        Content::Decimal(number) => number.clone(),
        Content::Text(text) => format!("{text:?}"),
        Content::Flag(flag) => flag.to_string(),
        Content::List(items) => {
            let items: Vec<String> = items.iter().map(|item| as_toml(&item.content)).collect();
            format!("[{}]", items.join(", "))
        }
        Content::Other(kind) => (*kind).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Files, InForce};

    fn config(text: &str) -> Config {
        Config::load(Some((Path::new("pool.toml"), text)), [], &[], Files::MayBeElsewhere).unwrap()
    }

    fn changes(before: &str, after: &str) -> Vec<(String, String, String, InForce)> {
        let changes = config(before).settings.changes_to(&config(after).settings);
        changes
            .into_iter()
            .map(|change| (change.name(), change.before, change.after, change.in_force))
            .collect()
    }

    #[test]
    fn a_value_that_is_written_is_compared_with_the_default_that_it_replaces() {
        assert_eq!(changes("", "[master]\nmine_old_anns = 2\n"), []);
        assert_eq!(
            changes("", "[master]\nmine_old_anns = 3\n[http]\nconnections = 99\n"),
            [
                ("http.connections".into(), "20480".into(), "99".into(), InForce::AtRestart),
                ("master.mine_old_anns".into(), "2".into(), "3".into(), InForce::AtReload),
            ]
        );
        assert_eq!(
            changes("[master]\nannouncement_urls = [\"http://a\"]\n", "")
                .into_iter()
                .find(|(name, ..)| name == "master.announcement_urls"),
            Some((
                "master.announcement_urls".into(),
                "[\"http://a\"]".into(),
                "[]".into(),
                InForce::AtReload
            ))
        );
    }

    #[test]
    fn what_waits_for_a_restart_is_found_again_by_the_next_comparison() {
        let (before, after) = (
            config(""),
            config(
                "[http]\nconnections = 99\n[master]\nmine_old_anns = 3\n[[node]]\nurl = \"http://n\"\n[pay_maker]\ndefault_address = \"pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2\"\nerror_address = \"pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2\"\n",
            ),
        );
        let changes = before.settings.changes_to(&after.settings);
        let waiting: Vec<_> =
            changes.iter().filter(|change| change.in_force == InForce::AtRestart).cloned().collect();
        assert_eq!(waiting.len(), changes.len() - 1, "{changes:?}");
        let now = before.settings.changed_to(&after.settings, &waiting);
        let mut again = now.changes_to(&after.settings);
        again.sort_by_key(super::Change::name);
        let mut expected = waiting;
        expected.sort_by_key(super::Change::name);
        assert_eq!(again, expected);
    }

    #[test]
    fn no_secret_is_shown() {
        let [(name, before, after, _)] = &changes("", "[pool]\npassword = \"b7f3c01d9e8a4c55\"\n")[..] else {
            panic!("one change")
        };
        assert_eq!(
            (name.as_str(), before.as_str(), after.as_str()),
            ("pool.password", "not set", "a secret")
        );
        let both = config("[pool]\npassword = \"b7f3c01d9e8a4c55\"\n");
        assert!(!format!("{:?}", both.settings).contains("b7f3"));
    }

    #[test]
    fn a_table_that_comes_or_goes_is_one_change() {
        let two = "[[ann_handler]]\nname = \"main\"\n[[ann_handler]]\nname = \"two\"\n";
        assert_eq!(
            changes("", two),
            [("ann_handler.two".into(), "absent".into(), "there".into(), InForce::AtRestart)]
        );
        assert_eq!(
            changes(two, ""),
            [("ann_handler.two".into(), "there".into(), "absent".into(), InForce::AtRestart)]
        );
    }
}
