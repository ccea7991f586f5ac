//! What an operator shows: a text from a file, compared in constant time, kept out of all dumps.

use std::fmt;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

/// A shorter token could be guessed.
const SHORTEST: usize = 16;
/// A longer file is none.
const LONGEST: usize = 4096;

/// The token of the admin API.
#[derive(Clone)]
pub struct AdminToken(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    /// The file cannot be read.
    #[error("cannot read the admin token from {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        reason: std::io::Error,
    },
    /// What is in it is none.
    #[error(
        "{path} holds no admin token: expected one line of 16 to 4096 printable characters without spaces (draw one \
         with: openssl rand -hex 32)"
    )]
    NoToken {
        /// The file.
        path: PathBuf,
    },
}

impl AdminToken {
    /// Reads a file with one line.
    pub fn from_file(path: &Path) -> Result<Self, TokenFault> {
        let text = std::fs::read_to_string(path)
            .map_err(|reason| TokenFault::Unreadable { path: path.to_owned(), reason })?;
        Self::parse(&text).ok_or_else(|| TokenFault::NoToken { path: path.to_owned() })
    }

    /// From the text of such a file.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches(['\n', '\r']);
        let fits =
            (SHORTEST..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The text itself; the name says that the caller has a reason.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether somebody shows this token, in a time that does not tell how much of it was right.
    pub(super) fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_that_nobody_guesses() {
        let token = AdminToken::parse("0f9a3c5e7b1d2468\n").unwrap();
        assert!(token.is("0f9a3c5e7b1d2468") && !token.is("0f9a3c5e7b1d2469") && !token.is(""));
        assert_eq!(format!("{token:?}"), "(secret)");
        for bad in ["", "short", "0f9a3c5e7b1d246\n8", "0f9a3c5e 7b1d2468", &"x".repeat(5000)] {
            assert!(AdminToken::parse(bad).is_none(), "{bad:?}");
        }
        assert!(matches!(AdminToken::from_file(Path::new("/nowhere")), Err(TokenFault::Unreadable { .. })));
    }
}
