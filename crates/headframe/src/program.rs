//! Which program this is: what the website and `/healthz` tell of it.

use pool::health::Program;

/// Version and commit; `build.rs` finds out the latter.
pub const PROGRAM: Program =
    Program { version: env!("CARGO_PKG_VERSION"), build: option_env!("HEADFRAME_BUILD") };
