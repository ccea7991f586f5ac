//! The one address that differs from a misspelt text by a single slip: a wrong character, or two that changed places.
//!
//! Checksums tell. Where several addresses are as near, nothing is suggested: coins would go to a stranger.

use nimiq::Address;
use wire::PktAddress;

const BECH32: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Letters that Nimiq addresses do not have, and the symbols that they are taken for.
const LOOKALIKES: [(u8, u8); 4] = [(b'O', b'0'), (b'I', b'1'), (b'Z', b'2'), (b'W', b'V')];

/// What was probably meant.
pub(super) struct Mended {
    pub(super) address: String,
    /// The wrong character, counted from 1 without spaces.
    pub(super) position: Option<usize>,
}

/// The same in lower case, if that is an address.
pub(super) fn in_lower_case(text: &str) -> Option<Mended> {
    let lower = text.to_ascii_lowercase();
    read_packetcrypt(lower.as_bytes()).map(|address| Mended { address, position: None })
}

/// An address of PacketCrypt.
pub(super) fn packetcrypt(text: &str) -> Option<Mended> {
    let is_witness = text.to_ascii_lowercase().starts_with("pkt1");
    if is_witness {
        let lower = text.to_ascii_lowercase();
        only_one(lower.as_bytes(), "pkt1".len(), BECH32, read_packetcrypt)
    } else {
        only_one(text.as_bytes(), 1, BASE58, read_packetcrypt)
    }
}

/// An address of Nimiq. Its two check digits find a wrong character, but many characters would please them; what is
/// mended is a letter that looks like another, or two that changed places.
pub(super) fn nimiq(text: &str) -> Option<Mended> {
    let mut symbols: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    symbols.make_ascii_uppercase();
    let mut mended = symbols.clone();
    for symbol in mended.iter_mut().skip(2) {
        if let Some((_, meant)) = LOOKALIKES.iter().find(|(letter, _)| letter == symbol) {
            *symbol = *meant;
        }
    }
    if mended != symbols {
        let position = mended.iter().zip(&symbols).position(|(one, other)| one != other);
        let address = read_nimiq(&mended)?;
        return Some(Mended { address, position: position.map(|place| place + 1) });
    }
    only_one(&symbols, 4, &[], read_nimiq)
}

/// Tries every other letter in every place from `first` on, and every swap of two neighbours.
fn only_one(
    text: &[u8],
    first: usize,
    letters: &[u8],
    read: impl Fn(&[u8]) -> Option<String>,
) -> Option<Mended> {
    let mut found: Option<Mended> = None;
    let mut tried = text.to_vec();
    for place in first..text.len() {
        for letter in letters.iter().filter(|letter| **letter != text[place]) {
            tried[place] = *letter;
            add(&mut found, read(&tried), place)?;
        }
        tried[place] = text[place];
        if place + 1 < text.len() && text[place] != text[place + 1] {
            tried.swap(place, place + 1);
            add(&mut found, read(&tried), place)?;
            tried.swap(place, place + 1);
        }
    }
    found
}

/// `None` as soon as there are two.
fn add(found: &mut Option<Mended>, address: Option<String>, place: usize) -> Option<()> {
    let Some(address) = address else { return Some(()) };
    if found.is_some() {
        return None;
    }
    *found = Some(Mended { address, position: Some(place + 1) });
    Some(())
}

fn read_packetcrypt(text: &[u8]) -> Option<String> {
    let address: PktAddress = str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.to_string())
}

fn read_nimiq(text: &[u8]) -> Option<String> {
    Address::parse(str::from_utf8(text).ok()?).ok().map(|address| address.to_string())
}
