//! The defects of the reference PayMaker that rules R-P… remove, each shown to be impossible.
//!
//! (R-P1, R-P2 and R-P13 to R-P15 are shown where lines are read, R-P3, R-P4, R-P17, R-P18 and R-P20 at the role.)

use wire::who_to_pay::WhoToPay;
use wire::{Event, PktAddress};

use crate::{DurableLedger, Ledger, Receipt, Retention, Rules, RulesConfig, UNITS, UnixMillis};

const ALICE: &str = "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t";
const BOB: &str = "pKTcgnvpPdXQ6HztTC5snBc69887g471zE";
const CAROL: &str = "pBCoKBuCBYzqiHDwdvqE2pusa7XhdhJSPw";
const POOL: &str = "pkt1qa6l3hd3ttfrvjjq3ee8vw6rpmhzmhsw69ytecrvad02jqmhz0jxq0rs86s";
/// A block comes first, at the start of a slot.
const START: u64 = 1_600_000_020_000;
const NOW: UnixMillis = UnixMillis(START + 600_000);

fn config() -> RulesConfig {
    let decimal = |text: &str| text.parse().unwrap();
    RulesConfig {
        has_private_seed: false,
        block_payout_fraction: decimal("0.5"),
        pplns_block_constant: decimal("2"),
        pplns_announcement_constant: decimal("0.125"),
        history_depth_ms: 3_600_000,
        slot_span_ms: 60_000,
        slots_to_keep_events: None,
        pool_fee: None,
        pool_fee_address: None,
        default_address: POOL.parse().unwrap(),
        most_payees: 10_000,
    }
}

fn block(number: u64, time: u64) -> String {
    format!(
        r#"{{"type":"block","hash":"","height":{number},"difficulty":1,"time":{time},"eventId":"{number:032x}"}}"#
    )
}

/// Each accepted announcement earns 2⁻¹⁶ credits (work 256 at difficulty 1).
fn anns(id: &str, pay_to: &str, time: u64, accepted: u32) -> String {
    format!(
        r#"{{"type":"anns","accepted":{accepted},"unsigned":0,"totalLen":0,"payTo":"{pay_to}","target":536936448,"time":{time},"eventId":"{id}"}}"#
    )
}

