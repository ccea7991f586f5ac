//! A state in a word, with a colour and a shape of its own, so that it can be told without colours.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{BlockStanding, Condition, MinerState, PaymentState, PayoutTableState};
use super::super::texts::Texts;

/// A state.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<span class="state {{ shape }}{% if is_pill %} pill{% endif %}">{{ text }}</span>"#
)]
pub struct State {
    shape: &'static str,
    text: String,
    is_pill: bool,
}

impl HtmlSafe for State {}

/// Round, green.
const GOOD: &str = "good";
/// A triangle, yellow.
const WARNING: &str = "warning";
/// A rhombus, red.
const BAD: &str = "bad";
/// A ring, grey.
const UNKNOWN: &str = "unknown";

impl State {
    fn new(shape: &'static str, text: &str) -> Self {
        Self { shape, text: text.to_owned(), is_pill: false }
    }

    /// The same with a line around it, for the head of a page.
    pub fn in_pill(self) -> Self {
        Self { is_pill: true, ..self }
    }

    /// Of a block.
    pub fn of_block(t: &Texts, standing: BlockStanding) -> Self {
        match standing {
            BlockStanding::Found => Self::new(UNKNOWN, t.get("state.block.found")),
            BlockStanding::Immature => Self::new(WARNING, t.get("state.block.immature")),
            BlockStanding::Mature => Self::new(GOOD, t.get("state.block.mature")),
            BlockStanding::Orphaned => Self::new(BAD, t.get("state.block.orphaned")),
            BlockStanding::Unknown => Self::new(UNKNOWN, t.get("state.block.unknown")),
        }
    }

    /// Of a payment.
    pub fn of_payment(t: &Texts, state: PaymentState) -> Self {
        match state {
            PaymentState::Review => Self::new(BAD, t.get("state.payment.review")),
            PaymentState::Prepared => Self::new(UNKNOWN, t.get("state.payment.prepared")),
            PaymentState::Broadcast => Self::new(WARNING, t.get("state.payment.broadcast")),
            PaymentState::Mined => Self::new(WARNING, t.get("state.payment.mined")),
            PaymentState::Confirmed => Self::new(GOOD, t.get("state.payment.confirmed")),
            PaymentState::Expired => Self::new(BAD, t.get("state.payment.expired")),
        }
    }

    /// Of a payout table.
    pub fn of_table(t: &Texts, state: PayoutTableState) -> Self {
        match state {
            PayoutTableState::Computed => Self::new(UNKNOWN, t.get("state.table.computed")),
            PayoutTableState::Sent => Self::new(WARNING, t.get("state.table.sent")),
            PayoutTableState::Configured => Self::new(GOOD, t.get("state.table.configured")),
            PayoutTableState::Refused => Self::new(BAD, t.get("state.table.refused")),
            PayoutTableState::PaidAsSent => Self::new(GOOD, t.get("state.table.paid_as_sent")),
            PayoutTableState::PaidOtherwise => Self::new(BAD, t.get("state.table.paid_otherwise")),
        }
    }

    /// Of a miner.
    pub fn of_miner(t: &Texts, state: MinerState) -> Self {
        match state {
            MinerState::Mining => Self::new(GOOD, t.get("state.miner.mining")),
            MinerState::WarmingUp => Self::new(WARNING, t.get("state.miner.warming_up")),
            MinerState::Idle => Self::new(BAD, t.get("state.miner.idle")),
            MinerState::Unknown => Self::new(UNKNOWN, t.get("state.miner.unknown")),
        }
    }

    /// Of a role or a node.
    pub fn of_component(t: &Texts, condition: Condition) -> Self {
        match condition {
            Condition::Ready => Self::new(GOOD, t.get("state.component.ready")),
            Condition::Troubled => Self::new(WARNING, t.get("state.component.troubled")),
            Condition::Unreachable => Self::new(BAD, t.get("state.component.unreachable")),
        }
    }

    /// Of an incident.
    pub fn of_incident(t: &Texts, is_over: bool) -> Self {
        if is_over {
            Self::new(GOOD, t.get("state.incident.over"))
        } else {
            Self::new(BAD, t.get("state.incident.goes_on"))
        }
    }

    /// Of all of them together.
    pub fn of_components(t: &Texts, mut conditions: impl Iterator<Item = Condition>) -> Self {
        let worst = conditions.try_fold(None, |worst, condition| match condition {
            Condition::Unreachable => Err(()),
            Condition::Troubled => Ok(Some(Condition::Troubled)),
            Condition::Ready => Ok(worst.or(Some(Condition::Ready))),
        });
        match worst {
            Err(()) => Self::new(BAD, t.get("state.all.unreachable")),
            Ok(Some(Condition::Troubled)) => Self::new(WARNING, t.get("state.all.troubled")),
            Ok(Some(_)) => Self::new(GOOD, t.get("state.all.ready")),
            Ok(None) => Self::new(UNKNOWN, t.get("state.all.unknown")),
        }
    }
}
