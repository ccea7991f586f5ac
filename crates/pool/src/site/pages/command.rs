//! A line to be copied into a terminal, with the visitor's own address in it.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::address::MinerAddress;
use super::super::facts::{Chain, NimiqFacts, PacketCryptFacts, PoolFacts};
use super::super::texts::Texts;
use super::figure::Accent;

/// A command.
#[derive(Template)]
#[template(path = "command.html")]
pub struct Command<'a> {
    t: &'a Texts,
    id: &'static str,
    accent: Accent,
    title: &'a str,
    before: String,
    /// The address, which stands out.
    address: String,
    after: String,
}

impl HtmlSafe for Command<'_> {}

/// What can be mined here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Announcements of PacketCrypt.
    Announcements,
    /// Blocks of PacketCrypt.
    Blocks,
    /// Nimiq.
    Nimiq,
}

impl Work {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Announcements, Self::Blocks, Self::Nimiq];

    /// Its name in addresses of pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Announcements => "announcements",
            Self::Blocks => "blocks",
            Self::Nimiq => "nimiq",
        }
    }

    /// What it is called.
    pub fn title(self, t: &Texts) -> &str {
        match self {
            Self::Announcements => t.get("work.announcements"),
            Self::Blocks => t.get("work.blocks"),
            Self::Nimiq => t.get("work.nimiq"),
        }
    }

    /// Its chain.
    pub fn chain(self) -> Chain {
        match self {
            Self::Announcements | Self::Blocks => Chain::PacketCrypt,
            Self::Nimiq => Chain::Nimiq,
        }
    }

    fn accent(self) -> Accent {
        if self == Self::Announcements { Accent::Announcement } else { Accent::Block }
    }
}

impl<'a> Command<'a> {
    /// The command for `work`, if this pool has it; `program` is how the system calls ours.
    pub fn new(
        t: &'a Texts,
        facts: &PoolFacts,
        work: Work,
        address: Option<&MinerAddress>,
        program: &str,
    ) -> Option<Self> {
        let own = address.filter(|address| address.chain() == work.chain());
        let (before, placeholder, after) = match work {
            Work::Announcements => packetcrypt(facts.packetcrypt.as_ref()?, program, "ann"),
            Work::Blocks => packetcrypt(facts.packetcrypt.as_ref()?, program, "blk"),
            Work::Nimiq => nimiq(facts.nimiq.as_ref()?, program),
        };
        Some(Self {
            t,
            id: work.name(),
            accent: work.accent(),
            title: work.title(t),
            before,
            address: own.map_or_else(|| placeholder.to_owned(), MinerAddress::compact),
            after,
        })
    }

    /// All commands of this pool.
    pub fn all(t: &'a Texts, facts: &PoolFacts, address: Option<&MinerAddress>) -> Vec<Self> {
        Work::ALL.iter().filter_map(|work| Self::new(t, facts, *work, address, "headframe")).collect()
    }
}

fn packetcrypt(facts: &PacketCryptFacts, program: &str, kind: &str) -> (String, &'static str, String) {
    (format!("{program} mine {kind} -p "), "YOUR_PKT_ADDRESS", format!(" {}", facts.pool_url))
}

fn nimiq(facts: &NimiqFacts, program: &str) -> (String, &'static str, String) {
    let server = facts.servers.first().map_or("POOL", String::as_str);
    (format!("{program} mine nimiq {server} --address "), "YOUR_NIMIQ_ADDRESS", String::new())
}
