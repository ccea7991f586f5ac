//! How many files this process, and the servers that it starts, may have open.

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most files that this process may ask for; `None` where there is no end.
pub fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Asks for so many; a server gets its limit from this process.
pub fn raise_limit(files: u64) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < files) {
        let raised = Rlimit { current: Some(files), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised)
            .with_context(|| format!("{files} open files are needed; the limit is {:?}", limit.maximum))?;
    }
    Ok(())
}
