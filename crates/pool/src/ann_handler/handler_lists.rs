//! Which list of handlers is valid for which parent height (rule R-A5), kept on disk.
//!
//! A height keeps the list that the Master had when its block was first seen: that is what prevents one announcement
//! from being accepted, and paid, by two handlers after the list changed.

use std::path::{Path, PathBuf};
use std::{fs, io};

use packetcrypt::Height;
use serde::{Deserialize, Serialize};

/// Lists kept: more than tracked heights, since the chain may fall back a little.
const KEPT: usize = 16;

const FILE_NAME: &str = "handler_lists.json";

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HandlerListsFault {
    /// The disk refused.
    #[error("{path}: {fault}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        fault: io::Error,
    },
    /// It is not what this program writes.
    #[error(
        "{path} is damaged ({reason}); without it announcements might be paid twice after a change of handlers. Remove it if the handlers have not changed lately"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The lists and the heights they are valid from.
#[derive(Debug)]
pub(super) struct HandlerLists {
    path: PathBuf,
    state: State,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The URL of this handler when it wrote this.
    own_url: String,
    /// The highest block that was seen.
    seen_to: u32,
    /// Parent heights below this one are not taken any more: what was accepted for them is forgotten.
    taken_from: u32,
    /// Ascending by height.
    lists: Vec<List>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct List {
    from: u32,
    urls: Vec<String>,
}

impl HandlerLists {
    /// Reads the lists from a handler's folder. Where the handler was moved to another URL since it wrote them, it
    /// keeps its place in them: whoever has the folder also knows what was accepted before.
    pub(super) fn open(dir: &Path, own_url: &str) -> Result<Self, HandlerListsFault> {
        let path = dir.join(FILE_NAME);
        let mut state: State = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| HandlerListsFault::Damaged {
                path: path.clone(),
                reason: error.to_string(),
            })?,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => State::default(),
            Err(fault) => return Err(HandlerListsFault::Disk { path, fault }),
        };
        let former = std::mem::replace(&mut state.own_url, own_url.to_owned());
        let urls = state.lists.iter_mut().flat_map(|list| &mut list.urls);
        urls.filter(|url| **url == former).for_each(|url| own_url.clone_into(url));
        Ok(Self { path, state })
    }

    /// The Master has this list while `tip` is the newest block; announcements below `taken_from` are over.
    /// `Ok(true)` if the list changed.
    pub(super) fn observe(
        &mut self,
        tip: Height,
        taken_from: Height,
        urls: &[String],
    ) -> Result<bool, HandlerListsFault> {
        let before = self.state.clone();
        let current = self.state.lists.last();
        let changed = current.is_none_or(|list| list.urls != urls);
        if changed {
            let from = if current.is_none() { 0 } else { self.state.seen_to.saturating_add(1) };
            self.state.lists.retain(|list| list.from < from);
            self.state.lists.push(List { from, urls: urls.to_vec() });
            let surplus = self.state.lists.len().saturating_sub(KEPT);
            self.state.lists.drain(..surplus);
        }
        self.state.seen_to = self.state.seen_to.max(tip.0);
        self.state.taken_from = self.state.taken_from.max(taken_from.0);
        if self.state != before {
            self.write()?;
        }
        Ok(changed && !before.lists.is_empty())
    }

    /// The list of a parent height.
    pub(super) fn at(&self, height: Height) -> &[String] {
        let list = self.state.lists.iter().rev().find(|list| list.from <= height.0);
        list.map_or(&[], |list| &list.urls)
    }

    /// The lowest parent height that is still taken.
    pub(super) fn taken_from(&self) -> Height {
        Height(self.state.taken_from)
    }

    fn write(&self) -> Result<(), HandlerListsFault> {
        let text = serde_json::to_vec(&self.state).unwrap_or_default();
        let written = crate::whole_file::write(&self.path, &text);
        written.map_err(|fault| HandlerListsFault::Disk { path: self.path.clone(), fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "http://a/submit";

    fn urls(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| format!("http://{name}/submit")).collect()
    }

    #[test]
    fn r_a5_a_height_keeps_the_list_with_which_its_block_was_first_seen() {
        let dir = tempfile::tempdir().unwrap();
        let mut lists = HandlerLists::open(dir.path(), OWN).unwrap();
        assert!(!lists.observe(Height(10), Height(5), &urls(&["a"])).unwrap(), "the first is no change");
        assert!(!lists.observe(Height(11), Height(6), &urls(&["a"])).unwrap());
        assert!(lists.observe(Height(11), Height(6), &urls(&["a", "b"])).unwrap());
        lists.observe(Height(12), Height(7), &urls(&["a", "b"])).unwrap();
        for lists in [&lists, &HandlerLists::open(dir.path(), OWN).unwrap()] {
            assert_eq!(lists.at(Height(5)), urls(&["a"]));
            assert_eq!(lists.at(Height(11)), urls(&["a"]));
            assert_eq!(lists.at(Height(12)), urls(&["a", "b"]));
            assert_eq!(lists.taken_from(), Height(7));
        }
    }

    #[test]
    fn r_a5_a_change_while_the_handler_was_down_counts_from_the_next_unseen_block() {
        let dir = tempfile::tempdir().unwrap();
        HandlerLists::open(dir.path(), OWN).unwrap().observe(Height(10), Height(5), &urls(&["a"])).unwrap();
        let mut lists = HandlerLists::open(dir.path(), OWN).unwrap();
        assert!(lists.observe(Height(13), Height(8), &urls(&["b"])).unwrap());
        assert_eq!((lists.at(Height(10)), lists.at(Height(11))), (&urls(&["a"])[..], &urls(&["b"])[..]));
    }

    #[test]
    fn a_handler_that_was_moved_keeps_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let mut lists = HandlerLists::open(dir.path(), OWN).unwrap();
        lists.observe(Height(10), Height(5), &urls(&["b", "a"])).unwrap();
        let mut lists = HandlerLists::open(dir.path(), "http://moved/submit").unwrap();
        assert!(
            !lists.observe(Height(10), Height(5), &urls(&["b", "moved"])).unwrap(),
            "its move is no change"
        );
        assert_eq!(lists.at(Height(10)), urls(&["b", "moved"]));
    }

    #[test]
    fn a_list_that_never_became_valid_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut lists = HandlerLists::open(dir.path(), OWN).unwrap();
        for list in [&["a"][..], &["b"], &["a", "c"]] {
            lists.observe(Height(10), Height(5), &urls(list)).unwrap();
        }
        assert_eq!(lists.state.lists.len(), 2);
        assert_eq!((lists.at(Height(10)), lists.at(Height(11))), (&urls(&["a"])[..], &urls(&["a", "c"])[..]));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        let fault = HandlerLists::open(dir.path(), OWN).unwrap_err();
        assert!(fault.to_string().contains("handler_lists.json is damaged"), "{fault}");
    }
}
