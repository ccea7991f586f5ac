//! The past of the Nimiq pool, from the accounts.

use ledger::UnixMillis;
use ledger::nimiq::{Accounts, AccountsError, UserId};
use ledger::series::{Grain, Point};
use nimiq::Address;

use crate::site::facts::{Amount, Chain, Moment, Range, Series, SeriesName, SeriesQuery};

/// The past of a figure, as far as it is kept.
pub(super) async fn series(
    accounts: &Accounts,
    query: &SeriesQuery,
    now: Moment,
) -> Result<Series, AccountsError> {
    let (step, count) = (query.range.step_seconds() * 1000, query.range.points());
    let now_ms = UnixMillis(now.0);
    // The last point is the one that is still growing.
    let from = UnixMillis(now.0 - now.0 % step + step).minus(step * count as u64);
    let grain = Grain::ALL.into_iter().find(|grain| grain.step_ms() == step).unwrap_or(Grain::Hour);
    let known = accounts.series(None, grain, from, count).await?;
    let address = query.address.as_deref().and_then(|text| Address::parse(text).ok());
    let user = match address {
        Some(address) => accounts.user_of(address).await?,
        None => None,
    };
    let is_stranger = query.address.is_some() && user.is_none();
    let points = match query.name {
        // Nobody has ever worked for this address: where the pool recorded, there was nothing.
        _ if is_stranger => known.iter().map(|known| known.map(|_| 0.0)).collect(),
        SeriesName::Blocks | SeriesName::Effort => {
            let blocks = accounts.blocks_since(from).await?;
            let own = blocks.iter().filter(|block| query.address.is_none() || block.finder == address);
            let times: Vec<(UnixMillis, f64)> = match query.name {
                SeriesName::Blocks => own.map(|block| (block.seen_at, 1.0)).collect(),
                _ => super::blocks::efforts(accounts, &blocks).await?,
            };
            let is_mean = query.name == SeriesName::Effort;
            spread(&times, &known, from, step, is_mean)
        }
        SeriesName::Credits | SeriesName::Payouts => {
            let amounts = match query.name {
                SeriesName::Credits => accounts.credits_since(user, from).await?,
                _ => accounts.payouts_since(user, from).await?,
            };
            let coins: Vec<_> =
                amounts.into_iter().map(|(at, luna)| (at, Amount::luna(luna).to_coins())).collect();
            spread(&coins, &known, from, step, false)
        }
        _ => {
            let own = match user {
                Some(user) => accounts.series(Some(user), grain, from, count).await?,
                None => known.clone(),
            };
            let value = |(index, (own, known)): (usize, (&Option<Point>, &Option<Point>))| {
                let start = from.plus(step * index as u64);
                let seconds = now_ms.since(start).clamp(Grain::Minute.step_ms(), step) as f64 / 1000.0;
                let own = own.unwrap_or_default();
                known.map(|_| match query.name {
                    SeriesName::HashRate => own.share_work as f64 / seconds,
                    _ => own.shares as f64,
                })
            };
            own.iter().zip(&known).enumerate().map(value).collect()
        }
    };
    Ok(Series {
        chain: Chain::Nimiq,
        name: query.name,
        range: query.range,
        address: query.address.clone(),
        unit: query.name.unit(Chain::Nimiq),
        from: from.into(),
        step_seconds: step / 1000,
        points,
        as_of: now,
    })
}

/// What a user did in the last 24 hours, and in how many seconds of them the service recorded; `None`: in none.
pub(super) async fn last_day(
    accounts: &Accounts,
    user: UserId,
    now: Moment,
) -> Result<Option<(u64, Point)>, AccountsError> {
    let (grain, step, count) = (Grain::TenMinutes, Grain::TenMinutes.step_ms(), Range::Day.points());
    let from = UnixMillis(now.0 - now.0 % step + step).minus(step * count as u64);
    let known = accounts.series(None, grain, from, count).await?;
    let own = accounts.series(Some(user), grain, from, count).await?;
    let recorded = known.iter().flatten().count() as u64 * step / 1000;
    let seconds = recorded.saturating_sub((step - now.0 % step) / 1000).max(60);
    Ok((recorded > 0).then(|| (seconds, own.into_iter().flatten().fold(Point::default(), Point::plus))))
}

/// When a user worked last, to the hour, if that is within 30 days.
pub(super) async fn last_work(
    accounts: &Accounts,
    user: UserId,
    now: Moment,
) -> Result<Option<Moment>, AccountsError> {
    let (grain, step, count) = (Grain::Hour, Grain::Hour.step_ms(), Range::Month.points());
    let from = UnixMillis(now.0 - now.0 % step + step).minus(step * count as u64);
    let own = accounts.series(Some(user), grain, from, count).await?;
    let last = own.iter().rposition(|point| point.is_some_and(|point| point.shares > 0));
    // The end of that hour, which may still go on.
    Ok(last.map(|place| Moment(from.plus(step * (place as u64 + 1)).0.min(now.0))))
}

/// Values by time, summed (or averaged) over each step. Where the pool did not record and nothing is there, nothing is
/// known; a mean of nothing is not known either.
fn spread(
    values: &[(UnixMillis, f64)],
    known: &[Option<Point>],
    from: UnixMillis,
    step: u64,
    is_mean: bool,
) -> Vec<Option<f64>> {
    let mut sums = vec![(0_u32, 0.0); known.len()];
    for (at, value) in values.iter().filter(|(at, _)| *at >= from) {
        if let Some(sum) = sums.get_mut((at.since(from) / step) as usize) {
            *sum = (sum.0 + 1, sum.1 + value);
        }
    }
    let point = |((count, sum), known): ((u32, f64), &Option<Point>)| match (count, is_mean) {
        (0, true) => None,
        (0, false) => known.map(|_| 0.0),
        (count, true) => Some(sum / f64::from(count)),
        (_, false) => Some(sum),
    };
    sums.into_iter().zip(known).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_means_and_unknown_are_three_things() {
        let known = [Some(Point::default()), None, Some(Point::default())];
        let values =
            [(UnixMillis(120), 5.0), (UnixMillis(130), 7.0), (UnixMillis(5), 9.0), (UnixMillis(999), 1.0)];
        let sums = spread(&values, &known, UnixMillis(100), 100, false);
        assert_eq!(sums, [Some(12.0), None, Some(0.0)]);
        let means = spread(&values, &known, UnixMillis(100), 100, true);
        assert_eq!(means, [Some(6.0), None, None]);
    }
}
