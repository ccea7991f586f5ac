//! What every storage of the book must do. Each engine runs the same suite.

use super::*;

const ADDRESS: &str = "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t";

fn upload(number: u8, counts: Option<UploadCounts>) -> UploadEntry {
    UploadEntry {
        id: EventId::from_bytes([number; 16]),
        newest_event: UnixMillis(1_600_000_000_000),
        accepted_at: UnixMillis(1_600_000_000_000 + u64::from(number)),
        counts,
    }
}

fn won_block(number: u8) -> WonBlock {
    WonBlock {
        share_id: EventId::from_bytes([number; 16]),
        hash: BlockHash::from_internal([number; 32]),
        pay_to: ADDRESS.parse().unwrap(),
        won_at: UnixMillis(u64::from(number)),
    }
}

fn payout_table(made_at: u64, newest_event: Option<u64>) -> PayoutTable {
    PayoutTable {
        made_at: UnixMillis(made_at),
        newest_event: newest_event.map(UnixMillis),
        share_window: PaidWindow { newest_time: Some(7), full: true, ..PaidWindow::default() },
        announcement_window: PaidWindow {
            width: "340282366920938463463374607431768211455".into(),
            ..PaidWindow::default()
        },
        payees: vec![(ADDRESS.parse().unwrap(), 1_000_000_000_000)],
    }
}

/// Everything that is written can be read, and nothing is written twice.
async fn keeps_what_it_is_given(book: &impl Book) {
    let counts = UploadCounts { credited: 3, repeated: 2, refused: 1 };
    let uploads = [upload(1, Some(counts)), upload(2, None)];
    let seen =
        SeenBlock { event_id: EventId::from_bytes([9; 16]), hash: None, height: 5, seen_at: UnixMillis(5) };
    for _ in 0..2 {
        book.add(&uploads, std::slice::from_ref(&seen), &[won_block(3), won_block(4)]).await.unwrap();
    }
    book.add(&[upload(1, None)], &[], &[]).await.unwrap();
    assert_eq!(book.newest_uploads(10).await.unwrap(), [uploads[1].clone(), uploads[0].clone()]);
    assert_eq!(book.newest_wins(1).await.unwrap(), [won_block(4)]);
    assert!(book.has_upload(uploads[0].id).await.unwrap());
    assert!(!book.has_upload(EventId::from_bytes([0; 16])).await.unwrap());
}

/// More rows than fit into a statement.
async fn takes_many_rows(book: &impl Book) {
    let uploads: Vec<_> = (0..1201u32)
        .map(|number| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_le_bytes());
            UploadEntry { id: EventId::from_bytes(id), ..upload(0, None) }
        })
        .collect();
    book.add(&uploads, &[], &[]).await.unwrap();
    assert_eq!(book.newest_uploads(5000).await.unwrap().len(), 1201);
}

/// Tables are numbered, outcomes stay with their table, and age removes both.
async fn keeps_payout_tables(book: &impl Book) {
    assert_eq!(book.newest_payout_table().await.unwrap(), None);
    let old = payout_table(1000, None);
    let first = book.add_payout_table(&old, UnixMillis(0)).await.unwrap();
    let outcomes = [
        PayoutOutcome::Refused("no".into()),
        PayoutOutcome::Configured,
        PayoutOutcome::PaidOtherwise("less".into()),
        PayoutOutcome::PaidAsSent,
    ];
    for (outcome, at) in outcomes.iter().zip(1..) {
        book.add_outcome(first, UnixMillis(at), outcome).await.unwrap();
    }
    assert_eq!(book.newest_payout_table().await.unwrap(), Some((first, old, outcomes.to_vec())));
    let young = payout_table(2000, Some(1999));
    let second = book.add_payout_table(&young, UnixMillis(1500)).await.unwrap();
    assert!(second > first, "a number is not used again");
    assert_eq!(book.newest_payout_table().await.unwrap(), Some((second, young, Vec::new())));
}

async fn in_sqlite(folder: &tempfile::TempDir, name: &str) -> SqlBook {
    SqlBook::open_sqlite(&folder.path().join(name)).await.unwrap()
}

#[tokio::test]
async fn sqlite_is_a_book() {
    let folder = tempfile::tempdir().unwrap();
    keeps_what_it_is_given(&in_sqlite(&folder, "given").await).await;
    takes_many_rows(&in_sqlite(&folder, "many").await).await;
    keeps_payout_tables(&in_sqlite(&folder, "tables").await).await;
}

#[tokio::test]
async fn a_book_opened_again_is_the_same_book() {
    let folder = tempfile::tempdir().unwrap();
    in_sqlite(&folder, "book").await.add(&[upload(1, None)], &[], &[]).await.unwrap();
    assert_eq!(in_sqlite(&folder, "book").await.newest_uploads(9).await.unwrap(), [upload(1, None)]);
}

