//! The parameters of a question: each known, each once, each within its bounds; anything else is told what is right.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::answer::Fault;
use crate::site::facts::{Chain, Range};

/// Rows of one page of a table.
pub(super) const MOST_ROWS: u32 = 500;
pub(super) const USUAL_ROWS: u32 = 50;
/// The greatest number that a JavaScript program can write.
pub(super) const MOST: u64 = (1 << 53) - 1;

/// What stands behind the question mark, as it was sent.
pub(super) struct Parameters(String);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Ok(Self(parts.uri.query().unwrap_or_default().to_owned()))
    }
}

impl Parameters {
    /// Nothing but these may be asked.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Fault> {
        let mut seen = Vec::new();
        for name in self.pairs().map(|(name, _)| name) {
            if !known.contains(&name) {
                let choice = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let shown: String = name.chars().take(40).collect();
                return Err(Fault::bad(format!("there is no parameter {shown:?}; known here: {choice}")));
            }
            if seen.contains(&name) {
                return Err(Fault::bad(format!("the parameter {name} is there twice")));
            }
            seen.push(name);
        }
        Ok(())
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u64>().ok().filter(|number| digits_only && (least..=most).contains(number));
        let fault = || Fault::bad(format!("{name} is a whole number from {least} to {most}"));
        number.map(Some).ok_or_else(fault)
    }

    /// How many rows.
    pub(super) fn limit(&self) -> Result<u32, Fault> {
        Ok(self.number("limit", 1, MOST_ROWS.into())?.map_or(USUAL_ROWS, |limit| limit as u32))
    }

    /// How far back.
    pub(super) fn range(&self) -> Result<Range, Fault> {
        let Some(text) = self.text("range") else { return Ok(Range::Day) };
        Range::from_str(text).map_err(|()| Fault::bad("range is one of 1h, 24h, 7d, 30d"))
    }

    /// One word of a closed list.
    pub(super) fn one_of(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let known = words.iter().find(|word| **word == text).copied();
        let fault = || Fault::bad(format!("{name} is one of {}", words.join(", ")));
        known.map(Some).ok_or_else(fault)
    }

    /// Whether a table is wanted as CSV.
    pub(super) fn wants_csv(&self) -> Result<bool, Fault> {
        match self.text("format") {
            None | Some("json") => Ok(false),
            Some("csv") => Ok(true),
            Some(_) => Err(Fault::bad("format is one of json, csv")),
        }
    }

    /// A text with its percent signs and pluses decoded.
    pub(super) fn decoded(&self, name: &str) -> Result<Option<String>, Fault> {
        self.text(name).map(decode).transpose()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}

/// The chain of a path.
pub(super) fn chain(name: &str) -> Result<Chain, Fault> {
    Chain::from_name(name).ok_or_else(|| Fault::not_found("a chain is packetcrypt or nimiq"))
}

fn decode(text: &str) -> Result<String, Fault> {
    let fault = || Fault::bad("a percent sign is followed by two hexadecimal digits, and all of it is UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().ok_or_else(fault)?, rest.next().ok_or_else(fault)?];
                let mut decoded = [0];
                hex::decode_to_slice(digits, &mut decoded).map_err(|_| fault())?;
                decoded[0]
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| fault())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parameters(text: &str) -> Parameters {
        Parameters(text.to_owned())
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(parameters("limit=7").limit().unwrap(), 7);
        assert_eq!(parameters("").limit().unwrap(), USUAL_ROWS);
        for bad in [
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=1.5",
            "limit=",
            "limit=9999999999999999999999",
            "limit=+5",
        ] {
            assert!(parameters(bad).limit().is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_and_repeated_parameters_are_named() {
        assert!(parameters("limit=1&before=2").only(&["limit", "before"]).is_ok());
        assert!(parameters("limits=1").only(&["limit"]).is_err());
        assert!(parameters("limit=1&limit=2").only(&["limit"]).is_err());
    }

    #[test]
    fn texts_are_decoded() {
        assert_eq!(
            parameters("address=NQ76+2NH6%20LDHV").decoded("address").unwrap().unwrap(),
            "NQ76 2NH6 LDHV"
        );
        for bad in ["address=%", "address=%2", "address=%zz", "address=%ff"] {
            assert!(parameters(bad).decoded("address").is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            let parameters = Parameters(text);
            let _ = parameters.only(&["limit"]);
            let _ = parameters.decoded("limit");
            let _ = (parameters.limit().is_ok(), parameters.range().is_ok(), parameters.wants_csv().is_ok());
        }
    }
}
