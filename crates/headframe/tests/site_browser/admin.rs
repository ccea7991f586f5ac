//! What an operator does on the admin page: sees what waits, tries, confirms, and finds it in the audit log; and with a
//! token, that nothing is told before it is shown.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::audit;
use crate::browser::{Browser, Look, pictures};
use crate::sandbox::{Http, Program, eventually, folder};

const TOKEN: &str = "5f0c9a7be1d34c2896a0f4d2b7e83c61";
const BANNED: &str = "198.51.100.0/24";
/// A reason that would be markup where somebody forgot that it is not.
const REASON: &str = "floods <img src=x onerror=\"document.title='caught'\">";

/// `up` with a configuration that is a file, and without a website.
struct Process {
    _program: Program,
    file: PathBuf,
    data: PathBuf,
    base: String,
}

impl Process {
    fn start(path: &Path, admin: &str, more: &[&str]) -> Self {
        let (file, data) = (path.join("pool.toml"), path.join("data"));
        write(&file, &data, admin, 2);
        let arguments = [&["up", "--config", file.to_str().unwrap()], more].concat();
        let program = Program::headframe(&arguments);
        let address =
            eventually("the admin API", || std::fs::read_to_string(data.join("admin/up/address")).ok());
        Self { _program: program, file, data, base: format!("http://{}", address.trim()) }
    }

    /// The page, once all of it is there.
    fn open(&self, browser: &Browser) {
        browser.open(&format!("{}/admin", self.base));
        browser.until("the page to show what there is", "!document.querySelector('#all').hidden");
    }

    fn bans(&self) -> Value {
        Http::new().json(&format!("{}/admin/bans", self.base)).unwrap()
    }
}

fn write(file: &Path, data: &Path, admin: &str, mine_old_anns: u32) {
    let data = data.display();
    let text = format!(
        "[pool]\ndata = \"{data}\"\n[http]\nlisten = \"127.0.0.1:0\"\n[dev_chain]\nlisten = \"127.0.0.1:0\"\n\
         [nimiq]\nrun = \"no\"\n[site]\nrun = false\n[mine]\nmemory_mebibytes = 64\n[master]\n\
         mine_old_anns = {mine_old_anns}\n[admin]\n{admin}\n"
    );
    std::fs::write(file, text).unwrap();
}

#[test]
fn u8_an_operator_acts_on_the_admin_page() {
    if !crate::is_equipped() {
        return;
    }
    let (_folder, path) = folder();
    let (process, browser) = Browser::start_beside(|| Process::start(&path, "", &["--mine"]));
    browser.look(Look::DARK);
    what_waits_is_seen_and_renewed(&browser, &process);
    a_ban_is_tried_confirmed_and_lifted(&browser, &process);
    what_is_asked_wrongly_is_told_beside_it(&browser);
    the_configuration_is_read_again(&browser, &process);
    roles_start_again_and_payouts_are_told(&browser);
    all_of_it_is_in_the_audit_log(&browser);
    assert_ne!(browser.script("return document.title"), json!("caught"));
    the_page_is_fit_to_be_seen(&browser, &process);
    it_says_that_it_needs_scripts(&browser, &process);
}

fn what_waits_is_seen_and_renewed(browser: &Browser, process: &Process) {
    process.open(browser);
    let queues = browser.text("#queues table").unwrap();
    assert!(queues.contains("AnnHandler main") && queues.contains("\u{a0}posts"), "{queues}");
    let asked = "performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/admin/queues')).length";
    browser.until("the queues to be asked for again", &format!("{asked} >= 3"));
    browser.until(
        "how long a stage took",
        "[...document.querySelectorAll('#stages .median')].some((cell) => /\\d.(µs|ms|s)$/.test(cell.innerText))",
    );
}

