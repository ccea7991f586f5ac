//! The server roles of a pool, one module each, and what they stand on.
//!
//! A role is started with its configuration, its dependencies, a [`Metrics`] handle and a stop signal, and gives
//! back routes to be served by [`listener::serve`]. How an announcement walks through it: [`listener`] →
//! [`ann_handler`] (cheap checks) → [`intake`] → proof-of-work check → duplicates → [`outbox`] (durable) → reply.
//!
//! What all roles use:
//! * [`admin`]: what operators see and do;
//! * [`admission`]: what each client may cost, and who is banned;
//! * [`listener`]: the accept loop with its limits on connections, headers, bodies and time;
//! * [`metrics`] and [`health`]: `/metrics` and `/healthz`;
//! * [`request_context`]: of which request a log line comes;
//! * [`outbox`]: events on disk before "accepted" is answered, on their way to the PayMaker;
//! * `parts`: the tasks of a role, which live and die together;
//! * [`work_feed`]: the long poll for the next work;
//! * [`master_client`]: how handlers follow a Master, ours or another.

pub mod admin;
pub mod admission;
pub mod ann_handler;
pub mod backoff;
pub mod blk_handler;
#[cfg(test)]
mod fake_master;
pub mod health;
pub mod http_client;
pub mod intake;
pub mod listener;
pub mod master;
pub mod master_client;
pub mod metrics;
pub mod monitor;
pub mod nimiq;
pub mod notify;
pub mod nudge;
pub mod outbox;
mod parts;
pub mod pay_maker;
mod received_work;
mod refusals;
pub mod request_context;
pub mod site;
mod whole_file;
pub mod work_feed;

pub use health::Health;
pub use metrics::Metrics;
