//! Whose address a text is; for a text that is none: what is wrong with it, and what was probably meant.

mod mending;

use std::fmt;

use nimiq::Address as NimiqAddress;
use nimiq::address::ParseAddressError;
use wire::PktAddress;
use wire::pkt_address::AddressFault;

use super::facts::Chain;

/// Longer texts are not looked at: no address of any coin is that long.
const LONGEST: usize = 120;

/// An address of somebody who may mine here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MinerAddress {
    /// Of PacketCrypt.
    PacketCrypt(PktAddress),
    /// Of Nimiq.
    Nimiq(NimiqAddress),
}

impl MinerAddress {
    /// Its chain.
    pub fn chain(&self) -> Chain {
        match self {
            Self::PacketCrypt(_) => Chain::PacketCrypt,
            Self::Nimiq(_) => Chain::Nimiq,
        }
    }

    /// Without spaces, as it stands in addresses of pages.
    pub fn compact(&self) -> String {
        match self {
            Self::PacketCrypt(address) => address.to_string(),
            Self::Nimiq(address) => address.to_compact(),
        }
    }
}

impl fmt::Display for MinerAddress {
    /// The usual spelling.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PacketCrypt(address) => address.fmt(formatter),
            Self::Nimiq(address) => address.fmt(formatter),
        }
    }
}

/// Why a text is no address of a miner of this pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    /// Nothing was given.
    #[error("no address was given")]
    Empty,
    /// It is no address of any coin that is known here.
    #[error("this is no address of {}", these(.chains))]
    NotAnAddress {
        /// The chains of this pool.
        chains: Vec<Chain>,
    },
    /// A good address of a coin that is not mined here.
    #[error("this is an address of {coin}, and this pool mines {}", these(.chains))]
    OtherCoin {
        /// Which coin it looks like.
        coin: &'static str,
        /// The chains of this pool.
        chains: Vec<Chain>,
    },
    /// Meant as an address of a chain of this pool, with a mistake in it.
    #[error("this is meant as an address of {}, but {reason}", coin(*.chain))]
    Misspelt {
        /// Which chain's.
        chain: Chain,
        /// What is wrong.
        reason: String,
        /// The character that is wrong, counted from 1, if that can be told.
        position: Option<usize>,
        /// What was probably meant: the only address that differs by one slip.
        suggestion: Option<String>,
    },
}

impl AddressProblem {
    /// A short code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "address_missing",
            Self::NotAnAddress { .. } => "address_unreadable",
            Self::OtherCoin { .. } => "address_of_other_coin",
            Self::Misspelt { .. } => "address_misspelt",
        }
    }

    /// What was probably meant.
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            Self::Misspelt { suggestion, .. } => suggestion.as_deref(),
            _ => None,
        }
    }
}

/// Reads an address of one of `chains`, those of this pool.
pub fn read(text: &str, chains: &[Chain]) -> Result<MinerAddress, AddressProblem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(AddressProblem::Empty);
    }
    let not_an_address = || AddressProblem::NotAnAddress { chains: chains.to_vec() };
    if text.len() > LONGEST || !text.is_ascii() {
        return Err(not_an_address());
    }
    let other = |coin| AddressProblem::OtherCoin { coin, chains: chains.to_vec() };
    match meant_for(text) {
        Some(Meant::Ours(chain)) if !chains.contains(&chain) => Err(other(coin(chain))),
        Some(Meant::Ours(Chain::PacketCrypt)) => packetcrypt(text),
        Some(Meant::Ours(Chain::Nimiq)) => nimiq(text),
        Some(Meant::Other(coin)) => Err(other(coin)),
        None => Err(not_an_address()),
    }
}

enum Meant {
    Ours(Chain),
    Other(&'static str),
}

/// What a text looks like from its beginning and its length.
fn meant_for(text: &str) -> Option<Meant> {
    let lower = text.to_ascii_lowercase();
    let starts = |prefix: &str| lower.starts_with(prefix);
    let length = text.chars().filter(|character| *character != ' ').count();
    Some(match length {
        _ if starts("nq") => Meant::Ours(Chain::Nimiq),
        _ if starts("pkt1") => Meant::Ours(Chain::PacketCrypt),
        _ if starts("tpk1") => Meant::Other("the test network of PKT"),
        _ if starts("bc1") => Meant::Other("Bitcoin"),
        _ if starts("tb1") => Meant::Other("the test network of Bitcoin"),
        _ if starts("ltc1") => Meant::Other("Litecoin"),
        42 if starts("0x") => Meant::Other("Ethereum"),
        95..=106 if starts("4") || starts("8") => Meant::Other("Monero"),
        30..=38 if starts("p") => Meant::Ours(Chain::PacketCrypt),
        26..=35 if starts("1") || starts("3") => Meant::Other("Bitcoin"),
        _ => return None,
    })
}

fn packetcrypt(text: &str) -> Result<MinerAddress, AddressProblem> {
    let fault = match text.parse::<PktAddress>() {
        Ok(address) => return Ok(MinerAddress::PacketCrypt(address)),
        Err(fault) => fault,
    };
    let mended = match fault {
        AddressFault::UpperCase | AddressFault::MixedCase => mending::in_lower_case(text),
        AddressFault::Checksum | AddressFault::Character(_) => mending::packetcrypt(text),
        _ => None,
    };
    Err(AddressProblem::Misspelt {
        chain: Chain::PacketCrypt,
        reason: fault.to_string(),
        position: mended.as_ref().and_then(|mended| mended.position),
        suggestion: mended.map(|mended| mended.address),
    })
}

fn nimiq(text: &str) -> Result<MinerAddress, AddressProblem> {
    let fault = match NimiqAddress::parse(text) {
        Ok(address) => return Ok(MinerAddress::Nimiq(address)),
        Err(fault) => fault,
    };
    let mended = match fault {
        ParseAddressError::Symbol { .. } | ParseAddressError::CheckDigits { .. } => mending::nimiq(text),
        _ => None,
    };
    let wrong = if let ParseAddressError::Symbol { position, .. } = fault { Some(position) } else { None };
    Err(AddressProblem::Misspelt {
        chain: Chain::Nimiq,
        reason: fault.to_string(),
        position: wrong.or_else(|| mended.as_ref().and_then(|mended| mended.position)),
        suggestion: mended.map(|mended| mended.address),
    })
}

fn coin(chain: Chain) -> &'static str {
    match chain {
        Chain::PacketCrypt => "PKT",
        Chain::Nimiq => "Nimiq",
    }
}

