//! The parsers of the Nimiq chain: blocks, transactions, proofs; the shares that a server reads back from its disk; and
//! dumps of the reference's database.

use std::fmt::Debug;

use nimiq::{
    Block, BlockHash, Body, ExtraData, Interlink, LightBlock, MerklePath, SessionExtraData, SignatureProof,
    Transaction,
};

use super::Target;

/// Every target.
pub fn all() -> [Target; 5] {
    [
        Target { name: "nimiq_block", seeds: &["nimiq/chain-dev", "nimiq/merkle"], feed: block },
        Target { name: "nimiq_transaction", seeds: &["nimiq/transactions"], feed: transaction },
        Target { name: "nimiq_proof", seeds: &["nimiq/merkle", "nimiq/transactions"], feed: proof },
        Target { name: "nimiq_reference_dump", seeds: &["nimiq-dumps"], feed: reference_dump },
        Target {
            name: "nimiq_share_record",
            seeds: &["nimiq/chain-dev"],
            feed: pool::nimiq::server::exercise_share_record,
        },
    ]
}

/// What was parsed, built and parsed again must be the same.
fn same<T: PartialEq + Debug, E: Debug>(value: &T, again: &Result<T, E>) {
    assert_eq!(again.as_ref().ok(), Some(value), "built and parsed again: {again:?}");
}

fn block(input: &[u8]) {
    if let Ok(block) = Block::parse(input) {
        same(&block, &Block::parse(&block.to_bytes()));
        block.has_its_body();
    }
    if let Ok(block) = LightBlock::parse(input) {
        assert_eq!(block.to_bytes(), input, "a light block has one encoding");
    }
    if let Ok(body) = Body::parse(input) {
        assert_eq!(body.to_bytes(), input, "a body has one encoding");
        body.fees();
    }
    if let Ok(interlink) = Interlink::parse(input, BlockHash([0; 32])) {
        assert_eq!(interlink.to_bytes(), input, "an interlink has one encoding");
        interlink.hash(&BlockHash([0; 32]));
    }
}

fn transaction(input: &[u8]) {
    if let Ok(transaction) = Transaction::parse(input) {
        assert_eq!(transaction.to_bytes(), input, "a transaction has one encoding");
        let _ = transaction.check(transaction.content().network);
    }
}

fn reference_dump(input: &[u8]) {
    if let Ok(dump) = ledger::nimiq::reference_tables::dump::read(input) {
        let _ = ledger::nimiq::reference_tables::opening::openings(&dump.tables);
    }
}

fn proof(input: &[u8]) {
    if let Ok(path) = MerklePath::parse(input) {
        same(&path, &MerklePath::parse(&path.to_bytes()));
    }
    if let Ok(proof) = SignatureProof::parse(input) {
        same(&proof, &SignatureProof::parse(&proof.to_bytes()));
        proof.proves(&proof.signer(), input);
    }
    let extra_data = ExtraData::cut(input);
    if let Some(session) = SessionExtraData::parse(&extra_data) {
        assert_eq!(session.to_extra_data(), extra_data);
    }
}
