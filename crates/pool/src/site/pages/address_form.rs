//! Where visitors type their address, and what they are told if it is none.

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;

use super::super::address::{AddressProblem, MinerAddress, read};
use super::super::texts::Texts;
use super::frame::Frame;
use super::{Pages, Question, Visit, html};

/// What is wrong with an address, and what was probably meant.
#[derive(Template)]
#[template(path = "address_problem.html")]
pub struct Problem<'a> {
    t: &'a Texts,
    typed: String,
    fault: &'a AddressProblem,
    /// A page about the address that was probably meant, up to the address itself.
    page: &'static str,
}

impl HtmlSafe for Problem<'_> {}

impl<'a> Problem<'a> {
    /// Says so. `page` is where the suggested address leads, such as `/m/`.
    pub fn new(t: &'a Texts, typed: &str, problem: &'a AddressProblem, page: &'static str) -> Self {
        Self { t, typed: typed.chars().take(130).collect(), fault: problem, page }
    }

    fn suggestion(&self) -> Option<String> {
        self.fault.suggestion().map(str::to_owned)
    }

    fn address_of(&self, suggestion: &str) -> String {
        format!("{}{}", self.page, suggestion.replace(' ', ""))
    }
}

/// What a page does with the address it was asked about: none given is no mistake.
pub(super) fn address_of(visit: &Visit, typed: &str) -> Result<Option<MinerAddress>, AddressProblem> {
    match read(typed, &visit.facts.chains()) {
        Ok(address) => Ok(Some(address)),
        Err(AddressProblem::Empty) => Ok(None),
        Err(problem) => Err(problem),
    }
}

#[derive(Template)]
#[template(path = "wrong_address.html")]
struct WrongAddress<'a> {
    frame: Frame<'a>,
    typed: String,
    problem: Problem<'a>,
}

/// The page of an address that is none.
pub(super) fn wrong_address(visit: &Visit, typed: &str, problem: &AddressProblem) -> Response {
    let frame = visit.frame("", visit.texts.get("wrong_address.title"));
    let problem = Problem::new(&visit.texts, typed, problem, "/m/");
    html(StatusCode::NOT_FOUND, &WrongAddress { frame, typed: problem.typed.clone(), problem })
}

/// Leads to the page of an address.
pub(super) async fn find(State(pages): State<Arc<Pages>>, Query(question): Query<Question>) -> Response {
    let visit = pages.visit();
    match read(&question.address, &visit.facts.chains()) {
        Ok(address) => Redirect::to(&format!("/m/{}", address.compact())).into_response(),
        Err(problem) => wrong_address(&visit, &question.address, &problem),
    }
}
