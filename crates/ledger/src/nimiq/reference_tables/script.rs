//! Writing the tables as a script for MySQL and MariaDB: `mysql pool < FILE`.

use std::io::{self, Write};

use nimiq::{Address, BlockHash, Height, Luna, TransactionHash};

use super::Version;
use crate::UnixMillis;

/// Rows of one `INSERT`.
const ROWS_AT_ONCE: usize = 500;
/// The weight of a share of difficulty 1.
const WEIGHT_OF_ONE: f64 = (1u64 << 20) as f64;

/// A script that is being written. Rows of a table follow one another; a row is written after those that it names.
#[derive(Debug)]
pub struct Script<W> {
    output: W,
    version: Version,
    /// The table and columns of the `INSERT` that is open, and its rows so far.
    open: Option<(&'static str, usize)>,
}

impl<W: Write> Script<W> {
    /// Begins with the tables, all of them empty.
    pub fn new(mut output: W, version: Version) -> io::Result<Self> {
        output.write_all(HEAD.as_bytes())?;
        let shares = match version {
            Version::V1_0 => SHARE,
            Version::V1_1 => SHARES,
        };
        let datetime = match version {
            Version::V1_0 => "",
            Version::V1_1 => ",\n  `datetime` BIGINT",
        };
        let paid_in = match version {
            Version::V1_0 => ",\n  `datetime` BIGINT",
            Version::V1_1 => "",
        };
        let tables = TABLES.replace("{block}", datetime).replace("{shares}", shares);
        output.write_all(tables.replace("{payin}", paid_in).as_bytes())?;
        output.write_all(b"\nSTART TRANSACTION;\n")?;
        Ok(Self { output, version, open: None })
    }

    /// A miner.
    pub fn user(&mut self, id: u64, address: &Address) -> io::Result<()> {
        self.row("`user` (`id`, `address`)", format_args!("{id}, '{}'", address.to_base64()))
    }

    /// A block that the pool's node had as head.
    pub fn block(
        &mut self,
        id: u64,
        hash: &BlockHash,
        height: Height,
        main_chain: bool,
        seen_at: UnixMillis,
    ) -> io::Result<()> {
        let (hash, height, main_chain) = (literal(&hash.0), height.0, u8::from(main_chain));
        match self.version {
            Version::V1_0 => {
                let columns = "`block` (`id`, `hash`, `height`, `main_chain`)";
                self.row(columns, format_args!("{id}, {hash}, {height}, {main_chain}"))
            }
            Version::V1_1 => {
                let columns = "`block` (`id`, `hash`, `height`, `main_chain`, `datetime`)";
                self.row(columns, format_args!("{id}, {hash}, {height}, {main_chain}, {seen_at}"))
            }
        }
    }

    /// A share, for version 1.0.
    pub fn share(
        &mut self,
        (user, device, previous_block): (u64, u32, u64),
        accepted_at: UnixMillis,
        weight: u64,
        hash: &BlockHash,
    ) -> io::Result<()> {
        let columns = "`share` (`user`, `device`, `datetime`, `prev_block`, `difficulty`, `hash`)";
        let (difficulty, hash) = (weight as f64 / WEIGHT_OF_ONE, literal(&hash.0));
        self.row(
            columns,
            format_args!("{user}, {device}, {accepted_at}, {previous_block}, {difficulty}, {hash}"),
        )
    }

    /// The shares of a user, device and block together, for version 1.1.
    pub fn shares(
        &mut self,
        (user, device, previous_block): (u64, u32, u64),
        count: u64,
        weight: u128,
    ) -> io::Result<()> {
        let columns = "`shares` (`user`, `device`, `prev_block`, `count`, `difficulty`)";
        let difficulty = weight as f64 / WEIGHT_OF_ONE;
        self.row(columns, format_args!("{user}, {device}, {previous_block}, {count}, {difficulty}"))
    }

    /// A credit.
    pub fn payin(&mut self, user: u64, amount: Luna, block: u64, at: UnixMillis) -> io::Result<()> {
        match self.version {
            Version::V1_0 => {
                let columns = "`payin` (`user`, `amount`, `block`, `datetime`)";
                self.row(columns, format_args!("{user}, {}, {block}, {at}", amount.0))
            }
            Version::V1_1 => {
                let columns = "`payin` (`user`, `amount`, `block`)";
                self.row(columns, format_args!("{user}, {}, {block}", amount.0))
            }
        }
    }

