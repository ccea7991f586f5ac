// JSON-RPC over HTTP on loopback, as the published node serves it: errors with status 200, no result for nothing.
'use strict';

const http = require('http');

async function answer(methods, body) {
    let call;
    try {
        call = JSON.parse(body);
    } catch (_) {
        return [400, { jsonrpc: '2.0', error: { code: -32600, message: 'Invalid Request' }, id: null }];
    }
    const reply = { jsonrpc: '2.0' };
    if (!Object.hasOwn(methods, call.method)) {
        reply.error = { code: -32601, message: 'Method not found' };
    } else {
        try {
            reply.result = await methods[call.method](...(call.params || []));
        } catch (error) {
            reply.error = { code: error.code || 1, message: error.message };
        }
    }
    return [200, { ...reply, id: call.id }];
}

exports.serve = (port, methods) => new Promise(resolve => {
    const server = http.createServer((request, response) => {
        const parts = [];
        request.on('data', part => parts.push(part));
        request.on('end', async () => {
            const [status, reply] = await answer(methods, Buffer.concat(parts).toString());
            response.writeHead(status, { 'Content-Type': 'application/json' });
            response.end(JSON.stringify(reply) + '\r\n');
        });
    });
    server.listen(port, '127.0.0.1', resolve);
});
