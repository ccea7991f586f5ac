//! What steps need from elsewhere and takes minutes to get: fetched while other steps run. A step that needs it waits
//! for it.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::reference::{nimiq_core, packetcrypt};

/// Something that is made once, by whoever needs it first.
pub struct Once {
    made: OnceLock<Result<PathBuf, String>>,
    make: fn() -> anyhow::Result<PathBuf>,
}

impl Once {
    /// Made by this.
    pub const fn new(make: fn() -> anyhow::Result<PathBuf>) -> Self {
        Self { made: OnceLock::new(), make }
    }

    /// Where it is. Who asks while it is made waits.
    pub fn get(&self) -> anyhow::Result<PathBuf> {
        let made = self.made.get_or_init(|| (self.make)().map_err(|error| format!("{error:#}")));
        made.clone().map_err(anyhow::Error::msg)
    }
}

/// The reference announcement miner and handler.
pub static PACKETCRYPT: Once = Once::new(packetcrypt::install_quickly);
/// The folder with the real Nimiq node and miners.
pub static NIMIQ_CORE: Once = Once::new(nimiq_core::install);
/// A minimal Debian with systemd.
pub static DEBIAN: Once = Once::new(super::package::root);
/// The comparison of an API with its document.
pub static SCHEMATHESIS: Once = Once::new(crate::site_browser::schemathesis);
/// The accessibility audit.
pub static AXE: Once = Once::new(crate::site_browser::axe);

/// Begins to fetch everything, in the order in which the steps ask for it.
pub fn begin() {
    std::thread::spawn(|| {
        for thing in [&PACKETCRYPT, &NIMIQ_CORE, &DEBIAN, &AXE, &SCHEMATHESIS] {
            // Whoever needs it is told.
            let _ = thing.get();
        }
    });
}
