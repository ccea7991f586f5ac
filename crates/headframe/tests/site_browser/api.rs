//! The running API against its own document: schemathesis asks everything that the document allows and does not allow,
//! and compares each answer.

use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;

/// The variable with the installed program.
const PROGRAM: &str = "SCHEMATHESIS";
/// What it is to check.
const CONFIGURATION: &str = "tests/site_browser/schemathesis/schemathesis.toml";

/// Asks in the background, while the browser looks at pages; what is wrong shows when it is joined.
pub fn ask_everything(base: &str) -> JoinHandle<()> {
    let base = base.to_owned();
    std::thread::spawn(move || {
        let Some(program) = std::env::var_os(PROGRAM) else {
            println!("SKIPPED: the API is not compared with its document; {PROGRAM} names no schemathesis");
            return;
        };
        let configuration = Path::new(env!("CARGO_MANIFEST_DIR")).join(CONFIGURATION);
        let run = Command::new(program)
            .arg("--config-file")
            .arg(configuration)
            .args(["run", &format!("{base}/api/v1/openapi.json")])
            // It keeps notes of failures where it is started.
            .current_dir(std::env::temp_dir())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        // Cut lines: an error of schemathesis itself quotes whole files, and buries what it says.
        let said: String = said.lines().flat_map(|line| line.chars().take(300).chain(['\n'])).collect();
        println!("{said}");
        assert!(run.status.success(), "the API is not as its document says, or cannot be asked: see above");
    })
}
