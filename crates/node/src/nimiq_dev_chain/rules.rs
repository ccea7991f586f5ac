//! What a submitted block must be.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.2 to 2.12. The real node answers nothing where one is broken; the log says which.

use std::cmp::Ordering;

use nimiq::share::{NextBlock, Refusal};
use nimiq::transaction::{Defect, block_order};
use nimiq::{Block, ProofOfWork, Timestamp, TransactionHash};

use super::accounts::AccountsFault;
use super::chain::{Chain, NETWORK};

/// The rule that a block breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Its header does not follow from the head.
    #[error("the header does not follow from the head: {}", .0.code())]
    Header(Refusal),
    /// Its interlink is not the one that follows.
    #[error("the interlink is not the one that follows from the head")]
    Interlink,
    /// Its proof of work is too little.
    #[error("the proof of work {0} misses the target")]
    Work(ProofOfWork),
    /// Its transactions are not in the order that blocks have.
    #[error("the transactions are out of order")]
    Order,
    /// A transaction is no good by itself.
    #[error("transaction {0}: {1}")]
    Transaction(TransactionHash, Defect),
    /// A transaction may not stand at this height.
    #[error("transaction {0} is not valid at this height")]
    Validity(TransactionHash),
    /// A transaction stands in the chain already.
    #[error("transaction {0} is in the chain already")]
    Repeated(TransactionHash),
    /// The money is not there.
    #[error(transparent)]
    Accounts(#[from] AccountsFault),
    /// It commits to other balances.
    #[error("the accounts hash is not that of the balances after the block")]
    AccountsHash,
}

/// Checks a block on the head, whose body is known to be its own.
pub fn check(
    chain: &Chain,
    block: &Block,
    proof_of_work: &ProofOfWork,
    now: Timestamp,
) -> Result<(), Violation> {
    let next: NextBlock = chain.next_block();
    next.check(&block.header, now).map_err(Violation::Header)?;
    if block.interlink != next.interlink {
        return Err(Violation::Interlink);
    }
    if !next.target.target().is_met_by(proof_of_work) {
        return Err(Violation::Work(*proof_of_work));
    }
    let contents: Vec<_> = block.body.transactions.iter().map(nimiq::Transaction::content).collect();
    if contents.windows(2).any(|pair| block_order(&pair[0], &pair[1]) != Ordering::Less) {
        return Err(Violation::Order);
    }
    for (transaction, content) in block.body.transactions.iter().zip(&contents) {
        let hash = content.hash();
        transaction.check(NETWORK.id()).map_err(|defect| Violation::Transaction(hash, defect))?;
        if !content.is_valid_at(block.header.height) {
            return Err(Violation::Validity(hash));
        }
        if chain.inclusion(&hash).is_some() {
            return Err(Violation::Repeated(hash));
        }
    }
    let mut accounts = chain.accounts().clone();
    accounts.apply(&block.body, block.header.height)?;
    if accounts.commitment() != block.header.accounts_hash {
        return Err(Violation::AccountsHash);
    }
    Ok(())
}
