//! `cargo xtask bench AREA`: measures, and prints a table with the goals and the reference's figures beside ours.

mod accounts;
mod ann_handler;
mod at_rest;
mod blk_handler;
mod dev_node;
mod files;
mod kernels;
mod limits;
mod load;
mod master;
mod mined;
mod monitor;
mod monitor_death;
mod nimiq;
mod nimiq_backlog;
mod nimiq_clients;
mod nimiq_server;
mod pay_maker;
pub mod processor_time;
mod program;
mod site;
mod site_load;
mod site_pool;
mod stand_in_master;

pub use ann_handler::{UncheckedHandler, serve_unchecked};

use std::process::Command;

use anyhow::Context;

use crate::reference::target_folder;

/// One measured figure.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured: "AnnHandler, fully checked".
    pub measure: String,
    /// Its unit: "announcements per core-second".
    pub unit: &'static str,
    /// Our figure.
    pub ours: f64,
    /// The reference's figure, if there is one.
    pub reference: Option<Reference>,
    /// What is wanted of ours.
    pub goal: Option<Goal>,
}

/// Where a figure of the reference comes from.
#[derive(Debug, Clone, Copy)]
pub enum Reference {
    /// From this run, on this machine.
    Measured(f64),
    /// From the literature, on a machine like this.
    Known(f64),
}

impl Reference {
    fn value(self) -> f64 {
        match self {
            Self::Measured(value) | Self::Known(value) => value,
        }
    }
}

/// What is wanted of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Goal {
    fn is_met_by(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }
}

/// A file of measurements: what it measures, and the function that does.
type Measurement = (&'static str, fn() -> anyhow::Result<Vec<Row>>);

/// What `cargo xtask bench pool` measures, in this order.
const POOL: &[Measurement] = &[
    ("ann-handler-checked", ann_handler::measure_checked),
    ("ann-handler-unchecked", ann_handler::measure_unchecked),
    ("master", master::measure),
    ("pay-maker", pay_maker::measure),
    ("blk-handler", blk_handler::measure),
    ("at-rest", at_rest::measure),
];

/// What `cargo xtask bench monitor` measures.
const MONITOR: &[Measurement] = &[("monitor", monitor::measure), ("death", monitor_death::measure)];

/// What `cargo xtask bench nimiq` measures, in this order.
const NIMIQ: &[Measurement] = &[
    ("argon2d", nimiq::measure),
    ("accounts", accounts::measure),
    ("server-shares", nimiq_server::measure_shares),
    ("server-clients", nimiq_server::measure_clients),
    ("server-backlog", nimiq_backlog::measure),
];

/// What `cargo xtask bench site` measures, in this order.
const SITE: &[Measurement] = &[
    ("pages", site::measure_pages),
    ("month", site::measure_month),
    ("streams", site::measure_streams),
    ("intake-announcements", site::measure_announcements),
    ("intake-shares", site::measure_shares),
];

/// What `cargo xtask bench limits` measures.
const LIMITS: &[Measurement] = &[("limits", limits::measure)];

/// Builds with optimisation, then measures in that build.
pub fn run(area: &str, only: Option<&str>) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        println!("building with optimisation first");
        // Both in one go: built one by one they would differ in the features of their dependencies, and share none.
        let build = ["build", "--quiet", "--release", "--package", "headframe", "--package", "xtask"];
        let built = Command::new(env!("CARGO")).args(build).status().context("cannot start cargo")?;
        anyhow::ensure!(built.success(), "the programs cannot be built");
        let mut measuring = Command::new(target_folder().join("release").join("xtask"));
        measuring.args(["bench", area]).args(only.map(|only| format!("--only={only}")));
        let status = measuring.status().context("cannot start the measurement")?;
        anyhow::ensure!(status.success(), "the measurement failed");
        return Ok(());
    }
    match area {
        "pool" => measure(POOL, only),
        "nimiq" => measure(NIMIQ, only),
        "site" => measure(SITE, only),
        "monitor" => measure(MONITOR, only),
        "limits" => measure(LIMITS, only),
        "kernels" => kernels::run(only),
        _ => {
            anyhow::bail!("there is no area {area:?}; there are: pool, nimiq, site, monitor, limits, kernels")
        }
    }
}

fn measure(measurements: &[Measurement], only: Option<&str>) -> anyhow::Result<()> {
    let wanted = |(name, _): &&Measurement| only.is_none_or(|only| name.contains(only));
    let mut rows = Vec::new();
    for (name, measure) in measurements.iter().filter(wanted) {
        eprintln!("measuring: {name}");
        rows.extend(measure().with_context(|| format!("measuring {name}"))?);
    }
    print!("{}", table(&rows));
    Ok(())
}

/// The rows as a table in Markdown.
fn table(rows: &[Row]) -> String {
    let head = ["measure", "unit", "ours", "reference", "goal", ""].map(str::to_owned);
    let mut cells = vec![head.to_vec()];
    cells.extend(rows.iter().map(|row| {
        vec![
            row.measure.clone(),
            row.unit.to_owned(),
            figure(row.ours),
            match row.reference {
                None => String::new(),
                Some(Reference::Measured(value)) => figure(value),
                Some(Reference::Known(value)) => format!("({})", figure(value)),
            },
            match row.goal {
                None => String::new(),
                Some(Goal::AtLeast(least)) => format!("≥ {}", figure(least)),
                Some(Goal::AtMost(most)) => format!("≤ {}", figure(most)),
            },
            match row.goal {
                None => String::new(),
                Some(goal) => if goal.is_met_by(row.ours) { "met" } else { "NOT MET" }.to_owned(),
            },
        ]
    }));
    markdown(&cells) + "\nReference figures in brackets are from the literature, not from this run.\n"
}

/// A table in Markdown, the first line being its head; all lines have as many cells.
fn markdown(cells: &[Vec<String>]) -> String {
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..cells[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells =
            row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} ")).collect::<Vec<_>>();
        format!("|{}|\n", cells.join("|"))
    };
    let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("|");
    let mut text = line(&cells[0]);
    text += &format!("|{rule}|\n");
    cells[1..].iter().for_each(|row| text.push_str(&line(row)));
    text
}

/// A figure with thousands apart, and with decimals only where it is small.
fn figure(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let from_right: Vec<char> = digits.chars().rev().collect();
    let groups: Vec<String> = from_right.chunks(3).map(|group| group.iter().collect()).collect();
    groups.join(",").chars().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_whether_a_goal_is_met() {
        let row = |ours, goal| Row {
            measure: "x".to_owned(),
            unit: "per s",
            ours,
            reference: Some(Reference::Known(6000.0)),
            goal: Some(goal),
        };
        let text = table(&[row(1_234_567.4, Goal::AtLeast(1e6)), row(1.5, Goal::AtMost(1.0))]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].contains("1,234,567") && lines[2].contains("(6,000)") && lines[2].contains(" met"));
        assert!(lines[3].contains("1.50") && lines[3].contains("≤ 1.00") && lines[3].contains("NOT MET"));
    }
}
