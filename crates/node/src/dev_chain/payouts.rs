//! `configureminingpayouts`: whom the next blocks pay, and how their coins are split.
//!
//! Source: `docs/protocol/packetcrypt-blocks.md` 7.6. Weights are doubles and the split multiplies doubles: this
//! is how pktd does it, and a dev chain that split more exactly would hide from a pool what the real node pays.
//! IEEE arithmetic makes it the same on every machine; the vectors hold recorded splits.

use base64::{Engine, engine::general_purpose::STANDARD};
use packetcrypt::Height;
use rand::seq::SliceRandom;
use serde_json::{Map, Value};
use wire::pkt_address::{AddressFault, ChainAddress};

use super::{coinbase::coins_for_payees, rules::STEWARD_SCRIPT};

/// Payees at most, so that a coinbase fits a block of 1 MB beside a proof: each takes at most 43 bytes.
pub const MOST_PAYEES: usize = 20_000;

/// An output of the coinbase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Whom it pays.
    pub script: Vec<u8>,
    /// Base units.
    pub units: u64,
}

/// One payee of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Payee {
    /// The address as it was given.
    pub address: String,
    /// Its script.
    pub script: Vec<u8>,
    /// Its weight; only the proportion to the others counts.
    pub weight: f64,
}

/// A payout table.
#[derive(Clone, Debug, PartialEq)]
pub struct Payouts(Vec<Payee>);

/// Why a payout table is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PayoutsFault {
    /// A key that is no address.
    #[error("Address [{address}] could not be decoded [{fault}]")]
    Address {
        /// The key.
        address: String,
        /// Why not.
        fault: AddressFault,
    },
    /// A value that is no number.
    #[error("the weight of [{address}] is no number")]
    Weight {
        /// The key.
        address: String,
    },
    /// No payee, or weights that sum to nothing.
    #[error("You must specify at least one address to pay to")]
    Empty,
    /// More than a block can hold.
    #[error("{count} payees, but a block has place for {MOST_PAYEES} at most")]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// Why coins cannot be split as the table says: some payee would get less than nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ErrNegativeTxOutValue: transaction output has negative value of {units}")]
pub struct NegativeAmount {
    /// The first such amount.
    pub units: i128,
}

impl Payouts {
    /// Everything to one script.
    pub fn to(address: String, script: Vec<u8>) -> Self {
        Self(vec![Payee { address, script, weight: 1.0 }])
    }

    /// Everything to the network steward: what a node does that was told nothing.
    pub fn to_steward() -> Self {
        let address = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
        Self::to(address.to_owned(), STEWARD_SCRIPT.to_vec())
    }

    /// Reads the object of address and weight. All keys must be addresses, or nothing of it is taken.
    pub fn parse(table: &Map<String, Value>) -> Result<Self, PayoutsFault> {
        if table.len() > MOST_PAYEES {
            return Err(PayoutsFault::TooMany { count: table.len() });
        }
        let payee = |(address, weight): (&String, &Value)| {
            let script = decode_address(address)?;
            let weight = weight.as_f64().filter(|weight| weight.is_finite());
            let weight = weight.ok_or_else(|| PayoutsFault::Weight { address: address.clone() })?;
            Ok(Payee { address: address.clone(), script, weight })
        };
        let payees = table.iter().map(payee).collect::<Result<Vec<_>, PayoutsFault>>()?;
        let sum: f64 = payees.iter().map(|payee| payee.weight).sum();
        if sum == 0.0 || !sum.is_finite() { Err(PayoutsFault::Empty) } else { Ok(Self(payees)) }
    }

    /// The payees.
    pub fn payees(&self) -> &[Payee] {
        &self.0
    }

    /// What a block at `height` pays in the order of the table.
    pub fn amounts(&self, height: Height) -> Result<Vec<Amount>, NegativeAmount> {
        split(coins_for_payees(height), &self.0.iter().collect::<Vec<_>>())
    }

    /// What a block at `height` pays, the payees in random order, as pktd's templates have them (pitfall 9.10).
    pub fn amounts_in_random_order(&self, height: Height) -> Result<Vec<Amount>, NegativeAmount> {
        let mut payees: Vec<&Payee> = self.0.iter().collect();
        payees.shuffle(&mut rand::rng());
        split(coins_for_payees(height), &payees)
    }
}

