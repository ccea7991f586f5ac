//! Who may ask: the user that may do everything, and the limited one.
//!
//! Source: `docs/protocol/packetcrypt-blocks.md` 7.1.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What the limited user may call.
const LIMITED: &[&str] = &[
    "submitblock",
    "getblock",
    "getblockheader",
    "getblockhash",
    "getblockcount",
    "getbestblock",
    "getbestblockhash",
    "getdifficulty",
    "getcurrentnet",
    "getinfo",
    "getnetworkhashps",
    "getrawmempool",
    "uptime",
    "validateaddress",
    "version",
];

/// What somebody who logged in may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Full,
    /// Only what changes nothing, and submitting blocks.
    Limited,
}

impl Access {
    /// Whether the method may be called.
    pub fn allows(self, method: &str) -> bool {
        match self {
            Self::Full => true,
            Self::Limited => LIMITED.contains(&method),
        }
    }
}

/// A user and a password, kept as a digest: nothing to print by accident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login([u8; 32]);

impl Login {
    /// Of a user with a password.
    pub fn new(user: &str, password: &str) -> Self {
        Self(Sha256::digest(format!("{user}:{password}")).into())
    }

    fn is(&self, pair: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(pair).into();
        self.0.ct_eq(&digest).into()
    }
}

/// Who may log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RpcUsers {
    /// Who may do everything; `None`: everybody, without logging in.
    pub full: Option<Login>,
    /// Who may do little.
    pub limited: Option<Login>,
}

impl RpcUsers {
    /// One user, who may do everything.
    pub fn only(user: &str, password: &str) -> Self {
        Self { full: Some(Login::new(user, password)), limited: None }
    }

    /// What the sender of this `Authorization` header may do; `None`: nothing.
    pub fn access(&self, authorization: Option<&[u8]>) -> Option<Access> {
        let Some(full) = &self.full else { return Some(Access::Full) };
        let pair = STANDARD.decode(authorization?.strip_prefix(b"Basic ")?).ok()?;
        if full.is(&pair) {
            return Some(Access::Full);
        }
        self.limited.as_ref().filter(|limited| limited.is(&pair)).map(|_| Access::Limited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_gets_what_is_theirs() {
        let users = RpcUsers { limited: Some(Login::new("a", "b")), ..RpcUsers::only("x", "y") };
        assert_eq!(users.access(Some(b"Basic eDp5")), Some(Access::Full));
        assert_eq!(users.access(Some(b"Basic YTpi")), Some(Access::Limited));
        for header in [None, Some(&b"Basic eDp6"[..]), Some(b"Basic ?"), Some(b"eDp5"), Some(b"")] {
            assert_eq!(users.access(header), None);
        }
        assert_eq!(RpcUsers::default().access(None), Some(Access::Full));
    }

    #[test]
    fn the_limited_user_may_submit_but_not_configure() {
        assert!(Access::Limited.allows("submitblock"));
        for method in ["getrawblocktemplate", "checkpcshare", "configureminingpayouts", "devchain_extend"] {
            assert!(!Access::Limited.allows(method), "{method}");
        }
    }
}
