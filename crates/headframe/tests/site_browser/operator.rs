//! What operators do: a folder of their own is the site.

use serde_json::json;

use crate::browser::{Browser, Look};
use crate::pool::Pool;
use crate::sandbox::{Program, folder};

#[test]
fn a_folder_of_the_operator_s_is_the_site() {
    if !crate::is_equipped() {
        return;
    }
    let (_own, own) = folder();
    let own = own.join("site");
    let mut export = Program::headframe(&["site", "export", own.to_str().unwrap()]);
    assert!(export.wait().success());
    let texts = own.join("texts/en.toml");
    let text = std::fs::read_to_string(&texts).unwrap();
    std::fs::write(&texts, text.replace("Mine. See what you earn, and why.", "Digging since 1899.")).unwrap();
    let style = own.join("static/style.css");
    let text = std::fs::read_to_string(&style).unwrap();
    std::fs::write(&style, text.replace("--ground: #0a0d13", "--ground: #102030")).unwrap();
    std::fs::write(own.join("pages/about.html"), "<!doctype html><title>Us</title><h1>About us</h1>")
        .unwrap();

    let (_folder, path) = folder();
    let setting = format!("site.folder=\"{}\"", own.display());
    let (pool, browser) = Browser::start_beside(|| Pool::start(&path, &["--set", &setting]));
    browser.look(Look::DARK);
    browser.open(&format!("{}/", pool.base));
    assert_eq!(browser.text("h1").unwrap(), "Digging since 1899.");
    let ground = browser.script("return getComputedStyle(document.body).backgroundColor");
    assert_eq!(ground, json!("rgb(16, 32, 48)"));
    browser.open(&format!("{}/about", pool.base));
    assert_eq!(browser.text("h1").unwrap(), "About us");
    // What is changed is seen without a restart.
    std::fs::write(own.join("pages/about.html"), "<!doctype html><title>Us</title><h1>All of us</h1>")
        .unwrap();
    crate::sandbox::eventually("the changed page", || {
        browser.open(&format!("{}/about", pool.base));
        browser.text("h1").filter(|title| title == "All of us")
    });
}
