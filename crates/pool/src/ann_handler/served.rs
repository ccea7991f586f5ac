//! What was sent to block miners lately, for the website: bytes of announcements over the last ten minutes.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};

/// The last part of the path under which a handler tells it: `GET …/served.json`.
pub(super) const NAME: &str = "served.json";
const MINUTE: Duration = Duration::from_secs(60);
/// Minutes that are added up, the present one among them.
const MINUTES: u64 = 10;

/// What one handler has sent to block miners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServedAnnouncements {
    /// Length of the time that was counted, in seconds.
    pub(crate) window_seconds: u64,
    /// Bytes of announcements, in files and in the UDP feed, each as often as it was sent.
    pub(crate) bytes: u64,
}

/// Counts it by the minute.
#[derive(Debug)]
pub(super) struct Served {
    began: Instant,
    minutes: Mutex<VecDeque<(u64, u64)>>,
    /// Announcements that the UDP feed has sent, all together.
    sprayed: Counter,
    /// How many of them are counted here.
    noted: Mutex<u64>,
}

impl Served {
    /// `sprayed` counts what the UDP feed sends.
    pub(super) fn new(sprayed: Counter) -> Self {
        // A handler that is started again in its process goes on with the same counter.
        let noted = Mutex::new(sprayed.get());
        Self { began: Instant::now(), minutes: Mutex::default(), sprayed, noted }
    }

    /// A file was sent.
    pub(super) fn file(&self, bytes: usize) {
        self.add(bytes as u64, self.began.elapsed());
    }

    /// Counts what the UDP feed has sent since the last look.
    pub(super) fn note_sprayed(&self) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let sprayed = self.sprayed.get();
        let announcements = sprayed.saturating_sub(std::mem::replace(&mut *noted, sprayed));
        if announcements > 0 {
            self.add(announcements * 1024, self.began.elapsed());
        }
    }

    /// The sum over the last ten minutes, or since the handler began.
    pub(super) fn sum(&self) -> ServedAnnouncements {
        self.note_sprayed();
        self.sum_at(self.began.elapsed())
    }

    fn add(&self, bytes: u64, now: Duration) {
        let minute = now.as_secs() / MINUTE.as_secs();
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        match minutes.back_mut() {
            Some((newest, sum)) if *newest == minute => *sum += bytes,
            _ => minutes.push_back((minute, bytes)),
        }
        minutes.retain(|(counted, _)| counted + MINUTES > minute);
    }

    fn sum_at(&self, now: Duration) -> ServedAnnouncements {
        let minute = now.as_secs() / MINUTE.as_secs();
        let minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = minutes.iter().filter(|(counted, _)| counted + MINUTES > minute);
        let of_present = now.as_secs() % MINUTE.as_secs();
        let window_seconds = now.as_secs().min((MINUTES - 1) * MINUTE.as_secs() + of_present).max(1);
        ServedAnnouncements { window_seconds, bytes: counted.map(|(_, bytes)| bytes).sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_added_up_over_ten_minutes() {
        let served = Served::new(Counter::default());
        let at = |seconds| Duration::from_secs(seconds);
        assert_eq!(served.sum_at(at(0)), ServedAnnouncements { window_seconds: 1, bytes: 0 });
        served.add(1024, at(5));
        served.add(2048, at(30));
        served.add(4096, at(590));
        assert_eq!(served.sum_at(at(595)), ServedAnnouncements { window_seconds: 595, bytes: 7168 });
        assert_eq!(served.sum_at(at(610)), ServedAnnouncements { window_seconds: 550, bytes: 4096 });
        assert_eq!(served.sum_at(at(2000)).bytes, 0);
    }

    #[test]
    fn the_udp_feed_is_counted_once() {
        let sprayed = Counter::default();
        let served = Served::new(sprayed.clone());
        sprayed.inc_by(3);
        served.note_sprayed();
        served.file(1024);
        sprayed.inc();
        assert_eq!(served.sum().bytes, 5 * 1024);
        assert_eq!(served.sum().bytes, 5 * 1024);
    }
}
