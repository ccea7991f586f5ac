// What the published library makes of bytes that are ours, and what it makes itself of the same inputs.
//
// Every call takes a list and gives a list, so that a test can ask about hundreds of inputs at once.
'use strict';

const Nimiq = require('@nimiq/core');

const hex = bytes => Nimiq.BufferUtils.toHex(bytes);
const bytes = digits => Nimiq.BufferUtils.fromHex(digits);

const nextInterlink = async (block, compact) => {
    const target = Nimiq.BlockUtils.compactToTarget(compact);
    return hex((await block.getNextInterlink(target)).serialize());
};

async function blockFacts({ block: digits, nextTarget }) {
    const block = Nimiq.Block.unserialize(bytes(digits));
    const leaves = block.body.getMerkleLeafs();
    const path = leaf => hex(Nimiq.MerklePath.compute(leaves, leaf).serialize());
    return {
        serialized: hex(block.serialize()),
        light: hex(block.toLight().serialize()),
        hash: block.hash().toHex(),
        pow: (await block.pow()).toHex(),
        provesWork: await block.header.verifyProofOfWork(),
        difficulty: block.difficulty.toString(),
        height: block.height,
        timestamp: block.timestamp,
        nonce: block.nonce,
        nBits: block.nBits,
        interlink: block.interlink.hashes.map(hash => hash.toHex()),
        interlinkHash: block.interlink.hash().toHex(),
        bodyHash: block.body.hash().toHex(),
        miner: block.minerAddr.toUserFriendlyAddress(),
        extraData: hex(block.body.extraData),
        transactions: block.transactions.map(transaction => transaction.hash().toHex()),
        fees: block.transactions.reduce((sum, transaction) => sum + transaction.fee, 0),
        minerProof: path(block.minerAddr),
        extraDataProof: path(block.body.extraData),
        nextInterlink: await nextInterlink(block, nextTarget),
    };
}

function transactionFacts(digits) {
    const transaction = Nimiq.Transaction.unserialize(bytes(digits));
    return {
        serialized: hex(transaction.serialize()),
        hash: transaction.hash().toHex(),
        sender: transaction.sender.toUserFriendlyAddress(),
        recipient: transaction.recipient.toUserFriendlyAddress(),
        value: transaction.value,
        fee: transaction.fee,
        validityStartHeight: transaction.validityStartHeight,
        verifies: transaction.verify(Nimiq.GenesisConfig.NETWORK_ID),
    };
}

// What a payout request of the owner of this private key looks like, and whose it is.
function payoutRequest({ privateKey, message }) {
    const keys = Nimiq.KeyPair.derive(new Nimiq.PrivateKey(bytes(privateKey)));
    const signature = Nimiq.Signature.create(keys.privateKey, keys.publicKey, bytes(message));
    return {
        address: keys.publicKey.toAddress().toUserFriendlyAddress(),
        proof: hex(Nimiq.SignatureProof.singleSig(keys.publicKey, signature).serialize()),
    };
}

function provesMessage({ proof, address, message }) {
    const parsed = Nimiq.SignatureProof.unserialize(bytes(proof));
    return parsed.verify(Nimiq.Address.fromUserFriendlyAddress(address), bytes(message));
}

const each = ask => inputs => Promise.all(inputs.map(ask));

exports.methods = {
    'test.blocks': each(blockFacts),
    'test.transactions': each(transactionFacts),
    'test.payoutRequests': each(payoutRequest),
    'test.proofs': each(provesMessage),
    'test.addresses': each(digits => {
        const address = Nimiq.Address.fromHex(digits);
        return { friendly: address.toUserFriendlyAddress(), base64: address.toBase64() };
    }),
    'test.readAddresses': each(text => Nimiq.Address.fromUserFriendlyAddress(text).toHex()),
};
