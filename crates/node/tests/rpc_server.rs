//! The dev chain's service over real sockets: what pktd's has of statuses, texts and closed connections, the
//! limits, and the ordered faults.

#![allow(clippy::unwrap_used, reason = "a test may end when its stage cannot be set")]
#![allow(clippy::needless_pass_by_value, reason = "parameters are written in place, by json!")]

mod support;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use support::{ChainServer, PATIENCE};

/// Sends raw bytes and reads until the connection is closed.
async fn exchange(server: &ChainServer, request: &str) -> String {
    let mut stream = TcpStream::connect(server.listening()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut response)).await;
    // A connection that is reset is closed, too.
    let _ = read.expect("the connection stays open");
    String::from_utf8(response).unwrap()
}

fn post(path: &str, authorization: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n{authorization}Content-Length: {length}\r\n\r\n{body}"
    )
}

const LOGIN: &str = "Authorization: Basic eDp5\r\n";

fn call(method: &str, params: Value) -> String {
    post("/", LOGIN, &json!({"id": 1, "method": method, "params": params}).to_string())
}

fn body_of(response: &str) -> Value {
    serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn calls_are_answered_on_any_path_with_status_200() {
    let server = ChainServer::start().await;
    for path in ["/", "/anything", "/ws"] {
        let response = exchange(&server, &post(path, LOGIN, r#"{"id":7,"method":"getblockcount"}"#)).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("content-type: application/json\r\n"), "{response}");
        assert_eq!(body_of(&response), json!({"result": 0, "error": null, "id": 7}));
    }
}

#[tokio::test]
async fn a_missing_or_wrong_password_gets_the_recorded_401() {
    let server = ChainServer::start().await;
    for authorization in ["", "Authorization: Basic eDp6\r\n", "Authorization: nonsense\r\n"] {
        let response = exchange(&server, &post("/", authorization, "{}")).await;
        assert!(response.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{response}");
        assert!(response.contains("www-authenticate: Basic realm=\"pktd RPC\"\r\n"), "{response}");
        assert!(response.contains("content-type: text/plain; charset=utf-8\r\n"), "{response}");
        assert!(response.ends_with("\r\n\r\n401 Unauthorized.\n"), "{response}");
    }
}

#[tokio::test]
async fn what_is_no_call_closes_the_connection_without_an_answer() {
    let server = ChainServer::start().await;
    let get = format!("GET / HTTP/1.1\r\nHost: node\r\n{LOGIN}\r\n");
    for request in [get, post("/", LOGIN, ""), post("/", LOGIN, r#"{"method":"#), post("/", LOGIN, "5")] {
        assert_eq!(exchange(&server, &request).await, "", "{request}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_not_read() {
    let server = ChainServer::start().await;
    let head = format!("POST / HTTP/1.1\r\nHost: node\r\n{LOGIN}Content-Length: 99999999999\r\n\r\n");
    assert_eq!(exchange(&server, &head).await, "");
}

#[tokio::test]
async fn an_ordered_refusal_is_the_recorded_503_and_commands_get_through() {
    let server = ChainServer::start().await;
    exchange(&server, &call("devchain_refuse", json!([3_600_000]))).await;
    let response = exchange(&server, &call("getblockcount", json!([]))).await;
    assert!(response.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\n503 Too busy.  Try again later.\n"), "{response}");
    exchange(&server, &call("devchain_behave", json!([]))).await;
    assert_eq!(body_of(&exchange(&server, &call("getblockcount", json!([]))).await)["result"], 0);
}

#[tokio::test]
async fn a_stalled_node_answers_nothing_but_commands() {
    let server = ChainServer::start().await;
    exchange(&server, &call("devchain_stall", json!([3_600_000]))).await;
    let mut stalled = TcpStream::connect(server.listening()).await.unwrap();
    stalled.write_all(call("getblockcount", json!([])).as_bytes()).await.unwrap();
    let answer = timeout(Duration::from_millis(50), stalled.read_u8()).await;
    assert!(answer.is_err(), "it answered");
    let extended = body_of(&exchange(&server, &call("devchain_extend", json!([2]))).await);
    assert_eq!(extended["result"]["connected"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn one_call_too_many_at_once_is_refused() {
    let server = ChainServer::start().await;
    server.chain.faults().stall(Duration::from_hours(1));
    let mut waiting = Vec::new();
    for _ in 0..node::dev_chain::rpc::ServeLimits::default().calls {
        let mut stream = TcpStream::connect(server.listening()).await.unwrap();
        stream.write_all(call("getblockcount", json!([])).as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    let one_more = call("getblockcount", json!([]));
    let until_refused = async {
        loop {
            // The others may still be on their way: then this one waits with them.
            let asked = timeout(Duration::from_millis(50), exchange(&server, &one_more)).await;
            if let Ok(response) = asked {
                break response;
            }
        }
    };
    let response = timeout(PATIENCE, until_refused).await.expect("no call is ever refused");
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
}

#[tokio::test]
async fn the_websocket_answers_calls_and_tells_of_blocks_to_those_who_asked() {
    let server = ChainServer::start().await;
    let url = format!("ws://x:y@{}/ws", server.listening());
    let refused = connect_async(url.replace("x:y@", "")).await;
    assert!(refused.is_err(), "nobody logged in");
    let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(
        url.replace("x:y@", ""),
    )
    .unwrap();
    request.headers_mut().insert("authorization", "Basic eDp5".parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let mut ask = async |call: Value| {
        socket.send(Message::text(call.to_string())).await.unwrap();
        let answer = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        serde_json::from_str::<Value>(answer.to_text().unwrap()).unwrap()
    };
    assert_eq!(ask(json!({"id": 1, "method": "getblockcount"})).await["result"], 0);
    assert_eq!(ask(json!({"id": 2, "method": "notifyblocks"})).await["error"], Value::Null);
    server.chain.extend(1).unwrap();
    let told = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    let told: Value = serde_json::from_str(told.to_text().unwrap()).unwrap();
    assert_eq!(told["method"], "blockconnected");
    assert_eq!(told["params"][0], server.chain.tip().hash.to_string());
    assert_eq!(told["params"][1], 1);
}
