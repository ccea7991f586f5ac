//! Reading a dump: the rows of the tables that say who is owed what. Everything else in it is passed over.
//!
//! Columns are found by their names, in the `INSERT` or else in the `CREATE TABLE` before it, so tables of any version and
//! fork will do. Memory grows with the rows of these tables alone.

use std::io::{BufRead, BufReader, Read};

use nimiq::Address;
use sha2::{Digest, Sha256};

use super::token::{Token, TokenFault, Tokens};
use super::whole_luna::whole_luna;
use super::{BlockRow, PayinRow, PayoutRow, ReferenceTables, UserRow};

/// Rows of one table that are read at most.
const MOST_ROWS: u64 = 100_000_000;
/// Columns that a table has at most.
const MOST_COLUMNS: usize = 4096;

/// A dump that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// SHA-256 of all its bytes.
    pub hash: [u8; 32],
    /// Its rows.
    pub tables: ReferenceTables,
}

/// What is wrong with a dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpFault {
    /// It is no SQL text.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// A statement has another form.
    #[error("line {line}: expected {expected}, not {found}")]
    Statement {
        /// Where.
        line: u64,
        /// What dumps have there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A value is not what its column holds.
    #[error("row {row} of table {table}: {column} is {found}; expected {expected}")]
    Value {
        /// The table.
        table: &'static str,
        /// Which of its rows, counted from 1 in the order of the dump.
        row: u64,
        /// The column.
        column: &'static str,
        /// What stands there.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A row has more or fewer values than its table columns.
    #[error("row {row} of table {table} has {found} values for {expected} columns")]
    Width {
        /// The table.
        table: &'static str,
        /// Which of its rows.
        row: u64,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The columns of a table are not known, or one that is needed is not among them.
    #[error("line {line}: table {table} has no column {column} here, or its CREATE TABLE is not in the dump")]
    Column {
        /// Where its rows begin.
        line: u64,
        /// The table.
        table: &'static str,
        /// What is missing.
        column: &'static str,
    },
    /// Two databases, or one of them twice.
    #[error("line {line}: table {table} is made a second time; dump the database of the pool alone, once")]
    Twice {
        /// Where.
        line: u64,
        /// The table.
        table: &'static str,
    },
    /// No rows of a table that every pool has.
    #[error("the dump has no table {table}; is it one of the pool's database?")]
    NoTable {
        /// The table.
        table: &'static str,
    },
    /// More than anybody has.
    #[error("table {table} has more than {MOST_ROWS} rows")]
    TooManyRows {
        /// The table.
        table: &'static str,
    },
}

/// Reads a dump to its end.
pub fn read(dump: impl Read) -> Result<Dump, DumpFault> {
    let mut reader = Reader {
        tokens: Tokens::new(BufReader::with_capacity(1 << 16, Hashed { dump, hash: Sha256::new() })),
        tables: ReferenceTables::default(),
        columns: TABLES.map(|_| None),
        rows: [0; TABLES.len()],
    };
    while let Some(token) = reader.tokens.next()? {
        reader.statement(&token)?;
    }
    for table in [Table::User, Table::Block, Table::Payin, Table::Payout] {
        if reader.columns[table as usize].is_none() && reader.rows[table as usize] == 0 {
            return Err(DumpFault::NoTable { table: table.name() });
        }
    }
    let hash = reader.tokens.into_reader().into_inner().hash.finalize().into();
    Ok(Dump { hash, tables: reader.tables })
}

/// Hashes what passes through it.
struct Hashed<R> {
    dump: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.dump.read(buffer)?;
        self.hash.update(&buffer[..length]);
        Ok(length)
    }
}

/// A table whose rows matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    User,
    Block,
    Payin,
    Payout,
    PayoutRequest,
}

const TABLES: [Table; 5] = [Table::User, Table::Block, Table::Payin, Table::Payout, Table::PayoutRequest];

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Block => "block",
            Self::Payin => "payin",
            Self::Payout => "payout",
            Self::PayoutRequest => "payout_request",
        }
    }

    /// The columns that are read.
    const fn wanted(self) -> &'static [&'static str] {
        match self {
            Self::User => &["id", "address"],
            Self::Block => &["id", "hash", "height", "main_chain"],
            Self::Payin => &["user", "amount", "block"],
            Self::Payout => &["user", "amount"],
            Self::PayoutRequest => &["user"],
        }
    }

    fn named(name: &str) -> Option<Self> {
        TABLES.into_iter().find(|table| table.name() == name)
    }
}

