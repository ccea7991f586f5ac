//! Tables as CSV (RFC 4180): a line of names, then one for each row. What is not known is empty.

use crate::site::facts::{
    Incident, Moment, Payee, Payment, PayoutTableFacts, PoolBlock, SignedStatement, Stated,
};

/// Blocks of the pool.
pub(super) fn blocks(blocks: &[PoolBlock]) -> String {
    let mut table = Table::new(&[
        "found_at",
        "height",
        "hash",
        "finder",
        "effort_percent",
        "reward_units",
        "payout_table",
        "standing",
        "confirmations",
    ]);
    for block in blocks {
        table.row(&[
            time(block.found_at),
            optional(block.height),
            block.hash.clone(),
            block.finder.clone().unwrap_or_default(),
            optional(block.effort_percent),
            optional(block.reward.map(|reward| reward.units)),
            optional(block.payout_table),
            block.standing.name().to_owned(),
            optional(block.confirmations),
        ]);
    }
    table.text
}

/// Payments.
pub(super) fn payments(payments: &[Payment]) -> String {
    let mut table = Table::new(&[
        "at",
        "address",
        "amount_units",
        "part",
        "network_fee_units",
        "hash",
        "height",
        "state",
        "kind",
    ]);
    for payment in payments {
        table.row(&[
            time(payment.at),
            payment.address.clone(),
            optional(payment.amount.map(|amount| amount.units)),
            optional(payment.part),
            optional(payment.network_fee.map(|fee| fee.units)),
            payment.hash.clone(),
            optional(payment.height),
            payment.state.name().to_owned(),
            payment.kind.clone(),
        ]);
    }
    table.text
}

/// Payout tables, without their payees.
pub(super) fn payout_tables(tables: &[PayoutTableFacts]) -> String {
    let mut lines = Table::new(&[
        "made_at",
        "number",
        "newest_event",
        "state",
        "payees",
        "announcement_window_oldest",
        "announcement_window_filled_percent",
        "share_window_oldest",
        "share_window_filled_percent",
        "paid_in_heights",
        "detail",
    ]);
    for table in tables {
        let heights = table.paid_in.iter().filter_map(|block| block.height);
        lines.row(&[
            time(table.made_at),
            optional(table.number),
            table.newest_event.map(time).unwrap_or_default(),
            table.state.name().to_owned(),
            table.payee_count.to_string(),
            table.announcement_window.oldest.map(time).unwrap_or_default(),
            optional(table.announcement_window.filled_percent),
            table.share_window.oldest.map(time).unwrap_or_default(),
            optional(table.share_window.filled_percent),
            heights.map(|height| height.to_string()).collect::<Vec<_>>().join(" "),
            table.detail.clone().unwrap_or_default(),
        ]);
    }
    lines.text
}

/// Whom a block pays.
pub(super) fn payees(payees: &[Payee]) -> String {
    let mut table = Table::new(&["address", "part", "amount_units", "is_of_pool"]);
    for payee in payees {
        table.row(&[
            payee.address.clone(),
            payee.part.to_string(),
            optional(payee.amount.map(|amount| amount.units)),
            payee.is_of_pool.to_string(),
        ]);
    }
    table.text
}

/// Statements; what they say in full is in JSON.
pub(super) fn statements(statements: &[SignedStatement]) -> String {
    let mut table =
        Table::new(&["number", "at", "kind", "chain", "fee", "rule", "hash", "previous", "key", "signature"]);
    for signed in statements {
        let statement = &signed.statement;
        let (chain, fee, rule) = match &statement.stated {
            Stated::Terms(terms) => (Some(terms.chain), Some(terms.fee), terms.rule.clone()),
            Stated::Totals(totals) => (Some(totals.chain), None, String::new()),
            Stated::IncidentBegan(beginning) => (beginning.chain, None, String::new()),
            Stated::IncidentEnded(_) => (None, None, String::new()),
        };
        table.row(&[
            statement.number.to_string(),
            time(statement.at),
            statement.stated.kind().to_owned(),
            optional(chain.map(crate::site::facts::Chain::name)),
            optional(fee),
            rule,
            signed.hash.clone(),
            statement.previous.clone(),
            statement.key.clone(),
            signed.signature.clone(),
        ]);
    }
    table.text
}

/// What went wrong.
pub(super) fn incidents(incidents: &[Incident]) -> String {
    let mut table =
        Table::new(&["number", "began_at", "ended_at", "what", "chain", "role", "name", "reason"]);
    for incident in incidents {
        let beginning = &incident.beginning;
        table.row(&[
            incident.number.to_string(),
            time(beginning.began_at),
            incident.ended_at.map(time).unwrap_or_default(),
            beginning.what.name().to_owned(),
            optional(beginning.chain.map(crate::site::facts::Chain::name)),
            beginning.role.clone().unwrap_or_default(),
            beginning.name.clone().unwrap_or_default(),
            beginning.reason.clone().unwrap_or_default(),
        ]);
    }
    table.text
}

struct Table {
    text: String,
}

impl Table {
    fn new(names: &[&str]) -> Self {
        let mut table = Self { text: String::new() };
        table.row(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        table
    }

    fn row(&mut self, fields: &[String]) {
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        self.text.push_str(&fields.join(","));
        self.text.push_str("\r\n");
    }
}

/// With quotes where they are needed; a field that a spreadsheet would take for a formula becomes a text.
fn quoted(field: &str) -> String {
    let is_formula = field.starts_with(['=', '+', '@', '\t']);
    let field = if is_formula { format!("'{field}") } else { field.to_owned() };
    if field.contains([',', '"', '\r', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

/// As RFC 3339, by UTC.
fn time(moment: Moment) -> String {
    jiff::Timestamp::from_millisecond(moment.0 as i64)
        .map_or_else(|_| moment.0.to_string(), |time| time.to_string())
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::facts::{Chain, sample};

    #[test]
    fn every_row_has_every_field() {
        let pool = sample::pool();
        for chain in pool.chains() {
            let text = blocks(pool.blocks(chain));
            let lines: Vec<&str> = text.split_terminator("\r\n").collect();
            assert_eq!(lines.len(), pool.blocks(chain).len() + 1);
            assert!(lines.iter().all(|line| line.split(',').count() == 9), "{text}");
        }
        assert_eq!(
            blocks(pool.blocks(Chain::PacketCrypt)).lines().nth(3).unwrap().split(',').nth(1),
            Some("")
        );
        let text = payments(&pool.nimiq.unwrap().payments);
        assert!(text.contains("2026-11-01T11:55:00Z,NQ76 2NH6"), "{text}");
    }

    #[test]
    fn fields_cannot_break_out() {
        assert_eq!(quoted("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted("plain"), "plain");
    }
}
