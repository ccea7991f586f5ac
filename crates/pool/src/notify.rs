//! Telling people: webhooks, e-mail, Telegram, Discord, ntfy, one module for each, behind one enum.
//!
//! [`Notifier`] takes messages, joins those that come together to one [`Notice`], and has every [`Channel`] deliver it,
//! again and again with growing pauses while the other side does not take it. Nothing that is secret is ever logged: not
//! a token, and not an address that contains one.

mod delivery;
mod discord;
mod email;
#[cfg(test)]
pub(crate) mod fake_mail_server;
#[cfg(test)]
pub(crate) mod fake_server;
mod notice;
mod ntfy;
mod secret;
mod smtp;
mod telegram;
mod webhook;

use std::time::Duration;

use http::StatusCode;

use crate::http_client::with_causes;

pub use delivery::{Destination, Notifier};
pub use discord::Discord;
pub use email::{Email, MailAddress};
pub use notice::Notice;
pub use ntfy::Ntfy;
pub use secret::{SecretFileFault, SecretText};
pub use smtp::{Security, SmtpFault, SmtpServer};
pub use telegram::Telegram;
pub use webhook::{SIGNATURE_HEADER, TIMESTAMP_HEADER, Webhook};

/// How long the other side may take.
const TIME: Duration = Duration::from_secs(20);

/// A way to tell people.
#[derive(Debug, Clone)]
pub enum Channel {
    /// A signed POST to a program of the operator's.
    Webhook(Webhook),
    /// E-mail, by way of an SMTP server.
    Email(Email),
    /// A chat of Telegram.
    Telegram(Telegram),
    /// A channel of Discord.
    Discord(Discord),
    /// A topic of ntfy.
    Ntfy(Ntfy),
}

/// Why a notice was not delivered. None of it tells a secret.
#[derive(Debug, thiserror::Error)]
pub enum SendFault {
    /// Nobody took the request.
    #[error("{0}")]
    Transport(String),
    /// It was answered, and not taken.
    #[error("it answers {0}")]
    Status(StatusCode),
    /// The mail server.
    #[error(transparent)]
    Smtp(#[from] SmtpFault),
}

impl SendFault {
    /// Whether the same notice may be taken later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Status(status) => {
                status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
            }
            Self::Smtp(fault) => fault.may_pass(),
        }
    }
}

impl Channel {
    /// What it is, for logs and figures.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Email(_) => "email",
            Self::Telegram(_) => "telegram",
            Self::Discord(_) => "discord",
            Self::Ntfy(_) => "ntfy",
        }
    }

    /// Delivers a notice, once.
    pub async fn send(&self, http: &reqwest::Client, notice: &Notice) -> Result<(), SendFault> {
        let request = match self {
            Self::Webhook(webhook) => webhook.request(http, notice),
            Self::Email(email) => return Ok(email.send(notice).await?),
            Self::Telegram(telegram) => telegram.request(http, notice),
            Self::Discord(discord) => discord.request(http, notice),
            Self::Ntfy(ntfy) => ntfy.request(http, notice),
        };
        // Its address may be a secret, and errors tell it unless they are told not to.
        let answer = request.timeout(TIME).send().await;
        let status =
            answer.map_err(|error| SendFault::Transport(with_causes(&error.without_url())))?.status();
        if status.is_success() { Ok(()) } else { Err(SendFault::Status(status)) }
    }
}
