//! Every parser of this crate as a target for fuzzing: any bytes in, no panic out.
//!
//! Where a message can also be built, what was parsed and built again must be parsed to the same: a parser that
//! takes something which it cannot express would let two programs read one message in two ways. The functions
//! panic where that does not hold; they are called by the tests, by `cargo xtask fuzz` and by the coverage-guided
//! targets in `fuzz/`, never by a role.

use std::fmt::Debug;

use crate::announcement_post::{PAY_TO_HEADER, PostHeaders, SHARE_VERSION_HEADER, WORK_NUMBER_HEADER};
use crate::batch::{BatchIndex, BatchName};
use crate::block_info::BlockInfo;
use crate::forwarded::ForwardedHeader;
use crate::nimiq::{ClientMessage, ServerMessage};
use crate::pay_maker::PayMakerStats;
use crate::pkt_address::ChainAddress;
use crate::pool_config::PoolConfig;
use crate::proxy_protocol::{MOST_BYTES, ProxyHeader};
use crate::reply::EmptyResult;
use crate::share_post::{ShareHeaders, SharePost};
use crate::sprayer::{Datagram, Subscription};
use crate::template::BlockTemplate;
use crate::who_to_pay::WhoToPay;
use crate::work::WorkFile;
use crate::{AnnsEvent, Decimal, Event, EventId, PktAddress, Reply, announcement_post, var_int};

/// One family of messages.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line, and the folder of its seeds in `fuzz/corpus/`.
    pub name: &'static str,
    /// Feeds one input. Any result is fine, a panic is not.
    pub exercise: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "work", exercise: work },
    Target { name: "template", exercise: template },
    Target { name: "pool_config", exercise: pool_config },
    Target { name: "block_info", exercise: block_info },
    Target { name: "announcement_post", exercise: announcement_post },
    Target { name: "batch", exercise: batch },
    Target { name: "sprayer", exercise: sprayer },
    Target { name: "share_post", exercise: share_post },
    Target { name: "event", exercise: event },
    Target { name: "reply", exercise: reply },
    Target { name: "who_to_pay", exercise: who_to_pay },
    Target { name: "stats", exercise: stats },
    Target { name: "address", exercise: address },
    Target { name: "number", exercise: number },
    Target { name: "nimiq_client_message", exercise: nimiq_client_message },
    Target { name: "nimiq_server_message", exercise: nimiq_server_message },
    Target { name: "proxy_protocol", exercise: proxy_protocol },
    Target { name: "forwarded", exercise: forwarded },
];

/// What was parsed from what was built from `value` must be `value`.
fn same<T: PartialEq + Debug, E: Debug>(value: &T, again: &Result<T, E>) {
    assert_eq!(again.as_ref().ok(), Some(value), "built and parsed again: {again:?}");
}

/// [`WorkFile`]
pub fn work(data: &[u8]) {
    if let Ok(work) = WorkFile::parse(data) {
        assert_eq!(work.to_bytes(), data, "a work file has one encoding");
        work.merkle_root();
    }
    if let Ok(name) = std::str::from_utf8(data) {
        let _ = crate::work::parse_file_name(name);
        let _ = BlockInfo::parse_file_name(name);
    }
}

/// [`BlockTemplate`]
pub fn template(data: &[u8]) {
    if let Ok(template) = BlockTemplate::parse(data) {
        same(&template, &BlockTemplate::parse(&template.to_bytes()));
    }
}

/// [`PoolConfig`]
pub fn pool_config(data: &[u8]) {
    if let Ok(config) = PoolConfig::parse(data) {
        same(&config, &PoolConfig::parse(config.to_json().as_bytes()));
        config.announcement_version();
        config.tip_height();
    }
}

/// [`BlockInfo`]
pub fn block_info(data: &[u8]) {
    if let Ok(info) = BlockInfo::parse(data) {
        same(&info, &BlockInfo::parse(info.to_json().as_bytes()));
    }
}

/// The headers of posts, one on a line, and the body of a post of announcements.
pub fn announcement_post(data: &[u8]) {
    let values: Vec<&[u8]> = data.splitn(4, |byte| *byte == b'\n').collect();
    let get = |name: &str| {
        let place =
            [SHARE_VERSION_HEADER, WORK_NUMBER_HEADER, PAY_TO_HEADER].iter().position(|one| *one == name)?;
        values.get(place).copied()
    };
    if let Ok(headers) = PostHeaders::read(get) {
        let pairs = headers.to_pairs();
        let again =
            |name: &str| pairs.iter().find(|(one, _)| *one == name).map(|(_, value)| value.as_bytes());
        same(&headers, &PostHeaders::read(again));
        headers.parent_height();
    }
    let _ = ShareHeaders::read(get);
    if let Ok(announcements) = announcement_post::announcements(data) {
        assert_eq!(announcements.as_flattened(), data);
    }
}

