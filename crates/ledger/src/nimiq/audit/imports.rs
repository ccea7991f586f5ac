//! Another pool's accounts: taken over once, by the first entry of the book, for miners and from nobody else.

use super::rows::Rows;

pub(super) fn check(rows: &Rows, findings: &mut Vec<String>) {
    let entries: Vec<i64> =
        rows.entries.iter().filter(|(_, entry)| entry.kind == "import").map(|(number, _)| *number).collect();
    if entries != rows.imports {
        findings.push(format!("entries {entries:?} are imports, dumps are known for {:?}", rows.imports));
    }
    let first = rows.entries.keys().next();
    for number in &entries {
        if Some(number) != first {
            findings.push(format!("entry {number} is an import, but not where the book begins"));
        }
        let Some(entry) = rows.entries.get(number) else { continue };
        let is_owed = |(name, user): &(String, i64)| match name.as_str() {
            "import" => *user == 0,
            name => name == "mature" && *user > 0,
        };
        if !entry.lines.keys().all(is_owed)
            || entry.block.is_some()
            || entry.payout.is_some()
            || entry.reversed
        {
            findings.push(format!("entry {number} is an import that does more than owe miners something"));
        }
    }
}
