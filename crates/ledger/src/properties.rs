//! What must hold for every set of events: the ledger against its auditor, and against itself.

use proptest::prelude::*;
use wire::Event;

use crate::audit::Auditor;
use crate::{DurableLedger, Ledger, Retention, Rules, RulesConfig, UNITS, UnixMillis, replay};

const ADDRESSES: [&str; 6] = [
    "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t",
    "pKTcgnvpPdXQ6HztTC5snBc69887g471zE",
    "pBCoKBuCBYzqiHDwdvqE2pusa7XhdhJSPw",
    "pkt1qap720cstv7tl9sp6xv7kyy37avu04un8n6asenn0gswlgvcsyprs699mll",
    "pkt1qkgc8v44hmttj5ytzmnkglwn94nqeknjz4husx5",
    "pkt1qa6l3hd3ttfrvjjq3ee8vw6rpmhzmhsw69ytecrvad02jqmhz0jxq0rs86s",
];
const START: u64 = 1_600_000_000_000;
/// Half an hour of events, and a history that does not hold all of it.
const SPREAD_MS: u64 = 1_800_000;
const HISTORY_MS: u64 = 1_500_000;
const NOW: UnixMillis = UnixMillis(START + SPREAD_MS);

fn config() -> impl Strategy<Value = RulesConfig> {
    let constants = ["0.0001", "0.003", "0.125", "2", "1000000", "0.000000000001"];
    let constant = || prop::sample::select(constants.to_vec());
    let fraction = prop::sample::select(vec!["0", "0.25", "0.5", "0.3333333333", "1", "1.5", "-1"]);
    let fee = prop::sample::select(vec!["0", "0.2", "0.0000000000001", "0.999999999999", "1", "-0.1"]);
    let most_payees = prop::sample::select(vec![1, 2, 4, 10_000]);
    (constant(), constant(), fraction, fee, any::<bool>(), most_payees).prop_map(
        |(blocks, anns, fraction, fee, has_seed, most_payees)| {
            let decimal = |text: &str| text.parse().unwrap();
            RulesConfig {
                has_private_seed: has_seed,
                block_payout_fraction: decimal(fraction),
                pplns_block_constant: decimal(blocks),
                pplns_announcement_constant: decimal(anns),
                history_depth_ms: HISTORY_MS,
                slot_span_ms: 10_000,
                slots_to_keep_events: None,
                pool_fee: Some(decimal(fee)),
                pool_fee_address: Some(ADDRESSES[0].into()),
                default_address: ADDRESSES[5].parse().unwrap(),
                most_payees,
            }
        },
    )
}

/// Few ids, so that many repeat; what an id stands for never changes, as with honest handlers.
fn event() -> impl Strategy<Value = Event> {
    let target =
        prop::sample::select(vec![0x2000_0fffu32, 0x1f00_ffff, 0x1e00_8000, 0x207f_ffff, 0x0100_0001]);
    let pieces = prop::sample::select(vec![0u32, 1, 7, 1024, u32::MAX]);
    (0..3u8, 0..60u64, 0..SPREAD_MS, 0..ADDRESSES.len(), target, pieces).prop_map(
        |(kind, id, time, address, target, pieces)| {
            let line = match kind {
                0 => block_line(id % 8, START + time),
                1 => share_line(id, START + time, ADDRESSES[address], target),
                _ => anns_line(id, START + time, ADDRESSES[address], target, pieces),
            };
            Event::parse_line(line.as_bytes()).unwrap()
        },
    )
}

fn block_line(id: u64, time: u64) -> String {
    let difficulty =
        ["0.0001", "0.000244140625", "1", "1.125", "16.00022889", "2.5e3", "0.5", "123456789"][id as usize];
    format!(
        r#"{{"type":"block","hash":"","height":{id},"difficulty":{difficulty},"time":{time},"eventId":"{id:032x}"}}"#
    )
}

fn share_line(id: u64, time: u64, address: &str, target: u32) -> String {
    format!(
        r#"{{"type":"share","payTo":"{address}","block":false,"time":{time},"eventId":"{id:032x}","target":{target},"annCount":"1","annMinWork":1,"encryptions":5}}"#
    )
}

fn anns_line(id: u64, time: u64, address: &str, target: u32, accepted: u32) -> String {
    let unsigned = accepted / 3;
    format!(
        r#"{{"type":"anns","accepted":{accepted},"dup":0,"payTo":"{address}","unsigned":{unsigned},"totalLen":40000,"target":{target},"time":{time},"eventId":"{id:032x}"}}"#
    )
}

/// Events with distinct meanings for distinct ids: the first one of each id, except for blocks, whose time may vary.
fn honest(events: Vec<Event>) -> Vec<Event> {
    let mut seen = std::collections::BTreeMap::new();
    events
        .into_iter()
        .map(|event| match &event {
            Event::Block(_) => event,
            Event::Anns(_) | Event::Share(_) => {
                let kind = matches!(event, Event::Share(_));
                seen.entry((kind, event.event_id())).or_insert(event).clone()
            }
        })
        .collect()
}

fn upload(events: &[Event]) -> String {
    events.iter().map(Event::to_line).collect()
}

fn units(ledger: &Ledger, newest: Option<UnixMillis>) -> Vec<(wire::PktAddress, u64)> {
    let mut payees = ledger.distribution(newest).payees;
    payees.sort_unstable();
    payees
}

