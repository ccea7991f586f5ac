//! `[log]`: what is logged.

use crate::config::keys::{Keys, Section};

/// `[log]`: what is logged.
#[derive(Debug, Clone)]
pub struct Log {
    pub filter: String,
}

impl Log {
    /// What is logged when nobody says otherwise.
    pub const USUAL: &'static str = "info,hyper=warn,reqwest=warn,sqlx=warn";
}

impl Section for Log {
    const NAME: &'static str = "log";
    const ABOUT: &'static str = "What the roles log.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            filter: keys.at_reload().log_filter(
                "filter",
                Self::USUAL,
                "Which messages: a level for all, and others for some modules. --log, --verbose, HEADFRAME_LOG and RUST_LOG \
                 win over it.",
            ),
        }
    }
}
