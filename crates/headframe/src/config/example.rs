//! The commented example: every key with its description, range and default. `pool.example.toml` is this text.

use super::keys::{Definition, InForce};

/// One section as the example shows it.
pub struct Sketch {
    /// The name in the brackets.
    pub name: &'static str,
    /// Whether there may be several.
    pub repeated: bool,
    /// What the section is for.
    pub about: &'static str,
    /// Its keys.
    pub definitions: Vec<Definition>,
}

const HEAD: &str = "\
Headframe: the configuration of a whole pool, every key with its default.

Remove the # in front of a key to change it; what stays commented out keeps its default. Try the result with
`headframe config check FILE`. A key can also be set in the environment (HEADFRAME_MASTER_MINE_OLD_ANNS=3, or
HEADFRAME_ANN_HANDLER_MAIN_THREADS=4 for a named handler) and on the command line (--set master.mine_old_anns=3);
the command line wins over the environment, and that over this file.

A running pool reads this file again at SIGHUP (systemctl reload) and at `headframe admin reload`, and says which
changes are in force and which wait for a restart.";

const WIDTH: usize = 110;

/// A table in which some keys have values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The name in the brackets.
    pub section: &'static str,
    /// Keys with their values as TOML.
    pub keys: Vec<(&'static str, String)>,
}

/// Prints all sections, with these values in them. The first table of a repeated section shows every key, others those
/// that have a value.
pub fn render(sections: &[Sketch], filled: &[Filled]) -> String {
    let mut text = String::new();
    HEAD.split("\n\n").for_each(|paragraph| comment(&mut text, paragraph));
    for section in sections {
        text.push('\n');
        comment(&mut text, section.about);
        let mut tables = filled.iter().filter(|table| table.section == section.name);
        let first = tables.next();
        match (section.repeated, first) {
            // A repeated section that is there counts as one more, so the example leaves it commented out.
            (true, None) => text.extend(["# [[", section.name, "]]\n"]),
            (true, Some(_)) => text.extend(["[[", section.name, "]]\n"]),
            (false, _) => text.extend(["[", section.name, "]\n"]),
        }
        for definition in &section.definitions {
            key(&mut text, definition, first.and_then(|table| table.value(definition.name)));
        }
        for table in tables {
            text.extend(["\n[[", section.name, "]]\n"]);
            table.keys.iter().for_each(|(name, value)| text.extend([name, " = ", value, "\n"]));
        }
    }
    text
}

impl Filled {
    fn value(&self, key: &str) -> Option<&str> {
        self.keys.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }
}

fn key(text: &mut String, definition: &Definition, filled: Option<&str>) {
    text.push('\n');
    comment(text, definition.about);
    let kind = match &definition.default {
        Some(default) if default == "[]" => {
            format!("{}. For example: {}", definition.expected, definition.sample)
        }
        Some(_) => format!("{}.", definition.expected),
        None => format!("{}. There is no default; the value is an example.", definition.expected),
    };
    let mut letters = kind.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    comment(text, &format!("{first}{}", letters.as_str()));
    if definition.in_force == InForce::AtReload {
        comment(text, "Takes effect at a reload.");
    }
    let shown = definition.default.as_ref().unwrap_or(&definition.sample);
    let (hidden, value) = filled.map_or(("# ", shown.as_str()), |value| ("", value));
    text.extend([hidden, definition.name, " = ", value, "\n"]);
}

/// Writes a text as comment lines of at most [`WIDTH`] characters.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
