// A private Nimiq network: two full nodes in one process, in memory, on the dev chain. The first answers JSON-RPC.
//
//     node network.js P2P_PORT RPC_PORT
//
// Prints one line of JSON once the nodes have consensus: where they listen, and the key by which clients know the first
// node. Two nodes, since one alone neither finds consensus nor tells its clients of new blocks.
'use strict';

const Nimiq = require('@nimiq/core');
const nodeRpc = require('./node_rpc');
const libraryRpc = require('./library_rpc');
const { serve } = require('./json_rpc_server');

// The first node's identity is the same each time, so that clients can name it.
const SEED_KEY = Nimiq.KeyPair.derive(new Nimiq.PrivateKey(new Uint8Array(32).fill(0x77)));

async function start(p2pPort, rpcPort) {
    Nimiq.Log.instance.level = 'warning';
    Nimiq.GenesisConfig.dev();
    Nimiq.GenesisConfig.SEED_PEERS.length = 0; // Nobody outside this machine is looked for.

    // The advertised name needs a dot; it is never looked up.
    const config = new Nimiq.WsNetworkConfig('node.nimiq.test', p2pPort, { enabled: false });
    config._keyPair = SEED_KEY;
    config._peerId = SEED_KEY.publicKey.toPeerId();
    const first = await Nimiq.Consensus.volatileFull(config);
    // By itself a node accepts nobody before it has consensus, and then two new ones would wait for each other.
    first.network.allowInboundConnections = true;

    Nimiq.GenesisConfig.SEED_PEERS.push(
        Nimiq.WsPeerAddress.seed('127.0.0.1', p2pPort, SEED_KEY.publicKey.toHex()));
    const second = await Nimiq.Consensus.volatileFull(new Nimiq.DumbNetworkConfig());
    const established = new Promise(resolve => first.on('established', resolve));
    second.network.connect();
    await established;

    await serve(rpcPort, { ...nodeRpc.methods(first), ...nodeRpc.testMethods(first), ...libraryRpc.methods });
    console.log(JSON.stringify({ rpc: rpcPort, p2p: p2pPort, publicKey: SEED_KEY.publicKey.toHex() }));
}

const [p2pPort, rpcPort] = process.argv.slice(2).map(Number);
start(p2pPort, rpcPort).catch(error => {
    console.error(error);
    process.exit(1);
});
