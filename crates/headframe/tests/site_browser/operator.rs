//! What operators do: a folder of their own, figures on somebody else's page, and a restart in front of visitors.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::browser::{Browser, Look, pictures};
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
    let pool = Pool::start(&path, &["--set", &setting]);
    let browser = Browser::start();
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

#[test]
fn a_page_on_another_host_shows_figures_of_the_pool() {
    if !crate::is_equipped() {
        return;
    }
    let (_folder, path) = folder();
    let pool = Pool::start(&path, &[]);
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Somebody's page</title>\
         <script type=module src=\"{}/static/pool-metric.js\"></script>\
         <p>The chain is at <pool-metric name=\"packetcrypt.height\">not yet</pool-metric>, and \
         <pool-metric id=wrong name=\"packetcrypt.no_such_figure\">my own words</pool-metric> stay.</p>",
        pool.base
    );
    let elsewhere = serve(page);
    let browser = Browser::start();
    browser.look(Look::DARK);
    browser.open(&elsewhere);
    browser.until("the figure", "document.querySelector('pool-metric').dataset.state === 'known'");
    let height = browser.text("pool-metric").unwrap();
    assert!(
        height.chars().all(|character| character.is_ascii_digit() || character == '\u{202f}'),
        "{height}"
    );
    browser.until("the wrong name", "document.querySelector('#wrong').dataset.state === 'stale'");
    assert_eq!(browser.text("#wrong").unwrap(), "my own words");
    browser.picture(&pictures().join("embedded-elsewhere.png"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// A web server of somebody else's, with one page.
fn serve(page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n";
            // A browser may have gone away; then it comes again.
            let _ = stream.write_all(format!("{head}{page}").as_bytes());
        }
    });
    address
}

#[test]
fn pages_survive_a_restart_of_the_pool() {
    if !crate::is_equipped() {
        return;
    }
    let (_folder, path) = folder();
    let mut pool = Pool::start(&path, &[]);
    let browser = Browser::start();
    browser.look(Look::DARK);
    browser.open(&format!("{}/status", pool.base));
    let rows = browser.count("#status-table tbody tr");
    assert!(rows >= 4, "{:?}", browser.text("#status-table"));
    let started = "document.querySelector('#started time').dateTime";
    let before = browser.script(&format!("return {started}"));
    pool.kill();
    // The page is there while the pool is not, and its figures grow old where everybody sees it.
    let age = browser.text("#foot-age").unwrap();
    browser.until(
        "the age to go on",
        &format!("document.querySelector('#foot-age').innerText !== {}", json!(age)),
    );
    assert_eq!(browser.count("#status-table tbody tr"), rows);
    pool.start_again();
    browser.until("the page to find the pool again", &format!("{started} !== {before}"));
    browser
        .until("all rows", &format!("document.querySelectorAll('#status-table tbody tr').length >= {rows}"));
}
