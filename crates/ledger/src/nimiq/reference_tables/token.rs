//! SQL text as mysqldump writes it, cut into tokens: read once from front to back, in little memory.

use std::io::{self, BufRead};

/// The longest name, number or literal.
pub(super) const LONGEST: usize = 1 << 20;

/// A piece of the text. Comments, also those that MySQL runs, are passed over: in dumps they hold settings, no rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword, or a name without quotes.
    Word(String),
    /// A name in backticks.
    Name(String),
    /// A literal in quotes, its escapes resolved.
    Text(Vec<u8>),
    /// `0x…` or `x'…'`.
    Bytes(Vec<u8>),
    /// Digits, perhaps with a fraction and an exponent; a sign is a token of its own.
    Number(String),
    /// Any other character.
    Mark(u8),
}

/// Where the text cannot be cut.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    /// It cannot be read.
    #[error("the dump cannot be read")]
    Read(#[from] io::Error),
    /// The end came too early.
    #[error("line {line}: the dump ends in the middle of {what}")]
    Ends {
        /// The last line.
        line: u64,
        /// What had begun.
        what: &'static str,
    },
    /// Longer than anything that the tables hold.
    #[error("line {line}: a name, number or literal of more than {LONGEST} bytes")]
    TooLong {
        /// Where it is.
        line: u64,
    },
    /// Digits that are none.
    #[error("line {line}: expected hexadecimal digits in pairs, not {found:?}")]
    Hexadecimal {
        /// Where they are.
        line: u64,
        /// What stands there.
        found: String,
    },
}

/// The text, and how far it has been read.
#[derive(Debug)]
pub(super) struct Tokens<R> {
    reader: R,
    line: u64,
}

