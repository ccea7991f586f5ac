// A stock pool miner of the library, with one thread, beside a node of its own.
//
//     node miner.js smart|nano P2P_PORT SEED_KEY POOL_PORT ADDRESS
//
// Prints every message between it and the pool, as "pool {…}" and "miner {…}", the latter before it is sent. The pool's
// certificate is trusted by the environment variable NODE_EXTRA_CA_CERTS.
'use strict';

const Nimiq = require('@nimiq/core');

async function start(mode, p2pPort, seedKey, poolPort, address) {
    Nimiq.Log.instance.level = 'warning';
    Nimiq.GenesisConfig.dev();
    Nimiq.GenesisConfig.SEED_PEERS.length = 0;
    Nimiq.GenesisConfig.SEED_PEERS.push(Nimiq.WsPeerAddress.seed('127.0.0.1', p2pPort, seedKey));

    const config = new Nimiq.DumbNetworkConfig();
    const isNano = mode === 'nano';
    const node = await (isNano ? Nimiq.Consensus.volatileNano(config) : Nimiq.Consensus.volatileLight(config));
    const payTo = Nimiq.Address.fromUserFriendlyAddress(address);
    const device = [payTo, Nimiq.BasePoolMiner.generateDeviceId(config), { userAgent: 'headframe test' }];
    const { blockchain, mempool } = node;
    const miner = isNano
        ? new Nimiq.NanoPoolMiner(blockchain, node.network.time, ...device)
        : new Nimiq.SmartPoolMiner(blockchain, blockchain.accounts, mempool, node.network.time, ...device);
    miner.threads = 1;

    const receive = miner._onMessage.bind(miner);
    miner._onMessage = (socket, text) => {
        console.log('pool', text);
        receive(socket, text);
    };
    const send = miner._send.bind(miner);
    miner._send = message => {
        if (miner._ws) console.log('miner', JSON.stringify(message));
        send(message);
    };
    // Whoever uses the library starts the work: the nano miner forgets it when the connection is lost. Started at once it
    // would begin with the work of the last connection, so it is to start with the first work of this one.
    miner.on('connection-state', state => {
        if (state !== Nimiq.BasePoolMiner.ConnectionState.CONNECTED) return;
        if (isNano) miner._shouldWork = true;
        else miner.startWork();
    });

    const established = new Promise(resolve => node.on('established', resolve));
    node.network.connect();
    await established;
    console.log('consensus at', blockchain.height);
    miner.connect('localhost', poolPort);
}

const [mode, p2pPort, seedKey, poolPort, address] = process.argv.slice(2);
start(mode, Number(p2pPort), seedKey, Number(poolPort), address).catch(error => {
    console.error(error);
    process.exit(1);
});
