//! Pools that live, die, flap and stand still, second by second.

use proptest::prelude::*;

use super::*;

const RULES: WatchRules = WatchRules {
    gone_looks: 2,
    silent_looks: 4,
    good_looks: 2,
    startup: Duration::from_secs(30),
    trouble: Duration::from_secs(30),
    restart_troubled: None,
    quiet: Duration::from_secs(60),
    limits: MotionLimits {
        chain: Duration::from_secs(1200),
        intake: Duration::from_secs(600),
        payout_tables: Duration::from_secs(600),
        accounts: Duration::from_secs(600),
        payouts: Duration::from_secs(7200),
    },
    restarts: RestartRules {
        per_hour: 6,
        first_wait: Duration::from_secs(10),
        longest_wait: Duration::from_secs(600),
    },
};

/// A watch over one process with one handler, and its clock.
struct Stand {
    watch: Watch,
    now: Instant,
    rules: WatchRules,
}

fn handler() -> RoleName {
    RoleName::new("ann_handler", "main")
}

fn well() -> Look {
    Look::Answered(vec![RoleLook { role: handler(), trouble: None }])
}

fn troubled(reason: &str) -> Look {
    Look::Answered(vec![RoleLook { role: handler(), trouble: Some(reason.to_owned()) }])
}

fn gone() -> Look {
    Look::Gone("connection refused".to_owned())
}

impl Stand {
    fn new(rules: WatchRules) -> Self {
        let now = Instant::now();
        let subject =
            Subject { url: "http://10.0.0.3:8082".to_owned(), roles: vec![handler()], restartable: true };
        Self { watch: Watch::new(vec![subject], rules, now), now, rules }
    }

    fn after(&mut self, seconds: u64, look: &Look) -> Vec<Decision> {
        self.now += Duration::from_secs(seconds);
        self.watch.looked(self.now, 0, look)
    }
}

fn told(decisions: &[Decision]) -> Vec<String> {
    let text = |decision: &Decision| match decision {
        Decision::Tell(message) => Some(message.to_string()),
        Decision::Restart { .. } => None,
    };
    decisions.iter().filter_map(text).collect()
}

fn restarts(decisions: &[Decision]) -> usize {
    decisions.iter().filter(|decision| matches!(decision, Decision::Restart { .. })).count()
}

#[test]
fn a_death_is_told_and_mended_once_and_so_is_the_return() {
    let mut stand = Stand::new(RULES);
    assert_eq!(stand.after(2, &well()), []);
    assert_eq!(stand.after(2, &gone()), []);
    let decisions = stand.after(1, &gone());
    assert_eq!(told(&decisions), ["ann_handler main: is down at http://10.0.0.3:8082: connection refused"]);
    assert_eq!(restarts(&decisions), 1);
    assert_eq!(stand.after(1, &gone()), []);
    assert_eq!(stand.after(2, &well()), []);
    assert_eq!(stand.after(2, &well()), [], "within the quiet time");
    let decisions = stand.after(60, &well());
    assert_eq!(told(&decisions), ["ann_handler main: answers again; started again 1 times within the hour"]);
}

#[test]
fn a_process_that_is_not_started_yet_is_not_missed_at_once() {
    let mut stand = Stand::new(RULES);
    for _ in 0..28 {
        assert_eq!(stand.after(1, &gone()), []);
    }
    stand.after(1, &gone());
    stand.after(1, &gone());
    assert_eq!(restarts(&stand.after(1, &gone())), 1);
}

#[test]
fn a_silent_process_is_given_more_time_than_one_that_is_gone() {
    let mut stand = Stand::new(RULES);
    stand.after(1, &well());
    let silent = Look::Silent("no answer within 2 s".to_owned());
    let restarted: Vec<usize> = (0..4).map(|_| restarts(&stand.after(2, &silent))).collect();
    assert_eq!(restarted, [0, 0, 0, 1]);
}

#[test]
fn what_does_not_live_is_given_up_and_a_person_is_told() {
    let mut stand = Stand::new(RULES);
    stand.after(1, &well());
    let decisions: Vec<Decision> = (0..1200).flat_map(|_| stand.after(2, &gone())).collect();
    assert_eq!(restarts(&decisions), 6);
    let told = told(&decisions);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("was started again 6 times within an hour and is down"), "{told:?}");
}

