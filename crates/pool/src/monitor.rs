//! The monitor: watches every process of a pool, on any number of machines, starts again what died, and tells people.
//!
//! A look at a process ([`look`]) is its `/healthz`, and now and then the few figures of its `/metrics` that must move
//! ([`figures`]). [`Watch`] decides what follows: a state machine without I/O, which is handed looks and the time and
//! gives back decisions. Under it are [`alarm`] (hysteresis: nothing flaps), [`progress`] (what ought to move, and whether
//! it does) and [`restarts`] (back-off, and a limit for each hour). The [`role`](Monitor) carries decisions out.

pub mod alarm;
pub mod figures;
mod look;
pub mod message;
pub mod progress;
mod restarting;
pub mod restarts;
mod role;
mod routes;
pub mod watch;

pub use look::WatchedProcess;
pub use message::{Message, Severity};
pub use restarting::{RestartMethod, RestartOrder};
pub use role::{Monitor, MonitorConfig};
pub use watch::{Decision, Look, RoleName, Watch, WatchRules};
