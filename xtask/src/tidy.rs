//! `cargo xtask tidy`: the house rules as a check, each fault with its line and the better way.

use std::path::{Path, PathBuf};

/// One broken rule.
struct Fault {
    path: PathBuf,
    line: usize,
    message: String,
}

/// A text file of the project.
struct Source {
    path: PathBuf,
    lines: Vec<String>,
    /// Whether all of it is tests.
    is_test: bool,
}

/// The longest function today, the one table of RandHash's instructions. A ratchet: it may only go down, and nobody may
/// write a longer one.
const LONGEST_FUNCTION: usize = 134;

/// File names that say nothing.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "misc", "helper", "helpers", "manager"];

/// Words that promise something for later. Spelt in two parts, so that this file keeps its own rule.
const PROMISES: &[&str] =
    &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("for ", "now,")];

/// Calls that end the process. Spelt in two parts, for the same reason.
const PANICS: &[&str] = &[
    concat!(".unwrap", "()"),
    concat!("unreach", "able!("),
    concat!("pan", "ic!("),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
];

/// Checks the whole project.
pub fn run() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let mut sources = Vec::new();
    for part in
        ["crates", "xtask", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Cargo.toml", "deny.toml", ".ci"]
    {
        read(&root, &root.join(part), &mut sources)?;
    }
    mark_tests(&mut sources);
    let mut faults = Vec::new();
    for source in &sources {
        let rust = source.path.extension().is_some_and(|extension| extension == "rs");
        promises(source, &mut faults);
        if rust {
            names(source, &mut faults);
            first_line(source, &mut faults);
            function_length(source, &mut faults);
            panics(source, &mut faults);
            ignored_tests(source, &mut faults);
        } else if source.path.extension().is_some_and(|extension| extension == "md") {
            paths_in_words(source, &root, &mut faults);
        }
    }
    rooms(&root, &sources, &mut faults)?;
    for fault in &faults {
        println!("{}:{}: {}", fault.path.display(), fault.line, fault.message);
    }
    anyhow::ensure!(faults.is_empty(), "{} house rules broken", faults.len());
    println!("{} files are tidy", sources.len());
    Ok(())
}

fn read(root: &Path, path: &Path, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    if path.is_dir() {
        let mut entries = std::fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| read(root, entry, sources));
    }
    let text_file = path
        .extension()
        .is_some_and(|extension| ["rs", "md", "toml"].iter().any(|known| extension == *known));
    if text_file || path.ends_with(".ci/run") {
        let lines = std::fs::read_to_string(path)?.lines().map(str::to_owned).collect();
        let path = path.strip_prefix(root).unwrap_or(path).to_owned();
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        sources.push(Source { path, lines, is_test });
    }
    Ok(())
}

/// The name in a line such as `pub(crate) mod name;` or `mod name {`.
fn module_name(line: &str) -> Option<&str> {
    let words = line.trim();
    let words = words.strip_prefix("pub(crate) ").or(words.strip_prefix("pub(super) ")).unwrap_or(words);
    let name = words.strip_prefix("mod ")?;
    name.strip_suffix(';').or(name.strip_suffix(" {"))
}

/// Marks the files of modules that are declared for tests only, and everything below them.
fn mark_tests(sources: &mut [Source]) {
    let mut test_modules = Vec::new();
    for source in &*sources {
        let stem = source.path.with_extension("");
        let is_root = ["lib", "main", "mod"].iter().any(|root| stem.ends_with(root));
        let folder =
            if is_root { source.path.parent().map(Path::to_owned).unwrap_or_default() } else { stem };
        for pair in source.lines.windows(2).filter(|pair| pair[0].trim() == "#[cfg(test)]") {
            test_modules.extend(module_name(&pair[1]).map(|name| folder.join(name)));
        }
    }
    for source in sources {
        let stem = source.path.with_extension("");
        source.is_test |= test_modules.iter().any(|module| stem.starts_with(module));
    }
}

impl Source {
    fn fault(&self, index: usize, message: impl Into<String>) -> Fault {
        Fault { path: self.path.clone(), line: index + 1, message: message.into() }
    }

