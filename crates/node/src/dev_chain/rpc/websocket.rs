//! `/ws`: the same calls over a websocket, and notifications of blocks (`notifyblocks`), as btcd and pktd have
//! them.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{
    HeaderValue, Request as HttpRequest, Response, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
};
use http_body_util::Full;
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Access, Answer, Call, Request, server::answer_text};
use crate::dev_chain::{BlockEvent, DevChain};

/// Bytes of a message at most: a block as hex, and then some.
const LARGEST_MESSAGE: usize = 4 << 20;

/// Whether a request asks for a websocket.
pub fn is_wanted(request: &HttpRequest<Incoming>) -> bool {
    let upgrade = request.headers().get(UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
        && request.headers().contains_key(SEC_WEBSOCKET_KEY)
}

/// Says yes, and serves the websocket in the background.
pub fn accept(
    mut request: HttpRequest<Incoming>,
    chain: DevChain,
    access: Access,
    stop: CancellationToken,
) -> Response<Full<Bytes>> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let accepted = HeaderValue::from_str(&derive_accept_key(key));
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrading.await {
            Ok(upgraded) => {
                let _ = stop.run_until_cancelled(serve(upgraded, chain, access)).await;
            }
            Err(error) => debug!(%error, "a websocket was not opened"),
        }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accepted) = accepted {
        response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accepted);
    }
    response
}

async fn serve(upgraded: Upgraded, chain: DevChain, access: Access) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    if let Err(error) = converse(socket, &chain, access).await {
        debug!(%error, "a websocket ended");
    }
}

async fn converse(
    mut socket: WebSocketStream<TokioIo<Upgraded>>,
    chain: &DevChain,
    access: Access,
) -> Result<(), Error> {
    let mut events = chain.events();
    let mut notifying = false;
    loop {
        let answer = tokio::select! {
            message = socket.next() => match message {
                None => return Ok(()),
                Some(message) => match reply(&message?, chain, access, &mut notifying).await {
                    Some(answer) => answer,
                    None => continue,
                },
            },
            event = events.recv() => match event {
                Ok(event) if notifying => notification(&event),
                // Whoever was too slow has missed some, and will notice by the next.
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return Ok(()),
            },
        };
        socket.send(Message::text(answer.to_string())).await?;
    }
}

/// The answer to a message; `None` for what needs none.
async fn reply(message: &Message, chain: &DevChain, access: Access, notifying: &mut bool) -> Option<Value> {
    let Message::Text(text) = message else { return None };
    let request = Request::parse(text.as_bytes())?;
    if let Request::One(Call { id, method, .. }) = &request {
        let switched = match method.as_str() {
            "notifyblocks" => Some(true),
            "stopnotifyblocks" => Some(false),
            _ => None,
        };
        if let Some(on) = switched {
            *notifying = on;
            return Some(json!({"result": null, "error": null, "id": id}));
        }
    }
    match answer_text(chain, access, request).await {
        Answer::Json(answer) => Some(answer),
        Answer::HangUp => None,
    }
}

fn notification(event: &BlockEvent) -> Value {
    let method = if event.connected { "blockconnected" } else { "blockdisconnected" };
    let params = json!([event.block.hash.to_string(), event.block.height.0, event.time]);
    json!({"jsonrpc": "1.0", "method": method, "params": params, "id": null})
}
