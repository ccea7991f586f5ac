//! `cargo xtask vectors DIR`: runs every test vector found under a folder, and lists the files it does not know.

mod accounts;
mod announcements;
mod blocks;
mod blocks_real;
mod nimiq;
mod paymaker;
mod pktd_rpc;
mod pool;

use std::path::{Path, PathBuf};

use anyhow::Context;

/// What came of one vector file.
#[derive(Debug, Default)]
pub struct Tally {
    /// Rows that gave what the file says.
    pub passed: usize,
    /// One line for each row that did not: which row, what was expected, what came.
    pub failed: Vec<String>,
    /// Set where the file is only material for another one, which is named.
    pub used_by: Option<String>,
}

impl Tally {
    /// The tally of a file that holds no cases of its own.
    pub fn companion(of: impl Into<String>) -> Self {
        Self { used_by: Some(of.into()), ..Self::default() }
    }

    /// Counts one row: `problem` is `None` where it gave what was expected.
    pub fn row(&mut self, name: impl std::fmt::Display, problem: Option<String>) {
        match problem {
            None => self.passed += 1,
            Some(problem) => self.failed.push(format!("{name}: {problem}")),
        }
    }
}

/// One family of vectors: tells whether a file is its kind and, if so, runs it.
type Family = fn(&Path) -> Option<anyhow::Result<Tally>>;

/// Every family, asked in this order.
const FAMILIES: &[Family] = &[
    words,
    accounts::check,
    announcements::check,
    blocks::check,
    blocks_real::check,
    nimiq::check,
    paymaker::check,
    pktd_rpc::check,
    pool::check,
];

/// What explains the vectors is for people, wherever it lies.
fn words(path: &Path) -> Option<anyhow::Result<Tally>> {
    path.ends_with("README.md").then(|| Ok(Tally::companion("people")))
}

/// Runs all vectors under `folder`, prints a line for each file, and fails if any row failed.
pub fn run(folder: &Path) -> anyhow::Result<()> {
    let mut files = Vec::new();
    collect_files(folder, &mut files)?;
    files.sort();
    let (mut passed, mut failed, mut unknown) = (0, 0, Vec::new());
    for file in &files {
        match FAMILIES.iter().find_map(|family| family(file)) {
            None => unknown.push(file),
            Some(Err(error)) => {
                failed += 1;
                println!("{}: 0 passed, 1 failed\n    {error:#}", file.display());
            }
            Some(Ok(Tally { used_by: Some(other), .. })) => println!("{}: used by {other}", file.display()),
            Some(Ok(tally)) => {
                println!("{}: {} passed, {} failed", file.display(), tally.passed, tally.failed.len());
                tally.failed.iter().for_each(|line| println!("    {line}"));
                passed += tally.passed;
                failed += tally.failed.len();
            }
        }
    }
    for file in &unknown {
        println!("{}: unknown kind of file, not run", file.display());
    }
    println!("{passed} passed, {failed} failed, {} files unknown", unknown.len());
    anyhow::ensure!(failed == 0, "{failed} vectors failed");
    Ok(())
}

/// All files of a folder and its sub-folders. A link to a folder is not followed: it may lead around in a circle.
pub fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect_files(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_once_and_circles_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("file.json"), "{}").unwrap();
        std::os::unix::fs::symlink(folder.path(), inner.join("circle")).unwrap();
        let mut files = Vec::new();
        collect_files(folder.path(), &mut files).unwrap();
        files.sort();
        assert_eq!(files, [inner.join("circle"), inner.join("file.json")]);
        assert!(files.iter().all(|file| FAMILIES.iter().all(|family| family(file).is_none())));
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = run(Path::new("/nonexistent/vectors")).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot read /nonexistent/vectors: "), "{error:#}");
    }
}
