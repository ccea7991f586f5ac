//! The heads of the last minutes: which of them a share is on, and whether it can still count (step 2).

use std::collections::VecDeque;

use super::NextBlock;
use crate::{BlockHash, Header};

/// How many heads, besides the present one, are remembered.
const REMEMBERED: usize = 10;

/// What must be on top of each of the last heads, the newest first.
#[derive(Clone, Debug, Default)]
pub struct RecentHeads {
    heads: VecDeque<NextBlock>,
}

/// Where a share stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement<'a> {
    /// On the head: it counts, and may become the next one.
    OnHead(&'a NextBlock),
    /// It is one of the last heads itself, heard of before its share came: it counts, and need not be submitted.
    IsHead(&'a NextBlock),
    /// On a block that was the head a moment ago: [`Refusal::Expired`](super::Refusal::Expired).
    Expired,
    /// On a block that is not known. Either the node has a newer head, or it is
    /// [`Refusal::BadPrevious`](super::Refusal::BadPrevious).
    Unknown,
}

impl RecentHeads {
    /// Puts a head before all others. Where `next` is on the newest already, it only takes its place.
    pub fn push(&mut self, next: NextBlock) {
        match self.heads.front_mut() {
            Some(newest) if newest.previous == next.previous => *newest = next,
            _ => self.heads.push_front(next),
        }
        // One more than is remembered: a remembered head's own share runs against its predecessor.
        self.heads.truncate(REMEMBERED + 2);
    }

    /// What must be on top of the present head; `None` before the first.
    pub fn newest(&self) -> Option<&NextBlock> {
        self.heads.front()
    }

    /// Where the share with this header stands.
    pub fn place(&self, header: &Header, hash: &BlockHash) -> Placement<'_> {
        let on = |previous: &BlockHash| self.heads.iter().position(|next| next.previous == *previous);
        let predecessor = on(&header.previous);
        if let (Some(index), Some(_)) = (predecessor, on(hash).filter(|index| *index < REMEMBERED)) {
            return Placement::IsHead(&self.heads[index]);
        }
        match predecessor {
            Some(0) => Placement::OnHead(&self.heads[0]),
            Some(index) if index <= REMEMBERED => Placement::Expired,
            _ => Placement::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::next_block::tests::{header, second_block};
    use super::*;

    /// Heads 0 to `count` − 1, each of which has its number as its hash.
    fn heads(count: u8) -> RecentHeads {
        let mut heads = RecentHeads::default();
        for number in 0..count {
            heads.push(NextBlock { previous: BlockHash([number; 32]), ..second_block() });
        }
        heads
    }

    fn on(number: u8) -> Header {
        Header { previous: BlockHash([number; 32]), ..header(&second_block()) }
    }

    #[test]
    fn a_share_is_on_the_head_or_expired_or_unknown() {
        let heads = heads(20);
        let place = |number| heads.place(&on(number), &on(number).hash());
        assert_eq!(place(19), Placement::OnHead(heads.newest().unwrap()));
        assert_eq!(place(18), Placement::Expired);
        assert_eq!(place(9), Placement::Expired);
        assert_eq!(place(8), Placement::Unknown);
        assert_eq!(place(20), Placement::Unknown);
    }

    #[test]
    fn a_block_that_came_before_its_share_still_counts() {
        let heads = heads(20);
        for number in [19, 15, 10] {
            let Placement::IsHead(next) = heads.place(&on(number - 1), &BlockHash([number; 32])) else {
                panic!("block {number} is a recent head");
            };
            assert_eq!(next.previous, BlockHash([number - 1; 32]));
        }
        assert_eq!(heads.place(&on(8), &BlockHash([9; 32])), Placement::Unknown);
    }

    #[test]
    fn a_head_that_is_pushed_again_takes_its_own_place() {
        let mut heads = heads(3);
        heads.push(NextBlock { previous: BlockHash([2; 32]), ..second_block() });
        assert_eq!(heads.place(&on(1), &on(1).hash()), Placement::Expired);
        assert_eq!(heads.heads.len(), 3);
    }
}
