//! Does the node's template pay what was sent? Answered from the outputs of its coinbase, not from weights.
//!
//! `docs/protocol/packetcrypt-blocks.md` 7.6: each payee gets trunc(coins · weight / sum), the last one the rest, the
//! first output all transaction fees in addition. Besides the payees only the network steward is paid.

use hashbrown::{HashMap, HashSet};
use packetcrypt::block::transaction::Transaction;
use wire::PktAddress;
use wire::template::BlockTemplate;

/// The most that a network steward gets of a block: 51 of 256 parts, and a little for rounding.
const STEWARD_PARTS: i128 = 52;
const PARTS: i128 = 256;

/// `None` if the template pays every address of `sent` its units, and nobody else; otherwise what is different.
pub(super) fn difference(template: &BlockTemplate, sent: &[(PktAddress, u64)]) -> Option<String> {
    let coinbase = match Transaction::from_bytes(&template.coinbase_no_witness) {
        Ok(coinbase) => coinbase,
        Err(fault) => return Some(format!("the template's coinbase cannot be read: {fault}")),
    };
    let units_of: HashMap<Vec<u8>, u64> =
        sent.iter().map(|(address, units)| (address.script(), *units)).collect();
    let outputs: Vec<(&[u8], i128)> =
        coinbase.outputs.iter().map(|output| (output.script, i128::from(output.value))).collect();
    if let Some(difference) = others_are_paid(&outputs, &units_of) {
        return Some(difference);
    }
    let difference = parts_differ(&outputs, sent, &units_of)?;
    let steward_is_a_payee =
        without_a_steward(&outputs).any(|others| parts_differ(&others, sent, &units_of).is_none());
    (!steward_is_a_payee).then_some(difference)
}

/// What the template pays the addresses of `sent` together, in units of 2⁻³⁰ PKT; `None` if its coinbase cannot be
/// read.
pub(super) fn paid_to(template: &BlockTemplate, sent: &[(PktAddress, u64)]) -> Option<i64> {
    let coinbase = Transaction::from_bytes(&template.coinbase_no_witness).ok()?;
    let scripts: HashSet<Vec<u8>> = sent.iter().map(|(address, _)| address.script()).collect();
    let paid = coinbase.outputs.iter().filter(|output| scripts.contains(output.script));
    Some(paid.map(|output| output.value).fold(0, i64::saturating_add))
}

/// Who is paid without having been sent: only one steward may be.
fn others_are_paid(outputs: &[(&[u8], i128)], units_of: &HashMap<Vec<u8>, u64>) -> Option<String> {
    let total: i128 = outputs.iter().map(|(_, value)| value).sum();
    let others: Vec<i128> = outputs
        .iter()
        .filter(|(script, value)| *value > 0 && !units_of.contains_key(*script))
        .map(|(_, value)| *value)
        .collect();
    match others.as_slice() {
        [] => None,
        [steward] if may_be_a_stewards(*steward, total) => None,
        [_] => {
            Some("the template pays an address that was not in the table more than a steward's share".into())
        }
        _ => Some(format!("the template pays {} addresses that were not in the table", others.len())),
    }
}

fn may_be_a_stewards(value: i128, total: i128) -> bool {
    value * PARTS <= total * STEWARD_PARTS
}

