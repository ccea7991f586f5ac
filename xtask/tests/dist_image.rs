//! `cargo xtask dist --image`: which engine is asked, and for what. The engines here are scripts that say what they were told.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// An engine that answers, and one that is only a client.
const ANSWERS: &str = "exit 0";
const HAS_NO_DAEMON: &str = "echo 'Cannot connect to the daemon' >&2; exit 1";

fn engine(folder: &Path, name: &str, version: &str) {
    let file = folder.join(name);
    let script = format!("#!/bin/sh\nif [ \"$1\" = version ]; then {version}; fi\necho {name} \"$@\"\n");
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn dist_image(programs: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["dist", "--image"])
        .env("PATH", programs)
        .output()
        .unwrap()
}

#[test]
fn an_engine_that_cannot_build_is_passed_over_and_the_health_question_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    engine(folder.path(), "docker", HAS_NO_DAEMON);
    engine(folder.path(), "buildah", ANSWERS);
    let done = dist_image(folder.path());
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{said}");
    let order = said.lines().find(|line| line.starts_with("buildah build ")).unwrap();
    let name = format!("headframe:{}", env!("CARGO_PKG_VERSION"));
    for part in ["--file deploy/Dockerfile", &format!("--tag {name}"), "--format docker"] {
        assert!(order.contains(part), "{order}");
    }
    assert!(order.ends_with(" ."), "{order}");
    assert!(said.ends_with(&format!("image: {name}\n")), "{said}");
}

#[test]
fn docker_is_not_told_the_format_that_it_alone_has() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["docker", "podman"] {
        engine(folder.path(), name, ANSWERS);
    }
    let said = String::from_utf8(dist_image(folder.path()).stdout).unwrap();
    let order = said.lines().find(|line| line.starts_with("docker build ")).unwrap();
    assert!(!order.contains("--format") && !said.contains("podman"), "{said}");
}

#[test]
fn without_an_engine_one_line_says_what_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    engine(folder.path(), "docker", HAS_NO_DAEMON);
    let done = dist_image(folder.path());
    assert!(!done.status.success());
    let complaint = String::from_utf8(done.stderr).unwrap();
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains("no container engine answers here"), "{complaint}");
}