#[tokio::test]
async fn figures_add_up_over_restarts_and_old_ones_go() {
    use crate::series::{Grain, Point};
    let folder = tempfile::tempdir().unwrap();
    let now = UnixMillis(1_700_000_040_000);
    let minute = UnixMillis(1_700_000_040_000 - 60_000);
    let address: PktAddress = ADDRESS.parse().unwrap();
    let point = Point { shares: 2, share_work: 1_000, ..Point::default() };
    for round in 1..=2 {
        let book = in_sqlite(&folder, "book").await;
        book.add_series(vec![(Some(address), minute, point), (None, minute, point)], now, now).await.unwrap();
        for grain in Grain::ALL {
            let (start, place) = grain.place(minute);
            let points = book.series(Some(address), grain, start, grain.points()).await.unwrap();
            let known: Vec<_> = points.iter().enumerate().filter(|(_, point)| point.is_some()).collect();
            assert_eq!(known.len(), 1, "{grain:?}");
            assert_eq!(known[0].0, place);
            assert_eq!(known[0].1.unwrap().shares, 2 * round);
        }
        assert_eq!(book.series_stored_until().await.unwrap(), now);
    }
    let book = in_sqlite(&folder, "book").await;
    let month_later = now.plus(33 * 86_400_000);
    book.add_series(Vec::new(), month_later, month_later).await.unwrap();
    let (start, _) = Grain::Hour.place(minute);
    assert_eq!(book.series(Some(address), Grain::Hour, start, 24).await.unwrap(), [None; 24]);
    let stranger = "pKTcgnvpPdXQ6HztTC5snBc69887g471zE".parse().unwrap();
    assert_eq!(book.series(Some(stranger), Grain::Hour, start, 1).await.unwrap(), [None]);
}

#[tokio::test]
async fn wins_are_described_once_and_tell_what_they_paid() {
    let folder = tempfile::tempdir().unwrap();
    let book = in_sqlite(&folder, "book").await;
    book.add(&[], &[], &[won_block(3), won_block(4)]).await.unwrap();
    let table = book.add_payout_table(&payout_table(1, None), UnixMillis(0)).await.unwrap();
    book.add_outcome(table, UnixMillis(2), &PayoutOutcome::Configured).await.unwrap();
    assert_eq!(book.table_in_force(UnixMillis(1)).await.unwrap(), None);
    let force = book.table_in_force(UnixMillis(3)).await.unwrap();
    assert_eq!(force, Some(table));
    let wins = book.wins_before(UnixMillis(4), 9).await.unwrap();
    assert_eq!(wins.iter().map(|win| win.won.won_at.0).collect::<Vec<_>>(), [3]);
    let described = RecordedWin {
        effort_millionths: Some(500_000),
        reward: Some(1 << 30),
        payout_table: force,
        ..wins[0].clone()
    };
    book.describe_win(&described).await.unwrap();
    book.describe_win(&RecordedWin { effort_millionths: Some(7), ..described.clone() }).await.unwrap();
    assert_eq!(book.wins_before(UnixMillis(4), 9).await.unwrap(), std::slice::from_ref(&described));
    let (own, at_the_end) = (ADDRESS.parse().unwrap(), UnixMillis(u64::MAX));
    assert_eq!(book.payments_to(&own, at_the_end, 9).await.unwrap(), Paid::default(), "nobody has noted it");
    assert_eq!(book.note_payees().await.unwrap(), 1);
    assert_eq!(book.note_payees().await.unwrap(), 0);
    let paid = book.payments_to(&own, at_the_end, 9).await.unwrap();
    assert_eq!(paid, Paid { blocks: vec![(described, 1_000_000_000_000)], next: None });
    let stranger = "pKTcgnvpPdXQ6HztTC5snBc69887g471zE".parse().unwrap();
    assert_eq!(book.payments_to(&stranger, at_the_end, 9).await.unwrap(), Paid::default());
    assert_eq!(book.payees_of(table).await.unwrap(), Some(vec![(own, 1_000_000_000_000)]));
    assert_eq!(book.payees_of(PayoutTableNumber(99)).await.unwrap(), None);
    let tables = book.payout_tables_before(PayoutTableNumber(i64::MAX), 9).await.unwrap();
    assert_eq!((tables.len(), tables[0].payee_count), (1, 1));
    assert_eq!(tables[0].outcome, Some(PayoutOutcome::Configured));
}

#[tokio::test]
async fn payments_go_back_block_by_block_even_where_the_table_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let book = in_sqlite(&folder, "book").await;
    let wins: Vec<_> = (1..=20).map(won_block).collect();
    book.add(&[], &[], &wins).await.unwrap();
    let table = book.add_payout_table(&payout_table(1, None), UnixMillis(0)).await.unwrap();
    for won in &wins {
        let win = RecordedWin {
            won: won.clone(),
            height: None,
            effort_millionths: None,
            reward: Some(1),
            payout_table: Some(table),
        };
        book.describe_win(&win).await.unwrap();
    }
    while book.note_payees().await.unwrap() > 0 {}
    // The table is removed by age; what its blocks paid stays.
    book.add_payout_table(&payout_table(3000, None), UnixMillis(2000)).await.unwrap();
    let (own, mut before, mut times) = (ADDRESS.parse().unwrap(), UnixMillis(u64::MAX), Vec::new());
    loop {
        let paid = book.payments_to(&own, before, 7).await.unwrap();
        times.extend(paid.blocks.iter().map(|(win, _)| win.won.won_at.0));
        match paid.next {
            Some(next) => before = next,
            None => break,
        }
    }
    assert_eq!(times, (1..=20).rev().collect::<Vec<_>>());
}