    /// A debit.
    pub fn payout(
        &mut self,
        user: u64,
        amount: Luna,
        at: UnixMillis,
        transaction: &TransactionHash,
    ) -> io::Result<()> {
        let columns = "`payout` (`user`, `amount`, `datetime`, `transaction`)";
        self.row(columns, format_args!("{user}, {}, {at}, {}", amount.0, literal(&transaction.0)))
    }

    /// A request that is not answered.
    pub fn payout_request(&mut self, user: u64) -> io::Result<()> {
        self.row("`payout_request` (`user`)", format_args!("{user}"))
    }

    /// Ends the script and gives back what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        if self.open.is_some() {
            self.output.write_all(b";\n")?;
        }
        self.output.write_all(b"COMMIT;\n")?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn row(&mut self, columns: &'static str, values: std::fmt::Arguments<'_>) -> io::Result<()> {
        match self.open {
            Some((open, rows)) if open == columns && rows < ROWS_AT_ONCE => {
                self.open = Some((open, rows + 1));
                write!(self.output, ",\n({values})")
            }
            open => {
                let end = if open.is_some() { ";\n" } else { "" };
                self.open = Some((columns, 1));
                write!(self.output, "{end}INSERT INTO {columns} VALUES\n({values})")
            }
        }
    }
}

fn literal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(3 + 2 * bytes.len());
    text.push_str("x'");
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
    text
}

const HEAD: &str = "\
-- Accounts of a Nimiq pool in the tables of the reference. Money is whole luna.
-- Load it into an empty database: mysql pool < THIS_FILE
SET NAMES utf8mb4;
";

const TABLES: &str = "
CREATE TABLE `user` (
  `id` INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `address` VARCHAR(64) NOT NULL UNIQUE
);
CREATE TABLE `block` (
  `id` INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `hash` BINARY(32) NOT NULL UNIQUE,
  `height` INTEGER NOT NULL,
  `main_chain` BOOLEAN NOT NULL DEFAULT FALSE{block},
  INDEX (`height`)
);
{shares}CREATE TABLE `payin` (
  `id` INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `user` INTEGER NOT NULL,
  `amount` DOUBLE NOT NULL{payin},
  `block` INTEGER NOT NULL,
  UNIQUE (`user`, `block`),
  FOREIGN KEY (`user`) REFERENCES `user` (`id`),
  FOREIGN KEY (`block`) REFERENCES `block` (`id`)
);
CREATE TABLE `payout` (
  `id` INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `user` INTEGER NOT NULL,
  `amount` DOUBLE NOT NULL,
  `datetime` BIGINT NOT NULL,
  `transaction` BINARY(32),
  FOREIGN KEY (`user`) REFERENCES `user` (`id`)
);
CREATE TABLE `payout_request` (
  `id` INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `user` INTEGER NOT NULL UNIQUE,
  FOREIGN KEY (`user`) REFERENCES `user` (`id`)
);
";

const SHARE: &str = "CREATE TABLE `share` (
  `id` INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `user` INTEGER NOT NULL,
  `device` INTEGER UNSIGNED NOT NULL,
  `datetime` BIGINT NOT NULL,
  `prev_block` INTEGER NOT NULL,
  `difficulty` DOUBLE NOT NULL,
  `hash` BINARY(32) NOT NULL UNIQUE,
  FOREIGN KEY (`user`) REFERENCES `user` (`id`),
  FOREIGN KEY (`prev_block`) REFERENCES `block` (`id`)
);
";

const SHARES: &str = "CREATE TABLE `shares` (
  `id` INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `user` INTEGER NOT NULL,
  `device` INTEGER UNSIGNED NOT NULL,
  `prev_block` INTEGER NOT NULL,
  `count` INTEGER NOT NULL,
  `difficulty` DOUBLE NOT NULL,
  UNIQUE (`user`, `device`, `prev_block`),
  FOREIGN KEY (`user`) REFERENCES `user` (`id`),
  FOREIGN KEY (`prev_block`) REFERENCES `block` (`id`)
);
";
