//! From the text of an upload to events that may be credited, and a word about every line that may not.
//!
//! Nothing is changed here: whether an event is known already is seen when it is admitted.

use packetcrypt::{BlockHash, CompactTarget};
use std::collections::BTreeMap;

use serde::Deserialize;
use wire::event::{AnnsEvent, DEFAULT_TARGET, EventFault, LINE_LIMIT, ShareEvent, is_creditable_target};
use wire::{Event, EventId, PktAddress, Refusal};

use crate::UnixMillis;

/// How far ahead of the clock an event may be (rule R-P13).
pub const FUTURE_MAX_MS: u64 = 5 * 60 * 1000;

/// How many warnings a reply carries (rule R-P2).
const WARNINGS_SHOWN: usize = 20;

/// What the sender of an upload should know: the first of many, by line, and how many there are of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings {
    shown: Vec<(u32, Refusal)>,
    counts: BTreeMap<&'static str, u32>,
}

impl Warnings {
    pub(crate) fn add(&mut self, line: u32, refusal: Refusal) {
        *self.counts.entry(refusal.code()).or_default() += 1;
        if self.shown.len() < WARNINGS_SHOWN {
            self.shown.push((line, refusal));
        }
    }

    pub(crate) fn append(&mut self, other: &Self) {
        for (code, count) in &other.counts {
            *self.counts.entry(code).or_default() += count;
        }
        self.shown.extend_from_slice(&other.shown);
        self.shown.sort_by_key(|(line, _)| *line);
        self.shown.truncate(WARNINGS_SHOWN);
    }

    /// How many lines there is something to say about.
    pub fn count(&self) -> u32 {
        self.counts.values().sum()
    }

    /// How many of each [`Refusal::code`].
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u32)> + '_ {
        self.counts.iter().map(|(code, count)| (*code, *count))
    }

    /// The first twenty as texts, and a last one that counts the rest.
    pub fn texts(&self) -> Vec<String> {
        let mut texts: Vec<_> = self.shown.iter().map(|(_, refusal)| refusal.to_string()).collect();
        let more = self.count() as usize - self.shown.len();
        if more > 0 {
            texts.push(format!("{more} more lines are not shown"));
        }
        texts
    }
}

/// An upload that has been read.
#[derive(Debug, Default)]
pub struct Examined {
    /// What may be admitted, with the number of its line, from 1.
    pub(crate) events: Vec<(u32, Event)>,
    /// What may not, and why.
    pub(crate) faults: Warnings,
}

impl Examined {
    /// The newest time of a good line; `None` if no line is good, and the upload is to be refused.
    pub fn newest_time(&self) -> Option<UnixMillis> {
        self.events.iter().map(|(_, event)| UnixMillis(event.time_ms())).max()
    }

    /// What is wrong with the lines that are not good.
    pub fn faults(&self) -> &Warnings {
        &self.faults
    }
}

/// Reads an upload line by line (rules R-P1, R-P2, R-P13 to R-P15).
///
/// `known` gives the address for a text that has been decoded before.
pub(crate) fn examine(text: &str, now: UnixMillis, known: impl Fn(&str) -> Option<PktAddress>) -> Examined {
    let latest = now.plus(FUTURE_MAX_MS);
    let mut examined = Examined::default();
    for (line, number) in text.split('\n').zip(1..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match read(line, &known) {
            Ok(event) if UnixMillis(event.time_ms()) > latest => {
                let time_ms = event.time_ms();
                examined.faults.add(number, Refusal::EventFromTheFuture { line: number as usize, time_ms });
            }
            Ok(event) => examined.events.push((number, event)),
            Err(fault) => examined.faults.add(number, Refusal::BadEvent { line: number as usize, fault }),
        }
    }
    examined
}

fn read(line: &str, known: &impl Fn(&str) -> Option<PktAddress>) -> Result<Event, EventFault> {
    plain(line, known).map_or_else(|| Event::parse_line(line.as_bytes()), Ok)
}

/// An announcement or share event as the handlers write it: each member of its plain type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plain<'a> {
    r#type: &'a str,
    pay_to: &'a str,
    time: u64,
    event_id: &'a str,
    #[serde(default)]
    target: u32,
    accepted: Option<u32>,
    #[serde(default)]
    dup: u32,
    unsigned: Option<u32>,
    total_len: Option<u32>,
    header_hash: Option<&'a str>,
    #[serde(default)]
    ann_count: &'a str,
    #[serde(default)]
    ann_min_work: u32,
    #[serde(default)]
    encryptions: u64,
}

