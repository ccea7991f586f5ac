//! The few figures of a `/metrics` page that tell whether a pool gets on, read from text that may be anything.

use crate::metrics::Series;

/// A figure that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Figure {
    /// Height that PacketCrypt is mined at.
    PacketCryptHeight,
    /// Announcements accepted.
    Announcements,
    /// PacketCrypt shares accepted.
    PacketCryptShares,
    /// Payout tables that the node took.
    PayoutTables,
    /// Head of the Nimiq chain.
    NimiqHeight,
    /// Nimiq shares accepted.
    NimiqShares,
    /// Nimiq miners that are connected.
    NimiqClients,
    /// Blocks that the Nimiq node has and the accounts have not.
    NimiqLag,
    /// When Nimiq payouts were planned last.
    NimiqPlanned,
    /// Requests and events that handlers have for the PayMaker.
    Outbox,
    /// Nimiq shares on their way into the accounts.
    Undelivered,
}

/// How the same figure of several series becomes one.
#[derive(Debug, Clone, Copy)]
enum Together {
    Sum,
    Greatest,
}

const FIGURES: usize = 11;

/// Name of the series, a label that it must have, and how several are put together.
const SERIES: [(&str, &str, Figure, Together); FIGURES] = [
    ("headframe_current_height", "", Figure::PacketCryptHeight, Together::Greatest),
    ("headframe_announcements_accepted_total", "", Figure::Announcements, Together::Sum),
    ("headframe_shares_accepted_total", "", Figure::PacketCryptShares, Together::Sum),
    ("headframe_payout_cycles_total", "outcome=\"configured\"", Figure::PayoutTables, Together::Sum),
    ("headframe_nimiq_head_height", "", Figure::NimiqHeight, Together::Greatest),
    ("headframe_nimiq_shares_accepted_total", "", Figure::NimiqShares, Together::Sum),
    ("headframe_nimiq_clients", "", Figure::NimiqClients, Together::Sum),
    ("headframe_nimiq_lag_blocks", "", Figure::NimiqLag, Together::Greatest),
    ("headframe_nimiq_payout_last_plan_timestamp_seconds", "", Figure::NimiqPlanned, Together::Greatest),
    ("headframe_outbox_unconfirmed_events", "", Figure::Outbox, Together::Sum),
    ("headframe_nimiq_undelivered_shares", "", Figure::Undelivered, Together::Sum),
];

/// The figures of one process, or of all; what nobody shows is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures([Option<f64>; FIGURES]);

impl Figures {
    /// Reads Prometheus text or OpenMetrics. What is no series of ours is passed over.
    pub fn read(text: &str) -> Self {
        let mut figures = Self::default();
        for series in Series::all_in(text) {
            let known = SERIES.iter().find(|(known, label, ..)| *known == series.name && series.has(label));
            let value = series.value.parse::<f64>().ok().filter(|value| value.is_finite());
            if let (Some((.., figure, together)), Some(value)) = (known, value) {
                figures.add(*figure, value, *together);
            }
        }
        figures
    }

    /// The figures of several processes as one.
    pub fn together<'f>(all: impl IntoIterator<Item = &'f Self>) -> Self {
        let mut figures = Self::default();
        for one in all {
            for (.., figure, together) in SERIES {
                if let Some(value) = one.get(figure) {
                    figures.add(figure, value, together);
                }
            }
        }
        figures
    }

    /// One of them.
    pub fn get(&self, figure: Figure) -> Option<f64> {
        self.0[figure as usize]
    }

    fn add(&mut self, figure: Figure, value: f64, together: Together) {
        let place = &mut self.0[figure as usize];
        *place = Some(match (*place, together) {
            (None, _) => value,
            (Some(before), Together::Sum) => before + value,
            (Some(before), Together::Greatest) => before.max(value),
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn figures_of_handlers_are_summed_and_heights_are_not() {
        let metrics = Metrics::new();
        for (name, count) in [("a", 5), ("b", 7)] {
            let handler = metrics.for_role("ann_handler", name);
            handler.counter("announcements_accepted", "Accepted").inc_by(count);
            handler.gauge("current_height", "Height").set(count as i64);
        }
        let cycles = |outcome| metrics.with_label("outcome", outcome).counter("payout_cycles", "Cycles");
        cycles("configured").inc_by(3);
        cycles("failed").inc_by(100);
        let figures = Figures::read(&metrics.text());
        assert_eq!(figures.get(Figure::Announcements), Some(12.0));
        assert_eq!(figures.get(Figure::PacketCryptHeight), Some(7.0));
        assert_eq!(figures.get(Figure::PayoutTables), Some(3.0));
        assert_eq!(figures.get(Figure::NimiqShares), None);
        let twice = Figures::together([&figures, &figures]);
        assert_eq!(twice.get(Figure::Announcements), Some(24.0));
        assert_eq!(twice.get(Figure::PacketCryptHeight), Some(7.0));
    }

    #[test]
    fn every_figure_has_its_place() {
        for (index, (.., figure, _)) in SERIES.iter().enumerate() {
            assert_eq!(*figure as usize, index);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(headframe_[a-z_]{0,30}[{} \"=,\\PC]{0,30}\n?){0,20}") {
            Figures::read(&text);
        }

        #[test]
        fn a_series_of_ours_is_found_among_anything(value in -1e12f64..1e12, other in "[\\PC\n]{0,60}") {
            let text = format!("{other}\nheadframe_current_height{{role=\"master\"}} {value}\n# {other}");
            prop_assert!(Figures::read(&text).get(Figure::PacketCryptHeight) >= Some(value));
        }
    }
}
