//! `headframe monitor test-notification`: every way to tell people, as the program goes it, with mail over TLS; and a way that
//! does not work is named.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What everybody is told.
const TOLD: &str = "somebody wants to know whether messages about this pool arrive";

/// Takes posts over HTTP; gives its URL and each head with its body.
fn web_server() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, posts) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut post = String::new();
            while !post.ends_with("\r\n\r\n") {
                post.push(byte(&mut stream).unwrap().into());
            }
            let length = post.to_ascii_lowercase();
            let (_, length) = length.split_once("content-length: ").unwrap();
            let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
            sender.send(post + &String::from_utf8(body).unwrap()).unwrap();
        }
    });
    (url, posts)
}

fn byte(stream: &mut impl Read) -> Option<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte).is_ok().then_some(byte[0])
}

fn line(stream: &mut impl Read) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(byte(stream)?);
    }
    Some(String::from_utf8(line).unwrap().trim_end().to_owned())
}

/// A certificate for `localhost` with its key, and mail servers that show it.
struct Post {
    folder: tempfile::TempDir,
    tls: Arc<ServerConfig>,
}

impl Post {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("own.pem"), own.cert.pem()).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(own.cert.pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(own.signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Self { folder, tls: Arc::new(tls.with_no_client_auth().with_single_cert(chain, key).unwrap()) }
    }

    /// Takes one message, over TLS from the start or after STARTTLS; gives its port and what it was told over TLS.
    fn server(&self, starts_in_the_clear: bool) -> (u16, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, lines) = channel();
        let tls = Arc::clone(&self.tls);
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            if starts_in_the_clear {
                in_the_clear(&mut stream);
            }
            let mut stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
            if !starts_in_the_clear {
                stream.write_all(b"220 ready\r\n").unwrap();
            }
            take(&mut stream, &sender);
        });
        (port, lines)
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("own.pem")
    }

    fn test_notification(&self, configuration: &str, believed: &Path) -> Output {
        let file = self.folder.path().join("pool.toml");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
        command.args(["monitor", "test-notification", "--config"]).arg(file);
        command.env("SSL_CERT_FILE", believed).output().unwrap()
    }
}

/// Until STARTTLS, before which nobody may say more than the greeting.
fn in_the_clear(stream: &mut TcpStream) {
    stream.write_all(b"220 ready\r\n").unwrap();
    assert!(line(stream).unwrap().starts_with("EHLO"));
    stream.write_all(b"250-here\r\n250 STARTTLS\r\n").unwrap();
    assert_eq!(line(stream).unwrap(), "STARTTLS");
    stream.write_all(b"220 go on\r\n").unwrap();
}

/// Until the client has gone.
fn take(stream: &mut (impl Read + Write), told: &Sender<String>) {
    let mut in_message = false;
    while let Some(line) = line(stream) {
        let reply: &[u8] = match line.split([' ', ':']).next().unwrap_or_default() {
            _ if in_message && line != "." => b"",
            "EHLO" => b"250-here\r\n250 AUTH PLAIN\r\n",
            "AUTH" => b"235 welcome\r\n",
            "DATA" => b"354 go on\r\n",
            _ => b"250 ok\r\n",
        };
        in_message = line == "DATA" || (in_message && line != ".");
        stream.write_all(reply).unwrap();
        told.send(line).unwrap();
    }
}

fn mail(name: &str, security: &str, port: u16) -> String {
    format!(
        "[[notify]]\nname = \"{name}\"\nkind = \"email\"\nserver = \"localhost:{port}\"\nsecurity = \"{security}\"\n\
         user = \"pool\"\nsecret = \"of the mail server\"\nfrom = \"pool@pool.example\"\nto = [\"operator@pool.example\"]\n"
    )
}

#[test]
fn every_way_to_tell_people_is_tried_and_mail_goes_over_tls() {
    let post = Post::new();
    let (web, posts) = web_server();
    let (begun, begun_mail) = post.server(true);
    let (whole, whole_mail) = post.server(false);
    let ways = format!(
        "[[notify]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{web}/hook\"\nsecret = \"between us, and long\"\n\
         [[notify]]\nname = \"topic\"\nkind = \"ntfy\"\nurl = \"{web}/topic\"\n\
         [[notify]]\nname = \"bot\"\nkind = \"telegram\"\nurl = \"{web}\"\nsecret = \"12:token\"\nchat = \"-7\"\n\
         [[notify]]\nname = \"channel\"\nkind = \"discord\"\nsecret = \"{web}/channel\"\n{}{}",
        mail("begun", "starttls", begun),
        mail("whole", "tls", whole)
    );
    let output = post.test_notification(&ways, &post.certificate());
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("it was taken").count(), 6, "{said}");
    let posts: Vec<String> = posts.try_iter().collect();
    for (path, word) in [
        ("/hook", "x-headframe-signature: sha256="),
        ("/topic", TOLD),
        ("/bot12:token/sendMessage", r#""chat_id":"-7""#),
        ("/channel", TOLD),
    ] {
        let post = posts.iter().find(|post| post.starts_with(&format!("POST {path} "))).unwrap();
        assert!(post.contains(word) && post.contains(TOLD), "{post}");
    }
    for lines in [begun_mail, whole_mail] {
        let lines: Vec<String> = lines.iter().collect();
        let login = STANDARD.encode("\0pool\0of the mail server");
        for line in [&*format!("AUTH PLAIN {login}"), "RCPT TO:<operator@pool.example>"] {
            assert!(lines.iter().any(|said| said == line), "{line}: {lines:?}");
        }
        let body: String = lines
            .iter()
            .skip_while(|line| !line.is_empty())
            .take_while(|line| *line != ".")
            .cloned()
            .collect();
        assert!(String::from_utf8(STANDARD.decode(body).unwrap()).unwrap().contains(TOLD), "{lines:?}");
    }
}

#[test]
fn a_way_that_does_not_work_is_named_and_the_others_are_tried() {
    let post = Post::new();
    let (web, posts) = web_server();
    let (port, lines) = post.server(false);
    let ways = format!(
        "{}[[notify]]\nname = \"topic\"\nkind = \"ntfy\"\nurl = \"{web}/topic\"\n",
        mail("mail", "tls", port)
    );
    // Nobody vouches for the mail server.
    let stranger = rcgen::generate_simple_self_signed(vec!["authority.example".to_owned()]).unwrap();
    let believed = post.folder.path().join("stranger.pem");
    std::fs::write(&believed, stranger.cert.pem()).unwrap();
    let output = post.test_notification(&ways, &believed);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let fault = said.lines().find(|line| line.starts_with("mail (email): ")).unwrap();
    assert!(fault.contains("certificate"), "{said}");
    assert!(
        said.contains("topic (ntfy): it was taken") && said.contains("1 of 2 ways do not work"),
        "{said}"
    );
    assert_eq!((lines.iter().count(), posts.try_iter().count()), (0, 1), "it was told nothing");
}