fn these(chains: &[Chain]) -> String {
    let names: Vec<&str> = chains.iter().map(|chain| coin(*chain)).collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: [Chain; 2] = [Chain::PacketCrypt, Chain::Nimiq];
    const WITNESS: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
    const NIMIQ: &str = "NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9";
    const LEGACY: &str = "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t";

    fn problem(text: &str) -> AddressProblem {
        read(text, &BOTH).unwrap_err()
    }

    #[test]
    fn good_addresses_are_read_in_any_usual_spelling() {
        assert_eq!(read(WITNESS, &BOTH).unwrap().to_string(), WITNESS);
        assert_eq!(read(&format!("  {LEGACY}\n"), &BOTH).unwrap().chain(), Chain::PacketCrypt);
        let nimiq = read(&NIMIQ.replace(' ', "").to_lowercase(), &BOTH).unwrap();
        assert_eq!(nimiq.to_string(), NIMIQ);
        assert_eq!(nimiq.compact(), NIMIQ.replace(' ', ""));
    }

    #[test]
    fn foreign_addresses_are_told_apart() {
        let coin = |text| match problem(text) {
            AddressProblem::OtherCoin { coin, .. } => coin,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(coin("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"), "Bitcoin");
        assert_eq!(coin("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"), "Bitcoin");
        assert_eq!(coin("0x742d35Cc6634C0532925a3b844Bc454e4438f44e"), "Ethereum");
        let only_nimiq = read(WITNESS, &[Chain::Nimiq]).unwrap_err();
        assert_eq!(only_nimiq.to_string(), "this is an address of PKT, and this pool mines Nimiq");
        let only_pkt = read(NIMIQ, &[Chain::PacketCrypt]).unwrap_err();
        assert_eq!(only_pkt.to_string(), "this is an address of Nimiq, and this pool mines PKT");
    }

    #[test]
    fn what_is_no_address_at_all_is_said() {
        assert_eq!(problem(" "), AddressProblem::Empty);
        for text in ["hello", "../../etc/passwd", "<script>", "ü", &"p".repeat(5000)] {
            assert_eq!(problem(text).to_string(), "this is no address of PKT or Nimiq", "{text:.20}");
        }
    }

    #[test]
    fn a_slip_is_found_and_mended() {
        let slip = WITNESS.replacen("6hqs", "6hqz", 1);
        let AddressProblem::Misspelt { position, suggestion, .. } = problem(&slip) else { panic!() };
        assert_eq!((position, suggestion.as_deref()), (Some(9), Some(WITNESS)));
        assert_eq!(problem(&WITNESS.to_uppercase()).suggestion(), Some(WITNESS));
        let swapped = WITNESS.replacen("hq", "qh", 1);
        assert_eq!(problem(&swapped).suggestion(), Some(WITNESS));
        let legacy = LEGACY.replacen("5K", "5L", 1);
        assert_eq!(problem(&legacy).suggestion(), Some(LEGACY));
        let letter = NIMIQ.replacen("UJ2C", "UJZC", 1);
        let AddressProblem::Misspelt { position, suggestion, .. } = problem(&letter) else { panic!() };
        assert_eq!((position, suggestion.as_deref()), (Some(15), Some(NIMIQ)));
        let swapped = NIMIQ.replacen("LDHV", "DLHV", 1);
        assert_eq!(problem(&swapped).suggestion(), Some(NIMIQ));
    }

    proptest! {
        #[test]
        fn every_text_is_read_or_explained(text in "\\PC{0,130}") {
            if let Err(problem) = read(&text, &BOTH) {
                prop_assert!(!problem.to_string().is_empty());
            }
        }

        #[test]
        fn every_single_slip_in_a_witness_address_is_mended(place in 5usize..63, letter in 0usize..31) {
            let letters: Vec<char> = "qpzry9x8gf2tvdw0s3jn54khce6mua7l".chars().collect();
            let mut slip: Vec<char> = WITNESS.chars().collect();
            let others: Vec<char> = letters.into_iter().filter(|other| *other != slip[place]).collect();
            slip[place] = others[letter];
            let slip: String = slip.into_iter().collect();
            let problem = problem(&slip);
            prop_assert_eq!(problem.suggestion(), Some(WITNESS));
        }
    }
}
