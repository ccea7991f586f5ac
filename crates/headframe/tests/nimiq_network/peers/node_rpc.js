// What the published node's JSON-RPC answers, over a full node of the library, which comes without it.
//
// Shapes and oddities are those of docs/protocol/nimiq-pool.md 3 and of the recordings in vectors/nimiq/rpc.json.
'use strict';

const Nimiq = require('@nimiq/core');

const hex = bytes => Nimiq.BufferUtils.toHex(bytes);
const bytes = digits => Nimiq.BufferUtils.fromHex(digits);

function fail(message, code) {
    throw Object.assign(new Error(message), { code });
}

// The calls that a pool makes.
exports.methods = node => {
    const { blockchain, mempool, network } = node;
    const producer = new Nimiq.BlockProducer(blockchain, blockchain.accounts, mempool, network.time);

    const confirmations = height => blockchain.height - height + 1;

    function transactionObject(transaction, block, index) {
        const inBlock = block && {
            blockHash: block.hash().toHex(), blockNumber: block.height, timestamp: block.timestamp,
            confirmations: confirmations(block.height), transactionIndex: index,
        };
        return {
            hash: transaction.hash().toHex(), ...inBlock,
            from: transaction.sender.toHex(), fromAddress: transaction.sender.toUserFriendlyAddress(),
            to: transaction.recipient.toHex(), toAddress: transaction.recipient.toUserFriendlyAddress(),
            value: transaction.value, fee: transaction.fee, data: hex(transaction.data) || null,
            ...(!block && { proof: hex(transaction.proof) }), flags: transaction.flags,
        };
    }

    async function blockObject(block, withTransactions) {
        const transactions = block.transactions.map((transaction, index) =>
            withTransactions ? transactionObject(transaction, block, index) : transaction.hash().toHex());
        return {
            number: block.height, hash: block.hash().toHex(), pow: (await block.pow()).toHex(),
            parentHash: block.prevHash.toHex(), nonce: block.nonce, bodyHash: block.bodyHash.toHex(),
            accountsHash: block.accountsHash.toHex(), difficulty: block.difficulty.toString(),
            timestamp: block.timestamp, confirmations: confirmations(block.height),
            miner: block.minerAddr.toHex(), minerAddress: block.minerAddr.toUserFriendlyAddress(),
            extraData: hex(block.body.extraData), size: block.serializedSize, transactions,
        };
    }

    function templateObject(block) {
        const serialized = item => {
            const buffer = new Nimiq.SerialBuffer(item.serializedSize);
            item.serialize(buffer);
            return hex(buffer);
        };
        const path = Nimiq.MerklePath.compute(block.body.getMerkleLeafs(), block.minerAddr);
        return {
            header: {
                version: block.version, prevHash: block.prevHash.toHex(), interlinkHash: block.interlinkHash.toHex(),
                accountsHash: block.accountsHash.toHex(), nBits: block.nBits, height: block.height,
            },
            interlink: hex(block.interlink.serialize()),
            target: block.nBits,
            body: {
                hash: block.bodyHash.toHex(), minerAddr: block.minerAddr.toHex(), extraData: hex(block.body.extraData),
                transactions: block.transactions.map(transaction => hex(transaction.serialize())),
                merkleHashes: path.nodes.slice(1).map(sibling => sibling.hash.toHex()),
                prunedAccounts: block.prunedAccounts.map(serialized),
            },
        };
    }

    return {
        consensus: () => (node.established ? 'established' : 'syncing'),
        blockNumber: () => blockchain.height,
        getBlockByNumber: async (number, withTransactions) => {
            const height = number === 'latest' ? blockchain.height : number;
            if (height > blockchain.height) fail('Invalid height');
            return blockObject(await blockAt(blockchain, height), withTransactions);
        },
        getBlockByHash: async (hash, withTransactions) => {
            const block = await blockchain.getBlock(Nimiq.Hash.fromHex(hash), true, true);
            return block && blockObject(block, withTransactions);
        },
        getBlockTemplate: async (address, extraData) => {
            if (!node.established) fail('No consensus', 501);
            return templateObject(await producer.getNextBlock(Nimiq.Address.fromString(address), bytes(extraData)));
        },
        // Says nothing of what becomes of a block that it can read.
        submitBlock: async digits => {
            const block = Nimiq.Block.unserialize(bytes(digits));
            if (!block.bodyHash.equals(block.body.hash())) {
                fail('Submitted invalid block: bodyHash and body.hash() mismatch');
            }
            if (block.prevHash.equals(blockchain.headHash)) await blockchain.pushBlock(block);
        },
        getBalance: async address => (await blockchain.accounts.get(Nimiq.Address.fromString(address))).balance,
        // Says nothing of one that a filter or its fee keeps out.
        sendRawTransaction: async digits => {
            const transaction = Nimiq.Transaction.unserialize(bytes(digits));
            const code = await mempool.pushTransaction(transaction);
            const { INVALID, EXPIRED } = Nimiq.Mempool.ReturnCode;
            if (code === INVALID || code === EXPIRED) fail('Transaction invalid');
            return transaction.hash().toHex();
        },
        minFeePerByte: () => 0,
        mempoolContent: withTransactions => mempool.getTransactions().map(transaction =>
            withTransactions ? transactionObject(transaction) : transaction.hash().toHex()),
        // The library's own index, kept in memory, misses some; a short chain is soon searched.
        getTransactionReceipt: async hash => {
            for (let height = blockchain.height; height > 1; height--) {
                const block = await blockAt(blockchain, height);
                const index = block.transactions.findIndex(transaction => transaction.hash().toHex() === hash);
                if (index < 0) continue;
                return {
                    transactionHash: hash, transactionIndex: index, blockNumber: height,
                    blockHash: block.hash().toHex(), confirmations: confirmations(height), timestamp: block.timestamp,
                };
            }
            return null;
        },
    };
};

// Calls that the published node does not have.
exports.testMethods = ({ blockchain }) => ({
    // A block of the chain, serialised.
    'test.raw': async height => hex((await blockAt(blockchain, height)).serialize()),
    // Puts a block into the chain, whatever it is built on, and tells what came of it.
    'test.push': async digits => {
        const code = await blockchain.pushBlock(Nimiq.Block.unserialize(bytes(digits)));
        const { FullChain } = Nimiq;
        return {
            [FullChain.ERR_ORPHAN]: 'orphan', [FullChain.ERR_INVALID]: 'invalid', [FullChain.OK_KNOWN]: 'known',
            [FullChain.OK_EXTENDED]: 'extended', [FullChain.OK_REBRANCHED]: 'rebranched',
            [FullChain.OK_FORKED]: 'forked',
        }[code];
    },
});

// The chain's store does not have the genesis block; height 0 is taken for it.
function blockAt(blockchain, height) {
    return height <= 1 ? Nimiq.GenesisConfig.GENESIS_BLOCK : blockchain.getBlockAt(height, true);
}
