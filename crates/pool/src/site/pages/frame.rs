//! What is around every page: head, navigation, address search, foot.

use super::super::facts::{Moment, PoolFacts};
use super::super::static_files::FileSet;
use super::super::texts::Texts;
use super::age::Age;

/// The frame of a page; `frame.html`, which every page extends, shows it.
pub struct Frame<'a> {
    /// All words.
    pub t: &'a Texts,
    /// The files of the site, for their addresses.
    pub files: &'a FileSet,
    /// The pool.
    pub facts: &'a PoolFacts,
    /// The page's key in the navigation.
    pub current: &'static str,
    /// Its title.
    pub title: String,
    /// The time of the page.
    pub now: Moment,
}

/// One link of the navigation.
pub struct Link<'a> {
    /// Where it leads.
    pub address: &'static str,
    /// What it says.
    pub text: &'a str,
    /// Whether it is the page itself.
    pub is_current: bool,
}

impl<'a> Frame<'a> {
    /// The name of the pool.
    pub fn name(&self) -> &str {
        let name = self.facts.identity.name.as_str();
        if name.is_empty() { self.t.get("frame.pool") } else { name }
    }

    /// The navigation.
    pub fn links(&self) -> Vec<Link<'a>> {
        let link = |key, address, text| Link { address, text, is_current: key == self.current };
        vec![
            link("home", "/", self.t.get("frame.home")),
            link("blocks", "/blocks", self.t.get("frame.blocks")),
            link("payouts", "/payouts", self.t.get("frame.payouts")),
            link("statistics", "/statistics", self.t.get("frame.statistics")),
            link("transparency", "/transparency", self.t.get("frame.transparency")),
            link("connect", "/connect", self.t.get("frame.connect")),
            link("status", "/status", self.t.get("frame.status")),
        ]
    }

    /// When the figures were put together.
    pub fn as_of(&self) -> Age {
        Age::new(self.t, self.facts.gathered_at, self.now)
    }
}