struct Reader<R> {
    tokens: Tokens<R>,
    tables: ReferenceTables,
    /// Of the tables that `CREATE TABLE` has named, in the order of [`TABLES`].
    columns: [Option<Vec<String>>; TABLES.len()],
    rows: [u64; TABLES.len()],
}

impl<R: BufRead> Reader<R> {
    /// Reads a statement of which the first token is known.
    fn statement(&mut self, first: &Token) -> Result<(), DumpFault> {
        match keyword(first).as_deref() {
            Some("DELIMITER") => self.routines(),
            Some("CREATE") => {
                let next = self.expect("what is created")?;
                if keyword(&next).as_deref() == Some("TABLE") { self.create() } else { self.skip(next) }
            }
            Some("INSERT" | "REPLACE") => self.insert(),
            _ => self.skip(first.clone()),
        }
    }

    /// `DELIMITER ;;`, routines or triggers, which may hold any statement, and `DELIMITER ;`.
    fn routines(&mut self) -> Result<(), DumpFault> {
        self.tokens.skip_line()?;
        Ok(self.tokens.skip_lines_to("DELIMITER ;")?)
    }

    /// Passes over the rest of a statement.
    fn skip(&mut self, mut token: Token) -> Result<(), DumpFault> {
        while token != Token::Mark(b';') {
            match self.tokens.next()? {
                Some(next) => token = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// `CREATE TABLE [IF NOT EXISTS] name (column …, …, KEY …) …;`
    fn create(&mut self) -> Result<(), DumpFault> {
        let mut token = self.expect("the name of a table")?;
        while matches!(keyword(&token).as_deref(), Some("IF" | "NOT" | "EXISTS")) {
            token = self.expect("the name of a table")?;
        }
        let (name, mut token) = self.qualified(token)?;
        let Some(table) = Table::named(&name) else { return self.skip(token) };
        if self.columns[table as usize].is_some() {
            return Err(DumpFault::Twice { line: self.tokens.line(), table: table.name() });
        }
        self.must_be(&token, b'(', "( and the columns of a table")?;
        let (mut columns, mut depth, mut is_start) = (Vec::new(), 1, true);
        while depth > 0 {
            token = self.expect("the columns of a table")?;
            match &token {
                Token::Mark(b'(') => depth += 1,
                Token::Mark(b')') => depth -= 1,
                Token::Name(name) if is_start => columns.push(name.clone()),
                Token::Word(name) if is_start && !begins_a_key(name) => columns.push(name.clone()),
                _ => {}
            }
            // More columns than any table has are no columns.
            is_start = depth == 1 && token == Token::Mark(b',') && columns.len() < MOST_COLUMNS;
        }
        self.columns[table as usize] = Some(columns);
        self.skip(token)
    }

    /// `INSERT [IGNORE] INTO name [(columns)] VALUES (…), (…);`
    fn insert(&mut self) -> Result<(), DumpFault> {
        let mut token = self.expect("the name of a table")?;
        while matches!(
            keyword(&token).as_deref(),
            Some("INTO" | "IGNORE" | "DELAYED" | "LOW_PRIORITY" | "HIGH_PRIORITY")
        ) {
            token = self.expect("the name of a table")?;
        }
        let (name, mut token) = self.qualified(token)?;
        let Some(table) = Table::named(&name) else { return self.skip(token) };
        let mut columns = self.columns[table as usize].clone().unwrap_or_default();
        if token == Token::Mark(b'(') {
            columns = self.names()?;
            token = self.expect("VALUES")?;
        }
        if !matches!(keyword(&token).as_deref(), Some("VALUES" | "VALUE")) {
            return Err(self.unexpected(&token, "VALUES"));
        }
        let places = self.places(table, &columns)?;
        loop {
            let token = self.expect("a row")?;
            self.must_be(&token, b'(', "( and a row")?;
            self.row(table, &places, columns.len())?;
            match self.expect("; after the last row")? {
                Token::Mark(b',') => {}
                Token::Mark(b';') => return Ok(()),
                token => return Err(self.unexpected(&token, ", or ; after a row")),
            }
        }
    }

    /// Where the wanted columns are among these.
    fn places(&self, table: Table, columns: &[String]) -> Result<Vec<usize>, DumpFault> {
        let place =
            |wanted: &&'static str| {
                columns.iter().position(|column| column.eq_ignore_ascii_case(wanted)).ok_or(
                    DumpFault::Column { line: self.tokens.line(), table: table.name(), column: wanted },
                )
            };
        table.wanted().iter().map(place).collect()
    }

    /// The values of a row up to `)`.
    fn row(&mut self, table: Table, places: &[usize], width: usize) -> Result<(), DumpFault> {
        let row = self.rows[table as usize] + 1;
        if row > MOST_ROWS {
            return Err(DumpFault::TooManyRows { table: table.name() });
        }
        self.rows[table as usize] = row;
        let mut values = vec![Value::Null; places.len()];
        let mut found = 0;
        loop {
            let (value, end) = self.value()?;
            if let Some(index) = places.iter().position(|place| *place == found) {
                values[index] = value;
            }
            found += 1;
            if end == Token::Mark(b')') {
                break;
            }
            self.must_be(&end, b',', ", or ) after a value")?;
        }
        if found != width {
            return Err(DumpFault::Width { table: table.name(), row, found, expected: width });
        }
        Row { table, number: row, values }.add_to(&mut self.tables)
    }

    /// A value, and the token after it.
    fn value(&mut self) -> Result<(Value, Token), DumpFault> {
        let mut token = self.expect("a value")?;
        // A character set, as in _binary 'abc', says nothing about the bytes.
        if matches!(&token, Token::Word(word) if word.starts_with('_')) {
            token = self.expect("a value")?;
        }
        let value = match token {
            Token::Mark(b'-') => match self.expect("a number")? {
                Token::Number(digits) => Value::Number(format!("-{digits}")),
                token => return Err(self.unexpected(&token, "a number")),
            },
            Token::Number(digits) => Value::Number(digits),
            Token::Text(bytes) | Token::Bytes(bytes) => Value::Bytes(bytes),
            token => match keyword(&token).as_deref() {
                Some("NULL") => Value::Null,
                Some("TRUE") => Value::Number("1".into()),
                Some("FALSE") => Value::Number("0".into()),
                _ => return Err(self.unexpected(&token, "a value")),
            },
        };
        Ok((value, self.expect(", or ) after a value")?))
    }

    /// Names up to `)`.
    fn names(&mut self) -> Result<Vec<String>, DumpFault> {
        let mut names = Vec::new();
        loop {
            match self.expect("the name of a column")? {
                Token::Name(name) | Token::Word(name) if names.len() < MOST_COLUMNS => names.push(name),
                Token::Mark(b',') => {}
                Token::Mark(b')') => return Ok(names),
                token => return Err(self.unexpected(&token, "the name of a column")),
            }
        }
    }

    /// `name` or `database.name`, and the token after it.
    fn qualified(&mut self, first: Token) -> Result<(String, Token), DumpFault> {
        let mut token = first;
        loop {
            let name = match token {
                Token::Name(name) | Token::Word(name) => name,
                token => return Err(self.unexpected(&token, "the name of a table")),
            };
            token = self.expect("the rest of a statement")?;
            // `.name` without backticks is cut as a number would be.
            match &token {
                Token::Number(rest) if rest.starts_with('.') && rest.len() > 1 => {
                    let name = rest[1..].to_owned();
                    return Ok((name, self.expect("the rest of a statement")?));
                }
                Token::Number(rest) if rest == "." => token = self.expect("the name of a table")?,
                _ => return Ok((name, token)),
            }
        }
    }

    fn expect(&mut self, what: &'static str) -> Result<Token, DumpFault> {
        let line = self.tokens.line();
        self.tokens.next()?.ok_or(DumpFault::Statement { line, expected: what, found: "the end".to_owned() })
    }

    fn must_be(&self, token: &Token, mark: u8, expected: &'static str) -> Result<(), DumpFault> {
        if *token == Token::Mark(mark) { Ok(()) } else { Err(self.unexpected(token, expected)) }
    }

    fn unexpected(&self, token: &Token, expected: &'static str) -> DumpFault {
        let found = match token {
            Token::Mark(byte) => format!("{:?}", char::from(*byte)),
            Token::Word(text) | Token::Name(text) | Token::Number(text) => shown(text.as_bytes()),
            Token::Text(bytes) | Token::Bytes(bytes) => shown(bytes),
        };
        DumpFault::Statement { line: self.tokens.line(), expected, found }
    }
}

/// A keyword in capitals.
fn keyword(token: &Token) -> Option<String> {
    if let Token::Word(word) = token { Some(word.to_ascii_uppercase()) } else { None }
}

/// Whether an entry of `CREATE TABLE` is about keys, not a column.
fn begins_a_key(word: &str) -> bool {
    ["PRIMARY", "UNIQUE", "KEY", "INDEX", "CONSTRAINT", "FOREIGN", "CHECK", "FULLTEXT", "SPATIAL"]
        .iter()
        .any(|key| word.eq_ignore_ascii_case(key))
}

/// The start of something foreign, in quotes.
fn shown(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]))
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Null,
    Number(String),
    Bytes(Vec<u8>),
}

