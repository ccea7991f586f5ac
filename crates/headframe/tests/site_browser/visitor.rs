//! What visitors see and do: every page, living figures, charts, forms, wrong addresses, the first work of a new miner, a
//! restart, figures on somebody else's page.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::api;
use crate::audit;
use crate::browser::{Browser, Look, pictures};
use crate::pool::Pool;
use crate::sandbox::{Http, Program, eventually, folder};

/// Whom `up --mine` mines for.
const MINER: &str = "[data-live] a[href^='/m/pkt1'], [data-live] a[href^='/m/p']";
/// An address that nobody has mined for yet.
const NEWCOMER: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
/// The same with a slip.
const MISSPELT: &str = "pkt1q6hqzqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
/// A good address that is of no use here.
const BITCOIN: &str = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";

#[test]
fn a_visitor_sees_a_pool_that_lives() {
    if !crate::is_equipped() {
        return;
    }
    let (_folder, path) = folder();
    let mut pool = Pool::start(&path, &["--mine"]);
    let base = pool.base.clone();
    let asking = api::ask_everything(&base);
    let browser = Browser::start();
    browser.look(Look::DARK);

    figures_move(&browser, &base);
    forms_work(&browser, &base);
    wrong_addresses_explain_themselves(&browser, &base);
    the_connect_page_sees_the_first_work(&browser, &base);
    asking.join().unwrap();
    // What was mined stays, and the machine is free for the browser.
    pages_survive_a_restart(&browser, &mut pool);
    every_page_is_fit_to_be_seen(&browser, &base);
    charts_draw(&browser, &base);
    pages_are_read_without_scripts(&browser, &base);
    a_page_on_another_host_shows_figures(&browser, &base);
}

fn figures_move(browser: &Browser, base: &str) {
    browser.open(&format!("{base}/"));
    browser.until("a payout list on Home", "document.querySelector('#next-block tbody tr')");
    browser.until("a block on Home", "document.querySelector('[id^=block-table] tbody tr')");
    let figures = browser.text("#figures-packetcrypt").unwrap();
    let script = format!("document.querySelector('#figures-packetcrypt').innerText !== {}", json!(figures));
    browser.until("a figure to move without a reload", &script);
}

fn charts_draw(browser: &Browser, base: &str) {
    browser.open(&format!("{base}/statistics?range=1h"));
    browser.until("charts to be drawn", "document.querySelectorAll('[data-drawn] canvas').length >= 3");
    let painted = browser.script(
        "const canvas = document.querySelector('[data-drawn] canvas');
         const points = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
         return points.some((value) => value !== 0)",
    );
    assert_eq!(painted, json!(true), "the canvas of a chart is empty");
}

fn forms_work(browser: &Browser, base: &str) {
    browser.open(&format!("{base}/"));
    browser.fill("main form input[name=address]", NEWCOMER);
    browser.click("main form button");
    browser.until(
        "the address in the commands",
        &format!("document.querySelector('mark')?.innerText === {}", json!(NEWCOMER)),
    );
    browser.fill("#find", NEWCOMER);
    browser.press_enter("#find");
    browser.until("the page of the address", "location.pathname.startsWith('/m/pkt1')");
    assert_eq!(browser.address(), format!("{base}/m/{NEWCOMER}"));
    // A link of a range, by keyboard.
    browser.script("document.querySelector('.choices a').focus()");
    browser.script("document.activeElement.click()");
    browser.until("another range", "location.search === '?range=1h'");
    // The definition of a figure opens without a script of ours.
    browser.open(&format!("{base}/"));
    browser.click(".help");
    browser.until("a definition", "document.querySelector(':popover-open')");
    browser.click("#theme");
    browser.until("the other colours", "document.documentElement.dataset.theme === 'light'");
    browser.open(&format!("{base}/"));
    browser.until("the other colours on the next page", "document.documentElement.dataset.theme === 'light'");
    browser.script("localStorage.clear()");
}

fn wrong_addresses_explain_themselves(browser: &Browser, base: &str) {
    let explained = |typed: &str| {
        browser.open(&format!("{base}/"));
        browser.fill("#find", typed);
        browser.press_enter("#find");
        browser.until("an explanation", "document.querySelector('#address-problem')");
        browser.text("#address-problem").unwrap()
    };
    let text = explained(MISSPELT);
    assert!(text.contains(NEWCOMER), "no suggestion: {text}");
    browser.click("#address-problem a");
    browser.until("the page of the suggestion", &format!("location.pathname === '/m/{NEWCOMER}'"));
    let text = explained(BITCOIN);
    assert!(text.contains("Bitcoin"), "{text}");
    let script = "<script>document.title = 'caught'</script>";
    let text = explained(script);
    assert!(text.contains(script), "{text}");
    assert_ne!(browser.script("return document.title"), json!("caught"));
    // That these pages are not found is what they should say, and the browser remarks on it.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("404")), "{complaints:?}");
}

