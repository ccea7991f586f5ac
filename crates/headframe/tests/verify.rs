//! `headframe verify` on the recorded announcements, shares and blocks of real nodes, and on the statements of a pool.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn vectors(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(file)
}

fn recorded(file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(vectors(file)).unwrap()).unwrap()
}

/// The exit code and the lines of a run.
fn verify(arguments: &[&str]) -> (i32, Vec<Value>) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_headframe")).arg("verify").args(arguments).output().unwrap();
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), lines)
}

/// A file with these bytes.
fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// `--parent` for each announcement of a recording.
fn parents(recording: &Value) -> Vec<String> {
    let announcements = recording["announcements"].as_array().unwrap();
    let parent = |announcement: &Value| {
        let hash = announcement["parent_hash"].as_str().unwrap();
        ["--parent".to_owned(), format!("{}:{hash}", announcement["parent_height"])]
    };
    announcements.iter().flat_map(parent).collect()
}

#[test]
fn announcements_get_a_line_each_with_the_name_of_their_fault() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(vectors("announcements/anns_valid.jsonl")).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let good = hex::decode(first["ann"].as_str().unwrap()).unwrap();
    let mut altered = good.clone();
    altered[1000] ^= 1;
    let both = file(&folder, "anns", &[good, altered].concat());
    let parent = first["parent"].as_str().unwrap();

    let (code, lines) = verify(&["announcement", "--parent-hash", parent, &both]);
    assert_eq!(code, 1);
    assert_eq!((&lines[0]["valid"], &lines[0]["work_hash"]), (&json!(true), &first["work_hash"]));
    assert_eq!((&lines[1]["valid"], &lines[1]["index"]), (&json!(false), &json!(1)));
    assert_eq!(lines[1]["code"], "INVAL_ITEM4");

    let runt = file(&folder, "runt", &[0; 1000]);
    let (code, lines) = verify(&["announcement", "--parent-hash", parent, &runt]);
    assert_eq!((code, &lines[0]["code"]), (1, &json!("LENGTH")));
}

#[test]
fn a_share_is_valid_for_its_work_and_for_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let recording = recorded("blocks-real/pool-114926.json");
    let work = file(&folder, "work", &hex::decode(recording["work_file"].as_str().unwrap()).unwrap());
    let body = recording["share_post"]["body"].clone();
    let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    let share = file(&folder, "share", body.as_bytes());
    let parents = parents(&recording);
    let with = |work: &str| {
        let parents = parents.iter().map(String::as_str);
        let arguments: Vec<&str> =
            ["share", "--work", work].into_iter().chain(parents).chain([share.as_str()]).collect();
        verify(&arguments)
    };
    let (code, lines) = with(&work);
    assert_eq!((code, &lines[0]["is_block"]), (0, &json!(true)), "{lines:?}");
    assert_eq!(lines[0]["block_hash"], recording["block_hash"]);

    let other = recorded("blocks-real/pool-114927.json");
    let other = file(&folder, "other", &hex::decode(other["work_file"].as_str().unwrap()).unwrap());
    let (code, lines) = with(&other);
    assert_eq!((code, &lines[0]["code"]), (1, &json!("other_previous_block")), "{lines:?}");
}

#[test]
fn a_block_is_valid_until_a_byte_of_its_money_changes() {
    let folder = tempfile::tempdir().unwrap();
    let recording = recorded("blocks-real/direct-114922.json");
    let hex = recording["block"].as_str().unwrap();
    let parents = parents(&recording);
    let height = recording["height"].to_string();
    let run = |text: &str| {
        let block = file(&folder, "block", text.as_bytes());
        let parents = parents.iter().map(String::as_str);
        let arguments: Vec<&str> =
            ["block", "--height", &height].into_iter().chain(parents).chain([block.as_str()]).collect();
        verify(&arguments)
    };
    let (code, lines) = run(hex);
    assert_eq!((code, &lines[0]["block_hash"]), (0, &recording["block_hash"]), "{lines:?}");

    let mut altered = hex.to_owned();
    // The last bytes are the coinbase's lock time, the ones before belong to an output.
    let place = altered.len() - 40;
    let other = if altered.as_bytes()[place] == b'0' { "1" } else { "0" };
    altered.replace_range(place..=place, other);
    let (code, lines) = run(&altered);
    assert_eq!((code, &lines[0]["code"]), (1, &json!("other_merkle_root")), "{lines:?}");
}

#[test]
fn a_record_of_statements_is_whole_or_says_where_it_is_not() {
    use pool::site::facts::sample;

    let folder = tempfile::tempdir().unwrap();
    let log = String::from_utf8(sample::statement_log().to_vec()).unwrap();
    let whole = file(&folder, "log", log.as_bytes());
    let (code, lines) = verify(&["statements", "--key", sample::STATEMENT_KEY, &whole]);
    assert_eq!((code, lines.len()), (0, log.lines().count()));
    assert_eq!((&lines[0]["stated"]["kind"], &lines[0]["stated"]["fee"]), (&json!("terms"), &json!("0.02")));

    let kept: Vec<&str> = log.lines().collect();
    let raised = kept[0].replace("\"fee\":\"0.02\"", "\"fee\":\"0.01\"");
    for (lines, place, reason) in [
        (vec![raised.as_str(), kept[1]], 0, "invalid_signature"),
        (vec![kept[0], kept[2]], 1, "wrong_number"),
        (vec![kept[0], "no such thing"], 1, "malformed"),
    ] {
        let changed = file(&folder, "changed", lines.join("\n").as_bytes());
        let (code, found) = verify(&["statements", &changed]);
        assert_eq!((code, &found[place]["code"]), (1, &json!(reason)), "{found:?}");
    }
    let (code, lines) = verify(&["statements", "--key", &"00".repeat(32), &whole]);
    assert_eq!((code, &lines[0]["code"]), (1, &json!("other_key")));
    let (code, lines) = verify(&["statements", &file(&folder, "nothing", b"")]);
    assert_eq!((code, &lines[0]["code"]), (1, &json!("empty")));
}
