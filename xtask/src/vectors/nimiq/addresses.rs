//! `addresses.json`: canonical forms, texts that are no address, and texts that only the peers take for one.

use std::path::Path;

use nimiq::Address;
use serde::Deserialize;

use super::super::Tally;
use super::{address, first, read, same_bytes, shown};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "about")]
    _about: String,
    valid: Vec<Valid>,
    invalid: Vec<Invalid>,
    lenient: Vec<Lenient>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Valid {
    hex: String,
    base64: String,
    friendly: String,
    compact: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalid {
    input: String,
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Lenient {
    input: String,
    kind: String,
    peer_decodes_to: String,
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let file: File = read(path)?;
    let mut tally = Tally::default();
    for valid in &file.valid {
        tally.row(&valid.friendly, valid.check()?);
    }
    for invalid in &file.invalid {
        let name = format!("invalid {:?}, {}", invalid.input, invalid.kind);
        tally.row(name, refused(&invalid.input));
    }
    for lenient in &file.lenient {
        tally.row(format_args!("lenient {:?}, {}", lenient.input, lenient.kind), lenient.check());
    }
    Ok(tally)
}

fn refused(text: &str) -> Option<String> {
    Address::parse(text).ok().map(|address| format!("must be refused, is {address}"))
}

impl Valid {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let address = address(&self.friendly)?;
        let mut problems = vec![
            same_bytes("hex", &self.hex, address.0),
            shown("base64", &self.base64, address.to_base64()),
            shown("friendly", &self.friendly, address),
            shown("compact", &self.compact, address.to_compact()),
        ];
        for form in [&self.hex, &self.base64, &self.friendly, &self.compact] {
            problems.push(shown(form, &self.friendly, super::address(form)?));
        }
        Ok(first(problems))
    }
}

impl Lenient {
    fn check(&self) -> Option<String> {
        let accepted = ["lower-case", "lower-case-country", "extra-spaces", "no-spaces"];
        if !accepted.contains(&self.kind.as_str()) {
            return refused(&self.input);
        }
        match Address::parse(&self.input) {
            Ok(address) => same_bytes("address", &self.peer_decodes_to, address.0),
            Err(error) => Some(error.to_string()),
        }
    }
}
