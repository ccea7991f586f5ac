//! The configuration that is being put together: keys of ours with their values, and notes of what has no place in it.

use crate::config::{Config, Filled};

/// What has been read so far.
#[derive(Debug, Default)]
pub struct Draft {
    /// The file that is being read.
    file: String,
    tables: Vec<Filled>,
    notes: Vec<String>,
}

impl Draft {
    /// From here on it is read from this file.
    pub fn begin(&mut self, file: &str) {
        file.clone_into(&mut self.file);
    }

    /// Sets a key of a section that there is once. The first file that says something wins.
    pub fn set(&mut self, section: &'static str, key: &'static str, value: String) {
        let index = self.tables.iter().position(|table| table.section == section);
        let index = index.unwrap_or_else(|| self.table(section));
        let table = &mut self.tables[index];
        match table.keys.iter().find(|(known, _)| *known == key) {
            Some((_, before)) if *before != value => {
                self.note(&format!("{section}.{key}"), "another file says something else, which was taken");
            }
            Some(_) => {}
            None => table.keys.push((key, value)),
        }
    }

    /// Begins another table of a section; gives its number.
    pub fn table(&mut self, section: &'static str) -> usize {
        self.tables.push(Filled { section, keys: Vec::new() });
        self.tables.len() - 1
    }

    /// Sets a key of a table by its number.
    pub fn set_in(&mut self, table: usize, key: &'static str, value: String) {
        self.tables[table].keys.push((key, value));
    }

    /// The numbers of the tables of a section.
    pub fn tables_of(&self, section: &str) -> Vec<usize> {
        (0..self.tables.len()).filter(|index| self.tables[*index].section == section).collect()
    }

    /// The value of a key of a table.
    pub fn value(&self, table: usize, key: &str) -> Option<&str> {
        self.tables[table].keys.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str())
    }

    /// Notes that a key of the file has no place in ours, and why.
    pub fn note(&mut self, key: &str, why: &str) {
        self.notes.push(format!("{}: `{key}`: {why}", self.file));
    }

    /// What was noted.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The commented example with these values in it, below a list of the notes.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if !self.notes.is_empty() {
            text.push_str("# Not carried over from the reference's configuration:\n");
            text.extend(self.notes.iter().map(|note| format!("# - {note}\n")));
            text.push('\n');
        }
        text + &Config::example_with(&self.tables)
    }
}

/// A text as TOML.
pub fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A list of texts as TOML.
pub fn quoted_list<T: AsRef<str>>(texts: &[T]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}
