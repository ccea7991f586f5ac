//! How many files this process may have open: every connection is one, and systems grant few unless asked.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files besides connections: event logs, the ledger, the chain, what listens.
const OTHERS: u64 = 256;

/// How many files a process with so many connections has open at most.
pub fn wanted(connections: usize) -> u64 {
    connections as u64 + OTHERS
}

/// Asks for room for so many connections, up to what the system allows.
pub fn make_room_for(connections: usize) {
    let wanted = wanted(connections);
    let limit = getrlimit(Resource::Nofile);
    let Some(raised) = raised(limit, wanted) else { return };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(files = raised.current, "the limit of open files is raised"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
    if raised.current.is_some_and(|files| files < wanted) {
        let files = raised.current;
        tracing::info!(
            files,
            connections,
            "the system allows fewer open files than the connections that are configured"
        );
    }
}

/// A limit under which more files may be open than under `limit`; `None` if that is enough, or cannot be raised.
fn raised(limit: Rlimit, wanted: u64) -> Option<Rlimit> {
    let current = limit.current?;
    let possible = limit.maximum.map_or(wanted, |most| wanted.min(most));
    (possible > current).then_some(Rlimit { current: Some(possible), maximum: limit.maximum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_as_far_as_the_system_allows_and_never_lowered() {
        let limit = |current, maximum| Rlimit { current, maximum };
        let to = |current, maximum| raised(limit(current, maximum), 20_000).map(|limit| limit.current);
        assert_eq!(to(Some(1024), Some(1 << 20)), Some(Some(20_000)));
        assert_eq!(to(Some(1024), Some(4096)), Some(Some(4096)));
        assert_eq!(to(Some(1024), None), Some(Some(20_000)));
        assert_eq!(to(Some(30_000), Some(1 << 20)), None);
        assert_eq!(to(Some(4096), Some(4096)), None);
        assert_eq!(to(None, None), None);
    }
}
