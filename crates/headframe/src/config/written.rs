//! The configuration as it was written: values with their places, from the file, the environment and flags.
//!
//! Nothing here knows which keys exist; that is the business of [`super::keys`]. A later layer replaces a value of
//! an earlier one: file, then environment (`HEADFRAME_MASTER_MINE_OLD_ANNS=3`), then flags
//! (`--set master.mine_old_anns=3`).

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use wire::Decimal;

use super::problem::{Place, Problem};

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// What was written.
    pub content: Content,
    /// Where.
    pub place: Place,
}

/// What can be written for a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A whole number, decimal or `0x…`.
    Whole(i128),
    /// A decimal number, kept as text so that no digit of money is lost.
    Decimal(String),
    /// A text in quotes.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// `[…]`
    List(Vec<Value>),
    /// Anything else that TOML has, by the name of its type.
    Other(&'static str),
}

impl Content {
    /// A number as it is written, whole or decimal.
    pub fn number(&self) -> Option<Decimal> {
        match self {
            Self::Whole(number) => number.to_string().parse().ok(),
            Self::Decimal(text) => text.replace('_', "").parse().ok(),
            _ => None,
        }
    }

    /// What it is, for error messages.
    pub fn describe(&self) -> String {
        match self {
            Self::Whole(number) => format!("the whole number {number}"),
            Self::Decimal(number) => format!("the number {number}"),
            Self::Text(text) => format!("the text {text:?}"),
            Self::Flag(flag) => flag.to_string(),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Other(kind) => format!("a {kind}"),
        }
    }
}

/// One table of the file: `[master]`, or one of several `[[ann_handler]]`.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name in the brackets.
    pub section: String,
    /// Whether it was written with double brackets.
    pub repeated: bool,
    /// The place of its header, or of its first key.
    pub place: Place,
    /// Its keys in the order of the file.
    pub entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key as written.
    pub key: String,
    /// The place of the key, which may differ from that of its value.
    pub place: Place,
    /// What was written for it.
    pub value: Value,
}

impl Table {
    /// An empty table that stands nowhere.
    pub fn absent(section: &str) -> Self {
        Self { section: section.to_owned(), repeated: false, place: Place::Default, entries: Vec::new() }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Sets a key, whatever an earlier layer said.
    pub fn set(&mut self, key: &str, value: Value) {
        self.entries.retain(|entry| entry.key != key);
        self.entries.push(Entry { key: key.to_owned(), place: value.place.clone(), value });
    }

    /// By what an operator tells this table from others of its kind: its `name`.
    pub fn name(&self) -> Option<&str> {
        match self.get("name") {
            Some(Value { content: Content::Text(name), .. }) => Some(name),
            _ => None,
        }
    }
}

/// Reads a file into its tables; faults of the TOML itself go to `problems`.
pub fn read_file(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Vec<Table> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let suggestion = if error.message().contains("duplicate") {
            "keep one of them"
        } else {
            "`headframe config example` shows how it is written"
        };
        problems.push(Problem {
            place: Place::in_file(path, text, error.span().map_or(0, |span| span.start)),
            key: String::new(),
            fault: format!("no TOML: {}", error.message().trim_end()),
            suggestion: Some(suggestion.to_owned()),
        });
    }
    let mut tables = Vec::new();
    for (name, value) in document.get_ref() {
        let place = |offset| Place::in_file(path, text, offset);
        let section = name.get_ref().to_string();
        match value.get_ref() {
            DeValue::Table(content) => {
                let entries = read_entries(path, text, content);
                tables.push(Table { section, repeated: false, place: place(name.span().start), entries });
            }
            DeValue::Array(items) if items.iter().all(|item| item.get_ref().is_table()) => {
                for item in items {
                    let entries = item
                        .get_ref()
                        .as_table()
                        .map_or_else(Vec::new, |table| read_entries(path, text, table));
                    let (section, place) = (section.clone(), place(item.span().start));
                    tables.push(Table { section, repeated: true, place, entries });
                }
            }
            other => problems.push(Problem {
                place: place(name.span().start),
                key: section,
                fault: format!("is {} outside of any section", content(path, text, other).describe()),
                suggestion: Some("write it below a header such as [pool]".to_owned()),
            }),
        }
    }
    tables.sort_by_key(|table| match table.place {
        Place::File { line, column, .. } => (line, column),
        _ => (0, 0),
    });
    tables
}