/// The values of the wanted columns of a row.
struct Row {
    table: Table,
    number: u64,
    values: Vec<Value>,
}

impl Row {
    fn add_to(&self, tables: &mut ReferenceTables) -> Result<(), DumpFault> {
        match self.table {
            Table::User => {
                tables.users.push(UserRow { id: self.id(0)?, address: self.address(1)? });
            }
            Table::Block => {
                self.hash(1)?;
                let height = if self.values[2] == Value::Null { None } else { Some(self.id(2)?) };
                tables.blocks.push(BlockRow { id: self.id(0)?, height, main_chain: self.flag(3)? });
            }
            Table::Payin => {
                let (user, amount, block) = (self.id(0)?, self.amount(1)?, self.id(2)?);
                tables.payins.push(PayinRow { user, amount, block });
            }
            Table::Payout => {
                tables.payouts.push(PayoutRow { user: self.id(0)?, amount: self.amount(1)? });
            }
            Table::PayoutRequest => {
                self.id(0)?;
                tables.payout_requests += 1;
            }
        }
        Ok(())
    }

    fn fault(&self, index: usize, expected: &'static str) -> DumpFault {
        let found = match &self.values[index] {
            Value::Null => "NULL".to_owned(),
            Value::Number(digits) => shown(digits.as_bytes()).replace('"', ""),
            Value::Bytes(bytes) => shown(bytes),
        };
        let column = self.table.wanted()[index];
        DumpFault::Value { table: self.table.name(), row: self.number, column, found, expected }
    }

