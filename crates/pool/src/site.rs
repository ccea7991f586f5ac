//! The website and its API: what a pool shows of itself.
//!
//! It reads, and nothing waits for it. [`facts`] are plain data with units, windows and ages; [`Facts`] hands them out:
//! the pool as it was a moment ago, an address and a series when somebody asks. [`address`] tells whose address a text
//! is, and what is wrong with it. [`record`] is what the website keeps of its own: what the pool states, signed.

pub mod address;
mod answers;
pub mod api;
mod audience;
pub mod earnings;
mod events;
pub mod facts;
pub mod gather;
pub mod luck;
pub mod pages;
mod pool_figures;
pub mod record;
mod role;
pub mod static_files;
pub mod subscriptions;
mod texts;

pub use answers::{Facts, FactsFault};
pub use role::{Site, SiteConfig, SiteFault, SiteLimits, SubscriptionsConfig};
