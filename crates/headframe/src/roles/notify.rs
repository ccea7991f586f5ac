//! Who is told what the monitor sees, made from what the operator wrote.

use anyhow::Context;
use pool::notify::{Channel, Destination, Discord, Email, Ntfy, SecretText, SmtpServer, Telegram, Webhook};
use pool::site::subscriptions::MailRelay;

use crate::config::{Config, Notify, NotifyKind, Secret};

/// Everybody who is told. Secrets are read from their files.
pub fn destinations(config: &Config) -> anyhow::Result<Vec<Destination>> {
    config.notify.iter().map(destination).collect()
}

/// How miners get e-mail, if they do: by the server of one of those ways.
pub fn mail_for_miners(config: &Config) -> anyhow::Result<Option<MailRelay>> {
    let wanted = config.site.mail.as_str();
    let named = |notify: &&Notify| notify.name.as_ref().is_some_and(|name| name.as_str() == wanted);
    let Some(notify) = config.notify.iter().find(named).filter(|_| !wanted.is_empty()) else {
        return Ok(None);
    };
    match destination(notify)?.channel {
        Channel::Email(Email { server, from, .. }) => Ok(Some(MailRelay { server, from })),
        _ => anyhow::bail!("`site.mail`: {wanted:?} is no [[notify]] of kind email"),
    }
}

fn destination(notify: &Notify) -> anyhow::Result<Destination> {
    let name = notify.name.as_ref().map_or("", |name| name.as_str()).to_owned();
    let channel = channel(notify).with_context(|| format!("`notify.{name}`"))?;
    Ok(Destination { name, channel, least: notify.least })
}

fn channel(notify: &Notify) -> anyhow::Result<Channel> {
    let secret = match (&notify.secret, &notify.secret_file) {
        (Some(secret), _) => Some(text(secret)),
        (None, Some(file)) => Some(SecretText::read(file)?),
        (None, None) => None,
    };
    let needed =
        |value: &Option<SecretText>, key| value.clone().with_context(|| format!("`{key}` is missing"));
    let url = notify.url.as_ref().map(text);
    Ok(match notify.kind {
        NotifyKind::Webhook => Channel::Webhook(Webhook { url: needed(&url, "url")?, secret }),
        NotifyKind::Ntfy => Channel::Ntfy(Ntfy { url: needed(&url, "url")?, token: secret }),
        NotifyKind::Discord => Channel::Discord(Discord { url: needed(&secret, "secret")? }),
        NotifyKind::Telegram => {
            let usual = Telegram::new(needed(&secret, "secret")?, notify.chat.clone());
            let api = url.map_or(usual.api, |url| url.reveal().trim_end_matches('/').to_owned());
            Channel::Telegram(Telegram { api, ..usual })
        }
        NotifyKind::Email => {
            let server = notify.server.clone().context("`server` is missing")?;
            let login = secret.filter(|_| !notify.user.is_empty());
            Channel::Email(Email {
                server: SmtpServer {
                    host: server.host,
                    port: server.port,
                    security: notify.security,
                    login: login.map(|password| (notify.user.clone(), password)),
                },
                from: notify.from.clone().context("`from` is missing")?,
                to: notify.to.clone(),
            })
        }
    })
}

fn text(secret: &Secret) -> SecretText {
    SecretText::new(secret.reveal())
}
