//! The port for miners: WebSockets, and a few words for whoever comes with a browser (`docs/protocol/nimiq-pool.md` 1.1, 4.8).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::{Extensions, StatusCode, Uri};
use wire::nimiq::{LARGEST_CLIENT_MESSAGE, Reason};

use super::connection::Connection;
use super::role::Shared;
use crate::listener::{Client, Held};
use crate::received_work;
use crate::request_context::RequestContext;

/// Bytes read at once: a share of a usual size.
const READ_BUFFER: usize = 1024;
/// Bytes of messages that may wait for a client which takes them slowly; beyond, it is cut off.
const MOST_WAITING: usize = 64 << 10;

/// Everything that this port answers.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(any(answer)).with_state(shared)
}

/// What the website asks.
pub(super) fn site_router(shared: Arc<Shared>) -> Router {
    let conduct = async |State(shared): State<Arc<Shared>>, uri: Uri| shared.received.answer(uri.query());
    Router::new().route(&format!("/{}", received_work::NAME), get(conduct)).with_state(shared)
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    extensions: Extensions,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let terms = &shared.config.terms;
        let name = terms.name.as_str();
        return format!(
            "Nimiq Pool Server\n{name}, fee {}, pays from {}\nMiners connect here with a WebSocket.\n",
            terms.fee, terms.address
        )
        .into_response();
    };
    let client = Client::of(&extensions);
    let place = extensions.get::<Held>().cloned();
    // A frame may be as large as a message, and what is to be sent goes out at once.
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MOST_WAITING)
        .max_message_size(LARGEST_CLIENT_MESSAGE)
        .max_frame_size(LARGEST_CLIENT_MESSAGE);
    match shared.door.admit(client) {
        Ok(admitted) => {
            let context = RequestContext::current();
            upgrade.on_upgrade(move |socket| {
                let tracker = shared.connections.clone();
                let connection = Connection { shared, socket, client, _place: place, admitted };
                tracker.track_future(RequestContext::within(context, connection.speak()))
            })
        }
        Err(Reason::Banned) => {
            shared.figures.refused(Reason::Banned.code());
            StatusCode::FORBIDDEN.into_response()
        }
        Err(reason) => upgrade.on_upgrade(move |socket| async move {
            Connection::turn_away(&shared, socket, reason).await;
            drop(place);
        }),
    }
}
