//! Whether a share is a block, and whether the whole block that came with it is that one (step 8).

use super::SmartShare;
use super::refusal::Refusal;
use crate::{Block, Header, ProofOfWork};

/// What a good share is besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Find {
    /// Nothing more: it misses the network's target.
    Share,
    /// A block, to be submitted. The body of a nano or dumb client's is the pool's own.
    Header,
    /// A block, to be submitted as it came from a smart client.
    Block(Box<Block>),
    /// A block whose body the smart client did not send, perhaps because its own chain refused it. It is credited, and
    /// somebody should look into it.
    WithoutBody,
}

impl Find {
    /// Of a nano or dumb client.
    pub fn of_header(header: &Header, proof_of_work: &ProofOfWork) -> Self {
        if is_block(header, proof_of_work) { Self::Header } else { Self::Share }
    }

    /// Of a smart client. A whole block must be the one of the share, also where it is none that the network takes.
    pub fn of_smart(share: &SmartShare, proof_of_work: &ProofOfWork) -> Result<Self, Refusal> {
        let is_block = is_block(&share.header, proof_of_work);
        let Some(bytes) = &share.block else {
            return Ok(if is_block { Self::WithoutBody } else { Self::Share });
        };
        let block = Block::parse(bytes).map_err(|_| Refusal::InvalidBlock)?;
        if block.header != share.header || !block.has_its_body() {
            return Err(Refusal::InvalidBlock);
        }
        Ok(if is_block { Self::Block(Box::new(block)) } else { Self::Share })
    }
}

fn is_block(header: &Header, proof_of_work: &ProofOfWork) -> bool {
    header.target.target().is_met_by(proof_of_work)
}

#[cfg(test)]
mod tests {
    use super::super::next_block::tests::{header, second_block};
    use super::*;
    use crate::MerklePath;

    const LUCKY: ProofOfWork = ProofOfWork([0; 32]);
    const POOR: ProofOfWork = ProofOfWork([1; 32]);

    fn block() -> Block {
        let next = second_block();
        let body = crate::body::tests::body(2);
        Block { header: Header { body_hash: body.hash(), ..header(&next) }, interlink: next.interlink, body }
    }

    fn of(block: Option<Vec<u8>>, proof_of_work: &ProofOfWork) -> Result<Find, Refusal> {
        let share = SmartShare {
            header: self::block().header,
            miner_proof: MerklePath::default(),
            extra_data_proof: MerklePath::default(),
            block,
        };
        Find::of_smart(&share, proof_of_work)
    }

    #[test]
    fn a_block_is_submitted_as_it_came() {
        let block = block();
        assert_eq!(of(Some(block.to_bytes()), &LUCKY), Ok(Find::Block(Box::new(block.clone()))));
        assert_eq!(of(Some(block.to_bytes()), &POOR), Ok(Find::Share));
        assert_eq!(of(None, &LUCKY), Ok(Find::WithoutBody));
        assert_eq!(of(None, &POOR), Ok(Find::Share));
        assert_eq!(Find::of_header(&block.header, &LUCKY), Find::Header);
        assert_eq!(Find::of_header(&block.header, &POOR), Find::Share);
    }

    #[test]
    fn another_block_than_the_shares_is_refused() {
        let mut other = block();
        other.header.nonce += 1;
        let mut without_its_body = block();
        without_its_body.body.transactions.pop();
        for bytes in [other.to_bytes(), without_its_body.to_bytes(), block().to_light().to_bytes(), vec![]] {
            for proof_of_work in [&LUCKY, &POOR] {
                assert_eq!(of(Some(bytes.clone()), proof_of_work), Err(Refusal::InvalidBlock));
            }
        }
    }
}