/// [`BatchIndex`] and [`BatchName`]
pub fn batch(data: &[u8]) {
    if let Ok(index) = BatchIndex::parse(data) {
        same(&index, &BatchIndex::parse(index.to_json().as_bytes()));
        for name in index.names() {
            same(&name, &name.to_string().parse::<BatchName>());
        }
    }
}

/// [`Datagram`]
pub fn sprayer(data: &[u8]) {
    let datagram = Datagram::split(data);
    let mut written = Vec::new();
    for record in datagram.records() {
        record.write(&mut written);
    }
    assert!(data.starts_with(&written), "records are written as they were read");
    if let Some(Ok(subscription)) = datagram.subscription() {
        let again = subscription.to_datagram();
        // A longer spelling of the same password may pass the limit.
        if again.len() <= crate::sprayer::SUBSCRIPTION_LIMIT {
            same(&subscription, &Subscription::parse(&again));
        }
    }
}

/// [`SharePost`]
pub fn share_post(data: &[u8]) {
    if let Ok(share) = SharePost::parse(data) {
        same(&share, &SharePost::parse(share.to_json().as_bytes()));
    }
}

/// [`Event`] and [`EventId`]
pub fn event(data: &[u8]) {
    if let Ok(event) = Event::parse_line(data) {
        same(&event, &Event::parse_line(event.to_line().as_bytes()));
    }
    let id = EventId::of_upload(data);
    same(&id, &id.to_string().parse::<EventId>());
}

/// [`Reply`]
pub fn reply(data: &[u8]) {
    if let Ok(reply) = Reply::<AnnsEvent>::parse(data) {
        same(&reply, &Reply::parse(reply.to_json(EmptyResult::Null).as_bytes()));
    }
    if let Ok(reply) = Reply::<crate::ShareEvent>::parse(data) {
        same(&reply, &Reply::parse(reply.to_json(EmptyResult::EmptyText).as_bytes()));
    }
    let _ = Reply::<crate::pay_maker::UploadReceipt>::parse(data);
}

/// [`WhoToPay`]
pub fn who_to_pay(data: &[u8]) {
    if let Ok(document) = WhoToPay::parse(data) {
        same(&document, &WhoToPay::parse(document.to_json().as_bytes()));
    }
}

/// [`PayMakerStats`]
pub fn stats(data: &[u8]) {
    if let Ok(stats) = PayMakerStats::parse(data) {
        same(&stats, &PayMakerStats::parse(stats.to_json().as_bytes()));
    }
}

/// [`PktAddress`] and [`ChainAddress`]
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(address) = PktAddress::parse(text) {
        assert_eq!(address.to_string(), text, "an address that is paid has one spelling");
    }
    if let Ok(address) = ChainAddress::parse(text) {
        same(&address, &ChainAddress::parse(&address.to_string()));
        assert_eq!(ChainAddress::from_script(&address.script()), Some(address));
    }
}

/// [`Decimal`] and [`var_int`]
pub fn number(data: &[u8]) {
    if let Some((value, length)) = var_int::read(data) {
        let mut shortest = Vec::new();
        var_int::write(&mut shortest, value);
        assert!(shortest.len() <= length);
        assert_eq!(var_int::read(&shortest), Some((value, shortest.len())));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(number) = text.parse::<Decimal>() {
        same(&number, &number.to_string().parse::<Decimal>());
        assert!(number.to_f64().is_finite() || number.exponent() > 250);
        number.floor_saturating();
    }
}

/// [`ClientMessage`](crate::nimiq::ClientMessage)
pub fn nimiq_client_message(data: &[u8]) {
    if let Ok(message) = ClientMessage::parse(data) {
        same(&message, &ClientMessage::parse(message.to_text().as_bytes()));
    }
}

/// [`ServerMessage`](crate::nimiq::ServerMessage)
pub fn nimiq_server_message(data: &[u8]) {
    if let Ok(message) = ServerMessage::parse(data) {
        same(&message, &ServerMessage::parse(message.to_text().as_bytes()));
    }
}

/// [`ProxyHeader`]
pub fn proxy_protocol(data: &[u8]) {
    match ProxyHeader::parse(data) {
        Ok(Some((header, length))) => {
            assert!(length <= data.len());
            for written in [header.to_bytes(), header.to_line().into_bytes()] {
                same(&Some((header, written.len())), &ProxyHeader::parse(&written));
            }
        }
        Ok(None) => assert!(data.len() < MOST_BYTES, "so many bytes decide"),
        Err(_) => {}
    }
}

/// [`ForwardedHeader`]
pub fn forwarded(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for kind in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
        let client = kind.client(text.lines(), |address| address.is_ipv4());
        assert!(client.is_none_or(|client| client == client.to_canonical()));
    }
}
