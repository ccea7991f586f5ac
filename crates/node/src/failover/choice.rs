//! Which of several nodes to use: a pure decision over what is known of each.

use std::time::{Duration, Instant};

use super::Tip;
use crate::json_rpc::NodeError;

/// What is known of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Its newest block when it was last asked.
    pub tip: Option<Tip>,
    /// Why it could not be asked the last time.
    pub fault: Option<NodeError>,
    /// Since when another node has been higher.
    pub behind_since: Option<Instant>,
    /// Number of the standing order that it was given since it last failed; 0 for none.
    pub order_in_force: u64,
}

impl Condition {
    /// Remembers what a look at the node has shown.
    pub fn note(&mut self, looked: Result<Tip, NodeError>) {
        match looked {
            Ok(tip) => {
                self.tip = Some(tip);
                self.fault = None;
            }
            Err(fault) => {
                self.fault = Some(fault);
                // It may be restarting, and then it forgets.
                self.order_in_force = 0;
            }
        }
    }

    /// Whether it has been behind another node for too long.
    pub fn is_stalled(&self, now: Instant, stall_after: Duration) -> bool {
        self.behind_since.is_some_and(|since| now.saturating_duration_since(since) >= stall_after)
    }

    fn is_answering(&self) -> bool {
        self.fault.is_none() && self.tip.is_some()
    }
}

/// The node to use from now on: the active one as long as it answers and keeps up, else the first that does,
/// else the first that at least answers, else the active one all the same.
pub fn choose(conditions: &mut [Condition], active: usize, now: Instant, stall_after: Duration) -> usize {
    let highest = conditions
        .iter()
        .filter(|condition| condition.is_answering())
        .filter_map(|condition| condition.tip)
        .map(|tip| tip.height)
        .max();
    for condition in conditions.iter_mut() {
        let behind = condition.tip.map(|tip| tip.height) < highest;
        condition.behind_since = behind.then(|| condition.behind_since.unwrap_or(now));
    }
    let keeps_up =
        |condition: &Condition| condition.is_answering() && !condition.is_stalled(now, stall_after);
    if conditions.get(active).is_some_and(keeps_up) {
        return active;
    }
    let first = |wanted: &dyn Fn(&Condition) -> bool| conditions.iter().position(wanted);
    first(&keeps_up).or_else(|| first(&Condition::is_answering)).unwrap_or(active)
}

#[cfg(test)]
mod tests {
    use packetcrypt::{BlockHash, Height};

    use super::*;

    const STALL: Duration = Duration::from_secs(5);

    fn at(height: u32) -> Condition {
        let tip = Tip { hash: BlockHash::default(), height: Height(height) };
        Condition { tip: Some(tip), ..Condition::default() }
    }

    fn dead() -> Condition {
        Condition { fault: Some(NodeError::TooBusy), ..at(7) }
    }

    #[test]
    fn the_active_node_is_kept_while_it_answers_and_keeps_up() {
        assert_eq!(choose(&mut [at(5), at(5)], 1, Instant::now(), STALL), 1);
    }

    #[test]
    fn a_dead_node_is_left_at_once() {
        assert_eq!(choose(&mut [dead(), at(5)], 0, Instant::now(), STALL), 1);
    }

    #[test]
    fn a_node_that_stands_still_while_another_advances_is_abandoned() {
        let mut conditions = [at(5), at(6)];
        let start = Instant::now();
        assert_eq!(choose(&mut conditions, 0, start, STALL), 0, "a moment behind is no stall");
        assert_eq!(choose(&mut conditions, 0, start + STALL, STALL), 1);
    }

    #[test]
    fn a_node_that_catches_up_is_no_longer_behind() {
        let mut conditions = [at(5), at(6)];
        let start = Instant::now();
        choose(&mut conditions, 0, start, STALL);
        conditions[0].note(Ok(at(6).tip.unwrap()));
        choose(&mut conditions, 0, start + STALL / 2, STALL);
        conditions[1].note(Ok(at(7).tip.unwrap()));
        assert_eq!(choose(&mut conditions, 0, start + STALL, STALL), 0);
    }

    #[test]
    fn the_height_of_a_dead_node_counts_for_nothing() {
        let mut conditions = [dead(), at(5)];
        let start = Instant::now();
        choose(&mut conditions, 1, start, STALL);
        assert_eq!(choose(&mut conditions, 1, start + 2 * STALL, STALL), 1);
    }

    #[test]
    fn with_every_node_dead_the_active_one_stays() {
        assert_eq!(choose(&mut [dead(), dead()], 1, Instant::now(), STALL), 1);
    }

    #[test]
    fn a_failing_node_forgets_the_standing_order() {
        let mut condition = Condition { order_in_force: 3, ..at(5) };
        condition.note(Err(NodeError::TooBusy));
        assert_eq!(condition.order_in_force, 0);
    }
}
