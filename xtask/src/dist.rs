//! `cargo xtask dist`: what is handed to operators, in `target/dist`: the program, linked statically where that is wished,
//! manual, completions, and a Debian package of all that with the systemd units of `deploy/`; what the program is made of,
//! and the checksum of the package. On wish the container image of `deploy/Dockerfile` instead.

mod debian;
mod image;
mod materials;
mod stage;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::reference::target_folder;
use crate::test::{answers, install_package};

/// For a program that needs no library of the system.
const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// What to make.
#[derive(Debug, clap::Args)]
pub struct Dist {
    /// How to build the program
    #[arg(long, default_value = "release")]
    profile: String,
    /// Links the program statically (x86-64): it then runs on any Linux
    #[arg(long = "static")]
    is_static: bool,
    /// Builds the container image of `deploy/Dockerfile` instead, with docker, podman or buildah
    #[arg(long = "image", conflicts_with_all = ["profile", "is_static"])]
    is_image: bool,
}

/// How the files are packed.
#[derive(Debug, Clone, Copy)]
pub enum Packing {
    /// To be downloaded: as small as may be, which takes most of a minute.
    Small,
    /// To be installed here, at once.
    Quick,
}

/// Makes all, and says where it is.
pub fn run(dist: &Dist) -> anyhow::Result<()> {
    std::env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
    if dist.is_image {
        println!("image: {}", image::build()?);
        return Ok(());
    }
    let folder = target_folder().join("dist");
    let package = package(&build(dist)?, dist.is_static, Packing::Small, &folder)?;
    println!("package: {}", package.display());
    let name = package.file_name().context("a package has a name")?;
    let sum = Command::new("sha256sum")
        .arg(name)
        .current_dir(&folder)
        .output()
        .context("cannot start sha256sum")?;
    anyhow::ensure!(sum.status.success(), "sha256sum: {}", String::from_utf8_lossy(&sum.stderr));
    std::fs::write(folder.join("SHA256SUMS"), sum.stdout)?;
    println!("its checksum: {}", folder.join("SHA256SUMS").display());
    Ok(())
}

/// Makes all of a program that is there, in `folder`, and gives back where the package is. To be called in the root of the
/// project.
pub fn package(program: &Path, is_static: bool, packing: Packing, folder: &Path) -> anyhow::Result<PathBuf> {
    let target = if is_static { STATIC_TARGET.to_owned() } else { host()? };
    let stage = stage::fill(program, &materials::parts(&target)?, &folder.join("stage"))?;
    debian::package(&stage, program, folder, is_static, packing)
}

/// The target that programs are built for here, if nobody says otherwise.
fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("-vV").output().context("cannot start rustc")?.stdout;
    let said = String::from_utf8(said)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say for what it builds")?.to_owned())
}

fn build(dist: &Dist) -> anyhow::Result<PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--locked", "--package", "headframe", "--profile", &dist.profile]);
    let mut folder = target_folder();
    if dist.is_static {
        if !answers("musl-gcc", &["--version"]) {
            install_package("a C compiler for static programs", "musl-tools")?;
        }
        add_target();
        command.args(["--target", STATIC_TARGET]);
        folder.push(STATIC_TARGET);
    }
    let status = command.status().context("cannot start cargo")?;
    anyhow::ensure!(
        status.success(),
        "the program does not build; for a static one: rustup target add {STATIC_TARGET}"
    );
    let profile = if dist.profile == "dev" { "debug" } else { &dist.profile };
    Ok(folder.join(profile).join("headframe"))
}

/// Sees to the standard library for static programs. Where there is no rustup, the compiler says whether it has one.
fn add_target() {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let installed =
        installed.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    if installed.lines().all(|target| target != STATIC_TARGET) {
        println!("installing the target {STATIC_TARGET} with rustup");
        // Without it the build fails, and says so.
        let _ = Command::new("rustup").args(["target", "add", STATIC_TARGET]).status();
    }
}
