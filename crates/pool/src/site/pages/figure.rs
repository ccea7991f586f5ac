//! A figure as it stands on every page: label, number with unit, window, age, and its definition behind a question mark.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::{Amount, Measured, Moment};
use super::super::texts::Texts;
use super::age::Age;
use super::numbers::{Quantity, Shown, duration_text, estimate};

/// What a figure is about; its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accent {
    /// Announcements.
    Announcement,
    /// Blocks, shares.
    Block,
    /// Coins.
    Money,
    /// Anything else.
    Plain,
}

impl Accent {
    /// Its class in the style.
    pub fn class(self) -> &'static str {
        match self {
            Self::Announcement => "announcement",
            Self::Block => "block",
            Self::Money => "money",
            Self::Plain => "plain",
        }
    }
}

/// One figure.
#[derive(Template)]
#[template(path = "figure.html")]
pub struct Figure<'a> {
    t: &'a Texts,
    /// Under which its label and definition stand in the texts.
    key: &'static str,
    /// Unique on its page.
    id: String,
    accent: Accent,
    value: Option<Quantity>,
    window: String,
    as_of: Option<Age>,
}

impl HtmlSafe for Figure<'_> {}

/// Makes the figures of one part of a page.
#[derive(Clone, Copy)]
pub struct Figures<'a> {
    /// The texts.
    pub t: &'a Texts,
    /// Distinguishes equal figures of one page.
    pub part: &'static str,
    /// The time of the page.
    pub now: Moment,
}

impl<'a> Figures<'a> {
    /// A figure that was measured.
    pub fn measured<T: Shown>(self, key: &'static str, accent: Accent, fact: &Measured<T>) -> Figure<'a> {
        let window = match (fact.window_seconds, &fact.value) {
            (Some(seconds), _) => self.t.fill("time.over", &[("time", &duration_text(seconds))]),
            (None, Some(_)) => self.t.get("time.now").to_owned(),
            // What is not known is so at no moment.
            (None, None) => String::new(),
        };
        let value = fact.value.map(|value| value.shown(fact.unit));
        let as_of = Some(Age::new(self.t, fact.as_of, self.now));
        Figure { t: self.t, key, id: self.id(key), accent, value, window, as_of }
    }

    /// Money that is only expected: to three digits, so that it does not look exact.
    pub fn estimated(self, key: &'static str, accent: Accent, fact: &Measured<Amount>) -> Figure<'a> {
        Figure { value: fact.value.map(estimate), ..self.measured(key, accent, fact) }
    }

    /// A figure that somebody has set, or that is only known in sum.
    pub fn given(
        self,
        key: &'static str,
        accent: Accent,
        value: Option<Quantity>,
        note: impl Into<String>,
    ) -> Figure<'a> {
        Figure { t: self.t, key, id: self.id(key), accent, value, window: note.into(), as_of: None }
    }

    /// What was found out when somebody was asked.
    pub fn asked(
        self,
        key: &'static str,
        accent: Accent,
        value: Option<Quantity>,
        asked: Option<Moment>,
    ) -> Figure<'a> {
        let window = if value.is_some() { self.t.get("time.now") } else { "" };
        let as_of = asked.map(|asked| Age::new(self.t, asked, self.now));
        Figure { as_of, ..self.given(key, accent, value, window) }
    }

    /// How long ago something was.
    pub fn since(
        self,
        key: &'static str,
        accent: Accent,
        moment: Option<Moment>,
        note: impl Into<String>,
    ) -> Figure<'a> {
        let value = moment.map(|moment| {
            let (number, unit) = super::numbers::duration(moment.age_seconds(self.now));
            Quantity { number: number.to_string(), unit: self.t.fill("time.ago", &[("time", &unit)]) }
        });
        self.given(key, accent, value, note)
    }

    fn id(self, key: &str) -> String {
        format!("{}-{key}", self.part).replace('_', "-")
    }
}

impl Figure<'_> {
    /// Under which it stands in the texts.
    pub fn key(&self) -> &'static str {
        self.key
    }

    fn label(&self) -> String {
        let key = format!("figure.{}.label", self.key);
        self.t.get(&key).to_owned()
    }

    /// The class of a number that needs a smaller type to stay on its line.
    fn length(&self) -> &'static str {
        match self.value.as_ref().map_or(0, |value| value.number.chars().count()) {
            0..=7 => "",
            8..=10 => " long",
            _ => " longer",
        }
    }

    fn what_is(&self) -> String {
        self.t.fill("frame.what_is", &[("what", &self.label())])
    }

    fn about(&self) -> String {
        let key = format!("figure.{}.about", self.key);
        self.t.get(&key).to_owned()
    }
}
