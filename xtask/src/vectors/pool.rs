//! Vectors of the pool protocol: recorded files, requests and replies, and the rules behind them.
//!
//! Here stands only what the *formats* say: parsing, writing back, ids, signatures, which refusal a body deserves
//! by itself. Distributions (`paymaker/`) and the node's calls (`node_rpc.json`) are run by their own families.

mod ann_handler;
mod blk_handler;
mod events;
mod master;
mod rules;
mod sprayer;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Tally;

/// Runs one file of this family; `None` for files of others.
pub fn check(path: &Path) -> Option<anyhow::Result<Tally>> {
    let file = VectorFile::new(path)?;
    match file.folder {
        "master" => master::check(&file),
        "annhandler" => ann_handler::check(&file),
        "blkhandler" => blk_handler::check(&file),
        "body" => body(&file),
        "events" => events::check(&file),
        "sprayer" => sprayer::check(&file),
        _ => rules::check(&file),
    }
}

/// Posted bodies lie in folders of their own, beside the cases that name them.
fn body(file: &VectorFile<'_>) -> Option<anyhow::Result<Tally>> {
    let handler = file.path.parent()?.parent()?.file_name()?.to_str()?;
    matches!(handler, "annhandler" | "blkhandler")
        .then(|| Ok(Tally::companion(format!("../{handler}/*.json"))))
}

/// A file under its name, in its folder.
struct VectorFile<'a> {
    path: &'a Path,
    folder: &'a str,
    name: &'a str,
}

impl<'a> VectorFile<'a> {
    fn new(path: &'a Path) -> Option<Self> {
        let folder = path.parent()?.file_name()?.to_str()?;
        Some(Self { path, folder, name: path.file_name()?.to_str()? })
    }

    fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        std::fs::read(self.path).with_context(|| format!("{} cannot be read", self.path.display()))
    }

    fn json<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.bytes()?).with_context(|| self.path.display().to_string())
    }

    /// Another file, by its path relative to this one.
    fn beside(&self, relative: impl AsRef<Path>) -> anyhow::Result<Vec<u8>> {
        let path = self.path.with_file_name("").join(relative);
        std::fs::read(&path).with_context(|| format!("{}, which {} names", path.display(), self.name))
    }
}

/// What is wrong with a row; `Ok` where nothing is.
type Verdict = Result<(), String>;

/// A row passes if two things are the same.
fn same<T: PartialEq + Debug>(what: &str, expected: &T, got: &T) -> Verdict {
    if expected == got { Ok(()) } else { Err(format!("{what}: expected {expected:?}, got {got:?}")) }
}

/// A row passes if something holds.
fn holds(what: &str, condition: bool) -> Verdict {
    if condition { Ok(()) } else { Err(what.to_owned()) }
}

/// A file that is a single row.
fn single(row: Verdict) -> Tally {
    let mut tally = Tally::default();
    tally.row("file", row.err());
    tally
}

/// A file whose rows are cases.
fn each<T>(rows: &[T], name: impl Fn(&T) -> String, check: impl Fn(&T) -> Verdict) -> Tally {
    let mut tally = Tally::default();
    for row in rows {
        tally.row(name(row), check(row).err());
    }
    tally
}

/// A recorded request and its reply.
#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    note: String,
    request: Request,
    response: Response,
    /// Whether the reference survived the request, where that was the question.
    #[serde(default)]
    process_after: String,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    headers: BTreeMap<String, String>,
    body_bytes: usize,
    body_file: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    status: Option<u16>,
    #[serde(default)]
    body: String,
}

impl Case {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.request.headers.get(name).map(String::as_bytes)
    }

    /// The posted body; zeros of the recorded length where it was not kept.
    fn body(&self, file: &VectorFile<'_>) -> anyhow::Result<Vec<u8>> {
        match &self.request.body_file {
            Some(name) => file.beside(Path::new("body").join(name)),
            None => Ok(vec![0; self.request.body_bytes]),
        }
    }

    /// The recorded error texts, also where the reply is a plain text.
    fn errors(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Errors {
            error: Vec<String>,
        }
        match serde_json::from_str(&self.response.body) {
            Ok(Errors { error }) => error,
            Err(_) => vec![self.response.body.clone()],
        }
    }
}
