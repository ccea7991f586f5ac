//! How a section asks for its keys: each call both *defines* a key and *reads* it.
//!
//! A section's [`read`](Section::read) is therefore the only place where a key's name, type, unit, range, default
//! and description stand. Run over an absent table it yields the definitions from which the example file and the
//! documentation are printed; run over a written one it yields the values, and every fault.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ledger::nimiq::split::FeePpm;
use ledger::nimiq::window::WindowRule;
use nimiq::{Address, Luna, PoolName};
use packetcrypt::CompactTarget;
use packetcrypt::target::CanonicalTarget;
use tracing_subscriber::EnvFilter;
use wire::{Decimal, PktAddress};

use super::problem::{Problem, nearest};
use super::values::{ExplorerUrl, HandlerName, MinerUrl, PublicUrl, Secret};
use super::written::{Content, Table};

/// A part of the configuration under one header.
pub trait Section: Sized {
    /// The name in the brackets.
    const NAME: &'static str;
    /// Whether there may be several, as `[[name]]`, told apart by their key `name`.
    const REPEATED: bool = false;
    /// What it is for, in a sentence or two for the example file.
    const ABOUT: &'static str;

    /// Defines and reads all keys.
    fn read(keys: &mut Keys<'_>) -> Self;
}

/// A key as the documentation shows it.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The key.
    pub name: &'static str,
    /// What it does, and what to mind.
    pub about: &'static str,
    /// Type, unit and range in words.
    pub expected: String,
    /// The default as TOML; `None` where the key has none and may be left out.
    pub default: Option<String>,
    /// A value to show where there is no default, as TOML.
    pub sample: String,
    /// Whether no log may show its value.
    pub is_secret: bool,
    /// When a change of it takes effect.
    pub in_force: InForce,
}

/// When a change of a key takes effect in a process that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InForce {
    /// When the process reads the configuration again (SIGHUP).
    AtReload,
    /// When it is started again.
    AtRestart,
}

/// Reads one table; collects definitions and faults on the way.
pub struct Keys<'a> {
    table: &'a Table,
    label: String,
    definitions: Vec<Definition>,
    problems: &'a mut Vec<Problem>,
    /// Of the key that is asked for next.
    in_force: InForce,
}

/// How one key is described and converted; the common shape behind the methods of [`Keys`].
struct Ask<'d> {
    name: &'static str,
    about: &'static str,
    expected: String,
    default: Option<String>,
    sample: &'d str,
}

/// Why a value was not taken: nothing to add to what was expected, or a closer reason.
type Unfit = Option<String>;

impl<'a> Keys<'a> {
    /// For one table. `label` is the section as an operator would name it: `master`, `ann_handler.main`.
    pub fn new(table: &'a Table, label: String, problems: &'a mut Vec<Problem>) -> Self {
        Self { table, label, definitions: Vec::new(), problems, in_force: InForce::AtRestart }
    }

    /// The key that is asked for next takes effect at a reload; whoever says so sees to it (`crate::serve::reload`).
    pub fn at_reload(&mut self) -> &mut Self {
        self.in_force = InForce::AtReload;
        self
    }

    /// Reports the keys of the table that nobody asked for, and hands over the definitions.
    pub fn finish(self) -> Vec<Definition> {
        for entry in &self.table.entries {
            if self.definitions.iter().any(|definition| definition.name == entry.key) {
                continue;
            }
            let names = self.definitions.iter().map(|definition| definition.name);
            let suggestion = nearest(&entry.key, names.clone()).map_or_else(
                || format!("it has {}", names.collect::<Vec<_>>().join(", ")),
                |name| format!("did you mean `{name}`?"),
            );
            self.problems.push(Problem {
                place: entry.place.clone(),
                key: format!("{}.{}", self.label, entry.key),
                fault: "is no key of this section".to_owned(),
                suggestion: Some(suggestion),
            });
        }
        self.definitions
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &'static str, default: bool, about: &'static str) -> bool {
        let expected = "true or false".to_owned();
        let ask = Ask { name, about, expected, default: Some(default.to_string()), sample: "" };
        self.read(ask, |content| match content {
            Content::Flag(flag) => Ok(*flag),
            _ => Err(None),
        })
        .unwrap_or(default)
    }

