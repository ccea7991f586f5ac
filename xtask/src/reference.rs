//! The reference programs (not part of this project), installed for the interoperability tests.
//!
//! - [`packetcrypt`]: the PacketCrypt announcement miner and handler, from the Rust registry;
//! - [`nimiq_core`]: the Nimiq node and its stock miners, from the JavaScript registry.
//!
//! Each lands in a folder below `target/`, once, and again when its pinned version changes.

pub mod nimiq_core;
pub mod packetcrypt;

use std::path::{Path, PathBuf};

/// Where cargo puts what it builds.
pub fn target_folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
