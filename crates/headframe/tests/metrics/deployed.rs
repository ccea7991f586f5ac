//! What operators are given for Prometheus and Grafana: that it fits what the program serves, and is whole.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::pool::Pool;
use crate::{families, project_file, prometheus, sandbox};

/// A file that operators are given.
pub fn deployed(path: &str) -> String {
    std::fs::read_to_string(project_file("deploy").join(path)).unwrap()
}

/// The alerts of the rules, in their order, each once.
pub fn alerts() -> BTreeSet<String> {
    let named = |line: &str| Some(line.trim().strip_prefix("- alert: ")?.to_owned());
    deployed("prometheus/alerts.yml").lines().filter_map(named).collect()
}

/// Each rule of an alert that has several: its name, and the label by which it is told from the others.
fn rules_of_one_name() -> Vec<(String, String)> {
    let text = deployed("prometheus/alerts.yml");
    let rules = text.split("- alert: ").skip(1).filter_map(|rule| {
        let work = rule.lines().find_map(|line| line.trim().strip_prefix("work: "))?;
        Some((rule.lines().next()?.to_owned(), work.to_owned()))
    });
    let rules: Vec<_> = rules.collect();
    let alone = text.matches("- alert: ").count() - rules.len();
    assert_eq!(alone + 1, alerts().len(), "alerts of one name differ by `work`, and are those of one kind");
    rules
}

/// Where an alert's page is: `RoleNotReady` in `role-not-ready.md`.
fn page(alert: &str) -> String {
    let mut name = String::new();
    for letter in alert.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    format!("docs/operators/runbooks/{name}.md")
}

/// The metrics that a text with queries in it names.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours = |word: &&str| word.starts_with("headframe_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

/// Whether a query for `name` finds something among `families`.
fn is_served(name: &str, families: &[(&str, &str)]) -> bool {
    families.iter().any(|(family, kind)| {
        let parts = if *kind == "histogram" { &["_bucket", "_sum", "_count"][..] } else { &[""] };
        parts.iter().any(|part| name.strip_suffix(part) == Some(family))
    })
}

#[test]
fn prometheus_takes_the_rules_and_each_fires_at_its_fault() {
    prometheus::run(&[
        "check",
        "config",
        &project_file("deploy/prometheus/prometheus.yml").display().to_string(),
    ]);
    prometheus::run(&["check", "rules", &project_file("deploy/prometheus/alerts.yml").display().to_string()]);
    let tests = project_file("deploy/prometheus/alerts.test.yml");
    prometheus::run(&["test", "rules", &tests.display().to_string()]);
    let tests = std::fs::read_to_string(tests).unwrap();
    for alert in alerts() {
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels:");
        assert!(tests.contains(&fires), "no test makes {alert} fire");
        let silent = format!("alertname: {alert}\n        exp_alerts: []");
        assert!(tests.contains(&silent), "no test shows {alert} silent");
    }
}

/// Rules that nothing has ever made fire may be wrong in what they think they see.
#[test]
fn every_alert_is_seen_firing_by_a_real_prometheus() {
    let folder = project_file("crates/headframe/tests/metrics");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let tests: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    for alert in alerts() {
        let seen = ["until_fires", "firing"].map(|wait| tests.contains(&format!("{wait}(\"{alert}\"")));
        assert!(seen.contains(&true), "no test waits until {alert} fires");
    }
    for (alert, work) in rules_of_one_name() {
        let wait = format!("until_fires(\"{alert}\", \"work\", \"{work}\")");
        assert!(tests.contains(&wait), "no test waits until {alert} of {work} fires");
    }
}

#[test]
fn every_alert_has_its_page_and_every_page_its_alert() {
    let rules = deployed("prometheus/alerts.yml");
    let index = std::fs::read_to_string(project_file("docs/operators/runbooks/README.md")).unwrap();
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    for alert in alerts() {
        let page = page(&alert);
        assert!(rules.contains(&format!("runbook_url: {page}\n")), "{alert} does not name {page}");
        let text =
            std::fs::read_to_string(project_file(&page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        for part in [&format!("# {alert}\n"), "## What it means", "## Where to look", "## How to mend it"] {
            assert!(text.contains(part), "{page} has no {part:?}");
        }
        let file = page.rsplit('/').next().unwrap().to_owned();
        assert!(index.contains(&format!("[{alert}]({file})")), "the list of runbooks lacks {alert}");
        pages.insert(file);
    }
    for entry in std::fs::read_dir(project_file("docs/operators/runbooks")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.contains(&file), "{file} belongs to no alert");
    }
}

/// A page that sends people to a key that does not exist is worse than none.
#[test]
fn keys_and_pages_that_the_runbooks_name_exist() {
    let example = std::fs::read_to_string(project_file("pool.example.toml")).unwrap();
    for entry in std::fs::read_dir(project_file("docs/operators/runbooks")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let Some((section, key)) = quoted.split_once('.') else { continue };
            let is_key = [section, key].iter().all(|part| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            });
            if !is_key || ["sqlite", "conf", "yml", "json"].contains(&key) {
                continue;
            }
            let (single, repeated) = (format!("\n[{section}]\n"), format!("[[{section}]]\n"));
            let from = example.find(&single).or_else(|| example.find(&repeated));
            let section_text =
                &example[from.unwrap_or_else(|| panic!("{}: no section [{section}]", path.display()))..];
            let found = section_text.contains(&format!("\n# {key} = "));
            assert!(found, "{}: `{quoted}` is no key", path.display());
        }
        let folder = path.parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(folder.join(link).exists(), "{}: there is no {link}", path.display());
        }
    }
}