    /// A whole number; `unit` in words, such as `blocks`.
    pub fn whole<N>(
        &mut self,
        name: &'static str,
        default: N,
        range: RangeInclusive<N>,
        unit: &'static str,
        about: &'static str,
    ) -> N
    where
        N: Copy + Display + PartialOrd + TryFrom<i128>,
    {
        let ask = Ask {
            name,
            about,
            expected: format!("a whole number from {} to {} ({unit})", range.start(), range.end()),
            default: Some(default.to_string()),
            sample: "",
        };
        self.read(ask, |content| match content {
            Content::Whole(number) => {
                N::try_from(*number).ok().filter(|number| range.contains(number)).ok_or(None)
            }
            _ => Err(None),
        })
        .unwrap_or(default)
    }

    /// A whole number that may be left out.
    pub fn optional_whole(
        &mut self,
        name: &'static str,
        sample: &'static str,
        range: RangeInclusive<u32>,
        unit: &'static str,
        about: &'static str,
    ) -> Option<u32> {
        let expected = format!("a whole number from {} to {} ({unit})", range.start(), range.end());
        self.read(Ask { name, about, expected, default: None, sample }, |content| match content {
            Content::Whole(number) => {
                u32::try_from(*number).ok().filter(|number| range.contains(number)).ok_or(None)
            }
            _ => Err(None),
        })
    }

    /// A time in whole seconds.
    pub fn seconds(
        &mut self,
        name: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
        about: &'static str,
    ) -> Duration {
        Duration::from_secs(self.whole(name, default, range, "seconds", about))
    }

    /// A decimal number that decides money: every digit counts, nothing goes through a floating point number.
    pub fn decimal(
        &mut self,
        name: &'static str,
        default: &'static str,
        least: &'static str,
        most: &'static str,
        about: &'static str,
    ) -> Decimal {
        let ask = Ask {
            name,
            about,
            expected: format!("a decimal number from {least} to {most} with at most 12 decimals"),
            default: Some(default.to_owned()),
            sample: "",
        };
        self.read(ask, |content| {
            let number = content.number().ok_or(None)?;
            let (least, most) = (trillionths(&known(least)), trillionths(&known(most)));
            trillionths(&number)
                .filter(|it| least <= Some(*it) && Some(*it) <= most)
                .map(|_| number)
                .ok_or(None)
        })
        .unwrap_or_else(|| known(default))
    }

    /// A text with a default.
    pub fn text(&mut self, name: &'static str, default: &'static str, about: &'static str) -> String {
        let expected = "a text".to_owned();
        let ask = Ask { name, about, expected, default: Some(format!("{default:?}")), sample: "" };
        self.read(ask, |content| match content {
            Content::Text(text) => Ok(text.clone()),
            _ => Err(None),
        })
        .unwrap_or_else(|| default.to_owned())
    }