fn read_entries(path: &Path, text: &str, table: &DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<(usize, Entry)> = table
        .iter()
        .map(|(key, spanned)| {
            let entry = Entry {
                key: key.get_ref().to_string(),
                place: Place::in_file(path, text, key.span().start),
                value: value(path, text, spanned),
            };
            (key.span().start, entry)
        })
        .collect();
    entries.sort_by_key(|(offset, _)| *offset);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn value(path: &Path, text: &str, spanned: &Spanned<DeValue<'_>>) -> Value {
    Value {
        content: content(path, text, spanned.get_ref()),
        place: Place::in_file(path, text, spanned.span().start),
    }
}

fn content(path: &Path, text: &str, written: &DeValue<'_>) -> Content {
    match written {
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Content::Decimal(number.to_string()), Content::Whole),
        DeValue::Float(number) => Content::Decimal(number.as_str().to_owned()),
        DeValue::String(string) => Content::Text(string.to_string()),
        DeValue::Boolean(flag) => Content::Flag(*flag),
        DeValue::Array(items) => Content::List(items.iter().map(|item| value(path, text, item)).collect()),
        other => Content::Other(other.type_str()),
    }
}

/// A value from the environment or a flag: TOML if it is any, a plain text otherwise.
pub fn read_value(written: &str, place: Place) -> Value {
    let nowhere = Path::new("");
    let content = match DeValue::parse(written) {
        Ok(parsed) => content(nowhere, written, parsed.get_ref()),
        Err(_) => Content::Text(written.to_owned()),
    };
    let content = match content {
        Content::List(items) => Content::List(
            items.into_iter().map(|item| Value { content: item.content, place: place.clone() }).collect(),
        ),
        other => other,
    };
    Value { content, place }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Table>, Vec<Problem>) {
        let mut problems = Vec::new();
        let tables = read_file(Path::new("pool.toml"), text, &mut problems);
        (tables, problems)
    }

    #[test]
    fn values_keep_their_digits_and_their_places() {
        let (tables, problems) =
            read("[master]\nannouncement_target = 0x1f0fffff\n[pay_maker]\npool_fee = 0.10\n");
        assert_eq!(problems, []);
        let target = tables[0].get("announcement_target").unwrap();
        assert_eq!(target.content, Content::Whole(0x1f0f_ffff));
        assert_eq!(target.place.to_string(), "pool.toml:2:23");
        assert_eq!(tables[1].get("pool_fee").unwrap().content, Content::Decimal("0.10".to_owned()));
    }

    #[test]
    fn every_fault_of_the_toml_is_reported() {
        let (_, problems) = read("[master]\na = \nb = 3\nc = = 4\n");
        let places: Vec<String> = problems.iter().map(|problem| problem.place.to_string()).collect();
        assert!(
            places.contains(&"pool.toml:2:5".to_owned()) && places.contains(&"pool.toml:4:5".to_owned()),
            "{places:?}"
        );
    }

    #[test]
    fn a_repeated_section_gives_a_table_each() {
        let (tables, _) = read("[[ann_handler]]\nname = \"a\"\n[[ann_handler]]\nname = \"b\"\n");
        assert_eq!(tables.iter().map(Table::name).collect::<Vec<_>>(), [Some("a"), Some("b")]);
    }

    #[test]
    fn a_flag_needs_no_quotes_for_a_text() {
        let content = |written| read_value(written, Place::Default).content;
        assert_eq!(content("3"), Content::Whole(3));
        assert_eq!(content("http://pool.example"), Content::Text("http://pool.example".to_owned()));
        assert_eq!(content("\"3\""), Content::Text("3".to_owned()));
    }
}