fn a_ban_is_tried_confirmed_and_lifted(browser: &Browser, process: &Process) {
    let propose = || {
        browser.fill("#ban-form [name=subject]", BANNED);
        browser.fill("#ban-form [name=minutes]", "90");
        browser.fill("#ban-form [name=reason]", REASON);
        browser.click("#ban-form button");
        browser.until("what the ban would be", "document.querySelector('#ban-outcome [role=group]')");
    };
    propose();
    let would = browser.text("#ban-outcome").unwrap();
    assert!(
        would.contains(&format!("Would ban {BANNED} for 90\u{a0}min")) && would.contains(REASON),
        "{would}"
    );
    assert_eq!(process.bans(), json!([]), "it was only tried");
    browser.picture(&pictures().join("admin-proposal-dark.png"));
    browser.click("#ban-outcome .leave");
    browser.until("nothing to be proposed any more", "!document.querySelector('#ban-outcome').firstChild");
    propose();
    // What is changed afterwards is not what was tried.
    browser.fill("#ban-form [name=minutes]", "91");
    browser.until("the proposal to be taken back", "!document.querySelector('#ban-outcome').firstChild");
    propose();
    browser.click("#ban-outcome .main");
    let listed = format!(
        "[...document.querySelectorAll('#bans tbody .subject')].some((cell) => cell.innerText === {})",
        json!(BANNED)
    );
    browser.until("the ban to be listed", &listed);
    assert_eq!(process.bans()[0]["reason"], REASON);
    assert_eq!(browser.text("#bans tbody .reason").unwrap(), REASON);
    browser.click("#bans tbody .act button");
    browser.until("what lifting would be", "document.querySelector('.outcome-row [role=group]')");
    assert_eq!(process.bans().as_array().unwrap().len(), 1, "it was only tried");
    browser.click(".outcome-row .main");
    browser.until("the list to be empty", &format!("!({listed})"));
    assert!(browser.text("#ban-outcome").unwrap().contains("is lifted"));
    assert_eq!(process.bans(), json!([]));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

fn what_is_asked_wrongly_is_told_beside_it(browser: &Browser) {
    browser.fill("#ban-form [name=subject]", "nobody");
    browser.fill("#ban-form [name=reason]", "x");
    browser.click("#ban-form button");
    browser.until("the reason", "document.querySelector('#ban-outcome .bad')");
    let reason = browser.text("#ban-outcome").unwrap();
    assert!(reason.contains("expected an IP address"), "{reason}");
    let said = browser.script("return document.querySelector('#said').textContent");
    assert_eq!(said, json!(reason.trim()), "it is said to those who do not see it");
    // The browser remarks on the status.
    browser.complaints();
}

fn the_configuration_is_read_again(browser: &Browser, process: &Process) {
    write(&process.file, &process.data, "", 3);
    browser.until("the difference", "document.querySelector('#difference tbody tr')");
    let row = browser.text("#difference tbody tr").unwrap();
    assert!(row.contains("master.mine_old_anns"), "{row}");
    browser.click("#reload");
    browser.until("what a reload would be", "document.querySelector('#reload-outcome [role=group]')");
    let would = browser.text("#reload-outcome").unwrap();
    assert!(would.contains("master.mine_old_anns: 2 → 3"), "{would}");
    browser.click("#reload-outcome .main");
    browser.until("nothing to wait", "!document.querySelector('#difference tbody tr')");
    browser.click("#keys summary");
    browser.until("the keys", "document.querySelectorAll('#keys tbody tr').length > 20");
    browser.fill("#keys input", "mine_old_anns");
    browser.until("the key", "document.querySelectorAll('#keys tbody tr').length === 1");
    assert!(browser.text("#keys tbody tr").unwrap().ends_with('3'));
    browser.click("#keys summary");
    // A file with a mistake in it changes nothing, and the page says which.
    let good = std::fs::read_to_string(&process.file).unwrap();
    std::fs::write(&process.file, format!("{good}\nno_such_key = 1\n")).unwrap();
    browser.click("#reload");
    browser.until("the mistake", "document.querySelector('#reload-outcome .bad')");
    assert!(browser.text("#reload-outcome").unwrap().contains("no_such_key"));
    std::fs::write(&process.file, good).unwrap();
    browser.until(
        "the difference to be known again",
        "document.querySelector('#configuration > .trouble').hidden",
    );
    browser.complaints();
}

fn roles_start_again_and_payouts_are_told(browser: &Browser) {
    for (list, what) in [("retries", "Would tell PayMaker"), ("restarts", "Would start")] {
        browser.click(&format!("#{list} li button"));
        let group = format!("#{list} [role=group]");
        browser.until(what, &format!("document.querySelector('{group}')"));
        let would = browser.text(&group).unwrap();
        assert!(would.contains(what), "{would}");
        browser.click(&format!("{group} .main"));
        browser.until("it to be done", &format!("document.querySelector('#{list} .good')"));
    }
}

fn all_of_it_is_in_the_audit_log(browser: &Browser) {
    browser.until("all acts to be offered", "!document.querySelector('#audit-more').hidden");
    browser.click("#audit-more");
    let log = browser.text("#audit tbody").unwrap();
    for part in [
        &format!("subject {BANNED}"),
        REASON,
        "Lift a ban",
        "Read the configuration again",
        "Start a role again",
        "what payouts",
        "only tried",
        "not done",
        "done",
        "127.0.0.1",
    ] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
}

fn the_page_is_fit_to_be_seen(browser: &Browser, process: &Process) {
    let ban = |subject: &str, reason: &str| {
        let body = json!({"subject": subject, "minutes": 600, "reason": reason}).to_string().into_bytes();
        let (status, answer) = Http::new().post(&format!("{}/admin/bans", process.base), &[], body).unwrap();
        assert_eq!(status, 200, "{answer}");
    };
    ban(BANNED, "floods: 900 connections in a minute, none of them sends a share");
    ban("2001:db8:7::/64", "sends the same announcements under other addresses");
    write(&process.file, &process.data, "", 4);
    browser.forget();
    browser.complaints();
    for look in Look::ALL {
        browser.look(look);
        let what = format!("admin ({})", look.name);
        process.open(browser);
        audit::stillness(browser, &what);
        let bytes = audit::weight(browser, &process.base, &what);
        let wide = browser.script("return document.documentElement.scrollWidth > innerWidth");
        assert_eq!(wide, json!(false), "{what} is wider than its window");
        audit::accessibility(browser, look, &what);
        browser.picture(&pictures().join(format!("admin-{}.png", look.name)));
        // What opens only when somebody acts must be as good.
        browser.click("#bans tbody .act button");
        browser.click("#reload");
        browser.click("#keys summary");
        browser.until("two proposals", "document.querySelectorAll('[role=group]').length === 2");
        browser.until("the keys", "document.querySelector('#keys tbody tr')");
        let wide = browser.script("return document.documentElement.scrollWidth > innerWidth");
        assert_eq!(wide, json!(false), "{what} is wider than its window with everything open");
        audit::accessibility(browser, look, &format!("{what} with everything open"));
        browser.click("#keys summary");
        browser.picture(&pictures().join(format!("admin-acts-{}.png", look.name)));
        let complaints = browser.complaints();
        assert!(complaints.is_empty(), "{what}: the browser complains: {complaints:#?}");
        println!("{what}: {bytes} bytes");
    }
    browser.look(Look::DARK);
}

fn it_says_that_it_needs_scripts(browser: &Browser, process: &Process) {
    browser.run_scripts(false);
    browser.open(&format!("{}/admin", process.base));
    let text = browser.text("main").unwrap();
    assert!(text.contains("needs JavaScript") && text.contains("headframe admin"), "{text}");
    browser.run_scripts(true);
}

#[test]
fn u8_the_admin_page_asks_for_the_token_and_keeps_it_in_its_tab() {
    if !crate::is_equipped() {
        return;
    }
    let (_folder, path) = folder();
    let token = path.join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let setting = format!("token_file = \"{}\"", token.display());
    let (process, browser) = Browser::start_beside(|| Process::start(&path, &setting, &[]));
    let address = format!("{}/admin", process.base);
    browser.look(Look::DARK);
    browser.open(&address);
    browser.until("the form", "!document.querySelector('#token').hidden");
    assert_eq!(browser.count("tbody tr"), 0, "nothing is told yet");
    assert_eq!(browser.complaints(), Vec::<String>::new(), "and nothing was asked");
    for look in Look::ALL {
        browser.look(look);
        audit::accessibility(&browser, look, "the form for the token");
        browser.picture(&pictures().join(format!("admin-token-{}.png", look.name)));
    }
    browser.look(Look::DARK);
    let submit = |token: &str| {
        browser.fill("#token-field", token);
        browser.press_enter("#token-field");
    };
    for (wrong, reason) in
        [("nonsense", "That is no token"), (&TOKEN.replace('5', "6"), "not the token of this process")]
    {
        submit(wrong);
        browser.until(
            reason,
            &format!("document.querySelector('#token-trouble').innerText.includes({})", json!(reason)),
        );
    }
    assert_eq!(browser.count("tbody tr"), 0, "nothing is told to a guess");
    submit(TOKEN);
    browser.until("the page", "!document.querySelector('#all').hidden");
    assert!(browser.text("#queues").unwrap().contains("AnnHandler main"));
    assert_eq!(browser.script("return localStorage.length"), json!(0));
    let kept = browser.script("return document.cookie + document.documentElement.outerHTML + location.href");
    assert!(!kept.as_str().unwrap().contains(TOKEN), "the token is in the page");
    // Another load of the tab needs no other word; forgotten is forgotten.
    process.open(&browser);
    browser.click("#forget");
    browser.until("the form again", "!document.querySelector('#token').hidden");
    browser.open(&address);
    browser.until("the form again", "!document.querySelector('#token').hidden");
    assert_eq!(browser.script("return sessionStorage.length"), json!(0));
}
