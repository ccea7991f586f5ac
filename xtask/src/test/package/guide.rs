//! A page of the documents whose commands are for an installed pool: they are run on the machine as they are written.

use std::path::Path;

use anyhow::Context;

use super::machine::Machine;

/// The comment before a block that is run here (`docs/README.md`).
const MARK: &str = "<!-- tested: on a machine of its own -->";
/// Who reads the page may not be root. Here everybody is, and the little that the pages ask of sudo is done by this.
const SUDO: &str = r#"#!/bin/sh
if [ "$1" = -u ]; then
    account=$2
    shift 2
    exec runuser -u "$account" -- "$@"
fi
exec "$@"
"#;

/// A page, read down to some block.
pub struct Guide<'a> {
    machine: &'a Machine,
    name: &'static str,
    /// What is to be run, with its lines.
    blocks: std::vec::IntoIter<(usize, String)>,
}

impl<'a> Guide<'a> {
    /// Opens a page of `docs/operators`.
    pub fn open(machine: &'a Machine, name: &'static str) -> anyhow::Result<Self> {
        let path = Path::new("docs/operators").join(name);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let sudo = machine.path("/usr/local/bin/sudo");
        std::fs::write(&sudo, SUDO)?;
        machine.run(&["chmod", "755", "/usr/local/bin/sudo"])?;
        Ok(Self { machine, name, blocks: blocks(&text).into_iter() })
    }

    /// Does what the next block says; every command must succeed.
    pub fn follow(&mut self) -> anyhow::Result<()> {
        let name = self.name;
        let (line, commands) = self.blocks.next().with_context(|| format!("{name} has no further block"))?;
        let done = self.machine.run(&["sh", "-e", "-c", &format!("cd /root\n{commands}")]);
        done.with_context(|| format!("docs/operators/{name}:{line}")).map(drop)
    }

    /// Ends the reading: nothing may be left that the page says is tested.
    pub fn close(mut self) -> anyhow::Result<()> {
        let left = self.blocks.next();
        anyhow::ensure!(left.is_none(), "docs/operators/{}: nobody has run {left:?}", self.name);
        Ok(())
    }
}

fn blocks(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let starts = (0..lines.len()).filter(|index| lines[*index] == MARK);
    starts
        .map(|mark| {
            let commands = lines[mark + 1..].iter().skip(1).take_while(|line| **line != "```");
            (mark + 2, commands.flat_map(|line| [*line, "\n"]).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_blocks_that_are_marked_are_run() {
        let text = format!("words\n{MARK}\n```sh\none\ntwo\n```\n<!-- tested -->\n```sh\nthree\n```\n");
        assert_eq!(blocks(&text), [(3, "one\ntwo\n".to_owned())]);
    }
}
