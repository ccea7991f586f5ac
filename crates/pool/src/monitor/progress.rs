//! What ought to move in a pool that gets on, and whether it does.

use std::time::{Duration, Instant};

use super::figures::{Figure, Figures};

/// Who mined within this time is expected to go on.
const MEMORY: Duration = Duration::from_secs(6 * 3600);
/// Blocks that the accounts may be behind the chain.
const LAG: f64 = 10.0;

/// Something that ought to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Motion {
    /// The PacketCrypt chain grows.
    PacketCryptChain,
    /// Announcements come in.
    Announcements,
    /// PacketCrypt shares come in.
    PacketCryptShares,
    /// The node takes payout tables.
    PayoutTables,
    /// The Nimiq chain grows.
    NimiqChain,
    /// Nimiq shares come in while miners are connected.
    NimiqShares,
    /// The accounts keep up with the Nimiq chain.
    NimiqService,
    /// Nimiq payouts are planned.
    NimiqPayouts,
}

impl Motion {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PacketCryptChain,
        Self::Announcements,
        Self::PacketCryptShares,
        Self::PayoutTables,
        Self::NimiqChain,
        Self::NimiqShares,
        Self::NimiqService,
        Self::NimiqPayouts,
    ];

    /// As it stands in metrics and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::PacketCryptChain => "packetcrypt_chain",
            Self::Announcements => "announcements",
            Self::PacketCryptShares => "packetcrypt_shares",
            Self::PayoutTables => "payout_tables",
            Self::NimiqChain => "nimiq_chain",
            Self::NimiqShares => "nimiq_shares",
            Self::NimiqService => "nimiq_service",
            Self::NimiqPayouts => "nimiq_payouts",
        }
    }

    /// What is the matter when it stands still.
    pub fn standstill(self) -> &'static str {
        match self {
            Self::PacketCryptChain => "the PacketCrypt chain has not grown",
            Self::Announcements => "no announcement has been accepted",
            Self::PacketCryptShares => "no PacketCrypt share has been accepted",
            Self::PayoutTables => "the node has not taken whom to pay",
            Self::NimiqChain => "the Nimiq chain has not grown",
            Self::NimiqShares => "no Nimiq share has been accepted, though miners are connected",
            Self::NimiqService => "the accounts of the Nimiq pool do not keep up with the chain",
            Self::NimiqPayouts => "no Nimiq payouts have been planned",
        }
    }

    /// The figure that tells.
    fn figure(self) -> Figure {
        match self {
            Self::PacketCryptChain => Figure::PacketCryptHeight,
            Self::Announcements => Figure::Announcements,
            Self::PacketCryptShares => Figure::PacketCryptShares,
            Self::PayoutTables => Figure::PayoutTables,
            Self::NimiqChain => Figure::NimiqHeight,
            Self::NimiqShares => Figure::NimiqShares,
            Self::NimiqService => Figure::NimiqLag,
            Self::NimiqPayouts => Figure::NimiqPlanned,
        }
    }
}

/// How long each may stand still; zero: it is not watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MotionLimits {
    /// The chains.
    pub chain: Duration,
    /// Announcements and shares.
    pub intake: Duration,
    /// PacketCrypt payout tables.
    pub payout_tables: Duration,
    /// The Nimiq accounts.
    pub accounts: Duration,
    /// Nimiq payouts.
    pub payouts: Duration,
}

impl MotionLimits {
    /// That of one of them.
    pub fn of(&self, motion: Motion) -> Duration {
        match motion {
            Motion::PacketCryptChain | Motion::NimiqChain => self.chain,
            Motion::Announcements | Motion::PacketCryptShares | Motion::NimiqShares => self.intake,
            Motion::PayoutTables => self.payout_tables,
            Motion::NimiqService => self.accounts,
            Motion::NimiqPayouts => self.payouts,
        }
    }
}

/// One thing that ought to move.
#[derive(Debug, Clone)]
pub struct Progress {
    motion: Motion,
    last: Option<f64>,
    /// When it moved last, as far as was seen.
    moved: Option<Instant>,
}

impl Progress {
    /// Nothing is known of it yet.
    pub fn new(motion: Motion) -> Self {
        Self { motion, last: None, moved: None }
    }

