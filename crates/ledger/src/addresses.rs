//! The addresses that events name, each as a small number while any event names it.

use hashbrown::HashMap;
use wire::PktAddress;

/// An address of the [`Addresses`] that gave it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AddressNumber(pub(crate) u32);

impl AddressNumber {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// All addresses with events. Numbers are used again, so tables indexed by them stay as long as there are
/// addresses at one time.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    by_text: HashMap<Box<str>, AddressNumber>,
    by_address: HashMap<PktAddress, AddressNumber>,
    decoded: Vec<PktAddress>,
    /// Events that name each of them. Apart from the addresses, because these are counted millions of times.
    events: Vec<u32>,
    free: Vec<AddressNumber>,
}

impl Addresses {
    /// One more than the highest number given out: the length of a table by address.
    pub(crate) fn len(&self) -> usize {
        self.decoded.len()
    }

    /// The address that has this number.
    pub(crate) fn get(&self, number: AddressNumber) -> PktAddress {
        self.decoded[number.index()]
    }

    /// The address that is written so, if an event names it already: spares decoding it again.
    pub(crate) fn known(&self, text: &str) -> Option<PktAddress> {
        self.by_text.get(text).map(|number| self.get(*number))
    }

    /// The number of an address, if an event names it.
    pub(crate) fn find(&self, address: PktAddress) -> Option<AddressNumber> {
        self.by_address.get(&address).copied()
    }

    /// The number of an address, which soon an event will name.
    pub(crate) fn number(&mut self, address: PktAddress) -> AddressNumber {
        match self.by_address.get(&address) {
            Some(number) => *number,
            None => self.insert(address),
        }
    }

    /// The number of an address that is written so, which soon an event will name; `None`: it is none.
    pub(crate) fn number_of_text(&mut self, text: &str) -> Option<AddressNumber> {
        match self.by_text.get(text) {
            Some(number) => Some(*number),
            None => text.parse().ok().map(|address| self.number(address)),
        }
    }

    /// One more event names this address.
    pub(crate) fn add_event(&mut self, address: PktAddress) -> AddressNumber {
        let number = self.number(address);
        self.add_event_of(number);
        number
    }

    /// One more event names an address that has a number.
    pub(crate) fn add_event_of(&mut self, number: AddressNumber) {
        self.events[number.index()] += 1;
    }

    /// One event less names it; without any its number is free.
    pub(crate) fn remove_event(&mut self, number: AddressNumber) {
        let events = &mut self.events[number.index()];
        *events -= 1;
        if *events == 0 {
            let address = self.decoded[number.index()];
            self.by_text.remove(address.to_string().as_str());
            self.by_address.remove(&address);
            self.free.push(number);
        }
    }

    fn insert(&mut self, address: PktAddress) -> AddressNumber {
        let number = if let Some(number) = self.free.pop() {
            self.decoded[number.index()] = address;
            number
        } else {
            self.decoded.push(address);
            self.events.push(0);
            AddressNumber(self.decoded.len() as u32 - 1)
        };
        self.by_text.insert(address.to_string().into(), number);
        self.by_address.insert(address, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_free_when_no_event_names_its_address() {
        let [first, second]: [PktAddress; 2] = [
            "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t".parse().unwrap(),
            "pKTcgnvpPdXQ6HztTC5snBc69887g471zE".parse().unwrap(),
        ];
        let mut addresses = Addresses::default();
        let number = addresses.add_event(first);
        assert_eq!(addresses.add_event(first), number);
        addresses.remove_event(number);
        assert_eq!(addresses.known("pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t"), Some(first));
        addresses.remove_event(number);
        assert_eq!(addresses.known("pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t"), None);
        assert_eq!(addresses.add_event(second), number, "the number is used again");
        assert_eq!((addresses.get(number), addresses.len()), (second, 1));
    }
}
