//! Figures in the book: added minute by minute, with the time up to which all of them are there.

use sqlx::{Any, Row, Transaction};
use wire::PktAddress;

use super::{Fields, SqlBook, millis};
use crate::UnixMillis;
use crate::book::BookError;
use crate::series::store::{self, SeriesFault};
use crate::series::{Grain, Owner, Point};

/// Work of an address, or of the whole pool, in one minute.
pub type RecordedMinute = (Option<PktAddress>, UnixMillis, Point);

/// Owners whose rows are written in one transaction, so that the book is never held up for long.
const AT_ONCE: usize = 500;

impl SqlBook {
    /// Everything before this time has been stored; what is newer is to be recorded again after a restart.
    pub async fn series_stored_until(&self) -> Result<UnixMillis, BookError> {
        let doing = "reading up to when figures are stored";
        let row = sqlx::query("SELECT until_ms FROM series_stored")
            .fetch_one(&self.reader)
            .await
            .map_err(|source| BookError::Database { doing, source })?;
        Fields { row: &row, doing }.time(0)
    }

    /// Adds minutes, all of them before `until`, and forgets what no chart reaches any more. A crash in between may
    /// count some minutes of a chart twice; nothing but charts is made from them.
    pub async fn add_series(
        &self,
        mut minutes: Vec<RecordedMinute>,
        until: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), BookError> {
        let doing = "storing figures";
        let failed = |source| BookError::Database { doing, source };
        minutes.sort_unstable_by_key(|(address, minute, _)| (*address, *minute));
        let mut owners: Vec<Vec<RecordedMinute>> =
            minutes.chunk_by(|one, other| one.0 == other.0).map(<[_]>::to_vec).collect();
        while !owners.is_empty() {
            let now_written = owners.split_off(owners.len().saturating_sub(AT_ONCE));
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            let mut points = Vec::new();
            for own in now_written {
                let owner = match own.first().and_then(|(address, ..)| *address) {
                    None => Owner::POOL,
                    Some(address) => number(&mut transaction, address).await.map_err(failed)?,
                };
                points.extend(own.into_iter().map(|(_, minute, point)| (owner, minute, point)));
            }
            store::add(&mut transaction, points, now).await.map_err(of_series)?;
            transaction.commit().await.map_err(failed)?;
        }
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        sqlx::query("UPDATE series_stored SET until_ms = $1")
            .bind(millis(until))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        store::forget_old(&mut transaction, now).await.map_err(of_series)?;
        transaction.commit().await.map_err(failed)
    }

    /// The points of an address, or of the whole pool: `count` of them from `from` on.
    pub async fn series(
        &self,
        address: Option<PktAddress>,
        grain: Grain,
        from: UnixMillis,
        count: usize,
    ) -> Result<Vec<Option<Point>>, BookError> {
        let doing = "reading figures";
        let owner = match address {
            None => Some(Owner::POOL),
            Some(address) => sqlx::query("SELECT number FROM series_owners WHERE address = $1")
                .bind(address.to_string())
                .fetch_optional(&self.reader)
                .await
                .map_err(|source| BookError::Database { doing, source })?
                .map(|row| Ok::<_, BookError>(Owner(Fields { row: &row, doing }.number(0)? as u64)))
                .transpose()?,
        };
        match owner {
            Some(owner) => store::read(&self.reader, owner, grain, from, count).await.map_err(of_series),
            None => Ok(vec![None; count]),
        }
    }
}

/// The number of an address, a new one if it has none.
async fn number(
    transaction: &mut Transaction<'static, Any>,
    address: PktAddress,
) -> Result<Owner, sqlx::Error> {
    let text = address.to_string();
    let known = sqlx::query("SELECT number FROM series_owners WHERE address = $1")
        .bind(text.clone())
        .fetch_optional(&mut **transaction)
        .await?;
    if let Some(row) = known {
        return Ok(Owner(row.try_get::<i64, _>(0)? as u64));
    }
    let row = sqlx::query(
        "INSERT INTO series_owners (number, address) \
         VALUES ((SELECT COALESCE(MAX(number), 0) + 1 FROM series_owners), $1) RETURNING number",
    )
    .bind(text)
    .fetch_one(&mut **transaction)
    .await?;
    Ok(Owner(row.try_get::<i64, _>(0)? as u64))
}

fn of_series(fault: SeriesFault) -> BookError {
    match fault {
        SeriesFault::Database { doing, source } => BookError::Database { doing, source },
        SeriesFault::Row(fault) => BookError::Foreign { what: fault.to_string() },
    }
}
