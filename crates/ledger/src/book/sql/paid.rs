//! What blocks of the pool paid an address.
//!
//! A payout table may hold a hundred thousand payees, and a miner asks for one of them in many blocks. So the payees of
//! each block are noted once more in small buckets: by the first byte of a hash of the address, sixteen bytes for each
//! payee. A question reads one bucket for each block.

use std::collections::BTreeMap;

use packetcrypt::hash::blake2b_256;
use sqlx::{AssertSqlSafe, Row};
use wire::PktAddress;
use wire::who_to_pay::ByAddress;

use super::history::{RecordedWin, WIN, recorded_win};
use super::{Fields, SqlBook, millis, parse_json};
use crate::UnixMillis;
use crate::book::{BookError, PayoutTableNumber};

/// Blocks whose payees are noted in one go.
const NOTED_AT_ONCE: i64 = 8;
/// Bytes of a payee: its key, and its units.
const ENTRY: usize = 16;

/// What blocks paid an address, and where the blocks before them begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paid {
    /// The blocks, newest first, each with the units of 10⁻¹² of its reward.
    pub blocks: Vec<(RecordedWin, u64)>,
    /// Ask for blocks before this time to go on; `None`: these were the last.
    pub next: Option<UnixMillis>,
}

/// The place of an address: a bucket, and a key in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    bucket: u8,
    key: [u8; 8],
}

impl Place {
    fn of(address: &PktAddress) -> Self {
        let hash = blake2b_256(address.to_string().as_bytes());
        let mut key = [0; 8];
        key.copy_from_slice(&hash[1..9]);
        Self { bucket: hash[0], key }
    }
}

impl SqlBook {
    /// Notes the payees of blocks for which that has not been done; gives how many blocks these were.
    pub async fn note_payees(&self) -> Result<usize, BookError> {
        let doing = "noting whom a block paid";
        let failed = |source| BookError::Database { doing, source };
        let rows = sqlx::query(
            "SELECT share_id, won_at_ms, payout_table FROM blocks_won \
             WHERE payees_noted = 0 AND payout_table IS NOT NULL ORDER BY won_at_ms DESC LIMIT $1",
        )
        .bind(NOTED_AT_ONCE)
        .fetch_all(&self.reader)
        .await
        .map_err(failed)?;
        for row in &rows {
            let fields = Fields { row, doing };
            let (share_id, won_at) = (fields.event_id(0)?.as_bytes().to_vec(), fields.number(1)?);
            let payees = self.payees_of(PayoutTableNumber(fields.number(2)?)).await?;
            let buckets = buckets(&payees.unwrap_or_default());
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            for (bucket, payees) in buckets {
                sqlx::query(
                    "INSERT INTO block_payees (bucket, won_at_ms, share_id, payees) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT DO NOTHING",
                )
                .bind(i64::from(bucket))
                .bind(won_at)
                .bind(share_id.clone())
                .bind(payees)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            }
            sqlx::query("UPDATE blocks_won SET payees_noted = 1 WHERE share_id = $1")
                .bind(share_id)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
        }
        Ok(rows.len())
    }

    /// The payees of a table with their units of 10⁻¹², as it was sent; `None` if it has been removed by age.
    pub async fn payees_of(
        &self,
        table: PayoutTableNumber,
    ) -> Result<Option<Vec<(PktAddress, u64)>>, BookError> {
        let doing = "reading the payees of a payout table";
        let row = sqlx::query("SELECT payees FROM payout_tables WHERE number = $1")
            .bind(table.0)
            .fetch_optional(&self.reader)
            .await
            .map_err(|source| BookError::Database { doing, source })?;
        let Some(row) = row else { return Ok(None) };
        let payees: ByAddress<u64> = parse_json(&Fields { row: &row, doing }.text(0)?)?;
        Ok(Some(payees.0))
    }

    /// The blocks before `before` that paid an address, newest first: by the payout table that was in force. Looks at
    /// `blocks` blocks.
    pub async fn payments_to(
        &self,
        address: &PktAddress,
        before: UnixMillis,
        blocks: u32,
    ) -> Result<Paid, BookError> {
        let doing = "reading which blocks paid an address";
        let place = Place::of(address);
        let sql = format!(
            "{WIN}, (SELECT payees FROM block_payees WHERE bucket = $1 \
             AND block_payees.won_at_ms = blocks_won.won_at_ms AND block_payees.share_id = blocks_won.share_id) \
             FROM blocks_won WHERE payees_noted = 1 AND won_at_ms < $2 ORDER BY won_at_ms DESC LIMIT $3"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(i64::from(place.bucket))
            .bind(millis(before))
            .bind(i64::from(blocks))
            .fetch_all(&self.reader)
            .await
            .map_err(|source| BookError::Database { doing, source })?;
        let mut paid = Paid::default();
        for row in &rows {
            let payees: Option<Vec<u8>> =
                row.try_get(8).map_err(|source| BookError::Database { doing, source })?;
            if let Some(units) = units_of(place.key, &payees.unwrap_or_default()) {
                paid.blocks.push((recorded_win(row, doing)?, units));
            }
        }
        if rows.len() == blocks as usize {
            let last = rows.last().map(|row| Fields { row, doing }.time(3)).transpose()?;
            paid.next = last;
        }
        Ok(paid)
    }
}

fn buckets(payees: &[(PktAddress, u64)]) -> BTreeMap<u8, Vec<u8>> {
    let mut buckets: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for (address, units) in payees {
        let place = Place::of(address);
        let bucket = buckets.entry(place.bucket).or_default();
        bucket.extend(place.key);
        bucket.extend(units.to_le_bytes());
    }
    buckets
}

fn units_of(key: [u8; 8], payees: &[u8]) -> Option<u64> {
    let own = payees.as_chunks::<ENTRY>().0.iter().find(|entry| entry.starts_with(&key))?;
    own.last_chunk().map(|units| u64::from_le_bytes(*units))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payee_is_found_among_many_in_its_bucket() {
        let address = |number: u8| -> PktAddress {
            let text = wire::pkt_address::ChainAddress::WitnessPublicKeyHash([number; 20]).to_string();
            text.parse().unwrap()
        };
        let payees: Vec<_> = (0..=255).map(|number| (address(number), u64::from(number) + 7)).collect();
        let buckets = buckets(&payees[..255]);
        assert_eq!(buckets.values().map(Vec::len).sum::<usize>(), 255 * ENTRY);
        let units = |address: &PktAddress| {
            let place = Place::of(address);
            units_of(place.key, buckets.get(&place.bucket).map_or(&[], Vec::as_slice))
        };
        assert!(payees[..255].iter().all(|(address, expected)| units(address) == Some(*expected)));
        assert_eq!(units(&payees[255].0), None);
    }
}
