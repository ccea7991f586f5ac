//! Whether everybody can be told whom the configuration names. Nobody is: `headframe monitor test-notification` does that.

use super::finding::Finding;
use crate::config::Config;
use crate::roles;

/// Reads the secrets of all ways.
pub fn examine(config: &Config) -> Finding {
    match roles::notify::destinations(config) {
        Ok(destinations) if destinations.is_empty() => {
            Finding::good("notifications", "nobody is told of anything (no [[notify]])")
        }
        Ok(destinations) => {
            let what = format!("{} ways, with their secrets", destinations.len());
            Finding::good("notifications", what)
        }
        Err(error) => {
            let fix =
                "correct that [[notify]], or its file; `headframe monitor test-notification` tries them all";
            Finding::fault("notifications", format!("{error:#}"), fix)
        }
    }
}
