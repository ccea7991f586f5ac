//! One page: its blocks of commands and configuration, and what the comment before each says.

use std::path::Path;

/// A page.
#[derive(Debug)]
pub struct Page {
    /// Its blocks in the order of the page.
    pub blocks: Vec<Block>,
}

/// A fenced block of `sh`, `console` or `toml`.
#[derive(Debug)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    /// Whether its lines are commands behind `$` with what they print.
    pub is_console: bool,
    /// What stands in it.
    pub text: String,
    /// What is to be done with it.
    pub mark: Mark,
}

/// What the comment before a block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// `tested`: it must succeed.
    Run,
    /// `tested: sooner or later`: it is run until it prints what it should.
    Eventually,
    /// `tested: stays, once it says "TEXT"`: it runs until the end of the page, which goes on as soon as it has said that.
    Stay(String),
    /// `tested: configuration`: it is the file pool.toml from now on, and `headframe config check` finds nothing.
    Configuration,
    /// `tested: more configuration`: it is added to that file, and its files may be of another machine.
    MoreConfiguration,
    /// `not tested: REASON`, or `tested: on a machine of its own`: another test does it.
    NotRun,
}

impl Mark {
    fn parse(line: &str) -> Option<Self> {
        let comment = line.trim().strip_prefix("<!-- ")?.strip_suffix(" -->")?;
        match comment {
            "tested" => Some(Self::Run),
            "tested: sooner or later" => Some(Self::Eventually),
            "tested: configuration" => Some(Self::Configuration),
            "tested: more configuration" => Some(Self::MoreConfiguration),
            "tested: on a machine of its own" => Some(Self::NotRun),
            other => {
                let stays = other.strip_prefix("tested: stays, once it says \"");
                let stays =
                    stays.and_then(|text| text.strip_suffix('"')).map(|text| Self::Stay(text.to_owned()));
                let reason = other.strip_prefix("not tested: ").filter(|reason| !reason.is_empty());
                stays.or(reason.map(|_| Self::NotRun))
            }
        }
    }
}

impl Page {
    /// Reads a file; the error begins with its line.
    pub fn read(file: &Path) -> Result<Self, String> {
        Self::parse(&std::fs::read_to_string(file).map_err(|error| format!("1: {error}"))?)
    }

    /// Reads a text; the error begins with its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut blocks = Vec::new();
        let mut before = "";
        let mut lines = text.lines().zip(1..);
        while let Some((line, number)) = lines.next() {
            let Some(language) = line.strip_prefix("```") else {
                if line.trim_start().starts_with("```") {
                    return Err(format!("{number}: a block begins where its line does, so that it is seen"));
                }
                before = line;
                continue;
            };
            let mut content = String::new();
            loop {
                let (line, _) = lines.next().ok_or_else(|| format!("{number}: this block does not end"))?;
                if line == "```" {
                    break;
                }
                content.push_str(line);
                content.push('\n');
            }
            if ["sh", "console", "toml"].contains(&language) {
                let mark = Mark::parse(before).ok_or_else(|| {
                    format!("{number}: a comment before this block must say whether it is tested (see docs/README.md)")
                })?;
                blocks.push(Block { line: number, is_console: language == "console", text: content, mark });
            }
            before = "";
        }
        Ok(Self { blocks })
    }
}

/// The words behind each `headframe` that a text names as a command, in a block or in a sentence.
pub fn commands(text: &str) -> impl Iterator<Item = Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let mut is_inside = false;
    let mut found = Vec::new();
    for line in joined.lines() {
        let is_fence = line.starts_with("```");
        is_inside ^= is_fence;
        let parts: Vec<&str> =
            if is_inside { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for part in parts {
            let words: Vec<&str> =
                part.split(['#', '|', '>', '<']).next().unwrap_or_default().split_whitespace().collect();
            let before =
                words.iter().take_while(|word| ["$", "sudo", "-u", "headframe"].contains(*word)).count();
            let program = words.get(before).copied().unwrap_or_default();
            let rest = match program {
                "target/release/headframe" => &words[before + 1..],
                _ if before > 0 && words[before - 1] == "headframe" => &words[before..],
                _ => continue,
            };
            found.push(rest.iter().map(|word| (*word).to_owned()).collect());
        }
    }
    found.into_iter()
}

/// The links of a text to files, with their lines: those that name no scheme.
pub fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    outside_of_blocks(text).flat_map(|(number, line)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.filter(|target| !target.contains("://")).map(move |target| (number, target))
    })
}

/// What a link can name behind `#`: the headings, as readers of such pages know them.
pub fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = outside_of_blocks(text).filter_map(|(_, line)| line.strip_prefix('#'));
    headings.map(|heading| {
        let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        words.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    })
}

fn outside_of_blocks(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_inside = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.starts_with("```");
        is_inside ^= is_fence;
        (!is_inside && !is_fence).then_some((index + 1, line))
    })
}
