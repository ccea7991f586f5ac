//! Transactions that wait for a block.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.8, 2.11 and 3.6.

use nimiq::transaction::block_order;
use nimiq::{Address, Height, Luna, Transaction, TransactionHash};

use super::chain::{Chain, NETWORK};

/// Waiting transactions of one sender at most; more are refused without a word.
const MOST_OF_A_SENDER: usize = 500;
/// Waiting transactions of one sender that pay less than a luna for each byte; more are refused without a word.
const MOST_FREE_OF_A_SENDER: usize = 10;
/// Bytes of transactions in a block: what is left of its 100,000 beside the largest header, interlink and body head.
const BLOCK_ROOM: usize = 100_000 - 16 * 1024;

/// What became of a transaction that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It waits, or waited already.
    Waiting,
    /// It is in the chain.
    Mined,
    /// It does not wait, and the sender is not told.
    Dropped,
    /// It is no good.
    Invalid,
}

/// The waiting transactions, in the order in which they came.
#[derive(Debug, Default)]
pub struct Mempool(Vec<(TransactionHash, Transaction)>);

impl Mempool {
    /// The waiting transactions, in the order in which they came.
    pub fn waiting(&self) -> impl Iterator<Item = (&TransactionHash, &Transaction)> {
        self.0.iter().map(|(hash, transaction)| (hash, transaction))
    }

    /// A waiting transaction.
    pub fn find(&self, hash: &TransactionHash) -> Option<&Transaction> {
        self.0.iter().find(|(waiting, _)| waiting == hash).map(|(_, transaction)| transaction)
    }

    /// Takes a transaction that the next block may hold.
    pub fn send(&mut self, transaction: Transaction, chain: &Chain) -> Sent {
        let hash = transaction.hash();
        if chain.inclusion(&hash).is_some() {
            return Sent::Mined;
        }
        if self.find(&hash).is_some() {
            return Sent::Waiting;
        }
        let valid = transaction.content().is_valid_at(next_height(chain));
        if valid { self.take(hash, transaction, chain) } else { Sent::Invalid }
    }

    /// Takes a transaction that a block may hold, now or later.
    fn take(&mut self, hash: TransactionHash, transaction: Transaction, chain: &Chain) -> Sent {
        if transaction.check(NETWORK.id()).is_err() || !self.is_payable(&transaction, chain) {
            return Sent::Invalid;
        }
        let sender = transaction.content().sender.address;
        let of_sender = || self.0.iter().filter(|(_, waiting)| waiting.content().sender.address == sender);
        let free = of_sender().filter(|(_, waiting)| is_free(waiting)).count();
        let full = of_sender().count() >= MOST_OF_A_SENDER;
        if full || (is_free(&transaction) && free >= MOST_FREE_OF_A_SENDER) {
            return Sent::Dropped;
        }
        self.0.push((hash, transaction));
        Sent::Waiting
    }

    /// Whether its sender can pay for it and for all of its own that wait.
    fn is_payable(&self, transaction: &Transaction, chain: &Chain) -> bool {
        let sender = transaction.content().sender.address;
        let waiting = self.0.iter().map(|(_, waiting)| waiting);
        let of_sender = waiting.filter(|waiting| waiting.content().sender.address == sender);
        let costs = of_sender.chain([transaction]).map(cost).collect::<Option<Vec<_>>>();
        costs.and_then(Luna::checked_sum).is_some_and(|total| total <= chain.accounts().balance(&sender))
    }

    /// Drops what the chain holds now or can no longer hold, and takes back what it has lost.
    pub fn follow(&mut self, chain: &Chain, lost: Vec<Transaction>) {
        let lost: Vec<_> = lost.into_iter().map(|transaction| (transaction.hash(), transaction)).collect();
        let before = std::mem::take(&mut self.0);
        let next = next_height(chain);
        for (hash, transaction) in lost.into_iter().chain(before) {
            let content = transaction.content();
            // On a shorter branch one may have to wait for its time again.
            let in_time = content.is_valid_at(next) || content.validity_start > next;
            if in_time && chain.inclusion(&hash).is_none() && self.find(&hash).is_none() {
                self.take(hash, transaction, chain);
            }
        }
    }

    /// The transactions of the next block, in block order: those that pay most for each byte, as many as fit.
    pub fn for_block(&self, chain: &Chain) -> Vec<Transaction> {
        let next = next_height(chain);
        let valid =
            self.0.iter().map(|(_, waiting)| waiting).filter(|waiting| waiting.content().is_valid_at(next));
        let mut best: Vec<_> = valid.map(|transaction| (transaction, transaction.to_bytes().len())).collect();
        best.sort_by_key(|(transaction, size)| std::cmp::Reverse(transaction.content().fee.0 / *size as u64));
        let mut room = BLOCK_ROOM;
        best.retain(|(_, size)| {
            let fits = *size <= room;
            room -= if fits { *size } else { 0 };
            fits
        });
        let mut chosen: Vec<Transaction> =
            best.into_iter().map(|(transaction, _)| transaction.clone()).collect();
        chosen.sort_by(|first, second| block_order(&first.content(), &second.content()));
        chosen
    }

    /// What an address spends in waiting transactions.
    pub fn transactions_of(&self, address: &Address) -> impl Iterator<Item = &Transaction> {
        self.0.iter().map(|(_, waiting)| waiting).filter(move |waiting| {
            let content = waiting.content();
            content.sender.address == *address || content.recipient.address == *address
        })
    }
}

fn next_height(chain: &Chain) -> Height {
    chain.head().block.header.height.next()
}

fn cost(transaction: &Transaction) -> Option<Luna> {
    let content = transaction.content();
    content.value.checked_add(content.fee)
}

fn is_free(transaction: &Transaction) -> bool {
    transaction.content().fee.0 < transaction.to_bytes().len() as u64
}
