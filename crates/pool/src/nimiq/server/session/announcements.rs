//! What a connection was told to put into its blocks: extra data, and the share target that goes with it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nimiq::share::Announced;
use nimiq::{
    Address, CompactTarget, Decimal, Difficulty, ExtraData, PoolName, SessionExtraData, SessionNonce,
    ShareTarget,
};

/// How long a share on settings that were replaced is still good: it may have been on its way for long.
const KEPT_FOR: Duration = Duration::from_mins(2);
/// Settings kept besides the newest. More than change within a share's way to the pool, so that none in flight is lost.
const KEPT: usize = 8;

/// The settings of one connection, the newest first.
#[derive(Debug)]
pub(super) struct Announcements {
    pool: PoolName,
    address: Address,
    session: SessionNonce,
    announced: VecDeque<Announced>,
    /// When each but the newest was replaced.
    replaced_at: VecDeque<Instant>,
    newest: Option<(ExtraData, ShareTarget)>,
}

impl Announcements {
    pub(super) fn new(pool: PoolName, address: Address, session: SessionNonce) -> Self {
        Self {
            pool,
            address,
            session,
            announced: VecDeque::new(),
            replaced_at: VecDeque::new(),
            newest: None,
        }
    }

    /// Settings for a difficulty, but no harder than the network; `None` if they are those in force.
    pub(super) fn announce(
        &mut self,
        difficulty: f64,
        network: Option<CompactTarget>,
        now: Instant,
    ) -> Option<(ExtraData, ShareTarget)> {
        let target = share_target(difficulty, network)?;
        if self.newest.as_ref().is_some_and(|(_, in_force)| *in_force == target) {
            return None;
        }
        let said = SessionExtraData {
            pool: self.pool.clone(),
            address: self.address,
            session: self.session,
            target: target.compact(),
        };
        let extra_data = said.to_extra_data();
        if self.newest.is_some() {
            self.replaced_at.push_front(now);
        }
        self.announced.push_front(Announced::new(&extra_data, target));
        self.forget(now);
        self.newest = Some((extra_data.clone(), target));
        Some((extra_data, target))
    }

    /// The settings in force.
    pub(super) fn newest(&self) -> Option<(&ExtraData, &ShareTarget)> {
        self.newest.as_ref().map(|(extra_data, target)| (extra_data, target))
    }

    /// All that a share may have been mined with.
    pub(super) fn current(&self) -> impl Iterator<Item = &Announced> + Clone {
        self.announced.iter()
    }

    fn forget(&mut self, now: Instant) {
        while self.replaced_at.len() > KEPT
            || self.replaced_at.back().is_some_and(|at| now.saturating_duration_since(*at) > KEPT_FOR)
        {
            self.replaced_at.pop_back();
            self.announced.pop_back();
        }
    }
}

/// The target of a share difficulty; the network's where that would be harder.
fn share_target(difficulty: f64, network: Option<CompactTarget>) -> Option<ShareTarget> {
    let wanted = Decimal::from_f64(difficulty)
        .and_then(Difficulty::new)
        .and_then(Difficulty::compact)
        .and_then(ShareTarget::new);
    let ceiling = network.and_then(ShareTarget::new);
    match (wanted, ceiling) {
        (Some(wanted), Some(ceiling)) if wanted.target() < ceiling.target() => Some(ceiling),
        (Some(wanted), _) => Some(wanted),
        (None, ceiling) => ceiling.or_else(|| ShareTarget::new(CompactTarget::EASIEST)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcements() -> Announcements {
        Announcements::new(PoolName::new("pool").unwrap(), Address([7; 20]), SessionNonce(9))
    }

    #[test]
    fn the_network_target_is_the_hardest_share_target() {
        let network = CompactTarget(0x1f00_8000);
        assert_eq!(share_target(1e9, Some(network)).unwrap().compact(), network);
        assert_eq!(share_target(f64::NAN, Some(network)).unwrap().compact(), network);
        assert_eq!(share_target(1.0, Some(network)).unwrap().compact(), CompactTarget::EASIEST);
        assert_eq!(share_target(0.0, None).unwrap().compact(), CompactTarget::EASIEST);
    }

    #[test]
    fn settings_in_force_are_not_announced_again() {
        let mut announcements = announcements();
        let now = Instant::now();
        assert!(announcements.announce(0.5, None, now).is_some());
        assert!(announcements.announce(0.5, None, now).is_none());
        assert!(announcements.announce(0.25, None, now).is_some());
    }

    #[test]
    fn w13_settings_that_were_replaced_stay_good_for_a_while() {
        let mut announcements = announcements();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (step, seconds) in (0..4).zip([0, 1, 2, 3]) {
            announcements.announce(0.5_f64.powi(step), None, at(seconds));
        }
        assert_eq!(announcements.current().count(), 4);
        announcements.announce(64.0, None, at(124));
        assert_eq!(announcements.current().count(), 2, "the newest and the one it replaced");
        for step in 0..100 {
            announcements.announce(100.0 + f64::from(step), None, at(125));
        }
        assert_eq!(announcements.current().count(), KEPT + 1);
    }
}
