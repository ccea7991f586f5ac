//! The commented example: every key with its description, range and default. `pool.example.toml` is this text.

use super::keys::Definition;

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
the command line wins over the environment, and that over this file.";

const WIDTH: usize = 110;

/// Prints all sections.
pub fn render(sections: &[Sketch]) -> String {
    let mut text = String::new();
    HEAD.split("\n\n").for_each(|paragraph| comment(&mut text, paragraph));
    for section in sections {
        text.push('\n');
        comment(&mut text, section.about);
        if section.repeated {
            // A repeated section that is there counts as one more, so the example leaves it commented out.
            text.extend(["# [[", section.name, "]]\n"]);
        } else {
            text.extend(["[", section.name, "]\n"]);
        }
        for definition in &section.definitions {
            key(&mut text, definition);
        }
    }
    text
}

fn key(text: &mut String, definition: &Definition) {
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
    let value = definition.default.as_ref().unwrap_or(&definition.sample);
    text.extend(["# ", definition.name, " = ", value, "\n"]);
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
