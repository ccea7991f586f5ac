//! All words of the pages, by key. They stand in one file, `site/texts/en.toml`, so that they can be changed and
//! translated; numbers and names are filled into `{places}`.

use std::collections::BTreeMap;
use std::fmt::Display;

use toml::{Table, Value};

/// Why a file of texts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    /// It is not TOML.
    #[error("{0}")]
    Syntax(#[from] toml::de::Error),
    /// Something other than a text.
    #[error("{0}: expected a text in quotes")]
    NoText(String),
    /// A key that no page asks for.
    #[error("{key}: no page uses this text{}", nearest.as_ref().map(|near| format!("; perhaps {near}?")).unwrap_or_default())]
    Unknown {
        /// The key.
        key: String,
        /// One that was perhaps meant.
        nearest: Option<String>,
    },
}

/// The texts, by keys such as `home.title`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts(BTreeMap<String, String>);

impl Default for Texts {
    /// The English ones.
    fn default() -> Self {
        // A unit test reads the file; it cannot be another one at run time.
        Self::parse(include_str!("../../../../site/texts/en.toml")).unwrap_or(Self(BTreeMap::new()))
    }
}

impl Texts {
    /// Their file in the site's folder.
    pub const FILE: &str = "texts/en.toml";

    fn parse(text: &str) -> Result<Self, TextsError> {
        let mut texts = BTreeMap::new();
        flatten("", text.parse::<Table>()?, &mut texts)?;
        Ok(Self(texts))
    }

    /// These, with those of another file in their place. A file need not have all of them.
    ///
    /// # Errors
    /// If it is not TOML, or has a key that there is not.
    pub fn replaced_by(mut self, text: &str) -> Result<Self, TextsError> {
        for (key, text) in Self::parse(text)?.0 {
            let Some(place) = self.0.get_mut(&key) else {
                let distance = |known: &&String| strsim::damerau_levenshtein(known, &key);
                let nearest = self.0.keys().min_by_key(distance).cloned();
                return Err(TextsError::Unknown { key, nearest });
            };
            *place = text;
        }
        Ok(self)
    }

    /// A text; the key itself where there is none.
    pub fn get<'a>(&'a self, key: &'a str) -> &'a str {
        self.0.get(key).map_or(key, String::as_str)
    }

    /// A text with these values in its `{places}`.
    pub fn fill(&self, key: &str, values: &[(&str, &dyn Display)]) -> String {
        let mut filled = String::new();
        let mut rest = self.get(key);
        while let Some(start) = rest.find('{') {
            let Some(length) = rest[start..].find('}') else { break };
            let name = &rest[start + 1..start + length];
            filled.push_str(&rest[..start]);
            match values.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => filled.push_str(&value.to_string()),
                None => filled.push_str(&rest[start..=start + length]),
            }
            rest = &rest[start + length + 1..];
        }
        filled.push_str(rest);
        filled
    }

    /// All keys.
    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn flatten(prefix: &str, table: Table, texts: &mut BTreeMap<String, String>) -> Result<(), TextsError> {
    for (key, value) in table {
        let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::String(text) => {
                texts.insert(key, text);
            }
            Value::Table(table) => flatten(&key, table, texts)?,
            _ => return Err(TextsError::NoText(key)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_once_and_unknown_ones_stay() {
        let texts = Texts::parse("[a]\nb = \"{who} pays {whom} {what}\"\nc = \"open {\"").unwrap();
        let filled = texts.fill("a.b", &[("who", &"{whom}"), ("whom", &7)]);
        assert_eq!(filled, "{whom} pays 7 {what}");
        assert_eq!(texts.fill("a.c", &[]), "open {");
        assert_eq!(texts.get("absent"), "absent");
    }

    #[test]
    fn what_is_no_text_is_named() {
        assert_eq!(Texts::parse("[a]\nb = 3").unwrap_err().to_string(), "a.b: expected a text in quotes");
        assert!(matches!(Texts::parse("a ="), Err(TextsError::Syntax(_))));
    }
}
