//! `[admission]`: what clients may cost, and who is banned.

use ipnet::IpNet;

use super::super::keys::{Keys, Section};
use super::super::values::network;

/// What every role grants its clients.
#[derive(Debug, Clone)]
pub struct Admission {
    pub processor_percent: u32,
    pub processor_seconds: u32,
    pub mistakes: u32,
    pub mistakes_per_minute: u32,
    pub exempt: Vec<IpNet>,
    pub clients: usize,
}

impl Section for Admission {
    const NAME: &'static str = "admission";
    const ABOUT: &'static str = "What clients may cost, in every role. A client is an IPv4 address or an IPv6 /64. Work that is accepted is \
         free; what counts is the rest: requests, and the checking of what is refused. Loopback and private addresses \
         are exempt.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            processor_percent: keys.at_reload().whole(
                "processor_percent",
                100,
                1..=100_000,
                "percent of one processor",
                "What looking at the requests of one client may cost in the long run; beyond, it is told \
                 `too_many_requests` and when to come back. All of an IPv4 /24 together get sixteen times as much, of \
                 an IPv6 /48 four times.",
            ),
            processor_seconds: keys.at_reload().whole(
                "processor_seconds",
                30,
                1..=3600,
                "seconds of one processor",
                "The same at once, after a rest.",
            ),
            mistakes: keys.at_reload().whole(
                "mistakes",
                60,
                2..=1_000_000,
                "mistakes",
                "How many things that no honest program sends (a wrong proof of work, what cannot be parsed, a wrong \
                 password) a client may send at once before it is banned: for ten minutes, then twenty, up to a day. \
                 Each piece of accepted work makes up for one.",
            ),
            mistakes_per_minute: keys.at_reload().whole(
                "mistakes_per_minute",
                10,
                1..=1_000_000,
                "mistakes",
                "How many of them are forgiven in a minute.",
            ),
            exempt: keys.at_reload().list(
                "exempt",
                "an IP address or a network",
                "[\"198.51.100.0/24\"]",
                "Networks of your own that are neither limited nor banned.",
                network,
            ),
            clients: keys.whole(
                "clients",
                1_000_000,
                1000..=100_000_000,
                "clients",
                "How many can be limited at once, each with 96 bytes. Beyond that, those that owe least are forgotten.",
            ),
        }
    }
}
