//! What every page must pass in the browser: the accessibility audit, the weight of a first view, nobody else asked,
//! nothing moved while loading.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::browser::{Browser, Look};

/// The variable with the folder in which axe-core is installed.
pub const AXE_FOLDER: &str = "AXE_CORE_FOLDER";
/// A first view, with everything that it loads.
const FIRST_VIEW_BYTES: u64 = 100 * 1024;
/// More than what anybody sees move. Browsers call 0.1 good.
const SHIFT: f64 = 0.05;

/// The audit, if it is installed.
pub fn axe() -> Option<PathBuf> {
    std::env::var_os(AXE_FOLDER).map(|folder| PathBuf::from(folder).join("axe-core/axe.min.js"))
}

/// What is audited in a look. The document is the same in all of them: a light page differs from a dark one by its
/// colours, one on a phone by where things stand.
fn rules(look: Look) -> Value {
    match look {
        Look::LIGHT => json!({"runOnly": ["color-contrast", "link-in-text-block"]}),
        Look::PHONE => json!({"rules": {"color-contrast": {"enabled": false}}}),
        _ => json!({}),
    }
}

/// Audits the page as it is seen now.
pub fn accessibility(browser: &Browser, look: Look, what: &str) {
    let script = std::fs::read_to_string(axe().expect("asked before")).expect("installed by xtask");
    browser.script(&script);
    let rules = rules(look);
    let found = browser.waiting_script(&format!(
        "const done = arguments[arguments.length - 1];
         axe.run(document, {{resultTypes: ['violations'], ...{rules}}}).then(
           (result) => done(result.violations.map((violation) => ({{
             rule: violation.id,
             help: violation.help,
             places: violation.nodes.map((node) => `${{node.target}} ${{node.failureSummary}}`),
           }}))),
           (error) => done([{{rule: 'audit', help: String(error), places: []}}]));"
    ));
    assert_eq!(found, json!([]), "{what}: the accessibility audit found something: {found:#}");
}

/// Weighs a first view, and sees whom it asked. What scripts fetch later keeps the page up to date.
pub fn weight(browser: &Browser, base: &str, what: &str) -> u64 {
    let loaded = browser.script(
        "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
           .filter((entry) => entry.initiatorType !== 'fetch' && !entry.name.includes('/api/'))
           .map((entry) => ({address: entry.name, bytes: entry.transferSize}))",
    );
    let loaded = loaded.as_array().unwrap();
    let foreign: Vec<&Value> = loaded
        .iter()
        .filter(|entry| !entry["address"].as_str().unwrap_or_default().starts_with(base))
        .collect();
    assert!(foreign.is_empty(), "{what} asks somebody else: {foreign:?}");
    let bytes: u64 = loaded.iter().map(|entry| entry["bytes"].as_u64().unwrap_or(0)).sum();
    assert!(bytes > 0, "{what}: nothing was weighed");
    assert!(bytes <= FIRST_VIEW_BYTES, "{what} weighs {bytes} bytes: {loaded:#?}");
    bytes
}

/// Nothing may move while a page becomes complete.
pub fn stillness(browser: &Browser, what: &str) {
    let shift = browser.waiting_script(
        "const done = arguments[arguments.length - 1];
         let shift = 0;
         new PerformanceObserver((list) => {
           for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
         }).observe({type: 'layout-shift', buffered: true});
         requestAnimationFrame(() => setTimeout(() => done(shift), 100));",
    );
    assert!(shift.as_f64().unwrap() <= SHIFT, "{what}: the page moves while it loads: {shift}");
}
