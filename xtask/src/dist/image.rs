//! The container image: `deploy/Dockerfile`, built by whichever engine there is. The program is compiled within.

use std::process::Command;

use anyhow::Context;

use crate::test::answers;

/// What builds images, the most usual first. Of docker the daemon must answer too.
const ENGINES: [&str; 3] = ["docker", "podman", "buildah"];

/// Builds it, and gives back its name. To be called in the root of the project.
pub fn build() -> anyhow::Result<String> {
    let engine = ENGINES.into_iter().find(|engine| answers(engine, &["version"]));
    let engine = engine.context(
        "no container engine answers here: install docker and start its daemon, or install podman or buildah",
    )?;
    let name = format!("headframe:{}", env!("CARGO_PKG_VERSION"));
    println!("{engine} builds {name}");
    let mut command = Command::new(engine);
    command.args(["build", "--file", "deploy/Dockerfile", "--tag", &name, "--tag", "headframe:latest"]);
    if let Some(commit) = commit() {
        command.arg("--build-arg").arg(format!("HEADFRAME_BUILD={commit}"));
    }
    if engine == "docker" {
        // Old ones do not know a `RUN --mount` otherwise.
        command.env("DOCKER_BUILDKIT", "1");
    } else {
        // The other format has no place for the question after its health.
        command.args(["--format", "docker"]);
    }
    let status = command.arg(".").status().with_context(|| format!("cannot start {engine}"))?;
    anyhow::ensure!(status.success(), "{engine} has not built the image: {status}");
    Ok(name)
}

/// What the program is built from: the image is built from the source without its history.
fn commit() -> Option<String> {
    let said = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let is_known = said.status.success();
    is_known.then(|| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}
