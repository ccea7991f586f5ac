// A client that registers and asks to be paid at once, which the stock miner never does with a signature.
//
//     node payout_request.js POOL_PORT PRIVATE_KEY
//
// Prints every message of the pool as "pool {…}". Signs the nonce of the first settings; the answer to a good request is
// settings with another nonce.
'use strict';

const Nimiq = require('@nimiq/core');
const WebSocket = require('ws');

Nimiq.GenesisConfig.dev();
const [poolPort, privateKey] = process.argv.slice(2);
const keys = Nimiq.KeyPair.derive(new Nimiq.PrivateKey(Nimiq.BufferUtils.fromHex(privateKey)));

function signed(nonce) {
    const message = new Nimiq.SerialBuffer(19);
    message.write(Nimiq.BufferUtils.fromAscii(Nimiq.BasePoolMiner.PAYOUT_NONCE_PREFIX));
    message.writeUint64(nonce);
    const signature = Nimiq.Signature.create(keys.privateKey, keys.publicKey, message);
    return Nimiq.BufferUtils.toBase64(Nimiq.SignatureProof.singleSig(keys.publicKey, signature).serialize());
}

const socket = new WebSocket(`wss://localhost:${poolPort}`);
const send = message => socket.send(JSON.stringify(message));
let asked = false;
socket.on('open', () => send({
    message: 'register', mode: 'smart', address: keys.publicKey.toAddress().toUserFriendlyAddress(), deviceId: 1,
    deviceData: null, genesisHash: Nimiq.BufferUtils.toBase64(Nimiq.GenesisConfig.GENESIS_HASH.serialize()),
}));
socket.on('message', data => {
    console.log('pool', String(data));
    const message = JSON.parse(data);
    if (message.message === 'settings' && !asked) {
        asked = true;
        send({ message: 'payout', proof: signed(message.nonce) });
    } else if (message.message === 'settings') {
        console.log('granted');
    }
});
socket.on('close', () => console.log('closed'));
