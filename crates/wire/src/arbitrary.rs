//! Values for property tests.

use packetcrypt::{BlockHash, CompactTarget, Height, block::Header};
use proptest::{array::uniform32, prelude::*};

use crate::{
    AnnsEvent, BlockEvent, Decimal, Event, EventId, PktAddress, ShareEvent, event::is_creditable_target,
    pkt_address::ChainAddress,
};

pub(crate) fn chain_address() -> impl Strategy<Value = ChainAddress> {
    prop_oneof![
        any::<[u8; 20]>().prop_map(ChainAddress::WitnessPublicKeyHash),
        any::<[u8; 32]>().prop_map(ChainAddress::WitnessScriptHash),
        any::<[u8; 20]>().prop_map(ChainAddress::PublicKeyHash),
        any::<[u8; 20]>().prop_map(ChainAddress::ScriptHash),
    ]
}

pub(crate) fn pkt_address() -> impl Strategy<Value = PktAddress> {
    chain_address().prop_filter_map("script addresses are not paid", |address| {
        PktAddress::parse(&address.to_string()).ok()
    })
}

pub(crate) fn block_hash() -> impl Strategy<Value = BlockHash> {
    uniform32(any::<u8>()).prop_map(BlockHash::from_internal)
}

pub(crate) fn header() -> impl Strategy<Value = Header> {
    prop::array::uniform20(any::<[u8; 4]>())
        .prop_filter_map("80 bytes", |words| Some(Header::from_bytes(words.as_flattened().try_into().ok()?)))
}

pub(crate) fn height() -> impl Strategy<Value = Height> {
    (0..=0x7fff_ffffu32).prop_map(Height)
}

pub(crate) fn event_id() -> impl Strategy<Value = EventId> {
    any::<[u8; 16]>().prop_map(EventId::from_bytes)
}

pub(crate) fn creditable_target() -> impl Strategy<Value = CompactTarget> {
    (1..=0x207f_ffffu32)
        .prop_map(CompactTarget)
        .prop_filter("sign or empty mantissa", |target| is_creditable_target(*target))
}

pub(crate) fn positive_decimal() -> impl Strategy<Value = Decimal> {
    (1..10u128.pow(17), -20i16..20).prop_map(|(mantissa, exponent)| Decimal::new(mantissa, exponent).unwrap())
}

pub(crate) fn anns_event() -> impl Strategy<Value = AnnsEvent> {
    (any::<[u32; 4]>(), pkt_address(), creditable_target(), any::<u64>(), event_id()).prop_map(
        |([accepted, duplicate, unsigned, total_length], pay_to, target, time_ms, event_id)| AnnsEvent {
            accepted,
            duplicate,
            pay_to,
            unsigned,
            total_length,
            target,
            time_ms,
            event_id,
        },
    )
}

pub(crate) fn share_event() -> impl Strategy<Value = ShareEvent> {
    let work = (creditable_target(), any::<u64>(), any::<u32>(), any::<u64>());
    (pkt_address(), prop::option::of(block_hash()), any::<u64>(), event_id(), work).prop_map(
        |(pay_to, won_block, time_ms, event_id, (target, count, least, encryptions))| ShareEvent {
            pay_to,
            won_block,
            time_ms,
            event_id,
            target,
            announcement_count: count,
            announcement_min_work: CompactTarget(least),
            encryptions: u128::from(encryptions),
        },
    )
}

pub(crate) fn block_event() -> impl Strategy<Value = BlockEvent> {
    (block_hash(), height(), positive_decimal(), any::<u64>(), event_id()).prop_map(
        |(hash, height, difficulty, time_ms, event_id)| BlockEvent {
            hash: Some(hash),
            height,
            difficulty,
            time_ms,
            event_id,
        },
    )
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        anns_event().prop_map(Event::Anns),
        share_event().prop_map(Event::Share),
        block_event().prop_map(Event::Block),
    ]
}
