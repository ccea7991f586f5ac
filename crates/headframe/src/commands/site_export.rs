//! `headframe site export`: the default website as files, for an operator who wants it otherwise.

use std::path::Path;

use anyhow::Context;

/// Writes all files, and says what to do with them.
pub fn run(folder: &Path) -> anyhow::Result<()> {
    let written = pool::site::static_files::export(folder).context("cannot write the website")?;
    println!("{written} files in {}: keep what you change, and name the folder in", folder.display());
    println!("[site]\nfolder = \"{}\"", folder.display());
    Ok(())
}
