//! What is wrong with a configuration: where, which key, what was expected, and perhaps what was meant.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value was written. Columns count characters from 1, as editors do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    File { path: PathBuf, line: usize, column: usize },
    /// In an environment variable of this name.
    Environment(String),
    /// In a command line flag, given with its dashes.
    Flag(String),
    /// Nowhere: the key is missing, or its default is at fault.
    Default,
}

impl Place {
    /// The place of a byte offset in the text of a file.
    pub fn in_file(path: &Path, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self::File {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(formatter, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(formatter, "environment variable {name}"),
            Self::Flag(flag) => write!(formatter, "command line {flag}"),
            Self::Default => formatter.write_str("configuration"),
        }
    }
}

/// One fault of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// The key with its section, such as `pay_maker.pool_fee`; empty where the file is no TOML.
    pub key: String,
    /// What is wrong and what was expected.
    pub fault: String,
    /// What mends it; nothing where the fault says it already, with what was expected.
    pub suggestion: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(formatter, "`{}` ", self.key)?;
        }
        formatter.write_str(&self.fault)?;
        match &self.suggestion {
            Some(suggestion) => write!(formatter, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

/// Every fault that was found, in the order of the file.
#[derive(Debug, thiserror::Error)]
#[error("{} in the configuration:\n{}", count(.0.len()), lines(.0))]
pub struct Problems(pub Vec<Problem>);

fn count(problems: usize) -> String {
    if problems == 1 { "1 error".to_owned() } else { format!("{problems} errors") }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// The name of `names` that is most like `written`, if one is near enough to have been meant.
pub fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(written, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a = 1\nä = [2,\n  x]";
        assert_eq!(Place::in_file(Path::new("p"), text, 0).to_string(), "p:1:1");
        let x = text.find('x').unwrap();
        assert_eq!(Place::in_file(Path::new("p"), text, x).to_string(), "p:3:3");
        let bracket = text.find('[').unwrap();
        assert_eq!(Place::in_file(Path::new("p"), text, bracket).to_string(), "p:2:5");
    }

    #[test]
    fn only_a_likely_name_is_suggested() {
        let names = ["update_cycle", "pool_fee"];
        assert_eq!(nearest("updat_cycel", names.into_iter()), Some("update_cycle"));
        assert_eq!(nearest("colour", names.into_iter()), None);
    }
}