/// The short way for the bulk of all lines. `None`: not as plain as that, the long way must judge it.
fn plain(line: &str, known: &impl Fn(&str) -> Option<PktAddress>) -> Option<Event> {
    let is_object = line.trim_ascii_start().starts_with('{');
    if !is_object || line.len() > LINE_LIMIT {
        return None;
    }
    let plain: Plain = serde_json::from_str(line).ok()?;
    let target = if plain.target == 0 { DEFAULT_TARGET } else { CompactTarget(plain.target) };
    let pay_to = is_creditable_target(target)
        .then(|| known(plain.pay_to).or_else(|| PktAddress::parse(plain.pay_to).ok()))
        .flatten()?;
    match plain.r#type {
        "anns" => plain.announcements(pay_to, target).map(Event::Anns),
        "share" if plain.accepted.is_none() => plain.share(pay_to, target).map(Event::Share),
        _ => None,
    }
}

impl Plain<'_> {
    fn announcements(&self, pay_to: PktAddress, target: CompactTarget) -> Option<AnnsEvent> {
        Some(AnnsEvent {
            accepted: self.accepted?,
            duplicate: self.dup,
            pay_to,
            unsigned: self.unsigned?,
            total_length: self.total_len?,
            target,
            time_ms: self.time,
            event_id: EventId::from_text(self.event_id),
        })
    }

    fn share(&self, pay_to: PktAddress, target: CompactTarget) -> Option<ShareEvent> {
        let won_block = match self.header_hash {
            Some(hash) => Some(BlockHash::from_display_hex(hash).ok()?),
            None => None,
        };
        Some(ShareEvent {
            pay_to,
            won_block,
            time_ms: self.time,
            event_id: EventId::from_text(self.event_id),
            target,
            announcement_count: self.ann_count.parse().ok()?,
            announcement_min_work: CompactTarget(self.ann_min_work),
            encryptions: u128::from(self.encryptions),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ADDRESS: &str = "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t";

    fn one(line: &str) -> Examined {
        examine(line, UnixMillis(1_600_000_000_000), |_| None)
    }

    fn anns(members: &str) -> String {
        format!(r#"{{"type":"anns","payTo":"{ADDRESS}","time":1600000000000,"eventId":"x",{members}}}"#)
    }

    fn fault(line: &str) -> String {
        one(line).faults().texts().pop().unwrap_or_default()
    }

    #[test]
    fn r_p2_only_objects_are_events() {
        for line in ["null", "42", "\"text\"", "[]", "this is not json"] {
            let examined =
                one(&format!("{line}\n\n   \n{}", anns(r#""accepted":1,"unsigned":0,"totalLen":0"#)));
            assert_eq!((examined.events.len(), examined.faults.count()), (1, 1), "{line}");
            assert!(fault(line).starts_with("bad_event: line 1: "), "{}", fault(line));
        }
    }

    #[test]
    fn r_p1_addresses_are_checked_before_anything_is_credited() {
        for address in ["pkt1sj0s7u", "PKT1QAP720CSTV7TL9SP6XV7KYY37AVU04UN88SNTJA", "", "nonsense"] {
            let line = anns(r#""accepted":1,"unsigned":0,"totalLen":0"#).replace(ADDRESS, address);
            assert!(fault(&line).contains("`payTo`"), "{}", fault(&line));
        }
    }

    #[test]
    fn r_p13_events_from_the_future_and_fractions_of_milliseconds_are_refused() {
        let at =
            |time: &str| anns(r#""accepted":1,"unsigned":0,"totalLen":0"#).replace("1600000000000", time);
        assert_eq!(one(&at("1600000300000")).events.len(), 1);
        assert!(fault(&at("1600000300001")).contains("event_from_the_future: line 1: "));
        assert!(fault(&at("1600000000000.5")).contains("`time`"));
        assert_eq!(one(&at("1.6e12")).events.len(), 1, "a whole number however written");
    }

    #[test]
    fn r_p14_targets_that_no_hash_could_be_measured_by_are_refused() {
        let with =
            |target: u64| anns(&format!(r#""accepted":1,"unsigned":0,"totalLen":0,"target":{target}"#));
        for target in [0x2080_0001u64, 0x2080_0000, 0x2000_0000, 0x2100_ffff, 1 << 32] {
            assert!(fault(&with(target)).contains("`target`"), "{target:x}");
        }
        for (target, counts_as) in [(0, 0x2000_0fff), (1, 1), (0x207f_ffff, 0x207f_ffff)] {
            let Some((_, Event::Anns(event))) = one(&with(target)).events.pop() else { panic!("{target:x}") };
            assert_eq!(event.target, CompactTarget(counts_as));
        }
    }

    #[test]
    fn r_p15_negative_and_endless_numbers_are_refused() {
        for members in [
            r#""accepted":-1,"unsigned":0,"totalLen":0"#,
            r#""accepted":1,"unsigned":-1,"totalLen":0"#,
            r#""accepted":1,"unsigned":0,"totalLen":4294967296"#,
            r#""accepted":1e400,"unsigned":0,"totalLen":0"#,
        ] {
            assert_eq!(one(&anns(members)).events.len(), 0, "{members}");
        }
        for difficulty in ["0", "-1", "1e999", "null"] {
            let line =
                format!(r#"{{"type":"block","eventId":"x","time":1,"height":1,"difficulty":{difficulty}}}"#);
            assert!(fault(&line).contains("`difficulty`"), "{}", fault(&line));
        }
    }

    #[test]
    fn a_reply_carries_twenty_warnings_and_counts_the_rest() {
        let texts = one(&"null\n".repeat(1000)).faults().texts();
        assert_eq!(texts.len(), 21);
        assert!(texts[19].starts_with("bad_event: line 20: "), "{}", texts[19]);
        assert_eq!(texts[20], "980 more lines are not shown");
    }

    #[test]
    fn an_upload_without_a_good_line_has_no_time() {
        assert_eq!(one("").newest_time(), None);
        assert_eq!(one("{\"time\":\"x\"}\n").newest_time(), None);
    }

    proptest! {
        /// The short way may give up, but must never say anything else than the long way.
        #[test]
        fn short_and_long_way_agree(
            kind in prop::sample::select(vec!["anns", "share", "", "gift"]),
            target in "0|[0-9]{8,10}|null|-1",
            pay_to in prop::sample::select(vec![ADDRESS, "pkt1sj0s7u", "p\\u0042uYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t"]),
            time in "1600000[0-9]{6}(\\.5)?",
            id in "[0-9a-f]{32}|[a-zA-Z]{0,12}",
            accepted in prop::sample::select(vec!["", ",\"accepted\":5", ",\"accepted\":0", ",\"accepted\":null",
                ",\"accepted\":\"5\"", ",\"accepted\":4294967296", ",\"accepted\":5,\"unsigned\":2"]),
            extra in prop::sample::select(vec![
                "", ",\"dup\":3", ",\"dup\":\"x\"", ",\"unsigned\":7", ",\"inval\":0", ",\"headerHash\":\"00\"",
                ",\"headerHash\":\"254ab1adea200e94fca830f089cb49ffef3f63550ef122a108c6434fc029e409\",\"block\":false",
                ",\"annCount\":\"4096\",\"annMinWork\":545259519,\"encryptions\":1000",
                ",\"annCount\":\"+7\",\"encryptions\":1e3", ",\"annCount\":4096", ",\"annCount\":\"\"",
            ]),
        ) {
            let line = format!(
                r#"{{"type":"{kind}"{accepted},"payTo":"{pay_to}","totalLen":0,"target":{target},"time":{time},"eventId":"{id}"{extra}}}"#
            );
            if let Some(event) = plain(&line, &|_| None) {
                prop_assert_eq!(Ok(event), Event::parse_line(line.as_bytes()));
            }
        }
    }

    #[test]
    fn what_handlers_write_goes_the_short_way() {
        let share = r#"{"type":"share","payTo":"pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t","block":true,"time":1600000000000,"eventId":"74bc7dd0742228276087ea5bbe8f78f1","headerHash":"254ab1adea200e94fca830f089cb49ffef3f63550ef122a108c6434fc029e409","target":522190846,"annCount":"4096","annMinWork":538968064,"encryptions":1024}"#;
        for line in [share, &anns(r#""accepted":5,"unsigned":0,"totalLen":0,"dup":2"#)] {
            assert_eq!(plain(line, &|_| None), Event::parse_line(line.as_bytes()).ok(), "{line}");
            assert!(plain(line, &|_| None).is_some(), "{line}");
        }
    }
}