    /// Takes note of the figures of the whole pool; says whether it stands still longer than `limit`.
    pub fn look(&mut self, now: Instant, figures: &Figures, limit: Duration) -> bool {
        // A figure that nobody shows any more says nothing: the process that showed it is missed by itself.
        let Some(value) = figures.get(self.motion.figure()) else {
            self.moved = None;
            return false;
        };
        let moves = match self.motion {
            Motion::NimiqService => value <= LAG || self.last.is_some_and(|last| value < last),
            // A counter that begins anew moves too.
            _ => self.last.is_some_and(|last| value.total_cmp(&last).is_ne()),
        };
        self.last = Some(value);
        // Work is expected of miners once they have been seen to send some.
        let is_expected = match self.motion {
            Motion::Announcements | Motion::PacketCryptShares => self.moved.is_some(),
            Motion::NimiqShares => figures.get(Figure::NimiqClients).is_some_and(|clients| clients > 0.0),
            _ => true,
        };
        if moves || !is_expected {
            self.moved = if moves || self.is_started_by_looks() { Some(now) } else { None };
            return false;
        }
        let rest = now.saturating_duration_since(*self.moved.get_or_insert(now));
        if self.is_work_over_http() && rest >= limit + MEMORY {
            self.moved = None;
            return false;
        }
        !limit.is_zero() && rest >= limit
    }

    /// Whether the first look counts as motion, since it must move whatever miners do.
    fn is_started_by_looks(&self) -> bool {
        !self.is_work_over_http()
    }

    /// Work of miners who hold no connection, so that nobody knows whether there are any.
    fn is_work_over_http(&self) -> bool {
        matches!(self.motion, Motion::Announcements | Motion::PacketCryptShares)
    }

    /// When it moved last, as far as was seen.
    pub fn moved(&self) -> Option<Instant> {
        self.moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(600);

    fn figures(text: &str) -> Figures {
        Figures::read(text)
    }

    /// Looks once a minute at what `text` gives for it; the first minute at which it stands still.
    fn standstill(motion: Motion, minutes: u64, text: impl Fn(u64) -> String) -> Option<u64> {
        let (start, mut progress) = (Instant::now(), Progress::new(motion));
        (0..minutes)
            .filter(|minute| {
                progress.look(start + Duration::from_secs(minute * 60), &figures(&text(*minute)), LIMIT)
            })
            .min()
    }

    #[test]
    fn a_chain_stands_still_when_its_height_does() {
        let height = |minute: u64| format!("headframe_current_height{{}} {}", minute.min(5));
        assert_eq!(standstill(Motion::PacketCryptChain, 60, height), Some(15));
        assert_eq!(
            standstill(Motion::PacketCryptChain, 60, |minute| format!(
                "headframe_current_height {}",
                minute / 9
            )),
            None
        );
        assert_eq!(standstill(Motion::PacketCryptChain, 60, |_| String::new()), None);
    }

    #[test]
    fn announcements_are_missed_by_those_who_had_some() {
        let count = |until: u64| {
            move |minute: u64| format!("headframe_announcements_accepted_total {}", minute.min(until))
        };
        assert_eq!(standstill(Motion::Announcements, 100, count(0)), None, "nobody has mined yet");
        assert_eq!(standstill(Motion::Announcements, 100, count(20)), Some(30));
        assert_eq!(standstill(Motion::Announcements, 100, count(100)), None);
        // Who has not mined for hours has gone.
        let (start, mut progress) = (Instant::now(), Progress::new(Motion::Announcements));
        let at = |minute: u64| start + Duration::from_secs(minute * 60);
        progress.look(at(0), &figures("headframe_announcements_accepted_total 1"), LIMIT);
        progress.look(at(1), &figures("headframe_announcements_accepted_total 2"), LIMIT);
        assert!(progress.look(at(360), &figures("headframe_announcements_accepted_total 2"), LIMIT));
        assert!(!progress.look(at(380), &figures("headframe_announcements_accepted_total 2"), LIMIT));
        assert!(!progress.look(at(500), &figures("headframe_announcements_accepted_total 2"), LIMIT));
    }

    #[test]
    fn nimiq_shares_are_expected_while_miners_are_connected() {
        let pool = |clients: u64| {
            move |_: u64| {
                format!("headframe_nimiq_shares_accepted_total 5\nheadframe_nimiq_clients {clients}")
            }
        };
        assert_eq!(standstill(Motion::NimiqShares, 60, pool(0)), None);
        assert_eq!(standstill(Motion::NimiqShares, 60, pool(2)), Some(10));
    }

    #[test]
    fn accounts_may_be_behind_as_long_as_they_catch_up() {
        let lag = |by_minute: fn(u64) -> u64| {
            move |minute: u64| format!("headframe_nimiq_lag_blocks {}", by_minute(minute))
        };
        assert_eq!(standstill(Motion::NimiqService, 60, lag(|_| 3)), None);
        assert_eq!(standstill(Motion::NimiqService, 60, lag(|minute| 1000 - minute)), None);
        assert_eq!(standstill(Motion::NimiqService, 60, lag(|minute| 100 + minute)), Some(10));
    }

    #[test]
    fn what_has_no_limit_is_not_watched() {
        let (start, mut progress) = (Instant::now(), Progress::new(Motion::NimiqChain));
        let still = figures("headframe_nimiq_head_height 5");
        progress.look(start, &still, Duration::ZERO);
        assert!(!progress.look(start + LIMIT * 100, &still, Duration::ZERO));
    }
}
