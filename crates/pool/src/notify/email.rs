//! A notice as e-mail: plain text, UTF-8.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::notice::Notice;
use super::smtp::{SmtpFault, SmtpServer};

/// The longest text.
const LONGEST: usize = 64 << 10;
/// Characters in a line of base64, as RFC 2045 wants.
const LINE: usize = 76;
/// Bytes of a title in one encoded word, whose whole may have 75 characters (RFC 2047).
const WORD: usize = 42;

/// Whom an e-mail goes to, and by which server.
#[derive(Debug, Clone)]
pub struct Email {
    /// The server that takes it.
    pub server: SmtpServer,
    /// Who sends it: an address.
    pub from: MailAddress,
    /// Who is told.
    pub to: Vec<MailAddress>,
}

/// An address that can stand in a command of SMTP and in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailAddress(String);

impl MailAddress {
    /// Reads an address: printable ASCII without spaces and without what would end it, with one `@`. `None` for others.
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let fits = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>()[],;:\\\"@".contains(&byte))
        };
        (text.len() <= 254 && fits(local) && fits(domain)).then(|| Self(text.to_owned()))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Email {
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), SmtpFault> {
        let message = self.message(notice);
        self.server.send(&self.from, &self.to, &message).await
    }

    /// The message with its headers, lines ended by CR LF.
    fn message(&self, notice: &Notice) -> String {
        let at = Timestamp::from_millisecond(notice.at.0.try_into().unwrap_or_default()).unwrap_or_default();
        let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default();
        let to = self.to.iter().map(MailAddress::as_str).collect::<Vec<_>>().join(", ");
        let domain = self.from.0.rsplit('@').next().unwrap_or_default();
        let id = hex::encode(rand::random::<[u8; 12]>());
        let mut message = String::new();
        for (name, value) in [
            ("From", self.from.0.as_str()),
            ("To", &to),
            ("Subject", &header_text(&notice.title())),
            ("Date", &date),
            ("Message-ID", &format!("<{id}@{domain}>")),
            ("Auto-Submitted", "auto-generated"),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "base64"),
        ] {
            // Writing to a text cannot fail.
            let _ = write!(message, "{name}: {value}\r\n");
        }
        message.push_str("\r\n");
        let body = STANDARD.encode(notice.text(LONGEST).replace('\n', "\r\n"));
        for line in body.as_bytes().chunks(LINE) {
            message.push_str(&String::from_utf8_lossy(line));
            message.push_str("\r\n");
        }
        message
    }
}

/// A text that may stand in a header: encoded words (RFC 2047) if it is more than printable ASCII.
fn header_text(text: &str) -> String {
    if text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) && text.len() < LINE * 2 {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = WORD.min(rest.len());
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (word, after) = rest.split_at(end);
        words.push(format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
        rest = after;
    }
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::notice::sample;
    use super::super::smtp::Security;
    use super::*;

    fn email() -> Email {
        let address = |text| MailAddress::parse(text).unwrap();
        let server =
            SmtpServer { host: "localhost".to_owned(), port: 25, security: Security::None, login: None };
        Email {
            server,
            from: address("pool@pool.example"),
            to: vec![address("a@b.example"), address("c@d.example")],
        }
    }

    #[test]
    fn a_message_says_who_when_and_what() {
        let message = email().message(&sample());
        let (headers, body) = message.split_once("\r\n\r\n").unwrap();
        for header in [
            "From: pool@pool.example",
            "To: a@b.example, c@d.example",
            "Subject: Deep Shaft: CRITICAL: 2 messages",
            "Date: Mon, 21 Sep 2026 14:13:20 GMT",
        ] {
            assert!(headers.lines().any(|line| line == header), "{header} in\n{headers}");
        }
        let text = STANDARD.decode(body.replace("\r\n", "")).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), sample().text(LONGEST).replace('\n', "\r\n"));
    }

    #[test]
    fn an_address_cannot_smuggle_a_command() {
        assert!(MailAddress::parse("operator+pool@mail.example").is_some());
        for wrong in ["", "a", "a@", "@b", "a@b@c", "a b@c", "a@b>\r\nRCPT TO:<x@y", "<a@b>", "a@b,c"] {
            assert_eq!(MailAddress::parse(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn every_line_is_ascii_and_short(title in "\\PC{0,200}", text in "[\\PC\n]{0,500}") {
            let mut notice = sample();
            notice.messages.truncate(1);
            notice.messages[0].subject = title;
            notice.messages[0].text = text;
            let message = email().message(&notice);
            prop_assert!(message.is_ascii());
            for line in message.strip_suffix("\r\n").unwrap().split("\r\n") {
                prop_assert!(line.len() <= 200 && !line.contains(['\r', '\n']), "{line:?}");
            }
        }
    }
}