#[test]
fn a_trouble_that_lasts_is_told_with_its_reason() {
    let mut stand = Stand::new(RULES);
    assert_eq!(stand.after(1, &troubled("starting")), []);
    assert_eq!(stand.after(10, &troubled("the disk is full")), []);
    assert_eq!(stand.after(10, &well()), []);
    assert_eq!(stand.after(1, &troubled("the disk is full")), []);
    let decisions = stand.after(30, &troubled("the disk is full"));
    assert_eq!(told(&decisions), ["ann_handler main: cannot do its work: the disk is full"]);
    assert_eq!(restarts(&decisions), 0);
    let missing = Look::Answered(Vec::new());
    assert_eq!(stand.after(2, &missing), [], "still in trouble, for another reason");
    assert_eq!(
        stand.watch.processes(stand.now)[0].roles[0].trouble.as_deref(),
        Some("its process runs without it")
    );
}

#[test]
fn a_role_in_trouble_is_started_again_where_that_is_wanted() {
    let mut stand = Stand::new(WatchRules { restart_troubled: Some(Duration::from_secs(300)), ..RULES });
    let decisions: Vec<Decision> = (0..400).flat_map(|_| stand.after(1, &troubled("stuck"))).collect();
    let orders: Vec<_> =
        decisions.iter().filter(|decision| restarts(std::slice::from_ref(*decision)) == 1).collect();
    let expected = Decision::Restart {
        process: 0,
        role: Some(handler()),
        reason: "in trouble for 300 s: stuck".to_owned(),
    };
    assert_eq!(orders[0], &expected);
    assert_eq!(orders.len(), 4, "with growing pauses");
}

#[test]
fn a_standstill_is_told_when_the_pool_still_answers() {
    let mut stand = Stand::new(RULES);
    stand.after(1, &well());
    let height = |height: u64| Figures::read(&format!("headframe_current_height {height}"));
    stand.watch.measured(stand.now, 0, height(7));
    let quiet = stand.watch.measured(stand.now + Duration::from_secs(1199), 0, height(7));
    assert_eq!(quiet, []);
    let told_of = told(&stand.watch.measured(stand.now + Duration::from_secs(1200), 0, height(7)));
    assert_eq!(told_of, ["packetcrypt chain: the PacketCrypt chain has not grown for 20 minutes"]);
    assert!(stand.watch.motions(stand.now)[0].stalled);
    let told_of = told(&stand.watch.measured(stand.now + Duration::from_secs(1300), 0, height(8)));
    assert_eq!(told_of, ["packetcrypt chain: goes on again, or is no longer expected"]);
}

#[test]
fn an_order_finds_the_process_of_its_role() {
    let mut stand = Stand::new(RULES);
    assert!(matches!(stand.watch.ordered(&handler()), Some(Decision::Restart { process: 0, .. })));
    assert_eq!(stand.watch.ordered(&RoleName::new("master", "")), None);
}

fn any_look() -> impl Strategy<Value = Look> {
    prop_oneof![
        Just(well()),
        Just(gone()),
        Just(Look::Silent("no answer".to_owned())),
        Just(troubled("the node does not answer")),
        Just(Look::Answered(Vec::new())),
    ]
}

proptest! {
    /// However a process behaves, an hour has few messages about it and no more restarts than are allowed.
    #[test]
    fn no_storm(looks in prop::collection::vec(any_look(), 1800)) {
        let mut stand = Stand::new(RULES);
        stand.after(1, &well());
        let decisions: Vec<Decision> = looks.iter().flat_map(|look| stand.after(2, look)).collect();
        prop_assert!(restarts(&decisions) <= stand.rules.restarts.per_hour as usize);
        // Of the process and its role: one at once, then after 1, 2, 4 … minutes; and each time that it is given up.
        let told = told(&decisions);
        let given_up = told.iter().filter(|text| text.contains("it stays down")).count();
        prop_assert!(told.len() - given_up <= 2 * 7, "{told:#?}");
    }

    /// A process that is gone for good is always told of, and started again within the hour's limit.
    #[test]
    fn no_death_is_missed(before in prop::collection::vec(any_look(), 0..100)) {
        let mut stand = Stand::new(RULES);
        stand.after(1, &well());
        for look in &before {
            stand.after(2, look);
        }
        let mut decisions = Vec::new();
        for _ in 0..2400 {
            decisions.extend(stand.after(2, &gone()));
        }
        prop_assert!(stand.watch.processes(stand.now)[0].fault.is_some());
        prop_assert!(restarts(&decisions) > 0);
    }
}
