//! A message to a channel of Discord, by a webhook of that channel
//! (<https://discord.com/developers/docs/resources/webhook#execute-webhook>).

use serde_json::json;

use super::notice::Notice;
use super::secret::SecretText;

/// Discord takes 2000 characters.
const LONGEST: usize = 1700;

/// The webhook of a channel.
#[derive(Debug, Clone)]
pub struct Discord {
    /// Its address, which is all that is needed to write there.
    pub url: SecretText,
}

impl Discord {
    pub(super) fn request(&self, http: &reqwest::Client, notice: &Notice) -> reqwest::RequestBuilder {
        let content = format!("**{}**\n{}", notice.title(), notice.text(LONGEST));
        // Whatever stands in a message: nobody is called by it.
        http.post(self.url.reveal()).json(&json!({ "content": content, "allowed_mentions": { "parse": [] } }))
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
    async fn a_channel_is_written_to_and_nobody_is_called() {
        let server = FakeServer::start(204).await;
        let channel =
            Channel::Discord(Discord { url: SecretText::new(&server.url("/api/webhooks/1/letters")) });
        channel.send(&http_client::client().unwrap(), &sample()).await.unwrap();
        let got = server.next().await;
        assert_eq!(got.path, "/api/webhooks/1/letters");
        let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
        assert!(body["content"].as_str().unwrap().contains("master: is down"));
        assert_eq!(body["allowed_mentions"]["parse"], json!([]));
    }
}
