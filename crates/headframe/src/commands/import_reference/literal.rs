//! What can be read of JavaScript without running it: the values that are written out. JSON5, which configurations of the
//! Nimiq pool are, is a part of that.
//!
//! The reader is total: what is no value written out (a function, a name, a sum) is kept as [`Literal::Code`].

/// Nested deeper than any configuration.
const DEEPEST: usize = 64;

/// A value as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    Null,
    Flag(bool),
    /// With its digits as they are written; a product of whole numbers is worked out.
    Number(String),
    Text(String),
    List(Vec<Literal>),
    Object(Vec<(String, Literal)>),
    /// `Util.annWorkToTarget(128)`
    Call {
        function: String,
        arguments: Vec<Literal>,
    },
    /// Anything else, as it is written.
    Code(String),
}

/// Why a text is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}")]
pub struct LiteralFault {
    line: usize,
    expected: &'static str,
}

impl Literal {
    /// A text that is one value, as JSON5 is.
    pub fn parse(text: &str) -> Result<Self, LiteralFault> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.skip();
        if reader.at < text.len() { Err(reader.fault("nothing more")) } else { Ok(value) }
    }

    /// The values that a program assigns, with the names that it assigns them to: `config.master = {…}`.
    pub fn assignments(text: &str) -> Result<Vec<(Vec<String>, Self)>, LiteralFault> {
        let mut reader = Reader { text, at: 0 };
        let mut found = Vec::new();
        loop {
            reader.skip();
            if reader.at >= text.len() {
                return Ok(found);
            }
            if let Some(assigned) = reader.assignment()? {
                found.push(assigned);
                reader.skip();
                reader.take(";");
            } else {
                reader.skip_statement();
            }
        }
    }

    /// The value of a key of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => {
                entries.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Sets what a path names; what is on the way becomes an object.
    pub fn set(&mut self, path: &[String], value: Self) {
        let Some((first, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        if !matches!(self, Self::Object(_)) {
            *self = Self::Object(Vec::new());
        }
        let Self::Object(entries) = self else { return };
        let index = entries.iter().position(|(known, _)| known == first).unwrap_or_else(|| {
            entries.push((first.clone(), Self::Null));
            entries.len() - 1
        });
        entries[index].1.set(rest, value);
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn fault(&self, expected: &'static str) -> LiteralFault {
        LiteralFault { line: self.text[..self.at].matches('\n').count() + 1, expected }
    }

    fn take(&mut self, what: &str) -> bool {
        let is_there = self.rest().starts_with(what);
        if is_there {
            self.at += what.len();
        }
        is_there
    }

    /// White space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let length = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else {
                rest.len() - rest.trim_start().len()
            };
            if length == 0 {
                return;
            }
            self.at += length;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Literal, LiteralFault> {
        if depth > DEEPEST {
            return Err(self.fault("less nesting"));
        }
        self.skip();
        let start = self.at;
        let value = match self.peek() {
            Some('{') => self.object(depth)?,
            Some('[') => {
                self.at += 1;
                Literal::List(self.values(']', depth)?)
            }
            Some('"' | '\'' | '`') => Literal::Text(self.quoted()?),
            Some(digit) if digit.is_ascii_digit() || "+-.".contains(digit) => self.number(),
            Some(letter) if is_of_name(letter) => self.named(depth)?,
            Some(_) => Literal::Null,
            None => return Err(self.fault("a value")),
        };
        self.skip();
        let is_whole = self.at > start && self.peek().is_none_or(|next| ",;}])".contains(next));
        if is_whole || self.begins_a_line(start) && value != Literal::Null {
            return Ok(value);
        }
        self.at = start;
        self.skip_code();
        Ok(Literal::Code(self.text[start..self.at].trim().to_owned()))
    }

    /// Whether a line begins between what has been read and here: a statement may end without a semicolon.
    fn begins_a_line(&self, start: usize) -> bool {
        let read = &self.text[start..self.at];
        read[read.trim_end().len()..].contains('\n')
            && !self.rest().starts_with(['.', '+', '*', '?', '=', '|', '&'])
    }

    fn object(&mut self, depth: usize) -> Result<Literal, LiteralFault> {
        self.at += 1;
        let mut entries = Vec::new();
        loop {
            self.skip();
            if self.take("}") {
                return Ok(Literal::Object(entries));
            }
            let key = match self.peek() {
                Some('"' | '\'') => self.quoted()?,
                _ => self.name().ok_or_else(|| self.fault("a key or }"))?,
            };
            self.skip();
            let value = if self.take(":") {
                self.value(depth + 1)?
            } else {
                // `key` alone, or a method: what it stands for is not written here.
                self.skip_code();
                Literal::Code(String::new())
            };
            entries.push((key, value));
            self.skip();
            if !self.take(",") && !self.rest().starts_with('}') {
                return Err(self.fault(", or }"));
            }
        }
    }

    fn values(&mut self, end: char, depth: usize) -> Result<Vec<Literal>, LiteralFault> {
        let mut values = Vec::new();
        loop {
            self.skip();
            if self.peek() == Some(end) {
                self.at += end.len_utf8();
                return Ok(values);
            }
            values.push(self.value(depth + 1)?);
            self.skip();
            if !self.take(",") && self.peek() != Some(end) {
                return Err(self.fault(", or the end of the list"));
            }
        }
    }

    fn quoted(&mut self) -> Result<String, LiteralFault> {
        let mut letters = self.rest().char_indices();
        let quote = letters.next().map(|(_, quote)| quote);
        let mut text = String::new();
        while let Some((offset, letter)) = letters.next() {
            match letter {
                '\\' => text.extend(letters.next().and_then(|(_, escaped)| unescaped(escaped))),
                _ if Some(letter) == quote => {
                    self.at += offset + letter.len_utf8();
                    return Ok(text);
                }
                _ => text.push(letter),
            }
        }
        Err(self.fault("the end of this text"))
    }

    /// A number, or a product of whole ones.
    fn number(&mut self) -> Literal {
        let mut product = self.digits().to_owned();
        loop {
            self.skip();
            let before = self.at;
            if !self.take("*") {
                return Literal::Number(product);
            }
            self.skip();
            let factor = whole(self.digits());
            let result =
                whole(&product).zip(factor).and_then(|(product, factor)| product.checked_mul(factor));
            let Some(result) = result else {
                self.at = before;
                return Literal::Number(product);
            };
            product = result.to_string();
        }
    }

    fn digits(&mut self) -> &'t str {
        let rest = self.rest();
        let signs = rest.len() - rest.trim_start_matches(['+', '-']).len();
        let length = rest[signs..].find(|c: char| !c.is_ascii_alphanumeric() && !"._".contains(c));
        let digits = &rest[..length.map_or(rest.len(), |length| signs + length)];
        self.at += digits.len();
        digits
    }

    fn name(&mut self) -> Option<String> {
        let rest = self.rest();
        let name = &rest[..rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())];
        self.at += name.len();
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// `a.b.c`
    fn path(&mut self) -> Vec<String> {
        let mut path = Vec::from_iter(self.name());
        while !path.is_empty() && self.rest().starts_with('.') {
            self.at += 1;
            path.extend(self.name());
        }
        path
    }

    fn named(&mut self, depth: usize) -> Result<Literal, LiteralFault> {
        let path = self.path().join(".");
        self.skip();
        if self.take("(") {
            return Ok(Literal::Call { function: path, arguments: self.values(')', depth)? });
        }
        Ok(match path.as_str() {
            "true" => Literal::Flag(true),
            "false" => Literal::Flag(false),
            "null" | "undefined" => Literal::Null,
            _ => Literal::Code(path),
        })
    }

    fn assignment(&mut self) -> Result<Option<(Vec<String>, Literal)>, LiteralFault> {
        let start = self.at;
        for keyword in ["const ", "let ", "var "] {
            self.take(keyword);
        }
        let path = self.path();
        self.skip();
        let is_assignment =
            self.rest().starts_with('=') && !self.rest().starts_with("==") && !self.rest().starts_with("=>");
        if path.is_empty() || !is_assignment {
            self.at = start;
            return Ok(None);
        }
        self.at += 1;
        Ok(Some((path, self.value(0)?)))
    }

    /// To the end of a statement, which is a semicolon or, outside of brackets, the end of its line.
    fn skip_statement(&mut self) {
        let start = self.at;
        self.skip_until(|c| c == ';' || c == '\n');
        self.at += self.peek().map_or(0, char::len_utf8);
        debug_assert!(self.at > start || self.rest().is_empty(), "a statement has a length");
    }

    fn skip_code(&mut self) {
        self.skip_until(|c| ",;".contains(c));
    }

    /// To the first letter outside of texts, comments and brackets that is an end, or to the bracket that closes.
    fn skip_until(&mut self, is_end: impl Fn(char) -> bool) {
        let mut open = 0_usize;
        while let Some(letter) = self.peek() {
            if open == 0 && is_end(letter) {
                return;
            }
            let rest = self.rest();
            if rest.starts_with("//") || rest.starts_with("/*") {
                let length =
                    if rest.starts_with("//") { rest.find('\n') } else { rest.find("*/").map(|end| end + 2) };
                self.at += length.unwrap_or(rest.len());
                continue;
            }
            match letter {
                '{' | '[' | '(' => open += 1,
                '}' | ']' | ')' if open == 0 => return,
                '}' | ']' | ')' => open -= 1,
                '"' | '\'' | '`' if self.quoted().is_ok() => continue,
                _ => {}
            }
            self.at += letter.len_utf8();
        }
    }
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

/// The end of a line that is continued is no part of the text.
fn unescaped(escaped: char) -> Option<char> {
    match escaped {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        '\n' => None,
        other => Some(other),
    }
}

fn whole(digits: &str) -> Option<i128> {
    let hexadecimal = digits.strip_prefix("0x").and_then(|digits| i128::from_str_radix(digits, 16).ok());
    hexadecimal.or_else(|| digits.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(digits: &str) -> Literal {
        Literal::Number(digits.to_owned())
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let text = "{ // a comment\n a: 'x', \"b\": [1, 0x10, -2.50,], c: null, d: true, /* */ e: 60 * 1000 * 10,\n}";
        let value = Literal::parse(text).unwrap();
        assert_eq!(value.get("a"), Some(&Literal::Text("x".to_owned())));
        assert_eq!(value.get("b"), Some(&Literal::List(vec![number("1"), number("0x10"), number("-2.50")])));
        assert_eq!(value.get("c"), Some(&Literal::Null));
        assert_eq!(value.get("d"), Some(&Literal::Flag(true)));
        assert_eq!(value.get("e"), Some(&number("600000")));
        assert_eq!(Literal::parse("'it\\'s'").unwrap(), Literal::Text("it's".to_owned()));
    }

    #[test]
    fn what_a_program_assigns_is_found_and_what_it_does_is_not_read() {
        let program = "const Util = require('./Util.js');\nconst config = {};\nconfig.a = 'x';\nconfig.b = {\n  f: (x) => {\n    \
                       go(x, 1); return x;\n  },\n  w: Util.work(128), n: 1 + 2, root: config,\n}\nconfig.c.d = 5\nif (a == 1) { run(); }\n\
                       const main = (argv) => { x = 1; };\nmain(process.argv);\n";
        let found = Literal::assignments(program).unwrap();
        let paths: Vec<String> = found.iter().map(|(path, _)| path.join(".")).collect();
        assert_eq!(paths, ["Util", "config", "config.a", "config.b", "config.c.d", "main"]);
        let b = &found[3].1;
        assert!(matches!(b.get("f"), Some(Literal::Code(_))));
        assert_eq!(
            b.get("w"),
            Some(&Literal::Call { function: "Util.work".to_owned(), arguments: vec![number("128")] })
        );
        assert_eq!(b.get("n"), Some(&Literal::Code("1 + 2".to_owned())));
        assert_eq!(b.get("root"), Some(&Literal::Code("config".to_owned())));
        assert_eq!(found[4].1, number("5"));
    }

    #[test]
    fn nothing_ends_the_reader() {
        for text in [
            "",
            "{",
            "[1",
            "'open",
            "{a:}",
            "{a 1}",
            "}",
            "((((",
            "/*",
            "{a: `x",
            "1 *",
            "é",
            "a.b.",
            "{é: 'ü'",
        ] {
            let _ = Literal::parse(text);
            let _ = Literal::assignments(text);
        }
        let deep = "[".repeat(100_000);
        assert!(Literal::parse(&deep).is_err());
        let fault = Literal::parse("{\n  a: 1\n  b: 2\n}").unwrap_err();
        assert_eq!(fault.to_string(), "line 3: expected , or }");
    }
}
