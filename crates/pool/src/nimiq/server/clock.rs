//! The time of this machine, in the units of the chain and of the accounts.

use std::time::{Duration, SystemTime};

use ledger::UnixMillis;
use nimiq::Timestamp;

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// As headers carry it.
pub(super) fn timestamp() -> Timestamp {
    Timestamp(u32::try_from(since_1970().as_secs()).unwrap_or(u32::MAX))
}

/// As the accounts keep it.
pub(super) fn unix_millis() -> UnixMillis {
    UnixMillis(since_1970().as_millis() as u64)
}
