//! A small disk of its own for programs of a test, which can be full.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::Program;

/// Room for a pool of some minutes.
const SIZE: &str = "size=64m";
/// What takes the room away.
const BALLAST: &str = "ballast";

/// A disk that only the programs see which are started on it; gone with the test.
pub struct Disk {
    /// Has it mounted.
    keeper: Program,
    folder: PathBuf,
}

impl Disk {
    /// An empty one in place of this folder. `None`, aloud, where only root could do that and the test is not.
    pub fn small(folder: &Path) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "a disk of its own is made by root");
            println!("SKIPPED: only root can give the pool a small disk");
            return None;
        }
        std::fs::create_dir(folder).unwrap();
        let script = r#"mount -t tmpfs -o "$2" tmpfs "$1"; echo mounted; exec sleep infinity"#;
        let words = ["--mount", "sh", "-euc", script, "sh", folder.to_str().unwrap(), SIZE];
        let mut keeper = Program::start(Path::new("unshare"), &words);
        keeper.line(&["mounted"]);
        Some(Self { keeper, folder: folder.to_owned() })
    }

    /// Starts headframe where the disk is.
    pub fn headframe(&self, arguments: &[&str]) -> Program {
        let space = format!("--mount=/proc/{}/ns/mnt", self.keeper.id());
        let program = env!("CARGO_BIN_EXE_headframe");
        Program::start(Path::new("nsenter"), &[&[&space, program], arguments].concat())
    }

    /// Where the test finds a file of the disk.
    pub fn seen_from_outside(&self, path: &Path) -> PathBuf {
        let root = Path::new("/proc").join(self.keeper.id().to_string()).join("root");
        root.join(path.strip_prefix("/").unwrap())
    }

    /// Takes all room away.
    pub fn fill(&self) {
        let ballast = self.seen_from_outside(&self.folder).join(BALLAST);
        let mut ballast = OpenOptions::new().create(true).append(true).open(ballast).unwrap();
        let fault = loop {
            if let Err(fault) = ballast.write(&[0; 4096]) {
                break fault;
            }
        };
        assert_eq!(fault.kind(), ErrorKind::StorageFull, "{fault}");
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.seen_from_outside(&self.folder).join(BALLAST)).unwrap();
    }
}
