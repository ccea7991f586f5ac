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

/// Which program mines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miner {
    /// Ours.
    Headframe,
    /// The one that the chain's own project made.
    Stock,
}

impl Miner {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Headframe, Self::Stock];

    /// Its name in addresses of pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Headframe => "headframe",
            Self::Stock => "stock",
        }
    }

    /// What its program is called.
    pub fn program(self, work: Work) -> &'static str {
        match (self, work) {
            (Self::Headframe, _) => "headframe",
            (Self::Stock, Work::Announcements | Work::Blocks) => "packetcrypt",
            (Self::Stock, Work::Nimiq) => "nimiq",
        }
    }
}

/// How a system calls a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// By its name.
    Unix,
    /// From where it lies, with its ending.
    Windows,
}

impl<'a> Command<'a> {
    /// The command for `work`, if this pool has it.
    pub fn new(
        t: &'a Texts,
        facts: &PoolFacts,
        work: Work,
        address: Option<&MinerAddress>,
        miner: Miner,
        shell: Shell,
    ) -> Option<Self> {
        let own = address.filter(|address| address.chain() == work.chain());
        let program = match shell {
            Shell::Unix => miner.program(work).to_owned(),
            Shell::Windows => format!(".\\{}.exe", miner.program(work)),
        };
        let (before, placeholder, after) = match work {
            Work::Announcements => packetcrypt(facts.packetcrypt.as_ref()?, miner, &program, "ann"),
            Work::Blocks => packetcrypt(facts.packetcrypt.as_ref()?, miner, &program, "blk"),
            Work::Nimiq => nimiq(facts.nimiq.as_ref()?, miner, &program),
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

    /// Our own miner's, as most systems call it.
    pub fn usual(
        t: &'a Texts,
        facts: &PoolFacts,
        work: Work,
        address: Option<&MinerAddress>,
    ) -> Option<Self> {
        Self::new(t, facts, work, address, Miner::Headframe, Shell::Unix)
    }

    /// All commands of this pool.
    pub fn all(t: &'a Texts, facts: &PoolFacts, address: Option<&MinerAddress>) -> Vec<Self> {
        Work::ALL.iter().filter_map(|work| Self::usual(t, facts, *work, address)).collect()
    }
}

fn packetcrypt(
    facts: &PacketCryptFacts,
    miner: Miner,
    program: &str,
    kind: &str,
) -> (String, &'static str, String) {
    let verb = if miner == Miner::Headframe { "mine " } else { "" };
    (format!("{program} {verb}{kind} -p "), "YOUR_PKT_ADDRESS", format!(" {}", facts.pool_url))
}

fn nimiq(facts: &NimiqFacts, miner: Miner, program: &str) -> (String, &'static str, String) {
    let server = facts.servers.first().map_or("wss://POOL", String::as_str);
    let before = match miner {
        Miner::Headframe if facts.network == "main" => format!("{program} mine nimiq {server} --address "),
        Miner::Headframe => {
            format!("{program} mine nimiq {server} --network {} --address ", facts.network)
        }
        // It speaks only TLS, and is given host and port.
        Miner::Stock => {
            let place = server.rsplit("//").next().unwrap_or(server);
            format!(
                "{program} --network={} --type=nano --miner --pool={place} --wallet-address=",
                facts.network
            )
        }
    };
    (before, "YOUR_NIMIQ_ADDRESS", String::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::facts::sample;

    fn line(facts: &PoolFacts, work: Work, miner: Miner, shell: Shell) -> String {
        let texts = Texts::default();
        let Command { before, address, after, .. } =
            Command::new(&texts, facts, work, None, miner, shell).unwrap();
        format!("{before}{address}{after}")
    }

    #[test]
    fn each_miner_is_called_by_its_own_words() {
        let facts = sample::pool();
        assert_eq!(
            line(&facts, Work::Blocks, Miner::Headframe, Shell::Windows),
            ".\\headframe.exe mine blk -p YOUR_PKT_ADDRESS https://pool.example/master"
        );
        assert_eq!(
            line(&facts, Work::Announcements, Miner::Stock, Shell::Unix),
            "packetcrypt ann -p YOUR_PKT_ADDRESS https://pool.example/master"
        );
        assert_eq!(
            line(&facts, Work::Nimiq, Miner::Stock, Shell::Unix),
            "nimiq --network=main --type=nano --miner --pool=pool.example:8443 --wallet-address=YOUR_NIMIQ_ADDRESS"
        );
    }

    #[test]
    fn a_nimiq_miner_is_told_the_scheme_and_a_network_that_is_not_the_usual_one() {
        let mut facts = sample::pool();
        let usual = line(&facts, Work::Nimiq, Miner::Headframe, Shell::Unix);
        assert_eq!(usual, "headframe mine nimiq wss://pool.example:8443 --address YOUR_NIMIQ_ADDRESS");
        facts.nimiq.as_mut().unwrap().network = "dev".to_owned();
        assert!(line(&facts, Work::Nimiq, Miner::Headframe, Shell::Unix).contains(" --network dev "));
    }
}