/// pktd's split of `coins` among payees in the order given: everyone gets the part of their weight, rounded
/// down, but never more than is left; the last one gets the rest.
pub fn split(coins: u64, payees: &[&Payee]) -> Result<Vec<Amount>, NegativeAmount> {
    let sum: f64 = payees.iter().map(|payee| payee.weight).sum();
    let coins_as_double = coins as f64;
    let mut left = i128::from(coins);
    let amounts = payees.iter().enumerate().map(|(index, payee)| {
        let part = (coins_as_double * (payee.weight / sum)).trunc() as i128;
        let units = if index + 1 == payees.len() { left } else { part.min(left) };
        left -= units;
        let units = u64::try_from(units).map_err(|_| NegativeAmount { units })?;
        Ok(Amount { script: payee.script.clone(), units })
    });
    amounts.collect()
}

/// The script of an address. Like pktd, this takes those of the sister networks and bare scripts too.
fn decode_address(address: &str) -> Result<Vec<u8>, PayoutsFault> {
    match ChainAddress::parse(address) {
        Ok(address) => Ok(address.script()),
        Err(fault) => foreign_script(address).ok_or_else(|| {
            let address = address.chars().take(100).collect();
            PayoutsFault::Address { address, fault }
        }),
    }
}

/// The script of a bech32 address of another network, or of `script:` and base64.
fn foreign_script(address: &str) -> Option<Vec<u8>> {
    if let Some(script) = address.strip_prefix("script:") {
        return STANDARD.decode(script).ok();
    }
    let (network, version, program) = bech32::segwit::decode(address).ok()?;
    let known = ["tpk", "bc", "tb", "bcrt", "sb"].contains(&network.to_lowercase().as_str());
    let payable = known && version == bech32::segwit::VERSION_0;
    payable.then(|| [&[0, program.len() as u8], &program[..]].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn payee(weight: f64) -> Payee {
        Payee { address: String::new(), script: vec![], weight }
    }

    fn units(coins: u64, weights: &[f64]) -> Result<Vec<u64>, NegativeAmount> {
        let payees: Vec<Payee> = weights.iter().copied().map(payee).collect();
        let amounts = split(coins, &payees.iter().collect::<Vec<_>>())?;
        Ok(amounts.iter().map(|amount| amount.units).collect())
    }

    #[test]
    fn recorded_splits_come_out_exactly() {
        let file = include_str!("../../../../vectors/blocks/chain.json");
        let file: Value = serde_json::from_str(file).unwrap();
        let rows = file["payouts"].as_array().unwrap();
        for row in rows {
            let table = Payouts::parse(row["weights"].as_object().unwrap()).unwrap();
            let outputs: Vec<(&str, u64)> = row["outputs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|output| (output[0].as_str().unwrap(), output[1].as_str().unwrap().parse().unwrap()))
                .collect();
            let payees: Vec<&Payee> = outputs
                .iter()
                .map(|(address, _)| table.payees().iter().find(|payee| payee.address == *address).unwrap())
                .collect();
            let coins = row["coins"].as_str().unwrap().parse().unwrap();
            let amounts = split(coins, &payees).unwrap();
            for (amount, (address, units)) in amounts.iter().zip(&outputs) {
                assert_eq!(amount.units, *units, "{address} of {row}");
            }
        }
        assert!(rows.len() > 10);
    }

    #[test]
    fn a_table_with_one_bad_address_changes_nothing() {
        let table = json!({"pkt1qx75waswwr9586ye0u2g9rh9x98gkfckye4h5gc": 1, "notanaddress": 1});
        let fault = Payouts::parse(table.as_object().unwrap()).unwrap_err();
        assert!(fault.to_string().starts_with("Address [notanaddress] could not be decoded"));
    }

    #[test]
    fn weights_that_sum_to_nothing_pay_nobody() {
        let address = "pkt1qx75waswwr9586ye0u2g9rh9x98gkfckye4h5gc";
        for table in [json!({}), json!({address: 0})] {
            assert_eq!(Payouts::parse(table.as_object().unwrap()), Err(PayoutsFault::Empty));
        }
        let text = json!({address: "1"});
        assert!(matches!(Payouts::parse(text.as_object().unwrap()), Err(PayoutsFault::Weight { .. })));
    }

    #[test]
    fn a_negative_weight_alone_pays_and_beside_others_does_not() {
        assert_eq!(units(100, &[-1.0]), Ok(vec![100]));
        assert!(units(100, &[3.0, -1.0]).is_ok(), "the first is cut, the last gets what is left");
        assert!(units(100, &[-1.0, 3.0]).is_err());
    }

    proptest! {
        #[test]
        fn positive_weights_pay_out_everything(
            coins in 0u64..6_441_420_151_828_656_000,
            weights in proptest::collection::vec(1e-9f64..1e12, 1..30),
        ) {
            let units = units(coins, &weights).unwrap();
            prop_assert_eq!(units.iter().sum::<u64>(), coins);
        }
    }
}
