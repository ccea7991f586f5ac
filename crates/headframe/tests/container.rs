//! `deploy/Dockerfile`: what a container is started with runs a whole pool, and what asks for its health understands it.
//! The image itself is built by `cargo xtask dist --image`, where there is a container engine.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::path::Path;
use std::process::Command;

use sandbox::{Program, eventually, folder, free_ports};

/// An instruction of the image that is handed out, without its name.
fn instruction(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/Dockerfile");
    let text = std::fs::read_to_string(file).unwrap().replace("\\\n", "");
    let last = text.lines().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    last.unwrap().to_owned()
}

/// The words of an instruction in its JSON form, such as `CMD ["up"]`.
fn words(name: &str) -> Vec<String> {
    let instruction = instruction(name);
    serde_json::from_str(&instruction[instruction.find('[').unwrap()..]).unwrap()
}

#[test]
fn the_command_of_the_image_is_a_pool_that_says_of_itself_that_it_is_well() {
    assert_eq!(words("ENTRYPOINT"), ["/usr/bin/headframe"]);
    let health = words("HEALTHCHECK");
    assert_eq!(health[..2], ["/usr/bin/headframe", "health"]);
    let (_folder, data) = folder();
    let [http, nimiq] = free_ports();
    let own =
        |word: String| word.replace(":8080", &format!(":{http}")).replace(":8443", &format!(":{nimiq}"));
    let mut words: Vec<String> = words("CMD").into_iter().map(own).collect();
    // In a container these ports are nobody else's, and the usual one is asked for.
    for key in ["dev_chain.listen", "nimiq_dev_chain.listen"] {
        words.extend(["--set".to_owned(), format!("{key}=127.0.0.1:0")]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // What it keeps is in the volume, whoever writes the configuration.
    let (key, volume) = ("HEADFRAME_POOL_DATA", instruction("VOLUME"));
    assert_eq!(instruction("ENV"), format!("{key}={volume}"));
    let environment = [(key, data.as_os_str())];
    let _pool = Program::with_environment(Path::new(env!("CARGO_BIN_EXE_headframe")), &words, &environment);
    let mut ask = Command::new(env!("CARGO_BIN_EXE_headframe"));
    ask.args(&health[1..]).env("HEADFRAME_HTTP_LISTEN", format!("127.0.0.1:{http}"));
    let ask = || {
        let asked = ask.output().unwrap();
        asked.status.success().then(|| String::from_utf8(asked.stdout).unwrap())
    };
    let said = eventually("every role to be ready", ask);
    for line in ["master: ready", "ann_handler main: ready", "pay_maker: ready", "nimiq_server main: ready"] {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn whoever_does_not_answer_is_not_well() {
    let [port] = free_ports();
    let url = format!("http://127.0.0.1:{port}");
    let asked = Command::new(env!("CARGO_BIN_EXE_headframe")).args(["health", &url]).output().unwrap();
    assert_eq!(asked.status.code(), Some(1));
    let complaint = String::from_utf8(asked.stderr).unwrap();
    assert!(complaint.contains(&format!("nothing answers at {url}")), "{complaint}");
}

/// What the image takes along besides the program can be left out: a pool on its own chains speaks with nobody else.
#[test]
fn a_pool_starts_on_a_machine_that_knows_no_certificate_authority() {
    let (_folder, data) = folder();
    let nowhere = std::ffi::OsStr::new("/nowhere");
    let words = ["up", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let ports =
        ["dev_chain", "nimiq_dev_chain", "nimiq_server.main"].map(|key| format!("{key}.listen=127.0.0.1:0"));
    let set = ports.iter().flat_map(|port| ["--set", port]);
    let words: Vec<&str> = words.into_iter().chain(set).collect();
    let program = Path::new(env!("CARGO_BIN_EXE_headframe"));
    let environment = [("SSL_CERT_FILE", nowhere), ("SSL_CERT_DIR", nowhere)];
    let mut pool = Program::with_environment(program, &words, &environment);
    pool.line(&["figures: http"]);
}
