//! Notifications of new blocks from a node's websocket (`/ws`, method `notifyblocks`).
//!
//! pktd keeps btcd's interface: after `notifyblocks` it sends `blockconnected` and `blockdisconnected` for every
//! change of its best chain. What they say is not used, only that they came.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, header::AUTHORIZATION};
use serde_json::{Value, json};
use tokio_tungstenite::{
    Connector, connect_async_tls_with_config,
    tungstenite::{
        Message,
        client::{ClientRequestBuilder, IntoClientRequest},
        handshake::client::Request,
        protocol::WebSocketConfig,
    },
};

use crate::json_rpc::{NodeAddress, with_causes};

/// Time to open the websocket.
const CONNECT: Duration = Duration::from_secs(5);
/// How often we ask the other side for a sign of life; without one for twice as long the connection is dead.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Notifications are short; anything longer is not for us.
const LARGEST_MESSAGE: usize = 1 << 20;

/// Follows a node's notifications, calling `signal` once they are on and at every change of its chain.
/// Returns, with the reason, when the connection ends or cannot be made.
pub async fn follow(address: &NodeAddress, signal: impl Fn()) -> String {
    match follow_until_error(address, signal).await {
        Ok(()) => "the node closed it".to_owned(),
        Err(reason) => reason,
    }
}

async fn follow_until_error(address: &NodeAddress, signal: impl Fn()) -> Result<(), String> {
    let request = request(address).await?;
    let tls = address.trust.client_config().map_err(|error| error.to_string())?;
    let connector = Connector::Rustls(tls.into());
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    let opening = connect_async_tls_with_config(request, Some(config), true, Some(connector));
    let opened = tokio::time::timeout(CONNECT, opening).await.map_err(|_| "it does not open".to_owned())?;
    let (mut socket, _) = opened.map_err(|error| with_causes(&error))?;
    let subscribe = json!({"jsonrpc": "1.0", "id": "headframe", "method": "notifyblocks", "params": []});
    socket.send(Message::text(subscribe.to_string())).await.map_err(|error| error.to_string())?;
    let mut silent = false;
    loop {
        match tokio::time::timeout(HEARTBEAT, socket.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(message)) => {
                silent = false;
                if is_news(&message.map_err(|error| error.to_string())?)? {
                    signal();
                }
            }
            Err(_) if silent => return Err("no sign of life".to_owned()),
            Err(_) => {
                silent = true;
                let ping = Message::Ping(Vec::new().into());
                socket.send(ping).await.map_err(|error| error.to_string())?;
            }
        }
    }
}

async fn request(address: &NodeAddress) -> Result<Request, String> {
    // http://… becomes ws://…, https://… becomes wss://…
    let url = address.url.replacen("http", "ws", 1);
    let uri: http::Uri = url.parse().map_err(|_| format!("{url:?} is no address"))?;
    let origin = format!(
        "{}://{}",
        uri.scheme_str().unwrap_or("ws"),
        uri.authority().map_or("", |host| host.as_str())
    );
    let uri = format!("{origin}/ws").parse().map_err(|_| format!("{origin:?} is no address"))?;
    let mut request =
        ClientRequestBuilder::new(uri).into_client_request().map_err(|error| error.to_string())?;
    let credentials = address.credentials.basic().await.map_err(|error| error.to_string())?;
    if let Some((user, password)) = credentials {
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let basic = HeaderValue::from_str(&basic).map_err(|error| error.to_string())?;
        request.headers_mut().insert(AUTHORIZATION, basic);
    }
    Ok(request)
}

/// Whether a message says that the chain may have changed: a notification, or the answer that they are on.
fn is_news(message: &Message) -> Result<bool, String> {
    let Message::Text(text) = message else { return Ok(false) };
    let Ok(message) = serde_json::from_str::<Value>(text.as_str()) else { return Ok(false) };
    match message.get("method").and_then(Value::as_str) {
        Some(method) => Ok(matches!(method, "blockconnected" | "blockdisconnected")),
        None => match message.get("error") {
            None | Some(Value::Null) => Ok(true),
            Some(error) => Err(format!("the node refuses notifications: {error}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_the_chain_and_the_first_answer_are_news() {
        let text = |text: &str| is_news(&Message::text(text.to_owned()));
        assert_eq!(
            text(r#"{"jsonrpc":"1.0","method":"blockconnected","params":["00",1,2],"id":null}"#),
            Ok(true)
        );
        assert_eq!(text(r#"{"jsonrpc":"1.0","method":"txaccepted","params":[],"id":null}"#), Ok(false));
        assert_eq!(text(r#"{"result":null,"error":null,"id":"headframe"}"#), Ok(true));
        assert_eq!(text("no json"), Ok(false));
        assert!(text(r#"{"result":null,"error":{"code":-32601,"message":"x"},"id":1}"#).is_err());
    }

    #[tokio::test]
    async fn the_websocket_is_beside_the_rpc_and_logs_in_the_same_way() {
        let made = request(&NodeAddress::new("https://node:1/rpc", "x", "y")).await.unwrap();
        assert_eq!(made.uri(), "wss://node:1/ws");
        assert_eq!(made.headers()[AUTHORIZATION], "Basic eDp5");
    }
}
