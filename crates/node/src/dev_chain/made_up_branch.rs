//! A branch that consists of nothing but targets and times, for tests of the rules.

use packetcrypt::{CompactTarget, Height, block::header::Header};

use super::{
    rules::{BlockPlace, Branch},
    store::Origin,
};

/// A branch made of bits and times, oldest first, beginning at height 0.
#[derive(Default)]
pub struct Headers(pub Vec<(CompactTarget, u32)>);

impl Headers {
    fn place(&self, height: usize) -> BlockPlace {
        let (bits, time) = self.0[height];
        let header = Header { bits, time, ..Header::from_bytes(&[0; 80]) };
        let origin = if height == 0 { Origin::Commanded } else { Origin::Mined };
        BlockPlace { height: Height(height as u32), origin, header }
    }
}

impl Branch for Headers {
    fn tip(&self) -> BlockPlace {
        self.place(self.0.len() - 1)
    }
    fn ancestors(&self) -> impl Iterator<Item = BlockPlace> {
        (0..self.0.len()).rev().map(|height| self.place(height))
    }
}
