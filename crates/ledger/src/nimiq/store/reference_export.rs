//! The accounts in the tables of the reference, as of one moment. Its balances come out as ours are.
//!
//! * Blocks that the node never had on its main chain, and shares on them, are left out: they can never be paid.
//! * A payout whose debit stands is one, whether it is confirmed or not. Payouts to the operator have no user there.
//! * What the book began with has no block: it is credited for a block of height 0, or debited without a transaction.

use std::io::Write;

use nimiq::{BlockHash, Height, Luna, TransactionHash};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::CHAIN;
use super::connection::{Accounts, AccountsError, failed};
use super::rows::Fields;
use crate::UnixMillis;
use crate::nimiq::reference_tables::Version;
use crate::nimiq::reference_tables::script::Script;

/// Rows, or blocks with their shares, that are read at a time.
const PAGE: i64 = 1000;
const DOING: &str = "reading the accounts for an export";

/// Why the accounts could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// They could not be read.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The script could not be written.
    #[error("the script could not be written")]
    Write(#[from] std::io::Error),
}

impl Accounts {
    /// Writes the script, and gives back what it was written to.
    pub async fn export_reference<W: Write + Send>(
        &self,
        version: Version,
        output: W,
    ) -> Result<W, ExportError> {
        let mut export = Export { rows: self.snapshot().await?, script: Script::new(output, version)? };
        export.users().await?;
        let last_block = export.blocks().await?;
        match version {
            Version::V1_0 => export.single_shares().await?,
            Version::V1_1 => export.share_sums(last_block).await?,
        }
        export.openings(last_block + 1).await?;
        export.payins().await?;
        export.payouts().await?;
        export.requests().await?;
        Ok(export.script.finish()?)
    }
}

struct Export<W> {
    rows: Transaction<'static, Any>,
    script: Script<W>,
}

impl<W: Write + Send> Export<W> {
    /// The rows of a page: those of the statement behind these keys.
    async fn page(&mut self, sql: &'static str, keys: &[i64]) -> Result<Vec<AnyRow>, AccountsError> {
        let query = keys.iter().fold(sqlx::query(sql).bind(CHAIN), |query, key| query.bind(*key));
        query.fetch_all(&mut *self.rows).await.map_err(failed(DOING))
    }

    async fn users(&mut self) -> Result<(), ExportError> {
        let sql = "SELECT id, address FROM users WHERE chain = $1 AND id > $2 ORDER BY id LIMIT $3";
        let mut last = 0;
        loop {
            let page = self.page(sql, &[last, PAGE]).await?;
            for row in &page {
                let fields = Fields { row, doing: DOING };
                last = fields.signed(0)?;
                self.script.user(last as u64, &fields.address(1)?)?;
            }
            if page.is_empty() {
                return Ok(());
            }
        }
    }

    /// Gives the largest number of a block.
    async fn blocks(&mut self) -> Result<i64, ExportError> {
        let sql = "SELECT id, hash, height, main_chain, COALESCE(seen_at_ms, 0) FROM blocks \
                   WHERE chain = $1 AND height IS NOT NULL AND id > $2 ORDER BY id LIMIT $3";
        let mut last = 0;
        loop {
            let page = self.page(sql, &[last, PAGE]).await?;
            for row in &page {
                let fields = Fields { row, doing: DOING };
                last = fields.signed(0)?;
                let (hash, seen_at) = (BlockHash(fields.hash(1)?), UnixMillis(fields.number(4)?));
                let main_chain = fields.signed(3)? == 1;
                self.script.block(last as u64, &hash, fields.height(2)?, main_chain, seen_at)?;
            }
            if page.is_empty() {
                return Ok(last);
            }
        }
    }

    async fn single_shares(&mut self) -> Result<(), ExportError> {
        let sql = "SELECT shares.id, user_id, device, previous_block, accepted_at_ms, weight, shares.hash FROM shares \
                   JOIN blocks ON blocks.id = shares.previous_block WHERE blocks.chain = $1 \
                   AND blocks.height IS NOT NULL AND shares.id > $2 ORDER BY shares.id LIMIT $3";
        let mut last = 0;
        loop {
            let page = self.page(sql, &[last, PAGE]).await?;
            for row in &page {
                let fields = Fields { row, doing: DOING };
                last = fields.signed(0)?;
                let whose = (fields.number(1)?, fields.number(2)? as u32, fields.number(3)?);
                let accepted_at = UnixMillis(fields.number(4)?);
                self.script.share(whose, accepted_at, fields.number(5)?, &BlockHash(fields.hash(6)?))?;
            }
            if page.is_empty() {
                return Ok(());
            }
        }
    }