/// The outputs without one that may be the steward's: he may be among the payees, and then he has two.
fn without_a_steward<'a>(
    outputs: &'a [(&'a [u8], i128)],
) -> impl Iterator<Item = Vec<(&'a [u8], i128)>> + 'a {
    let total: i128 = outputs.iter().map(|(_, value)| value).sum();
    let mut last_of: HashMap<&[u8], usize> = HashMap::new();
    let twice = outputs.iter().enumerate().find_map(|(second, (script, value))| {
        (*value > 0).then(|| last_of.insert(script, second)).flatten().map(|first| [first, second])
    });
    twice.into_iter().flatten().filter(move |place| may_be_a_stewards(outputs[*place].1, total)).map(
        |place| {
            let mut others = outputs.to_vec();
            others.remove(place);
            others
        },
    )
}

/// Whether the payees' outputs have the proportions that were sent. The first output is left out of the measure,
/// because fees come on top of it.
fn parts_differ(
    outputs: &[(&[u8], i128)],
    sent: &[(PktAddress, u64)],
    units_of: &HashMap<Vec<u8>, u64>,
) -> Option<String> {
    let first_script = outputs.first().map(|(script, _)| *script);
    let mut paid: HashMap<&[u8], i128> = HashMap::new();
    for (script, value) in outputs {
        *paid.entry(script).or_default() += value;
    }
    let measured = || units_of.iter().filter(|(script, _)| Some(script.as_slice()) != first_script);
    let units: i128 = measured().map(|(_, units)| i128::from(*units)).sum();
    let coins: i128 =
        measured().map(|(script, _)| paid.get(script.as_slice()).copied().unwrap_or_default()).sum();
    // Every payee's amount may be cut by one, a product of doubles is off by little, and the last gets the rest. Where
    // the first output is nearly everything, what the others lack by rounding is magnified in what is expected of it.
    let rounding = 2 + 2 * sent.len() as i128;
    let tolerance = |wanted: u64, expected: i128| {
        rounding + rounding * i128::from(wanted) / units + expected / 1_000_000_000_000
    };
    sent.iter().find_map(|(address, wanted)| {
        let script = address.script();
        let amount = paid.get(script.as_slice()).copied().unwrap_or_default();
        let expected = (coins * i128::from(*wanted)).checked_div(units)?;
        let is_first = Some(script.as_slice()) == first_script;
        let off = if is_first { expected - amount } else { (expected - amount).abs() };
        (off > tolerance(*wanted, expected))
            .then(|| format!("the template pays {address} {amount} units, not {expected}"))
    })
}

#[cfg(test)]
mod tests {
    use packetcrypt::Height;
    use packetcrypt::block::Header;

    use super::*;

    const ADDRESSES: [&str; 3] = [
        "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t",
        "pKTcgnvpPdXQ6HztTC5snBc69887g471zE",
        "pBCoKBuCBYzqiHDwdvqE2pusa7XhdhJSPw",
    ];

    fn address(index: usize) -> PktAddress {
        ADDRESSES[index].parse().unwrap()
    }

    fn template(outputs: &[(Vec<u8>, i64)]) -> BlockTemplate {
        let mut coinbase = vec![1, 0, 0, 0, 1];
        coinbase.extend([0; 32]);
        coinbase.extend([0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff]);
        coinbase.push(outputs.len() as u8);
        for (script, value) in outputs {
            coinbase.extend(value.to_le_bytes());
            coinbase.push(script.len() as u8);
            coinbase.extend(script);
        }
        coinbase.extend([0; 4]);
        BlockTemplate {
            height: Height(1),
            header: Header::from_bytes(&[0; 80]),
            coinbase_no_witness: coinbase,
            branch: Vec::new(),
            transactions: Vec::new(),
        }
    }

    fn sent() -> Vec<(PktAddress, u64)> {
        vec![(address(0), 600_000_000_000), (address(1), 300_000_000_000), (address(2), 100_000_000_000)]
    }

    /// 1,000,000 units for the payees in the order 1, 0, 2, with `fees`, and the steward's part behind them.
    fn paying(amounts: [i64; 3], fees: i64) -> BlockTemplate {
        template(&[
            (address(1).script(), amounts[1] + fees),
            (address(0).script(), amounts[0]),
            (address(2).script(), amounts[2]),
            (vec![0x51], 240_000),
            (vec![0x6a], 0),
        ])
    }

    #[test]
    fn a_template_that_pays_as_sent_is_fine() {
        assert_eq!(difference(&paying([600_000, 300_000, 100_000], 0), &sent()), None);
        assert_eq!(
            difference(&paying([600_000, 300_000, 100_001], 12_345), &sent()),
            None,
            "fees and roundings"
        );
        assert_eq!(paid_to(&paying([600_000, 300_000, 100_001], 12_345), &sent()), Some(1_012_346));
        let single = template(&[(address(0).script(), 5)]);
        assert_eq!(difference(&single, &[(address(0), 1_000_000_000_000)]), None);
    }

    #[test]
    fn a_first_payee_who_gets_nearly_everything_is_not_measured_by_the_crumbs_of_the_others() {
        let sent = [(address(0), 999_999_700_000), (address(1), 300_000)];
        let coins = 3_582_000_000_000_i64;
        let crumbs = coins * 3 / 10_000_000 - 1;
        let as_sent = template(&[(address(0).script(), coins - crumbs), (address(1).script(), crumbs)]);
        assert_eq!(difference(&as_sent, &sent), None);
        let too_little = template(&[(address(0).script(), coins * 9 / 10), (address(1).script(), crumbs)]);
        assert!(difference(&too_little, &sent).is_some());
    }

    #[test]
    fn a13_a_steward_who_is_a_payee_too_has_two_outputs() {
        let two = |own: i64, as_steward: i64| {
            template(&[
                (address(2).script(), 100_000),
                (address(0).script(), as_steward),
                (address(1).script(), 300_000),
                (address(0).script(), own),
                (vec![0x6a], 0),
            ])
        };
        assert_eq!(difference(&two(600_000, 240_000), &sent()), None);
        assert_eq!(difference(&two(240_000, 600_000), &sent()), None, "in any order");
        assert!(difference(&two(600_000, 900_000), &sent()).is_some(), "more than a steward's share");
        assert!(difference(&two(500_000, 240_000), &sent()).is_some(), "too little for the payee");
    }

    #[test]
    fn a13_pitfall_9_11_other_amounts_payees_and_strangers_are_seen() {
        let seen = |template: &BlockTemplate| difference(template, &sent()).unwrap();
        assert!(seen(&paying([500_000, 300_000, 200_000], 0)).contains("the template pays"));
        assert!(seen(&paying([600_000, 300_000, 0], 0)).contains("the template pays"));
        let strangers =
            template(&[(address(0).script(), 600), (vec![0x52], 100), (vec![0x53], 100), (vec![0x54], 100)]);
        assert!(seen(&strangers).contains("3 addresses that were not in the table"));
        let greedy = template(&[(address(0).script(), 600), (vec![0x52], 600)]);
        assert!(seen(&greedy).contains("more than a steward's share"));
        let broken = BlockTemplate { coinbase_no_witness: vec![1], ..paying([0; 3], 0) };
        assert!(seen(&broken).contains("cannot be read"));
    }
}
