//! `headframe verify statements`: the record that a pool publishes of itself, line by line: signed, and each line after the
//! one that it names.

use pool::site::record::signed_line::{LineFault, SignedLine};
use serde_json::json;

use super::{Facts, Fault, Report, facts, read};
use crate::cli::VerifyStatements;

/// Checks the files, each from its first line on.
pub(super) fn check(arguments: &VerifyStatements, report: &mut Report) -> anyhow::Result<()> {
    for file in &arguments.files {
        let bytes = read(file)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut place = None;
        for (index, line) in text.lines().enumerate() {
            let followed =
                line.parse::<SignedLine>().and_then(|line| line.follow(place, arguments.key.as_deref()));
            let verdict = followed.map(|(signed, next)| {
                place = Some(next);
                facts(json!({
                    "number": signed.statement.number,
                    "at": signed.statement.at,
                    "key": signed.statement.key,
                    "hash": signed.hash,
                    "stated": signed.statement.stated,
                }))
            });
            report.line(file, Some(index), verdict.map_err(|line| fault(&line)))?;
        }
        if text.lines().next().is_none() {
            let reason = "expected a line for each statement, the file is empty".to_owned();
            let empty: Result<Facts, Fault> = Err(Fault { code: "empty".to_owned(), reason });
            report.line(file, None, empty)?;
        }
    }
    Ok(())
}

fn fault(fault: &LineFault) -> Fault {
    let code = match fault {
        LineFault::Form => "malformed",
        LineFault::Text(_) => "no_statement",
        LineFault::Signature => "invalid_signature",
        LineFault::Key(_) => "other_key",
        LineFault::Number { .. } => "wrong_number",
        LineFault::Previous { .. } => "other_previous",
    };
    Fault { code: code.to_owned(), reason: fault.to_string() }
}
