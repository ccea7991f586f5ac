//! Who owns what: basic accounts only, and what a block changes in them.

use std::collections::BTreeMap;

use nimiq::account::AccountType;
use nimiq::hash::blake2b_256;
use nimiq::reward::block_reward;
use nimiq::{AccountsHash, Address, Body, Height, Luna};

/// All balances above zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts(BTreeMap<Address, Luna>);

/// Why the accounts do not allow a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountsFault {
    /// Somebody spends more than they have.
    #[error("{sender} spends more than the {balance} that it has")]
    Overspent {
        /// Who.
        sender: Address,
        /// What it had before the block.
        balance: Luna,
    },
    /// An account that is not basic is paid or removed.
    #[error("this chain has basic accounts only")]
    Contract,
    /// Amounts beyond all money that there is.
    #[error("the amounts are more than there is")]
    TooMuch,
}

impl Accounts {
    /// What an address has.
    pub fn balance(&self, address: &Address) -> Luna {
        self.0.get(address).copied().unwrap_or_default()
    }

    /// Takes and gives what the block at `height` says; senders pay from what they had before it. Unchanged on error.
    pub fn apply(&mut self, body: &Body, height: Height) -> Result<(), AccountsFault> {
        let transactions = body.transactions.iter().map(nimiq::Transaction::content);
        let mut spent: BTreeMap<Address, Luna> = BTreeMap::new();
        let mut gained = vec![(body.miner, income(body, height)?)];
        for content in transactions {
            if content.recipient.account_type != AccountType::Basic || !body.pruned_accounts.is_empty() {
                return Err(AccountsFault::Contract);
            }
            let cost = content.value.checked_add(content.fee).ok_or(AccountsFault::TooMuch)?;
            let sum = spent.entry(content.sender.address).or_default();
            *sum = sum.checked_add(cost).ok_or(AccountsFault::TooMuch)?;
            gained.push((content.recipient.address, content.value));
        }
        for (sender, cost) in &spent {
            let balance = self.balance(sender);
            if balance < *cost {
                return Err(AccountsFault::Overspent { sender: *sender, balance });
            }
        }
        // What was had covers what is spent, so no sum exceeds all the money that there is.
        for (sender, cost) in spent {
            self.set(sender, self.balance(&sender).0 - cost.0);
        }
        for (recipient, amount) in gained {
            self.set(recipient, self.balance(&recipient).0 + amount.0);
        }
        Ok(())
    }

    /// Undoes what [`apply`](Self::apply) did for the same block.
    pub fn revert(&mut self, body: &Body, height: Height) {
        let Ok(income) = income(body, height) else { return };
        let contents: Vec<_> = body.transactions.iter().map(nimiq::Transaction::content).collect();
        for content in &contents {
            let sender = content.sender.address;
            self.set(sender, self.balance(&sender).0 + content.value.0 + content.fee.0);
        }
        let gained = contents.iter().map(|content| (content.recipient.address, content.value));
        for (recipient, amount) in gained.chain([(body.miner, income)]) {
            self.set(recipient, self.balance(&recipient).0.saturating_sub(amount.0));
        }
    }

    /// Our own commitment to all balances, where the real node has the root of its tree.
    pub fn commitment(&self) -> AccountsHash {
        let balances = self.0.iter().map(|(address, balance)| (address.0, balance.0.to_be_bytes()));
        let bytes: Vec<u8> =
            balances.flat_map(|(address, balance)| [&address[..], &balance].concat()).collect();
        AccountsHash(blake2b_256(&[&bytes]))
    }

    fn set(&mut self, address: Address, balance: u64) {
        if balance == 0 {
            self.0.remove(&address);
        } else {
            self.0.insert(address, Luna(balance));
        }
    }
}

/// What the miner of a block gets.
fn income(body: &Body, height: Height) -> Result<Luna, AccountsFault> {
    body.fees().and_then(|fees| fees.checked_add(block_reward(height))).ok_or(AccountsFault::TooMuch)
}

#[cfg(test)]
mod tests {
    use nimiq::transaction::Payment;
    use nimiq::{ExtraData, Network, PrivateKey, Transaction};

    use super::*;

    fn body(miner: Address, transactions: Vec<Transaction>) -> Body {
        Body { miner, extra_data: ExtraData::default(), transactions, pruned_accounts: Vec::new() }
    }

    #[test]
    fn a_block_pays_its_miner_and_its_transactions_and_can_be_undone() {
        let (key, other) = (PrivateKey::new(&[1; 32]), Address([9; 20]));
        let miner = key.public_key().address();
        let mut accounts = Accounts::default();
        accounts.apply(&body(miner, vec![]), Height(2)).unwrap();
        let reward = block_reward(Height(2));
        assert_eq!(accounts.balance(&miner), reward);
        let pay = |value: u64| {
            let payment = Payment {
                recipient: other,
                value: Luna(value),
                fee: Luna(3),
                validity_start: Height(1),
                network: Network::Dev.id(),
            };
            Transaction::from(payment.sign(&key))
        };
        let before = accounts.clone();
        let block = body(other, vec![pay(10), pay(20)]);
        accounts.apply(&block, Height(3)).unwrap();
        assert_eq!(accounts.balance(&miner).0, reward.0 - 36);
        assert_eq!(accounts.balance(&other).0, block_reward(Height(3)).0 + 36);
        assert_ne!(accounts.commitment(), before.commitment());
        accounts.revert(&block, Height(3));
        assert_eq!(accounts, before);
        let fault = accounts.apply(&body(other, vec![pay(reward.0 - 3), pay(1)]), Height(3));
        assert!(matches!(fault, Err(AccountsFault::Overspent { .. })));
        assert_eq!(accounts, before);
    }
}
