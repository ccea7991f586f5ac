//! What visitors see and do: every page, living figures, charts, forms, wrong addresses, the first work of a new miner, a
//! restart, figures on somebody else's page.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Instant;

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
/// The same on Nimiq.
const NIMIQ_NEWCOMER: &str = "NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9";
/// One whose miner does everything wrong.
const UNLUCKY: &str = "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t";
/// The same as the newcomer's with a slip.
const MISSPELT: &str = "pkt1q6hqzqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
/// A good address that is of no use here.
const BITCOIN: &str = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";

#[test]
fn a_visitor_sees_a_pool_that_lives() {
    if !crate::is_equipped() {
        return;
    }
    let (_folder, path) = folder();
    let (mut pool, browser) = Browser::start_beside(|| Pool::start(&path, &["--mine"]));
    let base = pool.base.clone();
    browser.look(Look::DARK);

    timed("figures move", || figures_move(&browser, &base));
    timed("forms work", || forms_work(&browser, &base));
    timed("wrong addresses explain themselves", || wrong_addresses_explain_themselves(&browser, &base));
    timed("the first work is seen", || the_connect_page_sees_the_first_work(&browser, &base));
    timed("the Nimiq command mines", || the_nimiq_command_mines(&browser, &base));
    timed("refused work is explained", || refused_work_is_explained(&browser, &base));
    timed("who leaves a page listens no more", || who_leaves_a_page_listens_no_more(&browser, &base));
    timed("pages survive a restart", || pages_survive_a_restart(&browser, &mut pool));
    // What was mined stays, nobody mines any more, and the machine is free for the browser and for whoever asks.
    let asking = api::ask_everything(&base);
    timed("every page is fit to be seen", || every_page_is_fit_to_be_seen(&browser, &base));
    timed("charts draw", || charts_draw(&browser, &base));
    timed("the first screen is whole", || the_first_screen_is_whole(&browser, &base));
    timed("the record can be checked", || the_record_can_be_checked(&browser, &base));
    timed("pages are read without scripts", || pages_are_read_without_scripts(&browser, &base));
    timed("figures on another host", || a_page_on_another_host_shows_figures(&browser, &base));
    timed("the rest of the questions", || asking.join().unwrap());
}

/// Says how long a part took: where the time of this step goes is asked again and again.
fn timed(part: &str, action: impl FnOnce()) {
    let began = Instant::now();
    action();
    println!("{part}: {:.1} s", began.elapsed().as_secs_f64());
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

/// On a desk all that one comes for is seen without scrolling, and on a phone the command comes first.
fn the_first_screen_is_whole(browser: &Browser, base: &str) {
    browser.look(Look::DARK);
    browser.open(&format!("{base}/"));
    let below = browser.script(
        "return [...document.querySelectorAll('#figures-packetcrypt .figure, #figures-nimiq .figure, .command')]
           .filter((part) => part.getBoundingClientRect().bottom > innerHeight).map((part) => part.innerText)",
    );
    assert_eq!(below, json!([]), "below the first screen of a desktop");
    browser.look(Look::PHONE);
    browser.open(&format!("{base}/"));
    let command_first = browser.script(
        "return document.querySelector('.command').getBoundingClientRect().top
           < document.querySelector('.figures').getBoundingClientRect().top",
    );
    assert_eq!(command_first, json!(true), "on a phone the command comes first");
    browser.look(Look::DARK);
}

/// The command that the page shows takes the record as it is, with the key that stands beside it.
fn the_record_can_be_checked(browser: &Browser, base: &str) {
    browser.open(&format!("{base}/transparency"));
    assert!(browser.count("#statement-table tbody tr") >= 3, "{:?}", browser.text("#statement-table"));
    assert!(browser.count("#terms-table tbody tr") >= 2, "{:?}", browser.text("#terms-table"));
    let command = browser.text("#command-verify").unwrap();
    let key = command.split_whitespace().last().unwrap();
    let (_folder, path) = folder();
    let log = path.join("log");
    std::fs::write(&log, Http::new().get(&format!("{base}/api/v1/statements/log")).unwrap()).unwrap();
    let mut verify = Program::headframe(&["verify", "statements", "--key", key, log.to_str().unwrap()]);
    assert!(verify.wait().success(), "{:?}", verify.printed());
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
    browser.open(&format!("{base}/statistics"));
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

/// The line for Nimiq names the server, its scheme and its network: with nothing but it, work is accepted.
fn the_nimiq_command_mines(browser: &Browser, base: &str) {
    browser.open(&format!("{base}/connect?address={}&work=nimiq", NIMIQ_NEWCOMER.replace(' ', "+")));
    let command = browser.text("#command-nimiq").unwrap();
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    // What one thread finds in a moment.
    let quick = ["--threads", "1", "--start-difficulty", "0.001"];
    let miner = Program::headframe(&[&words[..], &quick].concat());
    browser.until("Nimiq work to be accepted", "document.querySelector('#waiting .done')");
    drop(miner);
}

/// Somebody whose work is all refused is told why, and not that nobody knows the address.
fn refused_work_is_explained(browser: &Browser, base: &str) {
    let http = Http::new();
    let config = http.json(&format!("{base}/master/config.json")).unwrap();
    let handler = config["submitAnnUrls"][0].as_str().unwrap();
    let headers =
        [("x-pc-payto", UNLUCKY), ("x-pc-annver", "1"), ("x-pc-sver", "1"), ("x-pc-worknum", "1000000")];
    http.post(handler, &headers, vec![0; 1024]).unwrap();
    browser.open(&format!("{base}/connect?address={UNLUCKY}"));
    browser.until("the reason", "document.querySelector('#refused-work li')");
    browser.picture(&pictures().join("connect-refused-dark.png"));
    browser.open(&format!("{base}/m/{UNLUCKY}"));
    let text = browser.text("#miner-unknown").unwrap();
    assert!(text.contains("none of it was accepted"), "{text}");
    assert!(text.contains("height out of range (1): it was made on a block"), "{text}");
}

/// A browser has six connections to a host: pages that were left and go on listening would hold all of them.
fn who_leaves_a_page_listens_no_more(browser: &Browser, base: &str) {
    for page in ["/", "/blocks", "/payouts", "/statistics", "/transparency", "/status", "/connect", "/"] {
        browser.open(&format!("{base}{page}"));
    }
    let http = Http::new();
    eventually("one stream to be open", || {
        http.metric(base, "headframe_event_streams", "").filter(|streams| (*streams - 1.0).abs() < 0.5)
    });
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
