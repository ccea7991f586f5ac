//! Arrivals that are good, bad, and useless.

use packetcrypt::Height;

use super::*;
use crate::{
    blocks::test_chain::{announcements, bytes_of, followed},
    fake_pool::FakePool,
};

struct Setup {
    intake: Intake,
    _pool: FakePool,
    _guard: tokio_util::sync::DropGuard,
}

/// An intake for a pool with its tip at height 20, where a block of height 21 is mined.
async fn setup(check_one_in: u32) -> Setup {
    let (pool, followed, guard) = followed(20).await;
    let mut store = Store::new(16 << 20);
    store.set_chain(Height(21), &followed.view().unwrap().chain);
    let totals = Arc::default();
    let one_in = NonZeroU32::new(check_one_in).unwrap();
    let intake = Intake::new(Arc::new(Mutex::new(store)), followed, totals, one_in);
    Setup { intake, _pool: pool, _guard: guard }
}

impl Setup {
    fn take(&mut self, source: &str, announcements: &[Announcement]) -> ArrivalCounts {
        self.intake.take(&Arrival { source: source.into(), bytes: bytes_of(announcements).into() });
        self.intake.totals.now()
    }
}

fn damaged(announcement: &Announcement) -> Announcement {
    let mut bytes = *announcement.as_bytes();
    bytes[500] ^= 1;
    bytes.into()
}

fn with_byte(announcement: &Announcement, offset: usize, byte: u8) -> Announcement {
    let mut bytes = *announcement.as_bytes();
    bytes[offset] = byte;
    bytes.into()
}

#[tokio::test]
async fn good_announcements_are_stored_and_a_few_of_them_checked() {
    let mut setup = setup(32).await;
    let good = announcements(18, 1);
    let counts = setup.take("a", &good);
    assert_eq!((counts.stored, counts.invalid, counts.useless), (good.len() as u64, 0, 0));
    assert!((1..good.len() as u64 / 4).contains(&counts.checked), "{counts:?}");
    let again = setup.take("b", &good);
    assert_eq!((again.stored, again.duplicate), (good.len() as u64, good.len() as u64));
}

#[tokio::test]
async fn a_source_whose_sample_fails_is_checked_completely() {
    // No luck is needed: half of 300 are bad, and about one in three is looked at.
    let mut setup = setup(3).await;
    let good = announcements(18, 1);
    let mixed: Vec<Announcement> = good[..300]
        .iter()
        .enumerate()
        .map(|(number, good)| if number % 2 == 0 { damaged(good) } else { good.clone() })
        .collect();
    let counts = setup.take("a", &mixed);
    assert_eq!((counts.stored, counts.invalid), (150, 150));
    // Now a single bad one is found, too, though most are not looked at otherwise.
    let one_bad = [&[damaged(&good[300])], &good[301..320]].concat();
    let counts = setup.take("a", &one_bad);
    assert_eq!((counts.stored, counts.invalid), (150 + 19, 151));
}

#[tokio::test]
async fn trust_comes_back_after_a_while() {
    let mut setup = setup(u32::MAX).await;
    let good = announcements(18, 1);
    setup.take("a", &[damaged(&good[0])]);
    assert_eq!(setup.intake.totals.now().invalid, 1);
    for _ in 0..DISTRUST {
        setup.take("a", &good[1..3]);
    }
    let checked = setup.intake.totals.now().checked;
    assert!(checked > u64::from(2 * DISTRUST));
    setup.take("a", &good[1..3]);
    assert_eq!(setup.intake.totals.now().checked, checked + 1, "one of two, as before");
}

#[tokio::test]
async fn what_a_pool_would_refuse_in_a_share_is_not_stored() {
    let mut setup = setup(32).await;
    let good = announcements(18, 1);
    let useless = [
        // Version 0, no proper work bits (207fffff with the sign bit, and a spelling that is not canonical).
        with_byte(&good[0], 0, 0),
        with_byte(&good[1], 10, 0xff),
        with_byte(&with_byte(&with_byte(&good[2], 10, 0), 9, 0), 8, 1),
        // A signing key in a pool that does not sign.
        with_byte(&good[3], 56, 7),
    ];
    let counts = setup.take("a", &useless);
    assert_eq!((counts.useless, counts.stored), (useless.len() as u64, 0), "{counts:?}");
    // Valid, but too old.
    let counts = setup.take("a", &announcements(10, 1)[..3]);
    assert_eq!((counts.useless, counts.stored), (useless.len() as u64 + 3, 0), "{counts:?}");
}

#[tokio::test]
async fn a_rest_that_is_no_announcement_is_ignored() {
    let mut setup = setup(32).await;
    let bytes = bytes_of(&announcements(18, 1)[..2]);
    for length in [0, 1, 1023, 1024 + 5] {
        setup.intake.take(&Arrival { source: "a".into(), bytes: bytes[..length].to_vec().into() });
    }
    assert_eq!(setup.intake.totals.now().stored, 1);
}