    async fn share_sums(&mut self, last_block: i64) -> Result<(), ExportError> {
        let sql = "SELECT user_id, device, previous_block, COUNT(*), CAST(SUM(weight >> 32) AS BIGINT), \
                   CAST(SUM(weight & 4294967295) AS BIGINT) FROM shares \
                   JOIN blocks ON blocks.id = shares.previous_block WHERE blocks.chain = $1 \
                   AND blocks.height IS NOT NULL AND previous_block > $2 AND previous_block <= $3 \
                   GROUP BY user_id, device, previous_block ORDER BY previous_block, user_id, device";
        for first in (0..last_block).step_by(PAGE as usize) {
            for row in &self.page(sql, &[first, first + PAGE]).await? {
                let fields = Fields { row, doing: DOING };
                let whose = (fields.number(0)?, fields.number(1)? as u32, fields.number(2)?);
                let weight = (u128::from(fields.number(4)?) << 32) + u128::from(fields.number(5)?);
                self.script.shares(whose, fields.number(3)?, weight)?;
            }
        }
        Ok(())
    }

    /// What the book began with: credits for a block of this number, debits.
    async fn openings(&mut self, block: i64) -> Result<(), ExportError> {
        let sql = "SELECT user_id, amount, entries.at_ms FROM lines JOIN entries ON entries.id = lines.entry \
                   WHERE entries.chain = $1 AND entries.kind = 'import' AND account = 'mature' ORDER BY user_id";
        let rows = self.page(sql, &[]).await?;
        if rows.is_empty() {
            return Ok(());
        }
        self.script.block(block as u64, &BlockHash([0; 32]), Height(0), true, UnixMillis(0))?;
        for row in &rows {
            let fields = Fields { row, doing: DOING };
            let (user, amount, at) = (fields.number(0)?, fields.signed(1)?, UnixMillis(fields.number(2)?));
            let luna = Luna(amount.unsigned_abs());
            if amount > 0 {
                self.script.payin(user, luna, block as u64, at)?;
            } else {
                self.script.payout(user, luna, at, &TransactionHash([0; 32]))?;
            }
        }
        Ok(())
    }

    async fn payins(&mut self) -> Result<(), ExportError> {
        let sql = "SELECT entries.id, user_id, amount, block, entries.at_ms FROM lines \
                   JOIN entries ON entries.id = lines.entry WHERE entries.chain = $1 AND kind = 'reward' \
                   AND account = 'immature' AND (entries.id, user_id) > ($2, $3) AND NOT EXISTS \
                   (SELECT 1 FROM entries AS reversal WHERE reversal.reverses = entries.id) \
                   ORDER BY entries.id, user_id LIMIT $4";
        let (mut entry, mut user) = (0, 0);
        loop {
            let page = self.page(sql, &[entry, user, PAGE]).await?;
            for row in &page {
                let fields = Fields { row, doing: DOING };
                (entry, user) = (fields.signed(0)?, fields.signed(1)?);
                let (amount, block) = (Luna(fields.number(2)?), fields.number(3)?);
                self.script.payin(user as u64, amount, block, UnixMillis(fields.number(4)?))?;
            }
            if page.is_empty() {
                return Ok(());
            }
        }
    }

    async fn payouts(&mut self) -> Result<(), ExportError> {
        let sql = "SELECT id, user_id, debit, prepared_at_ms, hash FROM payouts WHERE chain = $1 \
                   AND user_id IS NOT NULL AND state IN ('prepared', 'broadcast', 'mined', 'confirmed') \
                   AND id > $2 ORDER BY id LIMIT $3";
        let mut last = 0;
        loop {
            let page = self.page(sql, &[last, PAGE]).await?;
            for row in &page {
                let fields = Fields { row, doing: DOING };
                last = fields.signed(0)?;
                let (user, amount) = (fields.number(1)?, Luna(fields.number(2)?));
                let (at, hash) = (UnixMillis(fields.number(3)?), TransactionHash(fields.hash(4)?));
                self.script.payout(user, amount, at, &hash)?;
            }
            if page.is_empty() {
                return Ok(());
            }
        }
    }

    async fn requests(&mut self) -> Result<(), ExportError> {
        let sql = "SELECT user_id FROM payout_requests JOIN users ON users.id = user_id WHERE users.chain = $1 \
                   ORDER BY user_id";
        for row in &self.page(sql, &[]).await? {
            self.script.payout_request(Fields { row, doing: DOING }.number(0)?)?;
        }
        Ok(())
    }
}