    /// One of a few words; each stands for a value.
    pub fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
        about: &'static str,
    ) -> T {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        let expected = format!("one of {}", words.join(", "));
        let (first, default) = choices[0];
        let ask = Ask { name, about, expected, default: Some(format!("{first:?}")), sample: "" };
        self.read(ask, |content| match content {
            Content::Text(text) => {
                choices.iter().find(|(word, _)| word == text).map(|(_, value)| *value).ok_or_else(|| {
                    nearest(text, choices.iter().map(|(word, _)| *word))
                        .map(|word| format!("did you mean {word:?}?"))
                })
            }
            _ => Err(None),
        })
        .unwrap_or(default)
    }

    /// A text that no log, error or dump may show.
    pub fn secret(
        &mut self,
        name: &'static str,
        sample: &'static str,
        about: &'static str,
    ) -> Option<Secret> {
        self.parsed(name, "a text (kept out of logs)", sample, about, |text| {
            if text.is_empty() { Err(None) } else { Ok(Secret::new(text)) }
        })
    }

    /// The name that tells handlers apart; it stands in URLs and folders.
    pub fn handler_name(&mut self, about: &'static str) -> Option<HandlerName> {
        let expected = "1 to 32 characters of a-z, 0-9 and -";
        self.parsed("name", expected, "main", about, |text| HandlerName::parse(text).ok_or(None))
    }

    /// An address that the pool can pay.
    pub fn address(&mut self, name: &'static str, about: &'static str) -> Option<PktAddress> {
        let sample = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
        self.parsed(name, "a PKT address that a pool can pay", sample, about, |text| {
            text.parse::<PktAddress>().map_err(|error| Some(error.to_string()))
        })
    }

    /// A Nimiq account.
    pub fn nimiq_address(&mut self, name: &'static str, about: &'static str) -> Option<Address> {
        let sample = "NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9";
        self.parsed(name, "a Nimiq address", sample, about, |text| {
            text.parse::<Address>().map_err(|error| Some(error.to_string()))
        })
    }

    /// A store of accounts; its URL may hold a password.
    pub fn accounts_url(&mut self, name: &'static str, about: &'static str) -> Option<Secret> {
        let expected = "sqlite://FILE or postgres://USER@HOST/DATABASE (kept out of logs)";
        self.parsed(name, expected, "postgres://pool@database.example/pool", about, |text| {
            let known = ["sqlite://", "postgres://", "postgresql://"];
            if known.iter().any(|scheme| text.starts_with(scheme)) {
                Ok(Secret::new(text))
            } else {
                Err(None)
            }
        })
    }

    /// An amount of money in NIM, whole in luna.
    pub fn nim(&mut self, name: &'static str, default: &'static str, about: &'static str) -> Luna {
        self.converted(name, default, "an amount in NIM with at most 5 decimals", about, luna)
    }

    /// A pool's part of a reward.
    pub fn fee(&mut self, name: &'static str, default: &'static str, about: &'static str) -> FeePpm {
        let expected = "a decimal number from 0 to 1 with at most 6 decimals";
        self.converted(name, default, expected, about, |fee| FeePpm::from_fraction(*fee).ok())
    }

    /// A number with its own rules and a default, which must keep them.
    fn converted<T: Default>(
        &mut self,
        name: &'static str,
        default: &'static str,
        expected: &'static str,
        about: &'static str,
        convert: impl Fn(&Decimal) -> Option<T>,
    ) -> T {
        let expected = expected.to_owned();
        let ask = Ask { name, about, expected, default: Some(default.to_owned()), sample: "" };
        self.read(ask, |content| content.number().and_then(|number| convert(&number)).ok_or(None))
            .or_else(|| convert(&known(default)))
            .unwrap_or_default()
    }

    /// How far back a block pays.
    pub fn window(&mut self, name: &'static str, about: &'static str) -> WindowRule {
        let default = WindowRule::default();
        let expected = "\"last N shares\" or \"last N times the block's work\"".to_owned();
        let ask = Ask { name, about, expected, default: Some(format!("\"{default}\"")), sample: "" };
        self.read(ask, |content| match content {
            Content::Text(text) => text.parse().map_err(Some),
            _ => Err(None),
        })
        .unwrap_or(default)
    }

    /// The name of a Nimiq pool.
    pub fn pool_name(&mut self, name: &'static str, about: &'static str) -> Option<PoolName> {
        self.parsed(name, "1 to 200 printable ASCII characters", "My Pool", about, |text| {
            PoolName::new(text).map_err(|_| None)
        })
    }

    /// Which messages are logged.
    pub fn log_filter(&mut self, name: &'static str, default: &'static str, about: &'static str) -> String {
        let expected = "a level (error, warn, info, debug, trace), or a list of MODULE=LEVEL".to_owned();
        let ask = Ask { name, about, expected, default: Some(format!("{default:?}")), sample: "" };
        self.read(ask, |content| match content {
            Content::Text(text) => {
                EnvFilter::try_new(text).map(|_| text.clone()).map_err(|error| Some(error.to_string()))
            }
            _ => Err(None),
        })
        .unwrap_or_else(|| default.to_owned())
    }

    /// A URL under which others reach something.
    pub fn url(
        &mut self,
        name: &'static str,
        sample: &'static str,
        about: &'static str,
    ) -> Option<PublicUrl> {
        self.parsed(name, PublicUrl::EXPECTED, sample, about, |text| PublicUrl::parse(text).map_err(Some))
    }

    /// Where Nimiq miners connect to.
    pub fn miner_url(
        &mut self,
        name: &'static str,
        sample: &'static str,
        about: &'static str,
    ) -> Option<MinerUrl> {
        self.parsed(name, MinerUrl::EXPECTED, sample, about, |text| MinerUrl::parse(text).map_err(Some))
    }

    /// Where a block explorer shows something by its hash.
    pub fn explorer_url(
        &mut self,
        name: &'static str,
        sample: &'static str,
        about: &'static str,
    ) -> Option<ExplorerUrl> {
        self.parsed(name, ExplorerUrl::EXPECTED, sample, about, |text| ExplorerUrl::parse(text).map_err(Some))
    }

    /// A list of URLs.
    pub fn urls(&mut self, name: &'static str, sample: &'static str, about: &'static str) -> Vec<PublicUrl> {
        self.list(name, PublicUrl::EXPECTED, sample, about, |text| PublicUrl::parse(text).map_err(Some))
    }

    /// An address to listen on.
    pub fn listen(&mut self, name: &'static str, default: &'static str, about: &'static str) -> SocketAddr {
        let expected = SOCKET.to_owned();
        let ask = Ask { name, about, expected, default: Some(format!("{default:?}")), sample: "" };
        self.read(ask, |content| match content {
            Content::Text(text) => text.parse().map_err(|_| None),
            _ => Err(None),
        })
        .or_else(|| default.parse().ok())
        .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// An address that may be left out.
    pub fn socket(
        &mut self,
        name: &'static str,
        sample: &'static str,
        about: &'static str,
    ) -> Option<SocketAddr> {
        self.parsed(name, SOCKET, sample, about, |text| text.parse().map_err(|_| None))
    }

    /// A list of addresses.
    pub fn sockets(
        &mut self,
        name: &'static str,
        sample: &'static str,
        about: &'static str,
    ) -> Vec<SocketAddr> {
        self.list(name, SOCKET, sample, about, |text| text.parse().map_err(|_| None))
    }

    /// A list of anything that is written as a text, by its own parser.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        each: &'static str,
        sample: &'static str,
        about: &'static str,
        parse: impl Fn(&str) -> Result<T, Unfit>,
    ) -> Vec<T> {
        let expected = format!("a list of texts, each {each}");
        let ask = Ask { name, about, expected, default: Some("[]".to_owned()), sample };
        self.read(ask, |content| {
            let Content::List(items) = content else { return Err(None) };
            let read = |item: &super::written::Value| match &item.content {
                Content::Text(text) => parse(text).map_err(|reason| {
                    Some(reason.map_or_else(|| format!("{text:?} is none"), |why| format!("{text:?}: {why}")))
                }),
                other => Err(Some(format!("{} is none", other.describe()))),
            };
            items.iter().map(read).collect()
        })
        .unwrap_or_default()
    }

    /// A folder.
    pub fn folder(&mut self, name: &'static str, default: &'static str, about: &'static str) -> PathBuf {
        PathBuf::from(self.text(name, default, about))
    }

    /// A folder that may be left out.
    pub fn optional_folder(
        &mut self,
        name: &'static str,
        sample: &'static str,
        about: &'static str,
    ) -> Option<PathBuf> {
        self.parsed(name, "the path of a folder", sample, about, |text| {
            if text.is_empty() { Err(None) } else { Ok(PathBuf::from(text)) }
        })
    }

    /// A file that may be left out.
    pub fn file(&mut self, name: &'static str, sample: &'static str, about: &'static str) -> Option<PathBuf> {
        self.parsed(name, "the path of a file", sample, about, |text| {
            if text.is_empty() { Err(None) } else { Ok(PathBuf::from(text)) }
        })
    }

    /// A compact target, canonical as rule R-M8 wants it: `0x1f0fffff`, as a number or a text.
    pub fn target(
        &mut self,
        name: &'static str,
        sample: &'static str,
        about: &'static str,
    ) -> Option<CanonicalTarget> {
        let expected = "a canonical compact target such as 0x1f0fffff".to_owned();
        let ask = Ask { name, about, expected, default: None, sample };
        self.read(ask, |content| {
            let bits = match content {
                Content::Whole(number) => u32::try_from(*number).map_err(|_| None)?,
                Content::Text(text) => {
                    u32::from_str_radix(text.trim_start_matches("0x"), 16).map_err(|_| None)?
                }
                _ => return Err(None),
            };
            CanonicalTarget::try_from(CompactTarget(bits)).map_err(|fault| Some(fault.to_string()))
        })
    }

    /// A text that has its own parser and no default.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        sample: &str,
        about: &'static str,
        parse: impl Fn(&str) -> Result<T, Unfit>,
    ) -> Option<T> {
        let sample = format!("{sample:?}");
        let ask = Ask { name, about, expected: expected.to_owned(), default: None, sample: &sample };
        self.read(ask, |content| match content {
            Content::Text(text) => parse(text),
            _ => Err(None),
        })
    }

    /// Records the definition, converts what was written, and reports what does not fit.
    fn read<T>(&mut self, ask: Ask<'_>, convert: impl FnOnce(&Content) -> Result<T, Unfit>) -> Option<T> {
        let is_secret = ask.expected.contains("kept out of logs");
        let found = self.table.get(ask.name);
        let result = found.map(|value| (value, convert(&value.content)));
        let taken = match result {
            None => None,
            Some((_, Ok(value))) => Some(value),
            Some((value, Err(reason))) => {
                let shown = if is_secret { "something else".to_owned() } else { value.content.describe() };
                let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
                self.problems.push(Problem {
                    place: value.place.clone(),
                    key: format!("{}.{}", self.label, ask.name),
                    fault: format!("must be {}, not {shown}{reason}", ask.expected),
                    suggestion: None,
                });
                None
            }
        };
        self.definitions.push(Definition {
            name: ask.name,
            about: ask.about,
            expected: ask.expected,
            default: ask.default,
            sample: ask.sample.to_owned(),
            is_secret,
            in_force: std::mem::replace(&mut self.in_force, InForce::AtRestart),
        });
        taken
    }
}

const SOCKET: &str = "an IP address with a port such as 127.0.0.1:8080 or [::1]:8080";

/// A number that stands in this program.
fn known(text: &'static str) -> Decimal {
    text.parse().unwrap_or_default()
}

/// An amount in NIM as whole luna; `None` if it is not whole, negative or too large.
fn luna(nim: &Decimal) -> Option<Luna> {
    let scaled = Decimal::new(nim.mantissa(), nim.exponent().checked_add(5)?).ok()?;
    let whole = scaled.floor_saturating();
    let is_whole = Decimal::new(whole, 0).ok()? == scaled && !nim.is_negative();
    u64::try_from(whole).ok().filter(|_| is_whole).map(Luna)
}

/// The number in units of 10⁻¹²; `None` if it has more decimals or is negative.
fn trillionths(number: &Decimal) -> Option<u128> {
    let scaled = Decimal::new(number.mantissa(), number.exponent().checked_add(12)?).ok()?.floor_saturating();
    (!number.is_negative() && Decimal::new(scaled, -12).ok().as_ref() == Some(number)).then_some(scaled)
}
