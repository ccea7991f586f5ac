//! A signed POST to a program of the operator's: whoever knows the secret can tell that it comes from the pool, and when.
//!
//! The body is the notice as JSON. Signed is `TIMESTAMP.BODY` with HMAC-SHA256; the timestamp (seconds since 1970) and
//! the signature (hexadecimal) are headers. A receiver that refuses old timestamps cannot be shown an old notice again.

use hmac::{Hmac, KeyInit, Mac};
use http::header::CONTENT_TYPE;
use sha2::Sha256;

use super::notice::Notice;
use super::secret::SecretText;
use crate::site::facts::Moment;

/// Seconds since 1970, as they were signed.
pub const TIMESTAMP_HEADER: &str = "x-headframe-timestamp";
/// `sha256=` and the signature in hexadecimal digits.
pub const SIGNATURE_HEADER: &str = "x-headframe-signature";

/// Where it goes, and what it is signed with.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where.
    pub url: SecretText,
    /// What both sides know; `None`: it is not signed.
    pub secret: Option<SecretText>,
}

impl Webhook {
    pub(super) fn request(&self, http: &reqwest::Client, notice: &Notice) -> reqwest::RequestBuilder {
        self.request_at(http, notice, Moment::now().0 / 1000)
    }

    fn request_at(&self, http: &reqwest::Client, notice: &Notice, seconds: u64) -> reqwest::RequestBuilder {
        // Of strings and numbers only, so that it can always be written.
        let body = serde_json::to_vec(notice).unwrap_or_default();
        let request = http.post(self.url.reveal()).header(CONTENT_TYPE, "application/json");
        let request = request.header(TIMESTAMP_HEADER, seconds.to_string());
        match &self.secret {
            Some(secret) => request.header(SIGNATURE_HEADER, signature(secret, seconds, &body)).body(body),
            None => request.body(body),
        }
    }
}

fn signature(secret: &SecretText, seconds: u64, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()) else { return String::new() };
    let mac = mac.chain_update(seconds.to_string()).chain_update(".").chain_update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::Channel;
    use super::super::fake_server::FakeServer;
    use super::super::notice::sample;
    use super::*;
    use crate::http_client;

    /// RFC 4231, test case 2, with the dot of our format moved out of the way: key `Jefe`, data
    /// `what do ya want for nothing?`.
    #[test]
    fn the_signature_is_hmac_sha256() {
        let mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        let code = mac.chain_update(b"what do ya want for nothing?").finalize().into_bytes();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(code), expected);
        // And ours, as `printf '7.{}' | openssl dgst -sha256 -hmac Jefe` prints it.
        let ours = signature(&SecretText::new("Jefe"), 7, b"{}");
        let mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        let whole = mac.chain_update(b"7.{}").finalize().into_bytes();
        assert_eq!(ours, format!("sha256={}", hex::encode(whole)));
    }

    #[tokio::test]
    async fn a_receiver_can_tell_who_sent_it() {
        let server = FakeServer::start(200).await;
        let secret = SecretText::new("between us");
        let webhook = Webhook { url: SecretText::new(&server.url("/hook")), secret: Some(secret.clone()) };
        let channel = Channel::Webhook(webhook);
        channel.send(&http_client::client().unwrap(), &sample()).await.unwrap();
        let got = server.next().await;
        assert_eq!((got.path.as_str(), got.header("content-type")), ("/hook", "application/json"));
        let seconds = got.header(TIMESTAMP_HEADER).parse().unwrap();
        assert_eq!(got.header(SIGNATURE_HEADER), signature(&secret, seconds, &got.body));
        let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(body["pool"], "Deep Shaft");
        assert_eq!(body["messages"][0]["severity"], "critical");
        assert_eq!(body["messages"][1]["resolved"], true);
    }
}