fn share(id: &str, pay_to: &str, time: u64, won: Option<u8>) -> String {
    let won = won.map(|byte| format!(r#","headerHash":"{}""#, hex::encode([byte; 32]))).unwrap_or_default();
    format!(
        r#"{{"type":"share","payTo":"{pay_to}","block":true,"time":{time},"eventId":"{id}","target":522190848{won}}}"#
    )
}

fn with(config: &RulesConfig) -> Ledger {
    let mut ledger = Ledger::new(Rules::new(config).unwrap());
    upload(&mut ledger, &[block(0, START)]);
    ledger
}

fn ledger() -> Ledger {
    with(&config())
}

fn upload(ledger: &mut Ledger, lines: &[String]) -> Receipt {
    ledger.admit(ledger.examine(&lines.join("\n"), NOW)).0
}

fn document(ledger: &Ledger) -> WhoToPay {
    ledger.who_to_pay(NOW, None)
}

fn address(text: &str) -> PktAddress {
    text.parse().unwrap()
}

fn units(document: &WhoToPay, payee: &str) -> u64 {
    document.units.as_ref().and_then(|units| units.get(&address(payee)).copied()).unwrap_or_default()
}

#[test]
fn r_p5_a_process_killed_after_any_step_loses_nothing_answered_and_counts_nothing_twice() {
    let body = |number: u64| anns(&format!("{number:032x}"), ALICE, START + number, 100);
    let rules = || Rules::new(&config()).unwrap();
    let open = |folder: &std::path::Path| DurableLedger::open(folder, rules(), Retention::Delete).unwrap().0;
    let now_paid = |ledger: &DurableLedger| units(&ledger.read().who_to_pay(NOW, None), ALICE);
    let folder = tempfile::tempdir().unwrap();
    let (uploads, segments) = (folder.path().join("uploads"), folder.path().join("segments"));
    {
        let ledger = open(folder.path());
        ledger.accept(block(0, START).as_bytes(), NOW).unwrap();
        ledger.accept(body(1).as_bytes(), NOW).unwrap();
    }
    let paid_once = now_paid(&open(folder.path()));
    assert!(paid_once > 0);

    // Killed while the next upload was being written: nobody was told that it was accepted.
    std::fs::write(uploads.join("paylog_5_00000000000000000000000000000000.tmp"), &body(2)[..40]).unwrap();
    assert_eq!(now_paid(&open(folder.path())), paid_once);
    assert_eq!(std::fs::read_dir(&uploads).unwrap().count(), 2, "what was left over is gone");

    // Killed after it had its name, before any segment had it: it counts, and once, though it is sent again.
    open(folder.path()).accept(body(2).as_bytes(), NOW).unwrap();
    let newest_segment =
        std::fs::read_dir(&segments).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    std::fs::write(&newest_segment, b"headframe-seg-1\n").unwrap();
    let ledger = open(folder.path());
    assert!(now_paid(&ledger).abs_diff(2 * paid_once) <= 1);
    assert!(ledger.accept(body(2).as_bytes(), NOW).unwrap().was_known);
    assert!(now_paid(&ledger).abs_diff(2 * paid_once) <= 1);

    // Killed before the answer: the sender sends it again in a file cut elsewhere.
    let joined = format!("{}\n{}", body(2), body(3));
    let accepted = ledger.accept(joined.as_bytes(), NOW).unwrap();
    assert_eq!((accepted.receipt.credited, accepted.receipt.repeated), (1, 1));
    assert!(now_paid(&ledger).abs_diff(3 * paid_once) <= 2);
}

#[test]
fn r_p6_w4_zero_credit_does_not_hide_other_payees() {
    let mut ledger = ledger();
    upload(
        &mut ledger,
        &[anns("a", ALICE, START + 1, 0), anns("b", BOB, START + 2, 1000), anns("c", CAROL, START + 3, 1000)],
    );
    let document = document(&ledger);
    assert_eq!(units(&document, ALICE), 0);
    assert!(units(&document, BOB) > 0);
    assert_eq!(units(&document, BOB), units(&document, CAROL));
}

#[test]
fn r_p7_an_event_counts_once_however_late_it_is_repeated() {
    let mut ledger = ledger();
    let first = anns("a", ALICE, START + 1, 1000);
    assert_eq!(upload(&mut ledger, std::slice::from_ref(&first)).credited, 1);
    let paid = units(&document(&ledger), ALICE);
    // The same line beside others, after a silence of many slots, and in an upload of its own.
    let receipt = upload(&mut ledger, &[anns("b", BOB, START + 500_000, 1), first.clone(), first.clone()]);
    assert_eq!((receipt.credited, receipt.repeated, receipt.warnings.count()), (1, 2, 0));
    assert_eq!(upload(&mut ledger, &[first]).repeated, 1);
    assert_eq!(units(&document(&ledger), ALICE), paid);
}

#[test]
fn r_p7_the_first_of_two_contents_counts_and_the_sender_is_told() {
    let mut ledger = ledger();
    upload(&mut ledger, &[anns("a", ALICE, START + 1, 1000), share("a", ALICE, START + 1, None)]);
    let before = document(&ledger);
    let receipt = upload(&mut ledger, &[anns("a", BOB, START + 1, 9999), share("a", BOB, START + 7, None)]);
    assert_eq!((receipt.credited, receipt.repeated), (0, 2));
    assert_eq!(
        receipt.warnings.texts(),
        [
            "event_id_reused: line 1: another event with this `eventId` was accepted before",
            "event_id_reused: line 2: another event with this `eventId` was accepted before",
        ]
    );
    assert_eq!(document(&ledger), before, "ids are remembered for each kind of event");
}

#[test]
fn r_p7_without_slots_to_keep_a_handler_that_was_cut_off_is_still_credited() {
    let late = anns("late", ALICE, START + 1, 1000);
    let newest = anns("newest", BOB, START + 599_000, 1);
    let mut ledger = ledger();
    upload(&mut ledger, std::slice::from_ref(&newest));
    assert_eq!(upload(&mut ledger, std::slice::from_ref(&late)).credited, 1);
    let mut strict = with(&RulesConfig { slots_to_keep_events: Some(3), ..config() });
    upload(&mut strict, &[newest]);
    let receipt = upload(&mut strict, &[late]);
    assert_eq!((receipt.too_late, receipt.warnings.count()), (1, 1));
}

#[test]
fn r_p8_w5_slots_do_not_drift_after_a_silence() {
    let mut ledger = ledger();
    upload(&mut ledger, &[anns("a", ALICE, START, 1), anns("b", ALICE, START + 59_999, 1)]);
    assert_eq!(
        ledger.holdings().announcement_slots,
        1,
        "the first event shares its slot with the last of it"
    );
    upload(&mut ledger, &[anns("c", BOB, START + 300_000, 1)]);
    let document = document(&ledger);
    assert_eq!(document.latest_payout, START + 360_000);
    assert_eq!(document.ann_window.unwrap().oldest_time, Some(START + 60_000));
}

#[test]
fn r_p9_any_text_is_an_event_id() {
    let mut ledger = ledger();
    let ids = [
        "constructor",
        "toString",
        "valueOf",
        "__proto__",
        "",
        "hasOwnProperty",
        "x",
        "longer than sixteen bytes A",
        "longer than sixteen bytes B",
    ];
    let lines: Vec<_> =
        ids.iter().flat_map(|id| [anns(id, ALICE, START + 1, 1), share(id, BOB, START + 1, None)]).collect();
    assert_eq!(upload(&mut ledger, &lines).credited as usize, lines.len());
    assert_eq!(upload(&mut ledger, &lines).repeated as usize, lines.len());
}

#[test]
fn r_p10_the_slot_in_which_the_window_ends_is_paid_pro_rata() {
    // The window holds 0.5 · 2⁻¹⁶ · 1000 credits; the slot has twice that, in the proportion of three to one.
    let mut ledger =
        with(&RulesConfig { pplns_announcement_constant: "0.0152587890625".parse().unwrap(), ..config() });
    upload(&mut ledger, &[anns("a", ALICE, START + 1, 750), anns("b", BOB, START + 2, 250)]);
    let document = document(&ledger);
    let (alice, bob) = (units(&document, ALICE), units(&document, BOB));
    assert!(alice.abs_diff(375_000_000_000) <= 1 && bob.abs_diff(125_000_000_000) <= 1, "{alice} {bob}");
}

#[test]
fn r_p10_of_shares_of_one_time_the_greater_id_is_the_newer() {
    // The window holds exactly one share.
    let mut ledger = with(&RulesConfig { pplns_block_constant: "0.000001".parse().unwrap(), ..config() });
    upload(
        &mut ledger,
        &[
            share("b", BOB, START + 1, None),
            share("a", ALICE, START + 1, None),
            share("c", CAROL, START, None),
        ],
    );
    let document = document(&ledger);
    assert_eq!(
        (units(&document, BOB), units(&document, ALICE)),
        (499_999_999_999, 0),
        "the window is rounded down"
    );
}

#[test]
fn r_p11_a_block_that_becomes_known_late_changes_the_credit_of_the_work_after_it() {
    let mut ledger = ledger();
    upload(&mut ledger, &[anns("a", ALICE, START + 100, 1000), share("s", BOB, START + 200, None)]);
    // Sums are made, so that they would be stale.
    let before = document(&ledger);
    let harder = block(1, START + 50).replace(r#""difficulty":1,"#, r#""difficulty":4,"#);
    upload(&mut ledger, std::slice::from_ref(&harder));
    let after = document(&ledger);
    assert!(units(&after, ALICE).abs_diff(units(&before, ALICE) / 4) <= 1);
    assert!(units(&after, BOB).abs_diff(units(&before, BOB) / 4) <= 1);
    let mut in_order = self::ledger();
    upload(&mut in_order, &[harder, anns("a", ALICE, START + 100, 1000), share("s", BOB, START + 200, None)]);
    assert_eq!(document(&in_order), after);
}

#[test]
fn r_p11_work_without_an_earlier_block_in_the_history_has_no_credit() {
    let mut ledger = ledger();
    upload(&mut ledger, &[anns("a", ALICE, START + 3_000_000 - 60_000, 1000)].map(|line| line));
    let now = UnixMillis(START + 4_000_000);
    let examined = ledger.examine(&block(1, START + 3_600_001), now);
    ledger.admit(examined);
    let document = ledger.who_to_pay(now, None);
    assert_eq!(units(&document, ALICE), 0, "the block before it has left the history");
}

#[test]
fn r_p12_w6_blocks_and_wins_are_counted_once_in_24_hours_of_utc() {
    let mut ledger = ledger();
    let lines = [block(1, START + 1000), block(1, START + 2000), share("w", ALICE, START + 3000, Some(7))];
    upload(&mut ledger, &lines);
    upload(&mut ledger, &lines);
    let document = document(&ledger);
    assert_eq!((document.blocks_per_hour.len(), document.wins_per_hour.len()), (24, 24));
    assert_eq!((document.blocks_per_hour[23], document.wins_per_hour[23]), (2, 1));
    let next_hour = ledger.who_to_pay(NOW.plus(3_600_000), None);
    assert_eq!((next_hour.blocks_per_hour[22], next_hour.blocks_per_hour[23]), (2, 0));
}

#[test]
fn r_p13_the_newest_event_decides_not_the_last_line() {
    let mut ledger = ledger();
    upload(&mut ledger, &[share("a", ALICE, START + 9000, None), share("b", ALICE, START + 1, None)]);
    assert_eq!(ledger.newest_event(), Some(UnixMillis(START + 9000)));
    let far_ahead = anns("x", BOB, NOW.0 + 300_001, 1);
    let receipt = upload(&mut ledger, &[far_ahead]);
    assert_eq!((receipt.credited, receipt.warnings.count()), (0, 1));
    assert_eq!(
        ledger.newest_event(),
        Some(UnixMillis(START + 9000)),
        "nothing was pushed out of the history"
    );
}

#[test]
fn r_p16_parts_are_whole_units_without_dust() {
    let mut ledger = with(&RulesConfig {
        pool_fee: Some("0.2".parse().unwrap()),
        pool_fee_address: Some(CAROL.into()),
        ..config()
    });
    let lines: Vec<_> = (1..=7)
        .map(|number| {
            anns(&number.to_string(), if number % 2 == 0 { ALICE } else { BOB }, START + number, 333)
        })
        .collect();
    upload(&mut ledger, &lines);
    let document = document(&ledger);
    let all = document.units.clone().unwrap();
    assert_eq!(all.0.iter().map(|(_, units)| units).sum::<u64>(), UNITS);
    assert_eq!(all.0[0], (address(CAROL), 200_000_000_000), "the fee address comes first");
    assert!(all.0[1..].windows(2).all(|pair| pair[0].1 >= pair[1].1), "then by descending part");
    for (_, part) in &document.result.0 {
        let text = part.to_string();
        assert!(text.len() <= "0.123456789012".len() && !text.contains('e'), "{text}");
    }
}

#[test]
fn r_p23_a_block_pays_the_greatest_parts_and_the_default_address_gets_the_others() {
    let lines =
        [anns("a", ALICE, START + 1, 300), anns("b", BOB, START + 2, 200), anns("c", CAROL, START + 3, 200)];
    let limited = |most_payees| {
        let mut ledger = with(&RulesConfig { most_payees, ..config() });
        upload(&mut ledger, &lines);
        document(&ledger)
    };
    let (all, two) = (limited(3), limited(2));
    assert!(!all.warn.iter().any(|warning| warning.contains("no place")), "{:?}", all.warn);
    assert!(two.warn.iter().any(|warning| warning.contains("no place for 1 more")), "{:?}", two.warn);
    let [earlier, later] = if address(BOB) < address(CAROL) { [BOB, CAROL] } else { [CAROL, BOB] };
    for payee in [ALICE, earlier] {
        assert_eq!(units(&two, payee), units(&all, payee));
    }
    assert_eq!(units(&two, later), 0);
    assert_eq!(units(&two, POOL), units(&all, POOL) + units(&all, later));
    assert_eq!(two.ann_miner_stats.0.len(), all.ann_miner_stats.0.len(), "what they did is still told");
}

#[test]
fn r_p19_old_uploads_and_segments_go_and_the_name_has_the_newest_time() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let rules = Rules::new(&config()).unwrap();
    let open = |retention| DurableLedger::open(folder.path(), rules.clone(), retention).unwrap().0;
    let ledger = open(Retention::Archive(archive.clone()));
    let first = [share("a", ALICE, START + 9000, None), share("b", ALICE, START + 1, None)].join("\n");
    ledger.accept(first.as_bytes(), NOW).unwrap();
    let name = ledger.stored_uploads().unwrap()[0].file_name();
    assert!(name.starts_with(&format!("paylog_{}_", START + 9000)), "{name}");
    // Twice the history and a little later.
    let later = START + 9000 + 2 * 3_600_000 + 1;
    ledger.accept(share("c", BOB, later, None).as_bytes(), UnixMillis(later)).unwrap();
    assert_eq!(ledger.stored_uploads().unwrap().len(), 1);
    assert!(archive.join(name).exists());
    let before = ledger.read().who_to_pay(UnixMillis(later), None);
    drop(ledger);
    assert_eq!(open(Retention::Delete).read().who_to_pay(UnixMillis(later), None), before);
}

#[test]
fn r_p21_with_maxtime_later_events_do_not_exist() {
    let mut ledger = ledger();
    let early = [
        anns("a", ALICE, START + 1, 100),
        share("s", ALICE, START + 2, Some(1)),
        anns("b", ALICE, START + 70_000, 50),
    ];
    let late = [
        anns("c", BOB, START + 70_001, 100),
        share("t", BOB, START + 80_000, Some(2)),
        block(5, START + 71_000),
    ];
    upload(&mut ledger, &early);
    let then = ledger.who_to_pay(NOW, None);
    upload(&mut ledger, &late);
    assert_ne!(document(&ledger), then);
    assert_eq!(ledger.who_to_pay(NOW, Some(UnixMillis(START + 70_000))), then);
}

#[test]
fn r_p22_the_last_win_is_the_newest_not_the_last_uploaded() {
    let mut ledger = ledger();
    upload(
        &mut ledger,
        &[
            share("b", ALICE, START + 5000, Some(2)),
            share("a", ALICE, START + 5000, Some(1)),
            share("z", BOB, START + 1, Some(3)),
        ],
    );
    let document = document(&ledger);
    assert_eq!(document.last_won_block.unwrap().to_string(), hex::encode([2; 32]));
    assert_eq!(document.last_won_block_time, (START + 5000) as i64);
}

#[test]
fn a_replay_of_the_logs_gives_the_same_bytes() {
    let lines = [block(0, START), anns("a", ALICE, START + 1, 100), share("s", BOB, START + 2, None)];
    let folder = tempfile::tempdir().unwrap();
    let rules = Rules::new(&config()).unwrap();
    let running = DurableLedger::open(folder.path(), rules.clone(), Retention::Delete).unwrap().0;
    for line in &lines {
        running.accept(line.as_bytes(), NOW).unwrap();
    }
    let (replayed, _) = crate::replay(rules, lines.iter().rev().map(String::as_str), NOW);
    assert_eq!(replayed.who_to_pay(NOW, None).to_json(), running.read().who_to_pay(NOW, None).to_json());
    assert!(lines.iter().all(|line| Event::parse_line(line.as_bytes()).is_ok()));
}