    fn parsed<T: std::str::FromStr>(&self, index: usize) -> Option<T> {
        if let Value::Number(digits) = &self.values[index] { digits.parse().ok() } else { None }
    }

    fn id(&self, index: usize) -> Result<u32, DumpFault> {
        self.parsed(index).ok_or_else(|| self.fault(index, "a number from 0 to 4294967295"))
    }

    fn flag(&self, index: usize) -> Result<bool, DumpFault> {
        match self.parsed::<u8>(index) {
            Some(number @ 0..=1) => Ok(number == 1),
            _ => Err(self.fault(index, "0 or 1")),
        }
    }

    fn amount(&self, index: usize) -> Result<i64, DumpFault> {
        let Value::Number(digits) = &self.values[index] else { return Err(self.fault(index, AMOUNT)) };
        whole_luna(digits).ok_or_else(|| self.fault(index, AMOUNT))
    }

    fn address(&self, index: usize) -> Result<Address, DumpFault> {
        let text = match &self.values[index] {
            Value::Bytes(bytes) => str::from_utf8(bytes).ok(),
            _ => None,
        };
        // The other forms of an address have other lengths.
        let address = text.filter(|text| text.len() == 28).and_then(|text| Address::parse_any(text).ok());
        address.ok_or_else(|| self.fault(index, "the base64 of the 20 bytes of an address"))
    }

    fn hash(&self, index: usize) -> Result<(), DumpFault> {
        let is_hash = matches!(&self.values[index], Value::Bytes(bytes) if bytes.len() == 32);
        if is_hash { Ok(()) } else { Err(self.fault(index, "the 32 bytes of a hash")) }
    }
}

const AMOUNT: &str = "a whole number of luna from 0 to 9007199254740992";
