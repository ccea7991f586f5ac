//! The machine: room and rights in the data folder, and how many files may be open.

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::finding::Finding;
use crate::config::Config;
use crate::open_files;
use crate::serve::Process;

/// Less room than this is soon none: a busy pool writes this much in hours.
const LEAST_ROOM: u64 = 1 << 30;

/// The data folder can be written to, and has room.
pub fn disk(config: &Config) -> Vec<Finding> {
    let folder = &config.pool.data;
    let subject = format!("data folder {}", folder.display());
    // It is made at the first start: until then, what it will be made in counts.
    let Some(there) = folder.ancestors().map(or_here).find(|folder| folder.exists()) else {
        let fix = "give `pool.data` a path that exists";
        return vec![Finding::fault(subject, "no part of its path exists", fix)];
    };
    let writable = match tempfile_in(there) {
        Ok(()) => Finding::good(&subject, "can be written to"),
        Err(error) => {
            let fix =
                format!("give the account that runs the pool the right to write to {}", there.display());
            Finding::fault(&subject, format!("cannot be written to: {error}"), fix)
        }
    };
    vec![writable, room(&subject, rustix::fs::statvfs(there).map(|disk| disk.f_bavail * disk.f_frsize))]
}

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let file = folder.join(format!(".headframe-doctor-{}", std::process::id()));
    std::fs::write(&file, b"")?;
    std::fs::remove_file(file)
}

fn room(subject: &str, free: rustix::io::Result<u64>) -> Finding {
    match free {
        Ok(free) if free >= LEAST_ROOM => Finding::good(subject, format!("{} MiB free", free >> 20)),
        Ok(free) => {
            let what = format!("only {} MiB free; what cannot be stored is not accepted", free >> 20);
            Finding::fault(subject, what, "make room, or move `pool.data` to a larger disk")
        }
        Err(error) => Finding::unseen(subject, format!("the system does not say how much is free: {error}")),
    }
}

/// As many as the connections that are configured.
pub fn open_files(config: &Config) -> Finding {
    let wanted = open_files::wanted(Process::Up { mine: false }.connections(config));
    match getrlimit(Resource::Nofile).maximum {
        Some(allowed) if allowed < wanted => Finding::fault(
            "open files",
            format!("the system allows {allowed}, the configured connections need {wanted}"),
            format!(
                "raise the limit (LimitNOFILE={wanted} in the unit, or ulimit -Hn {wanted} as root), or lower \
                 `connections` of [http] and [[nimiq_server]]"
            ),
        ),
        _ => Finding::good("open files", format!("{wanted} are allowed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_nearly_full_is_a_fault() {
        assert!(room("disk", Ok(LEAST_ROOM - 1)).is_fault());
        assert!(!room("disk", Ok(LEAST_ROOM)).is_fault());
    }
}
