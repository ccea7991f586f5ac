//! `[[notify]]`: who is told what the monitor sees, and how.

use std::path::PathBuf;

use pool::monitor::Severity;
use pool::notify::{MailAddress, Security};

use crate::config::keys::{Keys, Section};
use crate::config::values::{HandlerName, Secret};

/// `[[notify]]`: one way to tell people.
#[derive(Debug, Clone)]
pub struct Notify {
    pub name: Option<HandlerName>,
    pub kind: NotifyKind,
    pub least: Severity,
    pub url: Option<Secret>,
    pub secret: Option<Secret>,
    pub secret_file: Option<PathBuf>,
    pub chat: String,
    pub server: Option<MailServer>,
    pub security: Security,
    pub user: String,
    pub from: Option<MailAddress>,
    pub to: Vec<MailAddress>,
}

/// How people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyKind {
    Webhook,
    Email,
    Telegram,
    Discord,
    Ntfy,
}

/// Name and port of a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
}

impl MailServer {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty() && !host.contains(['/', ' ', '@'])).then(|| Self { host: host.to_owned(), port })
    }
}

impl Section for Notify {
    const NAME: &'static str = "notify";
    const REPEATED: bool = true;
    const ABOUT: &'static str = "A way to tell people what the monitor sees; there may be several. `headframe monitor \
                                 test-notification` tries them. Secrets need not stand in this file: secret_file names a \
                                 file that only its owner can read, and HEADFRAME_NOTIFY_NAME_SECRET is read too.";

    fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            name: keys.handler_name("Its name in logs, metrics and the environment."),
            kind: keys.choice(
                "kind",
                &[
                    ("webhook", NotifyKind::Webhook),
                    ("email", NotifyKind::Email),
                    ("telegram", NotifyKind::Telegram),
                    ("discord", NotifyKind::Discord),
                    ("ntfy", NotifyKind::Ntfy),
                ],
                "How people are told. webhook: a signed POST of JSON to a program of yours.",
            ),
            least: keys.choice(
                "least",
                &[("warning", Severity::Warning), ("critical", Severity::Critical)],
                "What is worth telling: everything, or only what harms miners or makes money wait.",
            ),
            url: keys.secret(
                "url",
                "https://alerts.example/headframe",
                "Of webhook and ntfy (with the topic): where to. Of telegram: another server with its bot API.",
            ),
            secret: keys.secret(
                "secret",
                "9876543210fedcba9876543210fedcba",
                "Of webhook: the key that bodies are signed with (HMAC-SHA256). Of email: the password of `user`. Of \
                 telegram: the bot's token. Of discord: the whole URL of the channel's webhook. Of ntfy: an access token.",
            ),
            secret_file: keys.file(
                "secret_file",
                "/etc/headframe/notify.secret",
                "A file with the secret in its first line, which nobody but its owner may read (mode 0600).",
            ),
            chat: keys.text("chat", "", "Of telegram: the chat's number, or @name of a channel."),
            server: keys.mail_server("server", "Of email: the server that takes it, with its port."),
            security: keys.choice(
                "security",
                &[("starttls", Security::StartTls), ("tls", Security::Tls), ("none", Security::None)],
                "Of email: TLS after STARTTLS (port 587) or from the start (465); none only for a relay on this machine.",
            ),
            user: keys.text("user", "", "Of email: the user name for the server, if it wants one."),
            from: keys.mail_address("from", "Of email: who sends it."),
            to: keys.list(
                "to",
                "an e-mail address",
                "[\"operator@pool.example\"]",
                "Of email: who is told.",
                |text| MailAddress::parse(text).ok_or(None),
            ),
        }
    }
}

impl Keys<'_> {
    fn mail_server(&mut self, name: &'static str, about: &'static str) -> Option<MailServer> {
        self.parsed(name, "HOST:PORT", "mail.example:587", about, |text| MailServer::parse(text).ok_or(None))
    }

    fn mail_address(&mut self, name: &'static str, about: &'static str) -> Option<MailAddress> {
        self.parsed(name, "an e-mail address", "headframe@pool.example", about, |text| {
            MailAddress::parse(text).ok_or(None)
        })
    }
}

impl Notify {
    /// The keys that its kind needs and that are not there.
    pub fn missing(&self) -> Vec<&'static str> {
        let secret = ("secret", self.secret.is_some() || self.secret_file.is_some());
        let needed: &[(&'static str, bool)] = &match self.kind {
            NotifyKind::Webhook | NotifyKind::Ntfy => vec![("url", self.url.is_some())],
            NotifyKind::Telegram => vec![secret, ("chat", !self.chat.is_empty())],
            NotifyKind::Discord => vec![secret],
            NotifyKind::Email => vec![
                ("server", self.server.is_some()),
                ("from", self.from.is_some()),
                ("to", !self.to.is_empty()),
                ("secret", secret.1 || self.user.is_empty()),
            ],
        };
        needed.iter().filter(|(_, is_there)| !is_there).map(|(key, _)| *key).collect()
    }
}
