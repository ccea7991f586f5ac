//! A message to a topic of ntfy (<https://docs.ntfy.sh/publish/>), on its public server or one's own.

use http::header::HeaderValue;

use super::notice::Notice;
use super::secret::SecretText;
use crate::monitor::Severity;

/// ntfy takes 4096 bytes; more becomes an attachment.
const LONGEST: usize = 3900;

/// A topic.
#[derive(Debug, Clone)]
pub struct Ntfy {
    /// Its address, which is a secret where nothing else guards the topic.
    pub url: SecretText,
    /// An access token, where the server wants one.
    pub token: Option<SecretText>,
}

impl Ntfy {
    pub(super) fn request(&self, http: &reqwest::Client, notice: &Notice) -> reqwest::RequestBuilder {
        let (priority, tag) = match notice.severity() {
            Severity::Info => ("3", "white_check_mark"),
            Severity::Warning => ("4", "warning"),
            Severity::Critical => ("5", "rotating_light"),
        };
        let request = http.post(self.url.reveal()).header("priority", priority).header("tags", tag);
        // Header values are bytes that are read as UTF-8 there.
        let title = HeaderValue::from_bytes(notice.title().as_bytes());
        let request = title.into_iter().fold(request, |request, title| request.header("title", title));
        let request = self.token.iter().fold(request, |request, token| request.bearer_auth(token.reveal()));
        request.body(notice.text(LONGEST))
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
    async fn a_topic_is_told_with_title_and_priority() {
        let server = FakeServer::start(200).await;
        let token = Some(SecretText::new("tk_letters"));
        let channel = Channel::Ntfy(Ntfy { url: SecretText::new(&server.url("/topic")), token });
        channel.send(&http_client::client().unwrap(), &sample()).await.unwrap();
        let got = server.next().await;
        assert_eq!((got.path.as_str(), got.header("priority")), ("/topic", "5"));
        assert_eq!(got.header("title"), "Deep Shaft: CRITICAL: 2 messages");
        assert_eq!(got.header("authorization"), "Bearer tk_letters");
        assert_eq!(String::from_utf8(got.body).unwrap(), sample().text(LONGEST));
    }
}
