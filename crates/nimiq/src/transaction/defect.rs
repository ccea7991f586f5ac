//! What makes a transaction invalid by itself, whatever the chain holds.

use super::Transaction;
use crate::account::AccountType;
use crate::{Address, FormatError, NetworkId, SignatureProof};

/// The most data that a basic account takes.
const LONGEST_BASIC_DATA: usize = 64;

/// Why no block may hold a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// It pays nothing.
    #[error("the value of a transaction is at least 1 luna")]
    NoValue,
    /// It pays its own sender.
    #[error("the transaction pays its own sender, {address}")]
    SameParties {
        /// Both of them.
        address: Address,
    },
    /// It belongs to another network.
    #[error("the transaction is for network {}, not for {}", found.0, expected.0)]
    Network {
        /// This network.
        expected: NetworkId,
        /// The transaction's.
        found: NetworkId,
    },
    /// A basic account is sent more data than it takes.
    #[error("a basic account takes at most {LONGEST_BASIC_DATA} bytes of data, not {found}")]
    Data {
        /// How many there are.
        found: usize,
    },
    /// Its proof is no signature proof, or longer than one.
    #[error("the proof is none: {0}")]
    ProofForm(#[from] FormatError),
    /// Its proof does not hold.
    #[error("{sender} did not sign this transaction")]
    Signature {
        /// Who should have.
        sender: Address,
    },
    /// A contract pays, and only the accounts tree tells who may make it.
    #[error("whether the contract {sender} may pay is for a full node to say")]
    Contract {
        /// The contract.
        sender: Address,
    },
}

impl Transaction {
    /// Checks all that can be known without the chain: value, parties, network, data, signature.
    pub fn check(&self, network: NetworkId) -> Result<(), Defect> {
        let content = self.content();
        let sender = content.sender.address;
        if content.value.0 == 0 {
            return Err(Defect::NoValue);
        }
        if sender == content.recipient.address {
            return Err(Defect::SameParties { address: sender });
        }
        if content.network != network {
            return Err(Defect::Network { expected: network, found: content.network });
        }
        if content.recipient.account_type == AccountType::Basic && content.data.len() > LONGEST_BASIC_DATA {
            return Err(Defect::Data { found: content.data.len() });
        }
        if content.sender.account_type != AccountType::Basic {
            return Err(Defect::Contract { sender });
        }
        let signed = match self {
            Self::Basic(transaction) => transaction.verifies(),
            Self::Extended(transaction) => {
                SignatureProof::parse(&transaction.proof)?.proves(&sender, &content.to_bytes())
            }
        };
        signed.then_some(()).ok_or(Defect::Signature { sender })
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::tests::content;
    use super::super::{Content, ExtendedTransaction, Party};
    use super::*;
    use crate::{Luna, PrivateKey};

    const NETWORK: NetworkId = NetworkId(2);

    fn signed(content: &Content) -> Transaction {
        let key = PrivateKey::new(&[7; 32]);
        let content = Content { sender: Party::basic(key.public_key().address()), ..content.clone() };
        let proof = SignatureProof::sign(&key, &content.to_bytes()).to_bytes();
        ExtendedTransaction { content, proof }.into()
    }

    #[test]
    fn a_signed_transaction_has_no_defect() {
        assert_eq!(signed(&content()).check(NETWORK), Ok(()));
        assert_eq!(signed(&Content { data: vec![0; 64], ..content() }).check(NETWORK), Ok(()));
    }

    #[test]
    fn each_defect_is_named() {
        let key = PrivateKey::new(&[7; 32]).public_key().address();
        let check = |content: Content| signed(&content).check(NETWORK).unwrap_err();
        assert_eq!(check(Content { value: Luna(0), ..content() }), Defect::NoValue);
        let recipient = Party::basic(key);
        assert_eq!(check(Content { recipient, ..content() }), Defect::SameParties { address: key });
        let (expected, found) = (NETWORK, NetworkId(42));
        assert_eq!(check(Content { network: found, ..content() }), Defect::Network { expected, found });
        assert_eq!(check(Content { data: vec![0; 65], ..content() }), Defect::Data { found: 65 });
        let Transaction::Extended(mut longer) = signed(&content()) else { panic!("the long form was built") };
        longer.proof.push(0);
        assert!(matches!(Transaction::from(longer.clone()).check(NETWORK), Err(Defect::ProofForm(_))));
        longer.proof.pop();
        longer.content.sender.account_type = AccountType::Vesting;
        assert_eq!(Transaction::from(longer.clone()).check(NETWORK), Err(Defect::Contract { sender: key }));
        longer.content.sender.account_type = AccountType::Basic;
        longer.content.fee = Luna(2);
        assert_eq!(Transaction::from(longer).check(NETWORK), Err(Defect::Signature { sender: key }));
    }
}