impl<R: BufRead> Tokens<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: 1 }
    }

    pub(super) fn into_reader(self) -> R {
        self.reader
    }

    /// The line that the next byte is on.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token>, TokenFault> {
        loop {
            let Some(byte) = self.take()? else { return Ok(None) };
            return Ok(Some(match byte {
                b' ' | b'\t' | b'\r' | b'\n' => continue,
                b'#' => {
                    self.skip_line()?;
                    continue;
                }
                b'-' if self.peek()? == Some(b'-') => {
                    self.skip_line()?;
                    continue;
                }
                b'/' if self.peek()? == Some(b'*') => {
                    self.skip_comment()?;
                    continue;
                }
                b'`' => Token::Name(lossy(&self.quoted(b'`', false)?)),
                b'\'' | b'"' => Token::Text(self.quoted(byte, true)?),
                b'0'..=b'9' | b'.' => self.number(byte)?,
                _ if is_of_word(byte) => self.word(byte)?,
                _ => Token::Mark(byte),
            }));
        }
    }

    /// Passes over the rest of the line.
    pub(super) fn skip_line(&mut self) -> Result<(), TokenFault> {
        while self.take()?.is_some_and(|byte| byte != b'\n') {}
        Ok(())
    }

    /// Passes over lines up to one that is this, and over that one too.
    pub(super) fn skip_lines_to(&mut self, wanted: &str) -> Result<(), TokenFault> {
        loop {
            let mut start = Vec::new();
            loop {
                match self.take()?.ok_or_else(|| self.ends("a routine"))? {
                    b'\n' => break,
                    byte if start.len() <= wanted.len() + 1 => start.push(byte),
                    _ => {}
                }
            }
            if start.trim_ascii_end().eq_ignore_ascii_case(wanted.as_bytes()) {
                return Ok(());
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, TokenFault> {
        Ok(self.reader.fill_buf()?.first().copied())
    }

    fn take(&mut self) -> Result<Option<u8>, TokenFault> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.reader.consume(1);
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }

    fn ends(&self, what: &'static str) -> TokenFault {
        TokenFault::Ends { line: self.line, what }
    }

    fn add(&self, bytes: &mut Vec<u8>, byte: u8) -> Result<(), TokenFault> {
        if bytes.len() == LONGEST {
            return Err(TokenFault::TooLong { line: self.line });
        }
        bytes.push(byte);
        Ok(())
    }

    fn skip_comment(&mut self) -> Result<(), TokenFault> {
        self.take()?;
        let mut last = 0;
        loop {
            let byte = self.take()?.ok_or_else(|| self.ends("a comment"))?;
            if (last, byte) == (b'*', b'/') {
                return Ok(());
            }
            last = byte;
        }
    }

    /// What stands between quotes; a doubled quote is one.
    fn quoted(&mut self, quote: u8, escapes: bool) -> Result<Vec<u8>, TokenFault> {
        let mut bytes = Vec::new();
        loop {
            let byte = self.take()?.ok_or_else(|| self.ends("a literal"))?;
            let byte = match byte {
                b'\\' if escapes => unescape(self.take()?.ok_or_else(|| self.ends("a literal"))?),
                _ if byte == quote => {
                    if self.peek()? != Some(quote) {
                        return Ok(bytes);
                    }
                    self.take()?;
                    quote
                }
                _ => byte,
            };
            self.add(&mut bytes, byte)?;
        }
    }

    fn number(&mut self, first: u8) -> Result<Token, TokenFault> {
        let mut bytes = vec![first];
        if first == b'0' && self.peek()?.is_some_and(|byte| byte == b'x' || byte == b'X') {
            self.take()?;
            bytes.clear();
            while let Some(byte) = self.peek()?.filter(u8::is_ascii_alphanumeric) {
                self.add(&mut bytes, byte)?;
                self.take()?;
            }
            return self.hexadecimal(&bytes);
        }
        while let Some(byte) = self.peek()? {
            let is_sign = (byte == b'+' || byte == b'-') && matches!(bytes.last(), Some(b'e' | b'E'));
            if !(byte.is_ascii_alphanumeric() || byte == b'.' || is_sign) {
                break;
            }
            self.add(&mut bytes, byte)?;
            self.take()?;
        }
        Ok(Token::Number(lossy(&bytes)))
    }

    fn word(&mut self, first: u8) -> Result<Token, TokenFault> {
        let mut bytes = vec![first];
        while let Some(byte) = self.peek()?.filter(|byte| is_of_word(*byte) || byte.is_ascii_digit()) {
            self.add(&mut bytes, byte)?;
            self.take()?;
        }
        if bytes.eq_ignore_ascii_case(b"x") && self.peek()? == Some(b'\'') {
            self.take()?;
            let digits = self.quoted(b'\'', false)?;
            return self.hexadecimal(&digits);
        }
        Ok(Token::Word(lossy(&bytes)))
    }

    fn hexadecimal(&self, digits: &[u8]) -> Result<Token, TokenFault> {
        hex(digits).map(Token::Bytes).ok_or_else(|| {
            let mut found = lossy(digits);
            found.truncate(found.floor_char_boundary(80));
            TokenFault::Hexadecimal { line: self.line, found }
        })
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$' | b'@') || byte >= 0x80
}

/// What a character after a backslash stands for.
fn unescape(byte: u8) -> u8 {
    match byte {
        b'0' => 0,
        b'b' => 8,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'Z' => 0x1a,
        other => other,
    }
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &[u8]) -> Result<Vec<Token>, TokenFault> {
        let mut tokens = Tokens::new(text);
        let mut all = Vec::new();
        while let Some(token) = tokens.next()? {
            all.push(token);
        }
        Ok(all)
    }

    #[test]
    fn literals_are_read_in_every_form_that_dumps_have() {
        let text = br#"INSERT `a``b` (-1.5e-3,_binary '\0\'''\\\Z\%x',0xFf00,X'0a', "q\"t");"#;
        let expected = [
            Token::Word("INSERT".into()),
            Token::Name("a`b".into()),
            Token::Mark(b'('),
            Token::Mark(b'-'),
            Token::Number("1.5e-3".into()),
            Token::Mark(b','),
            Token::Word("_binary".into()),
            Token::Text(b"\0''\\\x1a%x".to_vec()),
            Token::Mark(b','),
            Token::Bytes(vec![0xff, 0]),
            Token::Mark(b','),
            Token::Bytes(vec![10]),
            Token::Mark(b','),
            Token::Text(b"q\"t".to_vec()),
            Token::Mark(b')'),
            Token::Mark(b';'),
        ];
        assert_eq!(tokens(text).unwrap(), expected);
    }

    #[test]
    fn comments_of_all_kinds_are_passed_over() {
        let text = b"-- one; 'two\n# three\n/*!40101 SET x='y' */ a /* ** */ - b";
        let expected = [Token::Word("a".into()), Token::Mark(b'-'), Token::Word("b".into())];
        assert_eq!(tokens(text).unwrap(), expected);
    }

    #[test]
    fn what_ends_too_early_or_is_too_long_is_named_with_its_line() {
        let fault = |text: &[u8]| tokens(text).unwrap_err().to_string();
        assert_eq!(fault(b"a\n'b"), "line 2: the dump ends in the middle of a literal");
        assert_eq!(fault(b"'b\\"), "line 1: the dump ends in the middle of a literal");
        assert_eq!(fault(b"/* *"), "line 1: the dump ends in the middle of a comment");
        assert!(fault(b"\n0xabc").contains("line 2: expected hexadecimal digits in pairs, not \"abc\""));
        assert!(fault(b"x'gg'").contains("gg"));
        assert!(fault(&vec![b'a'; LONGEST + 1]).contains("more than 1048576 bytes"));
        assert!(tokens(&vec![b'a'; LONGEST]).is_ok());
    }
}
