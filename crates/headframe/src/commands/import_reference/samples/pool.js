/* A pool of three announcement handlers. */
const Master = require('./js/Master.js');
const Util = require('./js/Util.js');

const config = {};
config.privateSeed = null;
config.paymakerHttpPasswd = 'b7f3c01d9e8a4c55'; // as in pool.toml
config.masterUrl = "http://pool.example/master";
config.rootWorkdir = './datastore/pool';
config.rpc = {
    protocol: 'https', user: 'x', pass: '9e8a4c55c01db7f3',
    host: '127.0.0.1', port: 64765,
    rejectUnauthorized: false
};

config.annHandlers = [
    { url: 'http://ann0.pool.example' },
    { url: 'http://ann1.pool.example' },
    { url: 'http://ann2.pool.example' },
];

config.blkHandlers = [
    {
        url: 'http://blk0.pool.example',
        port: 8082,
        host: '10.0.16.2',
        maxConnections: 50,
        root: config
    },
];

config.master = {
    port: 8080,
    host: '10.0.16.2',
    annMinWork: Util.annWorkToTarget(256),
    shareWorkDivisor: 4,
    annVersions: [1],
    mineOldAnns: 3,
    root: config,
};

config.payMaker = {
    url: 'http://paymaker.pool.example',
    port: 8083,
    host: '10.0.16.2',
    updateCycle: 120,
    historyDepth: 60*60*24*2,
    maxConnections: 200,
    annCompressor: { timespanMs: 1000*60, slotsToKeepEvents: 10 },
    blockPayoutFraction: 0.5,
    poolFee: 0.20,
    poolFeeAddress: 'pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2',
    pplnsAnnConstantX: 0.125,
    pplnsBlkConstantX: 2,
    defaultAddress: "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2",
    errorAddress: "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2",
    updateHook: (x) => {
        // a comment with a ' in it
        Util.normalize(x.result, 4800000);
        return x;
    },
    root: config,
};

const main = (argv, config) => {
    if (argv.indexOf('--master') > -1) { return void Master.create(config.master); }
};
main(process.argv, config);
