//! What a program is made of: every crate that is linked into it, as a bill of materials (CycloneDX) that scanners for known
//! faults read, and with the licences and notices that go along with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};

/// A crate that is a part of the program.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    name: String,
    version: String,
    /// An SPDX expression; empty where the crate names none.
    license: String,
    /// Whether it is a crate of this project.
    is_own: bool,
}

/// The parts of `headframe` on this target, as the build chooses them: of optional ones only those that are asked for. What
/// runs only in the compiler or builds something is none.
pub fn parts(target: &str) -> anyhow::Result<BTreeSet<Part>> {
    let tree = ["tree", "--locked", "--package", "headframe", "--edges", "normal,no-proc-macro"];
    let shown = ["--prefix", "none", "--format", "{p}\t{l}", "--target", target];
    read_tree(&said_by_cargo(&[&tree[..], &shown].concat())?)
}

/// Reads lines such as `serde v1.0.0<tab>MIT OR Apache-2.0`; ` (*)` ends a line that was there before.
fn read_tree(text: &str) -> anyhow::Result<BTreeSet<Part>> {
    let part = |line: &str| {
        let (package, license) = line.trim_end_matches(" (*)").split_once('\t')?;
        let (name, version) = package.split_once(" v")?;
        let (version, place) = version.split_once(' ').unwrap_or((version, ""));
        let license = license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ");
        Some(Part { name: name.into(), version: version.into(), license, is_own: place.starts_with("(/") })
    };
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| part(line).with_context(|| format!("cargo tree says {line:?}"))).collect()
}

/// The bill of materials.
pub fn bill(parts: &BTreeSet<Part>) -> anyhow::Result<String> {
    let (program, linked): (Vec<&Part>, Vec<&Part>) =
        parts.iter().partition(|part| part.is_own && part.name == "headframe");
    let program = program.first().context("there is no package headframe")?;
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(program, "application")},
        "components": linked.into_iter().map(|part| component(part, "library")).collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

fn component(part: &Part, kind: &str) -> Value {
    let Part { name, version, license, is_own } = part;
    let mut component = json!({"type": kind, "name": name, "version": version});
    if !license.is_empty() {
        component["licenses"] = json!([{"expression": license}]);
    }
    if !is_own {
        component["purl"] = format!("pkg:cargo/{name}@{version}").into();
    }
    component
}

/// The licences and notices of all parts that are not ours, each text once, behind the names of those that it is for.
pub fn licenses(parts: &BTreeSet<Part>) -> anyhow::Result<String> {
    let folders = folders()?;
    let mut texts = BTreeMap::<String, BTreeSet<String>>::new();
    for Part { name, version, license, .. } in parts.iter().filter(|part| !part.is_own) {
        let folder = folders.get(&(name.clone(), version.clone()));
        let folder = folder.with_context(|| format!("cargo metadata does not know {name} {version}"))?;
        let mut found = texts_in(folder)?;
        if found.is_empty() {
            found.push("(These bring no text along.)".to_owned());
        }
        for text in found {
            texts.entry(text).or_default().insert(format!("{name} {version} ({license})"));
        }
    }
    let part = |(text, names): (String, BTreeSet<String>)| {
        let names = names.into_iter().collect::<Vec<_>>().join("\n");
        format!("{names}\n\n{}\n\n{}\n\n", text.trim_end(), "=".repeat(80))
    };
    Ok(texts.into_iter().map(part).collect())
}

/// What a crate brings along for those who hand it on.
fn texts_in(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let (file, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let name = name.to_string_lossy().to_uppercase();
        let is_meant = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
        if is_meant.iter().any(|start| name.starts_with(start)) && file.is_file() {
            texts.push(String::from_utf8_lossy(&std::fs::read(&file)?).replace('\r', ""));
        }
    }
    Ok(texts)
}

/// Where the source of each crate is, by name and version.
fn folders() -> anyhow::Result<BTreeMap<(String, String), PathBuf>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        manifest_path: PathBuf,
    }
    let said = said_by_cargo(&["metadata", "--locked", "--format-version", "1"])?;
    let Metadata { packages } = serde_json::from_str(&said)?;
    let folder = |package: Package| {
        Some(((package.name, package.version), package.manifest_path.parent()?.to_owned()))
    };
    Ok(packages.into_iter().filter_map(folder).collect())
}

fn said_by_cargo(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(env!("CARGO")).args(arguments).output().context("cannot start cargo")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "cargo {}: {complaint}", arguments[0]);
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "headframe v0.1.0 (/house/crates/headframe)\tMIT OR Apache-2.0\n\
                        pool v0.1.0 (/house/crates/pool)\tMIT OR Apache-2.0\n\
                        serde v1.0.0\tMIT / Apache-2.0\n\
                        ring v0.17.0\t\n\
                        serde v1.0.0\tMIT / Apache-2.0 (*)\n";

    #[test]
    fn each_crate_is_named_once_with_its_licence_and_where_it_comes_from() {
        let bill: Value = serde_json::from_str(&bill(&read_tree(TREE).unwrap()).unwrap()).unwrap();
        assert_eq!(bill["metadata"]["component"]["name"], "headframe");
        let parts = bill["components"].as_array().unwrap();
        let names: Vec<&str> = parts.iter().map(|part| part["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["pool", "ring", "serde"]);
        assert!(parts[0]["purl"].is_null() && parts[1]["licenses"].is_null());
        assert_eq!(parts[2]["purl"], "pkg:cargo/serde@1.0.0");
        assert_eq!(parts[2]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert!(read_tree("serde 1.0.0\n").is_err());
    }

    /// Features that this workspace does not use bring crates that `cargo metadata` names all the same.
    #[test]
    fn the_program_consists_of_what_is_linked_into_it() {
        let parts = parts("x86_64-unknown-linux-gnu").unwrap();
        let has = |name: &str| parts.iter().any(|part| part.name == name);
        assert!(has("pool") && has("rustls") && has("sqlx-postgres"));
        for not in ["ring", "quinn", "sqlx-mysql", "serde_derive", "cc", "tempfile", "proptest"] {
            assert!(!has(not), "{not}");
        }
        let licenses = licenses(&parts).unwrap();
        assert!(
            licenses.contains("rustls 0.")
                && licenses.contains("Permission is hereby granted, free of charge")
        );
    }
}
