//! The accounts of a pool that collects rewards and pays miners itself: shares → credits → balances → payouts.
//!
//! The rules are those of `docs/protocol/nimiq-pool.md` 4.3 and 4.4 ("Ours"), each a file without any I/O: [`window`]
//! (which shares a block pays), [`mod@split`] (whole luna that sum), [`found_block`] and [`payout_state`] (what can
//! happen to a block and a payout, and what is booked with it), [`payout_plan`] (whom to pay) and [`payout_threshold`] (from which balance on), [`journal`] (accounts and
//! balanced entries). [`reference_tables`] is the reference's database as text, for who comes from it or goes to it. [`Accounts`] keeps it all in SQLite or PostgreSQL; [`audit`] works everything out a second time.
//!
//! # How the roles use it
//!
//! ```text
//! let accounts = Accounts::open("sqlite:///var/lib/pool/accounts.db").await?;   // or postgres://…
//! ```
//! * **Server** (any number): [`Accounts::server`] once for its id; then batches of accepted shares from its durable
//!   outbox to [`Accounts::accept_shares`], again and again until it answers, numbered by the server without gaps that
//!   matter. [`Accounts::request_payout`], [`Accounts::choose_threshold`], [`Accounts::balance`], [`Accounts::ban`], [`Accounts::bans`].
//! * **Service** (one active): [`Accounts::take_lease`] until it gives a [`ServiceLease`], [`Accounts::renew_lease`] well
//!   before it ends. For every change of the node's head, [`Accounts::follow`] with what left and what joined since
//!   [`Accounts::main_chain`]; at the first start the head alone. After that and every few seconds
//!   [`Accounts::settle`], now and then [`Accounts::compact_shares`]. [`AccountsError::LeaseLost`] means: stand by.
//! * **Payout** (one active): [`PayoutLease`] likewise. [`Accounts::candidates`] and [`Accounts::surroundings`] →
//!   [`payout_plan::plan`] (a dry run ends here) → sign → [`Accounts::prepare_payouts`] → send exactly
//!   [`PayoutRow::signed`] of everything in [`Accounts::payouts_under_way`], and for each, by what the node says of its
//!   hash, [`Accounts::turn_payout`]. After a crash the same loop goes on from what is stored; nothing is signed again.
//! * **Operators**: [`Accounts::import`] begins with what another pool owed, [`Accounts::export_reference`].
//! * **Website and figures**: [`Accounts::balance`], [`Accounts::found_blocks`], [`Accounts::payouts_to`],
//!   [`Accounts::totals`], [`Accounts::payout_figures`].

pub mod audit;
pub mod found_block;
mod ids;
pub mod journal;
pub mod payout_plan;
pub mod payout_state;
pub mod payout_threshold;
pub mod reference_tables;
mod rules;
pub mod split;
pub mod store;
pub mod window;

pub use ids::{PayoutId, Sequence, ServerId, UserId};
pub use rules::CreditRules;
pub use store::{
    Accounts, AccountsError, BalanceView, ChainBlock, ChainUpdate, Followed, FoundReward, Import,
    IntakeReport, NewShare, PayoutLease, PayoutRow, RequestOutcome, RetentionRule, ServiceLease, Settled,
    SignedPayment,
};
