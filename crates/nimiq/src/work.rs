//! The work of one connection: the node's template with the connection's own extra data in it.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.5 and 3.3. One template of a head serves all clients: only the leaf of the extra
//! data differs, and everything above the first pair of leaves is known as a list of siblings.

use crate::body::{extra_data_leaf, miner_leaf};
use crate::{Address, BodyHash, ExtraData, MerkleHash};

/// All that a body's hash depends on, except for the extra data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyTemplate {
    miner_leaf: MerkleHash,
    siblings: Vec<MerkleHash>,
}

impl BodyTemplate {
    /// From the miner's address and the siblings above the pair of miner and extra data, the lowest first
    /// (`merkleHashes` of the node's template).
    pub fn new(miner: &Address, siblings: Vec<MerkleHash>) -> Self {
        Self { miner_leaf: miner_leaf(miner), siblings }
    }

    /// The hash of the body with this extra data.
    pub fn body_hash(&self, extra_data: &ExtraData) -> BodyHash {
        let pair = self.miner_leaf.parent(&extra_data_leaf(extra_data));
        BodyHash(self.siblings.iter().fold(pair, |node, sibling| node.parent(sibling)).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::tests::body;

    #[test]
    fn a_template_gives_the_hash_of_the_whole_body() {
        for count in 0..9 {
            let mut body = body(count);
            let siblings = body.miner_proof().siblings()[1..].iter().map(|sibling| sibling.hash).collect();
            let template = BodyTemplate::new(&body.miner, siblings);
            for text in [&b""[..], b"another"] {
                body.extra_data = ExtraData::cut(text);
                assert_eq!(template.body_hash(&body.extra_data), body.hash());
            }
        }
    }
}
