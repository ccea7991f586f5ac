//! A part of a whole as a bar. Its number always stands beside it, so it is nothing to those who do not see it.

use askama::Template;
use askama::filters::HtmlSafe;

use super::figure::Accent;

/// A bar.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="{{ class }}" width="{{ percent }}" height="4"/></svg>"#
)]
pub struct ShareBar {
    class: &'static str,
    percent: String,
}

impl HtmlSafe for ShareBar {}

impl ShareBar {
    /// `percent` of a whole; more than all of it is all of it.
    pub fn new(accent: Accent, percent: f64) -> Self {
        Self { class: accent.class(), percent: format!("{:.2}", percent.clamp(0.0, 100.0)) }
    }
}
