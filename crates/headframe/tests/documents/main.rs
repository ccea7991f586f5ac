//! The documents keep their word: their commands are run as a reader would run them, page by page, and their links lead
//! somewhere. `docs/README.md` says what the comments before blocks mean.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod page;
mod reader;
#[path = "../sandbox/mod.rs"]
mod sandbox;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use page::{Mark, Page};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The README and everything below `docs` that people read from its beginning; not the contract of the wire.
fn pages() -> Vec<PathBuf> {
    let root = root();
    let mut files = vec![root.join("README.md")];
    collect(&root.join("docs"), &mut files);
    files.retain(|file| !file.starts_with(root.join("docs/protocol")));
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// Runbooks speak of a pool that is in trouble, with words in place of its addresses.
fn is_runbook(file: &Path) -> bool {
    file.parent().is_some_and(|folder| folder.ends_with("runbooks"))
}

#[test]
fn every_command_works_as_it_is_written() {
    let tested: Vec<(String, Page)> = pages()
        .into_iter()
        .filter(|file| !is_runbook(file))
        .map(|file| {
            (shown(&file), Page::read(&file).unwrap_or_else(|fault| panic!("{}:{fault}", shown(&file))))
        })
        .filter(|(_, page)| page.blocks.iter().any(|block| block.mark != Mark::NotRun))
        .collect();
    assert!(tested.len() > 3, "only these pages have tested commands: {tested:?}");
    let faults: Vec<String> = std::thread::scope(|scope| {
        let readers: Vec<_> = tested
            .iter()
            .map(|(name, page)| {
                scope.spawn(move || reader::read(name, page).map_err(|fault| format!("{name}:{fault}")))
            })
            .collect();
        readers.into_iter().filter_map(|reader| reader.join().unwrap().err()).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// In sentences, in runbooks and where a command is not run: the program has it, with every flag.
#[test]
fn the_program_knows_each_command_that_a_page_names() {
    let mut named = BTreeSet::new();
    for file in pages() {
        let text = std::fs::read_to_string(&file).unwrap();
        named.extend(page::commands(&text).map(|command| (shown(&file), command)));
    }
    assert!(named.len() > 50, "only these were found: {named:?}");
    let faults = named.into_iter().filter_map(|(file, words)| {
        let is_plain = |word: &&String| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        let order = words.iter().take_while(|word| is_plain(word) && !word.starts_with('-'));
        let help = Command::new(env!("CARGO_BIN_EXE_headframe")).args(order).arg("--help").output().unwrap();
        let said = String::from_utf8_lossy(&help.stdout).into_owned();
        let unknown = words.iter().find(|word| word.starts_with("--") && !said.contains(word.as_str()));
        let is_known = help.status.success() && unknown.is_none();
        (!is_known).then(|| format!("{file}: `headframe {}`: {unknown:?}", words.join(" ")))
    });
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn links_lead_to_what_is_there() {
    let mut faults = Vec::new();
    for file in pages() {
        let text = std::fs::read_to_string(&file).unwrap();
        for (line, target) in page::links(&text) {
            let (path, anchor) =
                target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
            let aim = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            let anchor_is_there = anchor.is_none_or(|anchor| {
                std::fs::read_to_string(&aim)
                    .is_ok_and(|text| page::anchors(&text).any(|known| known == anchor))
            });
            if !aim.exists() || !anchor_is_there {
                faults.push(format!("{}:{line}: {target} is not there", shown(&file)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_block_of_which_nobody_says_whether_it_is_tested_is_found() {
    let page = |text: &str| Page::parse(text).map(|page| page.blocks.len());
    assert_eq!(page("<!-- tested -->\n```sh\ntrue\n```\n"), Ok(1));
    assert_eq!(page("```html\n<p>\n```\n"), Ok(0));
    let unmarked = page("words\n```sh\ntrue\n```\n").unwrap_err();
    assert!(unmarked.starts_with("2: "), "{unmarked}");
    let unknown = page("<!-- testet -->\n```sh\ntrue\n```\n").unwrap_err();
    assert!(unknown.starts_with("2: "), "{unknown}");
    let inside = page("1. words\n\n   ```sh\n   true\n   ```\n").unwrap_err();
    assert!(inside.starts_with("3: "), "{inside}");
    let open = page("<!-- tested -->\n```sh\ntrue\n").unwrap_err();
    assert!(open.contains("does not end"), "{open}");
}

#[test]
fn a_command_that_fails_is_named_by_its_line() {
    let read = |text: &str| reader::read("a page", &Page::parse(text).unwrap());
    assert_eq!(read("<!-- tested -->\n```sh\nA=1\n```\n<!-- tested -->\n```sh\ntest $A = 1\n```\n"), Ok(()));
    let failed = read("<!-- tested -->\n```sh\necho this is why\nfalse\n```\n").unwrap_err();
    assert!(failed.starts_with("2: ") && failed.contains("this is why"), "{failed}");
    let other =
        read("<!-- tested -->\n```console\n$ echo one two\none\n…\n$ echo three\nfour\n```\n").unwrap_err();
    assert!(other.starts_with("2: ") && other.contains("`four`") && other.contains("three"), "{other}");
    let wrong =
        read("<!-- tested: configuration -->\n```toml\n[master]\nmine_old_anns = 99\n```\n").unwrap_err();
    assert!(wrong.contains("must be a whole number from 0 to 5"), "{wrong}");
}
