//! `transactions.json`: transactions in both forms, payout proofs, and the order in a block.

use std::path::Path;

use anyhow::{Context, anyhow};
use nimiq::transaction::{BasicTransaction, Payment, block_order};
use nimiq::{Height, Luna, NetworkId, PayoutNonce, PrivateKey, SignatureProof, Transaction};
use serde::Deserialize;

use super::super::Tally;
use super::{address, array, bytes, difference, first, read, same_bytes, shown};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    basic: Vec<Basic>,
    extended: Vec<Extended>,
    payout_proofs: Vec<PayoutProof>,
    block_order_of_first12: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Basic {
    private_key: String,
    public_key: String,
    sender: String,
    recipient: String,
    value: u64,
    fee: u64,
    validity_start_height: u32,
    network_id: u8,
    content: String,
    signature: String,
    serialized: String,
    size: usize,
    hash: String,
    verifies: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Extended {
    public_key: String,
    data: String,
    recipient: String,
    value: u64,
    fee: u64,
    validity_start_height: u32,
    content: String,
    serialized: String,
    size: usize,
    hash: String,
    verifies: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PayoutProof {
    note: String,
    address: String,
    nonce: u64,
    message: String,
    proof: String,
    valid: bool,
    bad_proof: String,
    other_nonce: u64,
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let file: File = read(path)?;
    let mut tally = Tally::default();
    for (number, basic) in file.basic.iter().enumerate() {
        tally.row(format_args!("basic {number}"), basic.check()?);
    }
    for (number, extended) in file.extended.iter().enumerate() {
        tally.row(format_args!("extended {number}"), extended.check()?);
    }
    for (number, proof) in file.payout_proofs.iter().enumerate() {
        tally.row(format_args!("payout proof {number}, {}", proof.note), proof.check()?);
    }
    let first12 =
        file.basic.get(..file.block_order_of_first12.len()).context("too few basic transactions")?;
    let contents: anyhow::Result<Vec<_>> = first12.iter().map(|basic| Ok(basic.sign()?.content())).collect();
    let mut contents = contents?;
    contents.sort_by(block_order);
    let order: Vec<_> = contents.iter().map(|content| content.hash().to_string()).collect();
    tally.row("order in a block", difference("hashes", file.block_order_of_first12, order));
    Ok(tally)
}

fn parse(digits: &str) -> anyhow::Result<Transaction> {
    Transaction::parse(&bytes(digits)?).map_err(|error| anyhow!("{error}"))
}

impl Basic {
    fn sign(&self) -> anyhow::Result<BasicTransaction> {
        let payment = Payment {
            recipient: address(&self.recipient)?,
            value: Luna(self.value),
            fee: Luna(self.fee),
            validity_start: Height(self.validity_start_height),
            network: NetworkId(self.network_id),
        };
        Ok(payment.sign(&PrivateKey::new(&array(&self.private_key)?)))
    }

    fn check(&self) -> anyhow::Result<Option<String>> {
        let signed = self.sign()?;
        let transaction = Transaction::from(signed);
        Ok(first([
            same_bytes("public key", &self.public_key, signed.public_key.0),
            shown("sender", &self.sender, signed.public_key.address()),
            same_bytes("content", &self.content, signed.content().to_bytes()),
            same_bytes("signature", &self.signature, signed.signature.0),
            same_bytes("serialised", &self.serialized, transaction.to_bytes()),
            difference("size", self.size, transaction.to_bytes().len()),
            shown("hash", &self.hash, transaction.hash()),
            difference("parsed", &transaction, &parse(&self.serialized)?),
            difference("verifies", self.verifies, signed.verifies()),
            difference("valid", self.verifies, transaction.check(NetworkId(self.network_id)).is_ok()),
        ]))
    }
}

impl Extended {
    fn check(&self) -> anyhow::Result<Option<String>> {
        let transaction = parse(&self.serialized)?;
        let Transaction::Extended(extended) = &transaction else {
            return Ok(Some("is in the short form".into()));
        };
        let content = &extended.content;
        let proof = SignatureProof::parse(&extended.proof).map_err(|error| anyhow!("{error}"))?;
        let proves = proof.proves(&content.sender.address, &content.to_bytes());
        Ok(first([
            same_bytes("public key", &self.public_key, proof.public_key.0),
            same_bytes("data", &self.data, &content.data),
            same_bytes("recipient", &self.recipient, content.recipient.address.0),
            difference("value", self.value, content.value.0),
            difference("fee", self.fee, content.fee.0),
            difference("validityStartHeight", self.validity_start_height, content.validity_start.0),
            same_bytes("content", &self.content, content.to_bytes()),
            same_bytes("serialised", &self.serialized, transaction.to_bytes()),
            difference("size", self.size, transaction.to_bytes().len()),
            shown("hash", &self.hash, transaction.hash()),
            difference("verifies", self.verifies, proves),
            difference("valid", self.verifies, transaction.check(content.network).is_ok()),
        ]))
    }
}

impl PayoutProof {
    fn check(&self) -> anyhow::Result<Option<String>> {
        use base64::Engine;
        let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text);
        let nonce = |number| PayoutNonce::new(number).context("a nonce below 2^53");
        let (proof, bad_proof, address) =
            (decode(&self.proof)?, decode(&self.bad_proof)?, address(&self.address)?);
        let (good, other) = (nonce(self.nonce)?, nonce(self.other_nonce)?);
        Ok(first([
            same_bytes("message", &self.message, good.message()),
            difference("valid", self.valid, good.check(&proof, &address).is_ok()),
            difference("the bad proof is valid", false, good.check(&bad_proof, &address).is_ok()),
            difference("it is valid for another nonce", false, other.check(&proof, &address).is_ok()),
        ]))
    }
}
