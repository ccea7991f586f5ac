//! The program as a person meets it: what it prints, and the exit codes.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::path::Path;
use std::process::{Command, Output};

fn headframe(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headframe"))
        .args(arguments)
        .env_remove("HEADFRAME_CONFIG")
        .output()
        .unwrap()
}

fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_why() {
    let output = headframe(&["upp"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text_of(&output.stderr).contains("a similar subcommand exists: 'up'"), "{output:?}");
}

#[test]
fn a_wrong_configuration_ends_with_3_and_prints_every_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pool.toml");
    std::fs::write(&file, "[master]\nmine_old_ann = 2\n[pay_maker]\npool_fee = 7\n").unwrap();
    let file = file.to_str().unwrap();
    for arguments in
        [&["config", "check", file][..], &["up", "--config", file], &["master", "--config", file]]
    {
        let output = headframe(arguments);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let printed = text_of(&output.stderr);
        assert!(printed.contains("2 errors in the configuration"), "{printed}");
        assert!(printed.contains(&format!("{file}:2:1: `master.mine_old_ann` is no key")), "{printed}");
        assert!(printed.contains("did you mean `mine_old_anns`?"), "{printed}");
        assert!(
            printed.contains(&format!("{file}:4:12: `pay_maker.pool_fee` must be a decimal number")),
            "{printed}"
        );
    }
}

/// The text of each wrong configuration of the table, and what is said about it.
fn wrong_configurations() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let cases = include_str!("../src/config/wrong_configurations.txt").split("### ").skip(1);
    cases.map(|case| {
        let (text, said) = case.split_once("---\n").unwrap();
        let (_title, text) = text.split_once('\n').unwrap();
        (text, said.lines().filter(|line| !line.is_empty()).collect())
    })
}

/// Neither a folder nor a file nor a port, whatever is to be started: not even where only the last of many roles is wrong.
#[test]
fn nothing_is_started_half_with_a_wrong_configuration() {
    let parts: [&[&str]; 6] =
        [&["master"], &["pay-maker"], &["site"], &["monitor"], &["nimiq", "service"], &["nimiq", "payout"]];
    let mut alone = parts.into_iter().cycle();
    for (text, said) in wrong_configurations() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pool.toml"), text).unwrap();
        let run = |words: &[&str]| {
            // Whatever starts after all is stopped.
            let mut command = Command::new("timeout");
            command.args(["60", env!("CARGO_BIN_EXE_headframe")]).args(words).current_dir(folder.path());
            command.env_remove("HEADFRAME_CONFIG").output().unwrap()
        };
        // A role that runs alone needs none of the files of others.
        let is_wrong_for_all = !run(&["config", "check", "--elsewhere", "pool.toml"]).status.success();
        let alone = alone.next().filter(|_| is_wrong_for_all);
        for words in [&["up"][..]].into_iter().chain(alone) {
            let output = run(&[words, &["--config", "pool.toml"]].concat());
            assert_eq!(output.status.code(), Some(3), "{words:?} of\n{text}{output:?}");
            assert_eq!(text_of(&output.stdout), "", "nothing says that it serves");
            let told = text_of(&output.stderr);
            let is_all_told = said.iter().all(|line| told.contains(line));
            assert!(is_all_told || words != ["up"], "{text}says\n{told}");
            let left = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 1, "{words:?} of\n{text}has left something behind");
        }
    }
}

#[test]
fn a_configuration_that_is_not_there_ends_with_1_and_is_named() {
    let output = headframe(&["config", "check", "/nonexistent/pool.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let printed = text_of(&output.stderr);
    assert!(
        printed.starts_with("headframe: cannot read the configuration /nonexistent/pool.toml: "),
        "{printed}"
    );
    assert_eq!(printed.lines().count(), 1, "one line: {printed}");
}

#[test]
fn the_printed_example_passes_the_check() {
    let example = headframe(&["config", "example"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pool.toml");
    std::fs::write(&file, &example.stdout).unwrap();
    let output = headframe(&["config", "check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text_of(&output.stdout).ends_with("pool.toml: no errors\n"));
}

#[test]
fn each_page_of_the_manual_says_of_which_version_it_is_and_not_as_its_date() {
    let folder = tempfile::tempdir().unwrap();
    let output = headframe(&["manual", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    for page in ["headframe", "headframe-up", "headframe-admin-bans-add"] {
        let text = std::fs::read_to_string(folder.path().join(format!("{page}.1"))).unwrap();
        let title = text.lines().find(|line| line.starts_with(".TH ")).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(title, format!(".TH {page} 1 \" \" \"headframe {version}\" Headframe"));
    }
}

#[test]
fn who_to_pay_recomputes_a_distribution_to_the_last_digit_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, lines: &[&str]| {
        let path = folder.path().join(name);
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        path.to_str().unwrap().to_owned()
    };
    let block = r#"{"type":"block","time":1600000000000,"eventId":"00000000000000000000000000000001","hash":"0000000000000000000000000000000100000000000000000000000000000000","height":5,"difficulty":1}"#;
    let anns = r#"{"type":"anns","time":1600000030000,"eventId":"00000000000000000000000000000002","accepted":1000,"dup":0,"inval":0,"badHash":0,"runt":0,"internalErr":0,"unsigned":0,"totalLen":0,"target":521142271,"payTo":"pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2"}"#;
    let (one, two) = (write("1.ndjson", &[block]), write("2.ndjson", &[anns, anns]));
    let forwards = headframe(&["who-to-pay", "--events", &one, &two]);
    let backwards = headframe(&["who-to-pay", "--events", &two, &one]);
    assert_eq!(forwards.status.code(), Some(0), "{forwards:?}");
    assert_eq!(text_of(&forwards.stdout), text_of(&backwards.stdout));
    let document: serde_json::Value = serde_json::from_slice(&forwards.stdout).unwrap();
    let paid = document["result"].as_object().unwrap();
    assert!(
        paid.contains_key("pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2"),
        "{document}"
    );

    // Before the announcements there is nobody but the default payee.
    let earlier = headframe(&["who-to-pay", "--events", &one, &two, "--at", "2020-09-13T12:26:50Z"]);
    let document: serde_json::Value = serde_json::from_slice(&earlier.stdout).unwrap();
    assert_eq!(document["result"].as_object().unwrap().len(), 1, "{document}");
}

#[test]
fn the_readme_names_only_commands_and_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    for line in readme.lines() {
        for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(link.starts_with("https://") || root.join(link).exists(), "{link}");
        }
        let starts = ["target/release/headframe ", "`headframe "];
        let quoted = starts.iter().find_map(|start| line.split_once(start)).map(|(_, command)| command);
        let Some(command) = quoted.or_else(|| line.strip_prefix("headframe ")) else { continue };
        let command: String = command.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        let help = headframe(&[&command, "--help"]);
        assert!(command.is_empty() || help.status.success(), "{line}");
    }
}
