//! Why bytes or a text are not what they should be: which document, which field, where, what was expected.

/// What is wrong with a serialised thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{document}, byte {offset}: {field}: expected {expected}, found {found}")]
pub struct FormatError {
    /// The kind of document, for example `block header`.
    pub document: &'static str,
    /// The field at fault, as the specification names it.
    pub field: &'static str,
    /// Where the field starts, in bytes from the start of the document.
    pub offset: usize,
    /// What should have stood there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

/// A foreign text, short enough for a log line and without control characters.
pub fn excerpt(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut short: String = text.chars().take(LONGEST).flat_map(char::escape_default).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}