#[test]
fn queries_name_what_up_serves() {
    let (_folder, path) = sandbox::folder();
    let pool = Pool::start(&path);
    pool.until_every_role_has_worked();
    let text = pool.metrics();
    let families = families(&text);
    // There as soon as something is refused or fails, or somebody is to be told; and the public figures, each as soon as it
    // is known.
    let late = [
        "headframe_nimiq_refusals_total",
        "headframe_node_call_failures_total",
        "headframe_notice_failures_total",
        "headframe_notices_delivered_total",
        "headframe_notices_lost_total",
    ];
    let notes = std::fs::read_to_string(project_file("docs/operators/metrics.md")).unwrap();
    let comes_late = |name: &str| {
        (late.contains(&name) || name.starts_with("headframe_pool_")) && notes.contains(&format!("`{name}`"))
    };
    let mut files = vec!["prometheus/alerts.yml".to_owned()];
    files.extend(dashboards().map(|(name, _)| name));
    for file in files {
        for name in metrics_in(&deployed(&file)) {
            assert!(comes_late(&name) || is_served(&name, &families), "{file}: nobody serves {name}");
        }
    }
}

/// The dashboards, by their place below `deploy`.
fn dashboards() -> impl Iterator<Item = (String, Value)> {
    ["grafana/operator.json", "grafana/public.json"].into_iter().map(|name| {
        let text = deployed(name);
        (name.to_owned(), serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
    })
}

/// Units of Grafana that the dashboards use, by its names for them.
const UNITS: [&str; 9] =
    ["short", "none", "s", "cps", "Bps", "bytes", "percentunit", "Hs", "dateTimeFromNow"];

/// What Grafana's import page needs, so that nobody has to edit the file.
#[test]
fn dashboards_import_as_they_are() {
    let mut ids = BTreeSet::new();
    for (name, board) in dashboards() {
        assert_eq!(board["__inputs"][0]["name"], "DS_PROMETHEUS", "{name}");
        assert_eq!(board["__inputs"][0]["type"], "datasource", "{name}");
        assert_eq!(board["__inputs"][0]["pluginId"], "prometheus", "{name}");
        let required = board["__requires"].as_array().unwrap();
        assert!(required.iter().any(|part| part["type"] == "grafana"), "{name}");
        assert!(required.iter().any(|part| part["id"] == "prometheus"), "{name}");
        assert!(board["schemaVersion"].as_u64().unwrap() >= 36, "{name}");
        assert!(board["id"].is_null(), "{name}: an id belongs to one Grafana");
        assert!(ids.insert(board["uid"].as_str().unwrap().to_owned()), "{name}: its uid is another's");
        assert!(!board["title"].as_str().unwrap().is_empty());
        let mut panels = BTreeSet::new();
        for panel in board["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(panels.insert(panel["id"].as_u64().unwrap()), "{name}: {title} has an id twice");
            let place = &panel["gridPos"];
            assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{name}: {title}");
            let kind = panel["type"].as_str().unwrap();
            let of_row = kind == "row";
            assert!(of_row || required.iter().any(|part| part["id"] == kind), "{name}: {title} is a {kind}");
            if of_row {
                continue;
            }
            assert_eq!(panel["datasource"]["uid"], "${DS_PROMETHEUS}", "{name}: {title}");
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{name}: {title}");
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
            let of_its_own = unit.starts_with("suffix:") || unit.starts_with("si:");
            assert!(of_its_own || UNITS.contains(&unit), "{name}: {title}: Grafana has no unit {unit:?}");
            for target in panel["targets"].as_array().unwrap() {
                assert!(!target["expr"].as_str().unwrap().is_empty(), "{name}: {title}");
                assert_eq!(target["datasource"]["uid"], "${DS_PROMETHEUS}", "{name}: {title}");
            }
        }
    }
    let (_, public) = dashboards().find(|(name, _)| name.ends_with("public.json")).unwrap();
    // Grafana shares only such as public ones.
    assert_eq!(public["templating"]["list"].as_array().map(Vec::len), Some(0));
    let names = metrics_in(&public.to_string());
    let public_only = names.iter().all(|name| name.starts_with("headframe_pool_"));
    assert!(public_only, "the public dashboard shows more than the public figures: {names:?}");
}
