//! `headframe top` on a terminal, drawn of a running pool until somebody presses q; and `up`, which offers it there and ends
//! when its terminal does.
//!
//! The terminal is that of `script` (Debian: bsdutils, which no system is without).

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod sandbox;

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandbox::{Http, Program, eventually, folder, free_ports};

/// A program on a terminal of 120 columns; killed when the test ends.
struct OnTerminal {
    child: Child,
    keyboard: ChildStdin,
    drawn: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    fn headframe(arguments: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_headframe");
        let command = format!("stty rows 60 cols 120; exec {program} {}", arguments.join(" "));
        let mut child = Command::new("script")
            .args(["-qfec", &command, "/dev/null"])
            .env("TERM", "xterm")
            .env_remove("HEADFRAME_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (drawn, mut screen) = (Arc::<Mutex<Vec<u8>>>::default(), child.stdout.take().unwrap());
        let keeps = Arc::clone(&drawn);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                keeps.lock().unwrap().extend(&bytes[..count]);
            }
        });
        let keyboard = child.stdin.take().unwrap();
        Self { child, keyboard, drawn }
    }

    /// Returns once all these words were drawn.
    fn shows(&self, words: &[&str]) {
        eventually(&format!("{words:?} on the terminal"), || {
            let text = String::from_utf8_lossy(&self.drawn.lock().unwrap()).into_owned();
            words.iter().all(|word| text.contains(word)).then_some(())
        });
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_running_pool_is_drawn_until_somebody_presses_q() {
    let (_folder, data) = folder();
    let [port] = free_ports();
    let listen = format!("127.0.0.1:{port}");
    let place = ["up", "--data", data.to_str().unwrap(), "--listen", &listen];
    let more = ["--dev-chain-listen", "127.0.0.1:0", "--set", "nimiq.run=no"];
    let up = OnTerminal::headframe(&[&place[..], &more[..]].concat());
    up.shows(&[&format!("on another terminal: headframe top http://{listen}")]);
    let http = Http::new();
    eventually("the pool to be well", || http.get(&format!("http://{listen}/healthz")));

    let mut top = OnTerminal::headframe(&["top", &format!("http://{listen}")]);
    top.shows(&["roles", "chains", "alerts", "master", "pay_maker", "ready", "PKT"]);
    top.keyboard.write_all(b"q").unwrap();
    top.keyboard.flush().unwrap();
    let status = eventually("it to end", || top.child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

/// Otherwise it would go on unseen, and the next one would be told that its ports and folder are taken.
#[test]
fn up_ends_with_its_terminal() {
    let (_folder, data) = folder();
    let [port] = free_ports();
    let listen = format!("127.0.0.1:{port}");
    let place = ["up", "--data", data.to_str().unwrap(), "--listen", &listen];
    let more = ["--dev-chain-listen", "127.0.0.1:0", "--set", "nimiq.run=no"];
    let mut up = OnTerminal::headframe(&[&place[..], &more[..]].concat());
    up.shows(&["figures: http"]);
    up.child.kill().unwrap();
    eventually("its ports and its folder to be free", || {
        let again = Program::headframe(&[&place[..], &more[..]].concat());
        again.has_line(&["figures: http"], Duration::from_secs(5)).then_some(())
    });
}

#[test]
fn without_a_terminal_it_says_where_the_figures_are() {
    let mut top = Program::headframe(&["top", "http://127.0.0.1:1"]);
    top.line(&["draws on a terminal", "curl URL/api/v1/pool"]);
    assert_eq!(top.wait().code(), Some(1));
}
