//! The commands that are no role of a running pool.

pub mod accounts_audit;
pub mod admin;
pub mod backup;
pub mod bench;
pub mod config;
pub mod dev_chain;
pub mod doctor;
pub mod health;
pub mod import_reference;
pub mod ledger;
pub mod manual;
pub mod mine;
pub mod mine_nimiq;
pub mod monitor;
pub mod nimiq_dev_chain;
pub mod nimiq_payout;
pub mod reference_tables;
pub mod site_export;
pub mod top;
pub mod verify;
pub mod who_to_pay;
