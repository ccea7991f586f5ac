//! A browser that a test drives: Debian's Chromium without a window, through its WebDriver.
//!
//! WebDriver is JSON over HTTP, and these few calls are all that the tests need, so there is no dependency for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::sandbox::{Program, eventually, free_ports, within};

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Part of the screenshot's name.
    pub name: &'static str,
    width: u32,
    height: u32,
    scheme: &'static str,
}

impl Look {
    /// A desktop, dark: what visitors see first.
    pub const DARK: Self = Self { name: "dark", width: 1920, height: 1080, scheme: "dark" };
    /// Its light twin.
    pub const LIGHT: Self = Self { name: "light", width: 1440, height: 900, scheme: "light" };
    /// A phone.
    pub const PHONE: Self = Self { name: "phone", width: 390, height: 844, scheme: "dark" };
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DARK, Self::LIGHT, Self::PHONE];
}

/// One browser with one page.
pub struct Browser {
    _driver: Program,
    profile: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    session: String,
}

impl Browser {
    /// Starts Chromium, and meanwhile whatever it is to look at.
    pub fn start_beside<T>(start: impl FnOnce() -> T) -> (T, Self) {
        std::thread::scope(|scope| {
            let browser = scope.spawn(Self::start);
            let started = start();
            (started, browser.join().unwrap())
        })
    }

    /// Starts Chromium.
    fn start() -> Self {
        let [port] = free_ports();
        let driver = Program::start(Path::new("chromedriver"), &[&format!("--port={port}")]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().timeout(Duration::from_mins(5)).build().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self { _driver: driver, profile, runtime, client, session: String::new() };
        let root = format!("http://127.0.0.1:{port}");
        eventually("chromedriver to answer", || browser.try_get(&format!("{root}/status")));
        let folder = format!("--user-data-dir={}", browser.profile.path().display());
        // Neither a sandbox of its own nor shared memory of 64 MiB fit into a container.
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", &folder];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.post(&format!("{root}/session"), &wanted);
        let id = session["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {session}"));
        browser.session = format!("{root}/session/{id}");
        browser
    }

    fn try_get(&self, url: &str) -> Option<Value> {
        self.runtime.block_on(async { self.client.get(url).send().await.ok()?.json().await.ok() })
    }

    fn post(&self, url: &str, body: &Value) -> Value {
        let answer: Value = self.runtime.block_on(async {
            let answer = self.client.post(url).json(body).send().await;
            answer.unwrap_or_else(|error| panic!("{url}: {error}")).json().await.unwrap()
        });
        let value = &answer["value"];
        assert!(value["error"].is_null(), "{url} {body}: {value}");
        value.clone()
    }

    fn call(&self, what: &str, body: &Value) -> Value {
        self.post(&format!("{}/{what}", self.session), body)
    }

    /// A command of Chromium's own protocol.
    fn command(&self, name: &str, parameters: &Value) -> Value {
        self.call("goog/cdp/execute", &json!({"cmd": name, "params": parameters}))
    }

    /// Goes to a page and waits until it has loaded.
    pub fn open(&self, url: &str) {
        self.call("url", &json!({"url": url}));
    }

    /// Where it is.
    pub fn address(&self) -> String {
        self.script("return location.href").as_str().unwrap().to_owned()
    }

    /// What a script returns.
    pub fn script(&self, text: &str) -> Value {
        self.call("execute/sync", &json!({"script": text, "args": []}))
    }

    /// What a script hands to the function that is its last argument.
    pub fn waiting_script(&self, text: &str) -> Value {
        self.call("timeouts", &json!({"script": 300_000}));
        self.call("execute/async", &json!({"script": text, "args": []}))
    }

    /// The text of the first element that a selector finds, as it is seen.
    pub fn text(&self, selector: &str) -> Option<String> {
        let script = format!("return document.querySelector({})?.innerText", json!(selector));
        self.script(&script).as_str().map(str::to_owned)
    }

    /// How many elements a selector finds.
    pub fn count(&self, selector: &str) -> u64 {
        self.script(&format!("return document.querySelectorAll({}).length", json!(selector)))
            .as_u64()
            .unwrap()
    }

    /// Waits until a script returns something true.
    pub fn until(&self, what: &str, script: &str) {
        within(Duration::from_mins(5), what, || {
            (self.script(&format!("return Boolean({script})")) == json!(true)).then_some(())
        });
    }

    /// Types into a field, in place of what is there, as a keyboard does.
    pub fn fill(&self, selector: &str, text: &str) {
        let id = self.element(selector);
        self.call(&format!("element/{id}/clear"), &json!({}));
        self.call(&format!("element/{id}/value"), &json!({"text": text}));
    }

    /// Presses Enter in a field.
    pub fn press_enter(&self, selector: &str) {
        self.call(&format!("element/{}/value", self.element(selector)), &json!({"text": "\u{e007}"}));
    }

    /// Waits for an element: a page that is being loaded gets it soon.
    fn element(&self, selector: &str) -> String {
        self.until(selector, &format!("document.querySelector({})", json!(selector)));
        let element = self.call("element", &json!({"using": "css selector", "value": selector}));
        element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    /// Clicks on an element.
    pub fn click(&self, selector: &str) {
        self.call(&format!("element/{}/click", self.element(selector)), &json!({}));
    }

    /// Size and colours from now on.
    pub fn look(&self, look: Look) {
        let size = json!({
            "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 500,
        });
        self.command("Emulation.setDeviceMetricsOverride", &size);
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": look.scheme}]});
        self.command("Emulation.setEmulatedMedia", &scheme);
    }

    /// With or without scripts of pages, from the next page on.
    pub fn run_scripts(&self, are_run: bool) {
        self.command("Emulation.setScriptExecutionDisabled", &json!({"value": !are_run}));
    }

    /// Nothing is taken from the cache any more, as for somebody who comes first.
    pub fn forget(&self) {
        self.command("Network.enable", &json!({}));
        self.command("Network.setCacheDisabled", &json!({"cacheDisabled": true}));
    }

    /// Keeps a picture of the page from top to bottom.
    pub fn picture(&self, path: &Path) {
        let picture = self.command(
            "Page.captureScreenshot",
            &json!({"format": "png", "captureBeyondViewport": true, "clip": self.whole_page()}),
        );
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn whole_page(&self) -> Value {
        let metrics = self.command("Page.getLayoutMetrics", &json!({}));
        let size = &metrics["cssContentSize"];
        json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
    }

    /// What the browser complained of since the last call: errors of scripts, refused by the security policy, not found.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.call("se/log", &json!({"type": "browser"}));
        let severe = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends Chromium with the session; if it cannot any more, the test has failed already.
        let _ = self.runtime.block_on(async { self.client.delete(&self.session).send().await });
    }
}

/// Where pictures are kept: `target/screenshots`.
pub fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots")
}