fn the_connect_page_sees_the_first_work(browser: &Browser, base: &str) {
    browser.open(&format!("{base}/connect?address={NEWCOMER}"));
    let text = browser.text("#waiting").unwrap();
    assert!(text.contains("Waiting for your miner"), "{text}");
    browser.picture(&pictures().join("connect-waiting-dark.png"));
    let command = browser.text("#command-announcements").unwrap();
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let miner = Program::headframe(&[&words[..], &["--threads", "1"]].concat());
    browser.until("the page to say that work was accepted", "document.querySelector('#waiting .done')");
    let text = browser.text("#waiting").unwrap();
    assert!(text.contains("First work accepted") && text.contains("ago"), "{text}");
    browser.picture(&pictures().join("connect-accepted-dark.png"));
    let http = Http::new();
    let page = format!("{base}/m/{NEWCOMER}");
    eventually("the miner's own page to know it", || {
        http.get(&page).filter(|page| !page.contains("no work of this address"))
    });
    drop(miner);
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "the Connect page asks for what is not there: {complaints:#?}");
}

fn pages_survive_a_restart(browser: &Browser, pool: &mut Pool) {
    browser.open(&format!("{}/status", pool.base));
    let rows = browser.count("#status-table tbody tr");
    assert!(rows >= 7, "{:?}", browser.text("#status-table"));
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
    pool.start_again(&[]);
    browser.until("the page to find the pool again", &format!("{started} !== {before}"));
    browser
        .until("all rows", &format!("document.querySelectorAll('#status-table tbody tr').length >= {rows}"));
    // While the pool was away, the browser remarked on it.
    browser.complaints();
}

fn every_page_is_fit_to_be_seen(browser: &Browser, base: &str) {
    let own = browser_finds_a_miner(browser, base);
    let pages = [
        ("home", "/".to_owned()),
        ("miner", format!("{own}?range=1h")),
        ("blocks", "/blocks?range=1h".to_owned()),
        ("payouts", "/payouts".to_owned()),
        ("statistics", "/statistics?range=1h".to_owned()),
        ("transparency", "/transparency".to_owned()),
        ("connect", format!("/connect?address={NEWCOMER}")),
        ("status", "/status".to_owned()),
        ("embedding", "/embedding".to_owned()),
    ];
    browser.forget();
    // What was asked for on purpose and is not there is no fault of the pages that follow.
    browser.complaints();
    for look in Look::ALL {
        browser.look(look);
        for (name, address) in &pages {
            let what = format!("{name} ({})", look.name);
            browser.open(&format!("{base}{address}"));
            let charts = "[...document.querySelectorAll('[data-series]')]
                .every((plot) => 'drawn' in plot.dataset || plot.querySelector('.none'))";
            browser.until("every chart to be drawn, or to say that there is nothing", charts);
            let bytes = audit::weight(browser, base, &what);
            audit::stillness(browser, &what);
            let wide = browser.script("return document.documentElement.scrollWidth > innerWidth");
            assert_eq!(wide, json!(false), "{what} is wider than its window");
            audit::accessibility(browser, look, &what);
            browser.picture(&pictures().join(format!("{name}-{}.png", look.name)));
            let complaints = browser.complaints();
            assert!(complaints.is_empty(), "{what}: the browser complains: {complaints:#?}");
            println!("{what}: {bytes} bytes");
        }
    }
    browser.look(Look::DARK);
}

fn browser_finds_a_miner(browser: &Browser, base: &str) -> String {
    browser.open(&format!("{base}/"));
    browser.until("a payee with a page", &format!("document.querySelector({})", json!(MINER)));
    let script = format!("return [...document.querySelectorAll({})].at(-1).pathname", json!(MINER));
    browser.script(&script).as_str().unwrap().to_owned()
}

fn pages_are_read_without_scripts(browser: &Browser, base: &str) {
    browser.run_scripts(false);
    for page in ["/", "/blocks", "/statistics?range=1h", "/status"] {
        browser.open(&format!("{base}{page}"));
        let text = browser.text("main").unwrap();
        assert!(text.len() > 200, "{page} says nothing without scripts: {text}");
    }
    browser.open(&format!("{base}/statistics?range=1h"));
    assert!(browser.count(".plot svg path[d^=M]") >= 3, "no chart is drawn by the server");
    browser.picture(&pictures().join("statistics-without-scripts.png"));
    browser.open(&format!("{base}/"));
    browser.fill("#find", NEWCOMER);
    browser.press_enter("#find");
    browser.until("the page of the address", "location.pathname.startsWith('/m/pkt1')");
    browser.run_scripts(true);
}

fn a_page_on_another_host_shows_figures(browser: &Browser, base: &str) {
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Somebody's page</title>\
         <script type=module src=\"{base}/static/pool-metric.js\"></script>\
         <p>The chain is at <pool-metric name=\"packetcrypt.height\">not yet</pool-metric>, and \
         <pool-metric id=wrong name=\"packetcrypt.no_such_figure\">my own words</pool-metric> stay.</p>"
    );
    browser.open(&serve(page));
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
