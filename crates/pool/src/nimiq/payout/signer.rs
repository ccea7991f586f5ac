//! Who signs payouts: a key in a file ([`key_file`]), or a program that keeps the key to itself ([`agent`]).
//!
//! Whatever comes back is checked before anything is stored: the key must be that of the pool's address, the signature
//! must be over exactly the payment that was asked for. No key is ever shown or logged.

pub mod agent;
pub mod key_file;

use nimiq::transaction::{BasicTransaction, Payment};
use nimiq::{Address, PrivateKey};

pub use self::agent::{Agent, AgentFault};
pub use self::key_file::KeyFileFault;

/// Signs payments from the pool's address.
#[derive(Debug, Clone)]
pub enum Signer {
    /// By itself.
    Key(PrivateKey),
    /// By asking a program.
    Agent(Agent),
}

/// Why a payment was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignFault {
    /// The key pays from somewhere else.
    #[error("the key is that of {key}, not of the pool's address {pool}")]
    OtherAddress {
        /// Whose key it is.
        key: Address,
        /// Whose it should be.
        pool: Address,
    },
    /// The signature is over something else, or by somebody else.
    #[error("the signature is not the key's over this payment")]
    WrongSignature,
    /// The program gave none.
    #[error(transparent)]
    Agent(#[from] AgentFault),
}

impl Signer {
    /// Whether payments will be from `pool`, as far as that is known before the first.
    pub fn check(&self, pool: Address) -> Result<(), SignFault> {
        match self {
            Self::Key(key) => same_address(key.public_key().address(), pool),
            Self::Agent(_) => Ok(()),
        }
    }

    /// Signs a payment from `pool`.
    pub(super) async fn sign(&self, payment: &Payment, pool: Address) -> Result<BasicTransaction, SignFault> {
        let signed = match self {
            Self::Key(key) => payment.sign(key),
            Self::Agent(agent) => agent.sign(payment, pool).await?,
        };
        same_address(signed.public_key.address(), pool)?;
        if signed.payment == *payment && signed.verifies() {
            Ok(signed)
        } else {
            Err(SignFault::WrongSignature)
        }
    }
}

fn same_address(key: Address, pool: Address) -> Result<(), SignFault> {
    if key == pool { Ok(()) } else { Err(SignFault::OtherAddress { key, pool }) }
}
