//! Why bytes from the network are not what they should be: which document, where, what was expected.

use byte_reader::excerpt;

/// What is wrong with a document from the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A binary document does not fit its layout.
    #[error(transparent)]
    Bytes(#[from] byte_reader::FormatError),
    /// A member of a JSON document has a value that it may not have.
    #[error("{document}: `{field}`: expected {expected}, found {found}")]
    Field {
        /// The kind of document, for example `config.json`.
        document: &'static str,
        /// The member, as it is spelt in the document.
        field: String,
        /// What it should have been.
        expected: String,
        /// What it is, cut to a readable length.
        found: String,
    },
    /// A text is no JSON, or a member is missing or of another type; the reason says where.
    #[error("{document}: {reason}")]
    Json {
        /// The kind of document.
        document: &'static str,
        /// The member or character at fault, with line and column.
        reason: String,
    },
    /// A document is larger than any honest one.
    #[error("{document}: {found} bytes, at most {limit} are allowed")]
    TooLong {
        /// The kind of document.
        document: &'static str,
        /// How many bytes are allowed.
        limit: usize,
        /// How many there are.
        found: usize,
    },
}

impl FormatError {
    /// A member with a value that it may not have.
    pub(crate) fn field(
        document: &'static str,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl AsRef<str>,
    ) -> Self {
        Self::Field {
            document,
            field: field.into(),
            expected: expected.into(),
            found: excerpt(found.as_ref()),
        }
    }

    /// A document above its limit, or nothing.
    pub(crate) fn check_length(document: &'static str, found: usize, limit: usize) -> Result<(), Self> {
        if found > limit { Err(Self::TooLong { document, limit, found }) } else { Ok(()) }
    }
}
