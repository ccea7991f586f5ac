//! Why the work of an address is refused: for a miner whose work arrives and none of which is accepted.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::facts::MinerFacts;
use super::super::texts::Texts;
use super::numbers::grouped;

/// What is told about refused work.
#[derive(Template)]
#[template(path = "refused_work.html")]
pub struct RefusedWork<'a> {
    t: &'a Texts,
    reasons: Vec<Reason>,
}

struct Reason {
    /// The code, as people read it.
    code: String,
    pieces: String,
    /// What it means and what to do, where that can be said.
    advice: Option<String>,
}

impl HtmlSafe for RefusedWork<'_> {}

/// What a code of the closed lists means and what to do, where that can be said.
pub fn advice(t: &Texts, code: &str) -> Option<String> {
    let key = format!("refusal.{code}");
    let advice = t.get(&key);
    (advice != key).then(|| advice.to_owned())
}

impl<'a> RefusedWork<'a> {
    /// Says so of an address that has no accepted work; `None` where nothing arrived at all.
    pub fn new(t: &'a Texts, facts: &MinerFacts) -> Option<Self> {
        if facts.last_seen.is_some() || facts.refusals.is_empty() {
            return None;
        }
        let reasons = facts.refusals.iter().map(|refusal| Reason {
            code: refusal.code.replace('_', " "),
            pieces: grouped(refusal.count),
            advice: advice(t, &refusal.code),
        });
        Some(Self { t, reasons: reasons.collect() })
    }
}
