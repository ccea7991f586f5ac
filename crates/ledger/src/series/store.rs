//! Rows in a database: one text of SQL for SQLite and PostgreSQL, inside the transaction of whoever records.

use std::collections::BTreeMap;

use sqlx::{Any, AnyPool, Row as _, Transaction};

use super::{Grain, Owner, Point, Row, RowFault};
use crate::UnixMillis;

/// Why rows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SeriesFault {
    /// The database says so.
    #[error("{doing}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// What it says.
        #[source]
        source: sqlx::Error,
    },
    /// A row that this program has not written.
    #[error("a row of figures")]
    Row(#[from] RowFault),
}

/// Adds points to what is stored, in every grain that still keeps their time.
pub async fn add(
    transaction: &mut Transaction<'static, Any>,
    points: Vec<(Owner, UnixMillis, Point)>,
    now: UnixMillis,
) -> Result<(), SeriesFault> {
    let mut rows: BTreeMap<(Owner, Grain, UnixMillis), Vec<(usize, Point)>> = BTreeMap::new();
    for (owner, time, point) in points {
        for grain in Grain::ALL {
            let (start, place) = grain.place(time);
            if start >= grain.oldest_start(now) {
                rows.entry((owner, grain, start)).or_default().push((place, point));
            }
        }
    }
    for ((owner, grain, start), added) in rows {
        let mut row = stored(transaction, owner, grain, start).await?;
        for (place, point) in added {
            row.add(place, point);
        }
        sqlx::query(
            "INSERT INTO series (owner, grain, start_ms, points) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (owner, grain, start_ms) DO UPDATE SET points = excluded.points",
        )
        .bind(owner.0 as i64)
        .bind(i64::from(grain.number()))
        .bind(start.0 as i64)
        .bind(row.to_bytes())
        .execute(&mut **transaction)
        .await
        .map_err(failed("storing figures"))?;
    }
    Ok(())
}

async fn stored(
    transaction: &mut Transaction<'static, Any>,
    owner: Owner,
    grain: Grain,
    start: UnixMillis,
) -> Result<Row, SeriesFault> {
    let doing = "reading stored figures";
    let row = sqlx::query("SELECT points FROM series WHERE owner = $1 AND grain = $2 AND start_ms = $3")
        .bind(owner.0 as i64)
        .bind(i64::from(grain.number()))
        .bind(start.0 as i64)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed(doing))?;
    let Some(row) = row else { return Ok(Row::new(grain)) };
    let bytes: Vec<u8> = row.try_get(0).map_err(failed(doing))?;
    Ok(Row::from_bytes(grain, &bytes)?)
}

/// Forgets rows that no chart reaches any more.
pub async fn forget_old(
    transaction: &mut Transaction<'static, Any>,
    now: UnixMillis,
) -> Result<(), SeriesFault> {
    for grain in Grain::ALL {
        sqlx::query("DELETE FROM series WHERE grain = $1 AND start_ms < $2")
            .bind(i64::from(grain.number()))
            .bind(grain.oldest_start(now).0 as i64)
            .execute(&mut **transaction)
            .await
            .map_err(failed("forgetting old figures"))?;
    }
    Ok(())
}

/// The points of an owner from `from` on: `count` of them, oldest first; `None` where nothing is known.
pub async fn read(
    pool: &AnyPool,
    owner: Owner,
    grain: Grain,
    from: UnixMillis,
    count: usize,
) -> Result<Vec<Option<Point>>, SeriesFault> {
    let doing = "reading figures";
    let (first, _) = grain.place(from);
    let end = from.plus(grain.step_ms() * count as u64);
    let rows = sqlx::query(
        "SELECT start_ms, points FROM series WHERE owner = $1 AND grain = $2 AND start_ms >= $3 AND start_ms < $4",
    )
    .bind(owner.0 as i64)
    .bind(i64::from(grain.number()))
    .bind(first.0 as i64)
    .bind(end.0 as i64)
    .fetch_all(pool)
    .await
    .map_err(failed(doing))?;
    let mut points = vec![None; count];
    for row in &rows {
        let start: i64 = row.try_get(0).map_err(failed(doing))?;
        let bytes: Vec<u8> = row.try_get(1).map_err(failed(doing))?;
        let times = (0..).map(|place| start as u64 + place * grain.step_ms());
        for (point, time) in Row::from_bytes(grain, &bytes)?.points().iter().zip(times) {
            if time >= from.0
                && let Some(place) = points.get_mut(((time - from.0) / grain.step_ms()) as usize)
            {
                *place = *point;
            }
        }
    }
    Ok(points)
}

fn failed(doing: &'static str) -> impl FnOnce(sqlx::Error) -> SeriesFault {
    move |source| SeriesFault::Database { doing, source }
}
