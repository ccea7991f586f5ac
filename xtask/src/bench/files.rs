//! How many files this process, and the servers that it starts, may have open.

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Asks for so many, beyond the most that is granted where this user may; a server gets its limit from this process.
pub fn raise_limit(files: u64) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < files) {
        let raised = Rlimit { current: Some(files), maximum: limit.maximum.map(|most| most.max(files)) };
        setrlimit(Resource::Nofile, raised)
            .with_context(|| format!("{files} open files are needed; the limit is {:?}", limit.maximum))?;
    }
    Ok(())
}