    /// The lines of code that run outside of tests, with their indices: everything before `#[cfg(test)] mod`,
    /// in files that are no tests themselves.
    fn code(&self) -> impl Iterator<Item = (usize, &String)> {
        let test_module = self.lines.windows(2).position(|pair| {
            pair[0].trim() == "#[cfg(test)]" && module_name(&pair[1]).is_some() && pair[1].ends_with('{')
        });
        let end = if self.is_test { 0 } else { test_module.unwrap_or(self.lines.len()) };
        self.lines[..end].iter().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn names(source: &Source, faults: &mut Vec<Fault>) {
    let name = source.path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if EMPTY_NAMES.contains(&name.as_str()) {
        faults.push(source.fault(0, format!("a file named {name:?} says nothing; name it after its idea")));
    }
}

fn first_line(source: &Source, faults: &mut Vec<Fault>) {
    if !source.lines.first().is_some_and(|line| line.starts_with("//! ")) {
        faults.push(source.fault(0, "the first line must say, after `//! `, which one idea the file is"));
    }
}

fn promises(source: &Source, faults: &mut Vec<Fault>) {
    for (index, line) in source.lines.iter().enumerate() {
        for word in PROMISES.iter().filter(|word| line.contains(**word)) {
            faults.push(source.fault(index, format!("{word:?} is a promise; do it, or leave it out")));
        }
    }
}

/// A function runs from the line with `fn` to the closing brace of the same indentation, as rustfmt writes it.
fn function_length(source: &Source, faults: &mut Vec<Fault>) {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let is_head = |line: &str| {
        let words = line.trim_start();
        [
            "fn ",
            "pub fn ",
            "async fn ",
            "pub async fn ",
            "pub(crate) fn ",
            "pub(super) fn ",
            "pub const fn ",
            "const fn ",
        ]
        .iter()
        .any(|start| words.starts_with(start))
    };
    for (index, line) in source.lines.iter().enumerate().filter(|(_, line)| is_head(line)) {
        let closing = format!("{}}}", " ".repeat(indentation(line)));
        let after = &source.lines[index..];
        let length = after.iter().position(|line| *line == closing).map_or(0, |position| position + 1);
        if length > LONGEST_FUNCTION {
            let message = format!(
                "{length} lines: no function is longer than {LONGEST_FUNCTION}; split it by its steps"
            );
            faults.push(source.fault(index, message));
        }
    }
}

fn panics(source: &Source, faults: &mut Vec<Fault>) {
    for (index, line) in source.code() {
        for call in PANICS {
            if line.contains(*call) {
                faults.push(source.fault(
                    index,
                    format!("`{call}` outside of tests: return an error that says what was expected"),
                ));
            }
        }
    }
}

fn ignored_tests(source: &Source, faults: &mut Vec<Fault>) {
    for (index, line) in source.lines.iter().enumerate() {
        if line.trim_start().starts_with("#[ignore") {
            faults.push(source.fault(index, "an ignored test tests nothing; run it, or remove it"));
        }
    }
}

/// Whatever a document names in backticks as a path of the project must be there.
fn paths_in_words(source: &Source, root: &Path, faults: &mut Vec<Fault>) {
    for (index, line) in source.lines.iter().enumerate() {
        for words in line.split('`').skip(1).step_by(2) {
            let is_path = ["crates/", "docs/", "xtask/", "vectors/", ".ci/"]
                .iter()
                .any(|start| words.starts_with(start));
            if is_path && !words.contains(['*', '<', ' ']) && !root.join(words).exists() {
                faults.push(source.fault(index, format!("`{words}` is not there")));
            }
        }
    }
}

/// ARCHITECTURE.md names every crate, and every room (module file or folder) at the top of each crate.
fn rooms(root: &Path, sources: &[Source], faults: &mut Vec<Fault>) -> anyhow::Result<()> {
    let Some(architecture) = sources.iter().find(|source| source.path.ends_with("ARCHITECTURE.md")) else {
        anyhow::bail!("ARCHITECTURE.md is missing");
    };
    let text = architecture.lines.join("\n");
    for entry in std::fs::read_dir(root.join("crates"))? {
        let source_folder = entry?.path().join("src");
        for room in std::fs::read_dir(&source_folder)? {
            let room = room?.path();
            let name = room.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let named = text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
            if name != "lib" && !named {
                let shown = room.strip_prefix(root).unwrap_or(&room).display().to_string();
                faults.push(architecture.fault(0, format!("says nothing about {shown}")));
            }
        }
    }
    Ok(())
}
