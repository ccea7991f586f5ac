//! Conversations with a small server that follows a script.

use tokio::net::TcpListener;

use super::*;
use crate::notify::notice::sample;
use crate::notify::{Channel, Email};

/// A server that says each reply when it has heard a line (or a whole message), and tells everything that it heard.
async fn server(replies: Vec<&'static str>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let (mut heard, mut in_message) = (Vec::new(), false);
        let mut replies = replies.into_iter();
        stream.write_all(replies.next().unwrap().as_bytes()).await.unwrap();
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
            let said = std::mem::take(&mut line).trim_end_matches("\r\n").to_owned();
            let ends_message = said == ".";
            in_message = (in_message || said == "DATA") && !ends_message;
            let is_data = said == "DATA";
            heard.push(said);
            if in_message && !is_data {
                continue;
            }
            let Some(reply) = replies.next() else { break };
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
        heard
    });
    (port, heard)
}

fn email(port: u16, security: Security, login: bool) -> Channel {
    let login = login.then(|| ("user".to_owned(), SecretText::new("password")));
    let address = |text| MailAddress::parse(text).unwrap();
    Channel::Email(Email {
        server: SmtpServer { host: "127.0.0.1".to_owned(), port, security, login },
        from: address("pool@pool.example"),
        to: vec![address("a@b.example"), address("c@d.example")],
    })
}

async fn send(channel: &Channel) -> Result<(), crate::notify::SendFault> {
    channel.send(&crate::http_client::client().unwrap(), &sample()).await
}

#[tokio::test]
async fn a_message_is_handed_over() {
    let script = vec![
        "220-relay\r\n220 ready\r\n",
        "250-relay\r\n250 8BITMIME\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "251 will forward\r\n",
        "354 go on\r\n",
        "250 taken\r\n",
        "221 bye\r\n",
    ];
    let (port, heard) = server(script).await;
    send(&email(port, Security::None, false)).await.unwrap();
    let heard = heard.await.unwrap();
    let commands = [
        "EHLO headframe",
        "MAIL FROM:<pool@pool.example>",
        "RCPT TO:<a@b.example>",
        "RCPT TO:<c@d.example>",
        "DATA",
    ];
    assert_eq!(heard[..5], commands);
    assert!(heard.contains(&"Subject: Deep Shaft: CRITICAL: 2 messages".to_owned()), "{heard:#?}");
    assert_eq!(heard[heard.len() - 2..], [".", "QUIT"]);
}

#[tokio::test]
async fn a_refusal_is_quoted_and_is_final_or_not() {
    let (port, _heard) =
        server(vec!["220 ready\r\n", "250 relay\r\n", "550-no such\r\n550 sender\r\n"]).await;
    let fault = send(&email(port, Security::None, false)).await.unwrap_err();
    assert_eq!(fault.to_string(), "the mail server answers 550 to MAIL: no such sender");
    assert!(!fault.may_pass());
    let (port, _heard) = server(vec!["421 busy\r\n"]).await;
    assert!(send(&email(port, Security::None, false)).await.unwrap_err().may_pass());
    let (port, _heard) = server(vec!["hello there\r\n"]).await;
    let fault = send(&email(port, Security::None, false)).await.unwrap_err().to_string();
    assert_eq!(fault, "the mail server answers the connection with something that is no reply");
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_that_should_not_be() {
    let (port, heard) = server(vec!["220 ready\r\n", "250 relay\r\n"]).await;
    let fault = send(&email(port, Security::StartTls, true)).await.unwrap_err();
    assert!(fault.to_string().contains("offers no STARTTLS"), "{fault}");
    assert_eq!(heard.await.unwrap(), ["EHLO headframe"]);
    let (port, heard) = server(vec!["220 ready\r\n", "250 AUTH PLAIN\r\n"]).await;
    assert!(send(&email(port, Security::None, true)).await.is_err());
    assert_eq!(heard.await.unwrap(), ["EHLO headframe"]);
}
