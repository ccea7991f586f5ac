//! The whole server in this process, over real sockets: on a dev chain that answers RPC, with accounts on disk.

mod bad_input;
mod modes;
mod promises;
mod renewals;
mod restarts;
mod share_budgets;
mod stand;
mod transcripts;
