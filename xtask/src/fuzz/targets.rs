//! What is fuzzed: one target for each family of messages.
//!
//! Where a message can also be built, what was parsed and built again must be parsed to the same: a parser that
//! takes something it cannot express would let two programs read one message in two ways.

use std::fmt::Debug;

use packetcrypt::block::{Elements, Proof, Transaction};
use wire::announcement_post::PostHeaders;
use wire::batch::{BatchIndex, BatchName};
use wire::block_info::BlockInfo;
use wire::event::{AnnsEvent, ShareEvent};
use wire::pay_maker::PayMakerStats;
use wire::pkt_address::ChainAddress;
use wire::pool_config::PoolConfig;
use wire::share_post::SharePost;
use wire::sprayer::{Datagram, Subscription};
use wire::template::BlockTemplate;
use wire::who_to_pay::WhoToPay;
use wire::work::WorkFile;
use wire::{Decimal, Event, PktAddress, Reply};

use super::Target;

/// Every target.
pub fn all() -> Vec<Target> {
    let target = |name, seeds, feed| Target { name, seeds, feed };
    vec![
        target("work", &["pool/master", "blocks-real"], work),
        target("template", &["pool/master"], template),
        target("pool_config", &["pool/master", "client_headers"], pool_config),
        target("block_info", &["pool/master"], block_info),
        target("announcement_post", &["pool/annhandler", "client_headers"], announcement_post),
        target("batch", &["pool/annhandler"], batch),
        target("sprayer", &["pool/sprayer"], sprayer),
        target("share_post", &["pool/blkhandler", "blocks-real"], share_post),
        target("event", &["pool/events", "pool/paymaker"], event),
        target("reply", &["pool/annhandler", "pool/blkhandler"], reply),
        target("who_to_pay", &["pool/paymaker"], who_to_pay),
        target("stats", &["pool/events"], pay_maker_stats),
        target("address", &["pool/payto", "blocks/addresses"], address),
        target("decimal", &["pool/paymaker"], decimal),
        target("proof_elements", &["blocks/shares_valid", "blocks-real"], proof_elements),
        target("transaction", &["blocks-real", "pktd-rpc"], transaction),
        target("node_reply", &["pktd-rpc", "pool/node_rpc"], node_reply),
    ]
}

/// What was parsed from what was built from `value` must be `value`.
fn same<T: PartialEq + Debug, E: Debug>(value: &T, again: Result<T, E>) {
    assert_eq!(again.as_ref().ok(), Some(value), "built and parsed again: {again:?}");
}

fn work(input: &[u8]) {
    if let Ok(value) = WorkFile::parse(input) {
        same(&value, WorkFile::parse(&value.to_bytes()));
        value.merkle_root();
    }
}

fn template(input: &[u8]) {
    if let Ok(value) = BlockTemplate::parse(input) {
        same(&value, BlockTemplate::parse(&value.to_bytes()));
    }
}

fn pool_config(input: &[u8]) {
    if let Ok(value) = PoolConfig::parse(input) {
        same(&value, PoolConfig::parse(value.to_json().as_bytes()));
        value.announcement_version();
    }
}

fn block_info(input: &[u8]) {
    if let Ok(value) = BlockInfo::parse(input) {
        same(&value, BlockInfo::parse(value.to_json().as_bytes()));
    }
}

fn announcement_post(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let values: Vec<&[u8]> = lines.by_ref().take(3).collect();
    let get = |name: &str| {
        let names = ["x-pc-sver", "x-pc-worknum", "x-pc-payto"];
        names.iter().position(|known| *known == name).and_then(|index| values.get(index).copied())
    };
    if let Ok(headers) = PostHeaders::read(get) {
        headers.parent_height();
    }
    if let Ok(announcements) = wire::announcement_post::announcements(input) {
        assert_eq!(announcements.len() * 1024, input.len());
    }
}

fn batch(input: &[u8]) {
    if let Ok(index) = BatchIndex::parse(input) {
        same(&index, BatchIndex::parse(index.to_json().as_bytes()));
        let names: Vec<BatchName> = index.names().collect();
        assert!(BatchIndex::of(&names).names().eq(names));
    }
}

fn sprayer(input: &[u8]) {
    let datagram = Datagram::split(input);
    assert_eq!(datagram.records().count(), datagram.record_count());
    if let Some(Ok(subscription)) = datagram.subscription() {
        same(&subscription, Subscription::parse(&subscription.to_datagram()));
    }
}

fn share_post(input: &[u8]) {
    if let Ok(post) = SharePost::parse(input) {
        same(&post, SharePost::parse(post.to_json().as_bytes()));
    }
}

fn event(input: &[u8]) {
    if let Ok(event) = Event::parse_line(input) {
        if matches!(&event, Event::Block(block) if block.hash.is_none()) {
            // Taken from old handlers, never written by us.
            return;
        }
        same(&event, Event::parse_line(event.to_line().trim_end().as_bytes()));
    }
}

fn reply(input: &[u8]) {
    let _ = Reply::<AnnsEvent>::parse(input);
    let _ = Reply::<ShareEvent>::parse(input);
}

fn who_to_pay(input: &[u8]) {
    if let Ok(document) = WhoToPay::parse(input) {
        same(&document, WhoToPay::parse(document.to_json().as_bytes()));
    }
}

fn pay_maker_stats(input: &[u8]) {
    if let Ok(stats) = PayMakerStats::parse(input) {
        same(&stats, PayMakerStats::parse(stats.to_json().as_bytes()));
    }
}

fn address(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(address) = PktAddress::parse(text) {
        assert_eq!(address.to_string(), text, "a payable address has one spelling");
        assert!(ChainAddress::from_script(&address.script()).is_some());
    }
    let _ = ChainAddress::parse(text);
}

fn decimal(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(number) = text.parse::<Decimal>() {
        same(&number, number.to_string().parse::<Decimal>());
        number.floor_saturating();
    }
}

fn proof_elements(input: &[u8]) {
    if let Ok(elements) = Proof::from_upload(input) {
        same(&elements, Proof::from_upload(&elements.to_upload()));
    }
    let _ = Elements::read(input);
}

fn transaction(input: &[u8]) {
    let _ = Transaction::read(input);
}

fn node_reply(input: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(input) {
        let _ = node::pktd::RawBlockTemplate::from_reply(value);
    }
}
