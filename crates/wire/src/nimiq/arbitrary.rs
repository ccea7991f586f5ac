//! Messages of the Nimiq pool for property tests.

use nimiq::interlink::Interlink;
use nimiq::merkle::{Sibling, Side};
use nimiq::share::{NanoShare, SmartShare};
use nimiq::{
    AccountsHash, Address, BlockHash, BodyHash, CompactTarget, Decimal, DeviceId, ExtraData, Header, Height,
    InterlinkHash, LightBlock, Luna, MerkleHash, MerklePath, PayoutNonce, ShareTarget, Timestamp,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

use super::{
    Balance, ClientMessage, DeviceData, DeviceName, Mode, NewBlock, NewNanoBlock, PayoutProof, PayoutRequest,
    PayoutThreshold, Reason, Register, ServerMessage, Settings, Share,
};

fn header() -> impl Strategy<Value = Header> {
    (any::<[[u8; 32]; 4]>(), any::<[u32; 4]>()).prop_map(|(hashes, numbers)| Header {
        previous: BlockHash(hashes[0]),
        interlink_hash: InterlinkHash(hashes[1]),
        body_hash: BodyHash(hashes[2]),
        accounts_hash: AccountsHash(hashes[3]),
        target: CompactTarget(numbers[0]),
        height: Height(numbers[1]),
        timestamp: Timestamp(numbers[2]),
        nonce: numbers[3],
    })
}

fn light_block() -> impl Strategy<Value = LightBlock> {
    (header(), vec(0u8..3, 0..20)).prop_map(|(header, bytes)| {
        let hashes = bytes.into_iter().map(|byte| BlockHash([byte; 32])).collect();
        LightBlock { interlink: Interlink::new(hashes, header.previous), header }
    })
}

fn merkle_path() -> impl Strategy<Value = MerklePath> {
    let side = any::<bool>().prop_map(|left| if left { Side::Left } else { Side::Right });
    let sibling = (side, any::<[u8; 32]>()).prop_map(|(side, hash)| Sibling { side, hash: MerkleHash(hash) });
    vec(sibling, 0..12).prop_map(|siblings| MerklePath::new(siblings).unwrap())
}

fn share() -> impl Strategy<Value = Share> {
    let smart = (header(), merkle_path(), merkle_path(), option::of(vec(any::<u8>(), 0..300)));
    prop_oneof![
        smart.prop_map(|(header, miner_proof, extra_data_proof, block)| {
            Share::Smart(SmartShare { header, miner_proof, extra_data_proof, block })
        }),
        light_block().prop_map(|block| Share::Nano(NanoShare { block })),
        any::<u32>().prop_map(|nonce| Share::Dumb { nonce }),
    ]
}

fn register() -> impl Strategy<Value = Register> {
    let device_data = ".{0,50}".prop_map(|text| DeviceData::new(json!({ "userAgent": text, "a": [1, 2.5] })));
    let device_name = ".{0,80}".prop_map(|text| DeviceName::new(&text));
    let who = (prop::sample::select(&Mode::ALL[..]), any::<[u8; 20]>(), any::<u32>(), any::<[u8; 32]>());
    (who, device_data, option::of(-1e9..1e9), device_name).prop_map(
        |((mode, address, device_id, genesis_hash), device_data, start_difficulty, device_name)| Register {
            mode,
            address: Address(address),
            device_id: DeviceId(device_id),
            device_data,
            genesis_hash: BlockHash(genesis_hash),
            start_difficulty,
            device_name,
        },
    )
}

fn proof() -> impl Strategy<Value = PayoutProof> {
    prop_oneof![
        Just(PayoutProof::Absent),
        Just(PayoutProof::Undecodable),
        vec(any::<u8>(), 0..200).prop_map(PayoutProof::Bytes),
    ]
}

pub(crate) fn client_message() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        register().prop_map(ClientMessage::Register),
        share().prop_map(|share| ClientMessage::Share(Box::new(share))),
        proof().prop_map(|proof| ClientMessage::Payout(PayoutRequest { proof })),
        (any::<u64>(), proof()).prop_map(|(threshold, proof)| {
            ClientMessage::Threshold(PayoutThreshold { threshold: Luna(threshold), proof })
        }),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let target = (0x1a..0x20u32, 0x8000..0x80_0000u32)
        .prop_map(|(size, mantissa)| ShareTarget::new(CompactTarget(size << 24 | mantissa)).unwrap());
    let fee = (0..10_000u64)
        .prop_map(|fee| format!("{}.{:04}", fee / 10_000, fee % 10_000).parse::<Decimal>().unwrap());
    (any::<[u8; 20]>(), vec(any::<u8>(), 1..255), target, any::<u64>(), fee).prop_map(
        |(address, extra_data, target, nonce, fee)| {
            let nonce = PayoutNonce::from_random(nonce);
            Settings::new(Address(address), ExtraData::new(extra_data).unwrap(), &target, nonce, fee)
        },
    )
}

fn new_block() -> impl Strategy<Value = NewBlock> {
    let next_target = option::of(any::<u32>().prop_map(CompactTarget));
    let nano =
        (any::<[[u8; 32]; 2]>(), light_block(), next_target).prop_map(|(hashes, previous, next_target)| {
            NewNanoBlock {
                body_hash: BodyHash(hashes[0]),
                accounts_hash: AccountsHash(hashes[1]),
                previous: previous.into(),
                next_target,
            }
        });
    prop_oneof![nano.prop_map(NewBlock::Nano), header().prop_map(NewBlock::Dumb)]
}

pub(crate) fn server_message() -> impl Strategy<Value = ServerMessage> {
    let balance = (any::<[u64; 2]>(), any::<bool>(), option::of(any::<u64>())).prop_map(
        |(amounts, payout_request_active, threshold)| Balance {
            balance: Luna(amounts[0]),
            confirmed_balance: Luna(amounts[1]),
            payout_request_active,
            payout_threshold: threshold.map(Luna),
        },
    );
    let reasons = nimiq::share::Refusal::ALL.map(Reason::Share);
    prop_oneof![
        Just(ServerMessage::Registered),
        settings().prop_map(ServerMessage::Settings),
        new_block().prop_map(|block| ServerMessage::NewBlock(Box::new(block))),
        balance.prop_map(ServerMessage::Balance),
        prop::sample::select(reasons.to_vec()).prop_map(ServerMessage::from),
    ]
}
