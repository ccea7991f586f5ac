//! How long ago something was. It is written by the server, and goes on by itself where scripts run.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::Moment;
use super::super::texts::Texts;
use super::numbers::{ago, date, iso};

/// A moment, as its age.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<time datetime="{{ iso }}" title="{{ date }}" data-age>{{ ago }}</time>"#
)]
pub struct Age {
    iso: String,
    date: String,
    ago: String,
}

impl HtmlSafe for Age {}

impl Age {
    /// The age of `moment`, at the time of the page.
    pub fn new(texts: &Texts, moment: Moment, now: Moment) -> Self {
        Self { iso: iso(moment), date: date(moment), ago: ago(texts, moment, now) }
    }
}
