//! The tables of the reference's pool database (`docs/protocol/nimiq-pool.md` 4.2) as SQL text, to and fro: for those who
//! come from it, and for those whose tools read it. No database is needed here.
//!
//! * [`script`] writes them: `CREATE TABLE` and `INSERT`, for MySQL and MariaDB.
//! * [`dump`] reads what mysqldump makes of them; [`token`] cuts the text.
//! * [`opening`] works out from them what each miner is owed, in whole luna ([`whole_luna`]).

pub mod dump;
pub mod opening;
pub mod script;
mod token;
mod whole_luna;

#[cfg(test)]
mod tests;

use nimiq::Address;

/// Money that the reference keeps as DOUBLE is exact up to here: 2^53.
pub(crate) const MOST_LUNA: i64 = 1 << 53;

/// Which version of the reference has them: they differ in how shares are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// A row for each share, in the table `share`.
    V1_0,
    /// A row for each user, device and block, in the table `shares`.
    #[default]
    V1_1,
}

/// What a dump says about money. Rows are in the order of the dump.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReferenceTables {
    /// Table `user`.
    pub users: Vec<UserRow>,
    /// Table `block`.
    pub blocks: Vec<BlockRow>,
    /// Table `payin`.
    pub payins: Vec<PayinRow>,
    /// Table `payout`.
    pub payouts: Vec<PayoutRow>,
    /// How many rows the table `payout_request` has.
    pub payout_requests: usize,
}

/// A miner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRow {
    /// The number under which other tables name it.
    pub id: u32,
    /// Its address.
    pub address: Address,
}

/// A block that was a head, or that shares were mined on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRow {
    /// The number under which other tables name it.
    pub id: u32,
    /// Its height, where it is known.
    pub height: Option<u32>,
    /// Whether it is on the main chain.
    pub main_chain: bool,
}

/// A credit, void unless its block is on the main chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayinRow {
    /// Whose.
    pub user: u32,
    /// Luna.
    pub amount: i64,
    /// For which block.
    pub block: u32,
}

/// A debit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayoutRow {
    /// Whose.
    pub user: u32,
    /// Luna.
    pub amount: i64,
}
