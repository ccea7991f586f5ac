//! The bill of materials: every crate that a program is made of, with version, licence and where it comes from, as a
//! CycloneDX document that scanners for known faults read.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};

/// What `cargo metadata` says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// `None`: a crate of this project.
    source: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    /// `None`: it becomes a part of the program.
    kind: Option<String>,
}

/// The document for the program `headframe` on this target.
pub fn document(target: &str) -> anyhow::Result<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", target]);
    let output = cargo.output().context("cannot start cargo")?;
    anyhow::ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    Ok(serde_json::to_string_pretty(&made_of(&metadata)?)? + "\n")
}

fn made_of(metadata: &Metadata) -> anyhow::Result<Value> {
    let own = |package: &&Package| package.name == "headframe" && package.source.is_none();
    let program = metadata.packages.iter().find(own).context("there is no package headframe")?;
    let parts = parts(&metadata.resolve, &program.id);
    let mut packages: Vec<&Package> =
        metadata.packages.iter().filter(|package| parts.contains(package.id.as_str())).collect();
    packages.sort_by_key(|package| (&package.name, &package.version));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(program, "application")},
        "components": packages.into_iter().map(|package| component(package, "library")).collect::<Vec<_>>(),
    }))
}

/// What is linked into a package, through others too. What only builds or tests it is not.
fn parts<'r>(resolve: &'r Resolve, program: &'r str) -> BTreeSet<&'r str> {
    let nodes: BTreeMap<&str, &Node> = resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let (mut found, mut ahead) = (BTreeSet::new(), vec![program]);
    while let Some(node) = ahead.pop().and_then(|id| nodes.get(id)) {
        let linked = node.deps.iter().filter(|to| to.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        ahead.extend(linked.map(|to| to.pkg.as_str()).filter(|id| found.insert(*id)));
    }
    found
}

fn component(package: &Package, kind: &str) -> Value {
    let Package { name, version, license, source, .. } = package;
    let mut component = json!({"type": kind, "name": name, "version": version});
    if let Some(license) = license {
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    if source.as_ref().is_some_and(|source| source.starts_with("registry+")) {
        component["purl"] = format!("pkg:cargo/{name}@{version}").into();
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_named_and_what_only_builds_or_tests_is_not() {
        let package = |name: &str, source: Option<&str>| json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "source": source});
        let registry = Some("registry+https://registry.example");
        let to = |pkg: &str, kind: Value| json!({"pkg": pkg, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "packages": [
                package("headframe", None), package("pool", None), package("serde", registry),
                package("cc", registry), package("tempfile", registry),
            ],
            "resolve": {"nodes": [
                {"id": "headframe", "deps": [to("pool", Value::Null), to("tempfile", "dev".into())]},
                {"id": "pool", "deps": [to("serde", Value::Null), to("cc", "build".into())]},
                {"id": "serde", "deps": []}, {"id": "cc", "deps": []}, {"id": "tempfile", "deps": []},
            ]},
        });
        let said = made_of(&serde_json::from_value(metadata).unwrap()).unwrap();
        assert_eq!(said["metadata"]["component"]["name"], "headframe");
        let names: Vec<&str> = said["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|component| component["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["pool", "serde"]);
        assert_eq!(said["components"][1]["purl"], "pkg:cargo/serde@1.0.0");
        assert_eq!(said["components"][1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert!(said["components"][0]["purl"].is_null());
    }
}
