//! A message of a bot to a chat of Telegram (<https://core.telegram.org/bots/api#sendmessage>).

use serde_json::json;

use super::notice::Notice;
use super::secret::SecretText;

/// The bot API of Telegram itself.
pub const API: &str = "https://api.telegram.org";
/// Telegram takes 4096 characters.
const LONGEST: usize = 3500;

/// A bot and a chat.
#[derive(Debug, Clone)]
pub struct Telegram {
    /// Scheme and host of the bot API.
    pub api: String,
    /// The bot's token.
    pub token: SecretText,
    /// The chat: its number, or `@name`.
    pub chat: String,
}

impl Telegram {
    /// A bot on Telegram's own servers.
    pub fn new(token: SecretText, chat: String) -> Self {
        Self { api: API.to_owned(), token, chat }
    }

    pub(super) fn request(&self, http: &reqwest::Client, notice: &Notice) -> reqwest::RequestBuilder {
        let text = format!("{}\n{}", notice.title(), notice.text(LONGEST));
        let url = format!("{}/bot{}/sendMessage", self.api, self.token.reveal());
        http.post(url).json(&json!({
            "chat_id": self.chat,
            "text": text,
            "link_preview_options": { "is_disabled": true },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Channel;
    use super::super::fake_server::FakeServer;
    use super::super::notice::sample;
    use super::*;
    use crate::http_client;

    #[tokio::test]
    async fn the_bot_speaks_in_its_chat_and_errors_do_not_tell_its_token() {
        let server = FakeServer::start(200).await;
        let telegram = |api: String| {
            let token = SecretText::new("12345:letters");
            Channel::Telegram(Telegram { api, ..Telegram::new(token, "-100777".to_owned()) })
        };
        let http = http_client::client().unwrap();
        telegram(server.url("")).send(&http, &sample()).await.unwrap();
        let got = server.next().await;
        assert_eq!(got.path, "/bot12345:letters/sendMessage");
        let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(body["chat_id"], "-100777");
        assert!(
            body["text"].as_str().unwrap().starts_with("Deep Shaft: CRITICAL: 2 messages\nmaster: is down")
        );
        // A port that nobody listens on.
        let fault = telegram("http://127.0.0.1:9".to_owned()).send(&http, &sample()).await.unwrap_err();
        assert!(fault.may_pass() && !fault.to_string().contains("letters"), "{fault}");
    }
}