fn after(config: &RulesConfig, uploads: &[Vec<Event>]) -> Ledger {
    let texts: Vec<String> = uploads.iter().map(|events| upload(events)).collect();
    replay(Rules::new(config).unwrap(), texts.iter().map(String::as_str), NOW).0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_auditor_agrees_to_the_last_unit(
        config in config(),
        uploads in prop::collection::vec(prop::collection::vec(event(), 0..40), 0..4),
        newest in START..START + SPREAD_MS,
    ) {
        let mut ledger = Ledger::new(Rules::new(&config).unwrap());
        let mut auditor = Auditor::new(config);
        for events in &uploads {
            let text = upload(events);
            ledger.admit(ledger.examine(&text, NOW));
            auditor.accept(events);
        }
        for newest in [None, Some(UnixMillis(newest))] {
            let audited: Vec<_> = auditor.units(newest.map_or(u64::MAX, |newest| newest.0)).into_iter().collect();
            prop_assert_eq!(units(&ledger, newest), audited);
        }
    }

    #[test]
    fn every_distribution_sums_to_the_whole(config in config(), events in prop::collection::vec(event(), 0..80)) {
        let ledger = after(&config, &[events]);
        let distribution = ledger.distribution(None);
        prop_assert_eq!(distribution.payees.iter().map(|(_, units)| units).sum::<u64>(), UNITS);
        prop_assert!(distribution.payees.iter().all(|(_, units)| *units > 0));
        let document = ledger.who_to_pay(NOW, None);
        let shown: Vec<String> = document.result.0.iter().map(|(_, part)| part.to_string()).collect();
        prop_assert!(shown.iter().all(|part| !part.contains('e')), "{:?}", shown);
    }

    /// Rule R-P11: neither order nor partition of what was accepted matters. Events that one order would refuse as too
    /// old are left out first, and kept in the same upload as the newest.
    #[test]
    fn r_p11_order_and_partition_do_not_matter(
        config in config(),
        events in prop::collection::vec(event(), 1..60).prop_map(honest),
        shuffled_by in any::<[u8; 32]>(),
        cuts in prop::collection::vec(0..60usize, 0..4),
    ) {
        let newest = events.iter().map(Event::time_ms).max().unwrap_or_default();
        let kept: Vec<Event> = events.into_iter().filter(|event| event.time_ms() + HISTORY_MS >= newest).collect();
        let mut shuffled = kept.clone();
        for index in (1..shuffled.len()).rev() {
            shuffled.swap(index, usize::from(shuffled_by[index % 32]) * 7 % (index + 1));
        }
        let mut uploads: Vec<Vec<Event>> = Vec::new();
        let mut rest = shuffled.as_slice();
        for cut in cuts {
            let (upload, later) = rest.split_at(cut.min(rest.len()));
            uploads.push(upload.to_vec());
            rest = later;
        }
        uploads.push(rest.to_vec());
        let (one, other) = (after(&config, &[kept]), after(&config, &uploads));
        prop_assert_eq!(one.who_to_pay(NOW, None), other.who_to_pay(NOW, None));
    }

    #[test]
    fn an_upload_repeated_changes_nothing(
        config in config(),
        events in prop::collection::vec(event(), 1..60).prop_map(honest),
    ) {
        let uploads: Vec<_> = events.chunks(20).map(<[Event]>::to_vec).collect();
        let once = after(&config, &uploads);
        let twice: Vec<_> = uploads.iter().chain(&uploads[uploads.len() - 1..]).cloned().collect();
        prop_assert_eq!(once.who_to_pay(NOW, None), after(&config, &twice).who_to_pay(NOW, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Restart after any upload, with segments, with damaged segments, and without any.
    #[test]
    fn a_restart_is_no_restart(
        config in config(),
        uploads in prop::collection::vec(prop::collection::vec(event(), 1..30), 1..5),
        damage in any::<[u16; 5]>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let open = || DurableLedger::open(folder.path(), Rules::new(&config).unwrap(), Retention::Delete).unwrap().0;
        let mut never_stopped = Ledger::new(Rules::new(&config).unwrap());
        for (events, damage) in uploads.iter().zip(damage) {
            let text = upload(events);
            let accepted = open().accept(text.as_bytes(), NOW).unwrap();
            if !accepted.was_known {
                never_stopped.admit(never_stopped.examine(&text, accepted.accepted_at));
            }
            damage_segments(folder.path(), damage);
            let restarted = open();
            prop_assert_eq!(
                restarted.read().who_to_pay(NOW, None), never_stopped.who_to_pay(NOW, None)
            );
        }
    }
}

/// Cuts or flips something in one of the segments, or removes it, or leaves all as it is.
fn damage_segments(folder: &std::path::Path, damage: u16) {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder.join("segments")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let path = &paths[usize::from(damage) % paths.len()];
    let mut bytes = std::fs::read(path).unwrap();
    // One that was cut before may be empty.
    let at = usize::from(damage).checked_rem(bytes.len()).unwrap_or_default();
    match damage % 4 {
        0 => std::fs::remove_file(path).unwrap(),
        1 => std::fs::write(path, &bytes[..at]).unwrap(),
        2 => {
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x10);
            std::fs::write(path, &bytes).unwrap();
        }
        _ => {}
    }
}
