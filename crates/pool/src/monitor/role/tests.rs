//! The whole role over real HTTP: a process that dies is noticed, started again by a command, and told of.

use std::net::SocketAddr;

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;
use tower::ServiceExt;

use super::*;
use crate::http_client;
use crate::monitor::progress::MotionLimits;
use crate::monitor::restarting::RestartMethod;
use crate::monitor::restarts::RestartRules;
use crate::notify::fake_server::FakeServer;
use crate::notify::{Channel, SecretText, Webhook};

fn rules() -> WatchRules {
    let limit = Duration::from_secs(600);
    WatchRules {
        gone_looks: 2,
        silent_looks: 4,
        good_looks: 1,
        startup: Duration::ZERO,
        trouble: Duration::from_secs(60),
        restart_troubled: None,
        quiet: Duration::from_secs(60),
        limits: MotionLimits {
            chain: limit,
            intake: limit,
            payout_tables: limit,
            accounts: limit,
            payouts: limit,
        },
        restarts: RestartRules {
            per_hour: 3,
            first_wait: Duration::from_secs(600),
            longest_wait: Duration::from_secs(600),
        },
    }
}

/// A process with one ready handler; it ends when the guard is dropped.
async fn serve(address: SocketAddr) -> (SocketAddr, DropGuard) {
    let health = Health::starting("ann_handler", "main");
    health.ready();
    let metrics = Metrics::new();
    metrics.gauge("current_height", "Height").set(7);
    let program = crate::health::Program { version: "1", build: None };
    let router = crate::health::routes(vec![health], program).merge(metrics.routes());
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned()).await.unwrap();
    });
    (address, stop.drop_guard())
}

async fn ask(monitor: &Monitor, request: http::request::Builder) -> (StatusCode, serde_json::Value) {
    let answer = monitor.routes().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn with_token(request: http::request::Builder) -> http::request::Builder {
    request.header(AUTHORIZATION, "Bearer open sesame")
}

#[tokio::test]
async fn a_death_is_noticed_mended_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    let (address, process) = serve("127.0.0.1:0".parse().unwrap()).await;
    let told = FakeServer::start(200).await;
    let webhook = Webhook { url: SecretText::new(&told.url("/hook")), secret: None };
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let words = ["touch", started.to_str().unwrap()].map(str::to_owned).into();
    let restart = RestartMethod::Command { words, unit: "unit".to_owned(), host: "host".to_owned() };
    let config = MonitorConfig {
        processes: vec![WatchedProcess {
            url: format!("http://{address}"),
            roles: vec![RoleName::new("ann_handler", "main")],
            restart,
        }],
        rules: rules(),
        interval: Duration::from_millis(20),
        token: "open sesame".to_owned(),
        pool: "Deep Shaft".to_owned(),
        destinations: vec![Destination {
            name: "hook".to_owned(),
            channel: Channel::Webhook(webhook),
            least: Severity::Info,
        }],
    };
    let http = http_client::client().unwrap();
    let metrics = Metrics::new();
    let monitor = Monitor::start(config, &http, &metrics, &stop);
    assert!(monitor.health().is_ready());
    // The height of the first figures makes the chain a thing that is known.
    let known = async || {
        let (_, state) = ask(&monitor, with_token(Request::get("/monitor/state"))).await;
        (state["motions"][0]["motion"] == "packetcrypt_chain").then_some(state)
    };
    let state = loop {
        if let Some(state) = known().await {
            break state;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(state["processes"][0]["roles"][0]["role"], "ann_handler");
    assert!(metrics.text().contains("headframe_monitor_processes_down 0\n"), "{}", metrics.text());

    drop(process);
    let notice: serde_json::Value = serde_json::from_slice(&told.next().await.body).unwrap();
    assert_eq!((&notice["pool"], notice["messages"].as_array().unwrap().len()), (&"Deep Shaft".into(), 1));
    let message = &notice["messages"][0];
    assert_eq!((&message["subject"], &message["severity"]), (&"ann_handler main".into(), &"critical".into()));
    assert!(message["text"].as_str().unwrap().starts_with("is down at http://127.0.0.1:"), "{message}");
    while !started.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(metrics.text().contains("headframe_monitor_restarts_total{role=\"monitor\"} 1\n"));
    let note = monitor.health().state().note.unwrap();
    assert!(note.starts_with("started ann_handler main again: "), "{note}");
    let (_, state) = ask(&monitor, with_token(Request::get("/monitor/state"))).await;
    assert_eq!(state["messages"][0]["severity"], "critical");
}

#[tokio::test]
async fn only_who_shows_the_token_may_ask_and_order() {
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let (sender, mut orders) = mpsc::channel(1);
    let config = MonitorConfig {
        processes: vec![WatchedProcess {
            url: "http://127.0.0.1:9".to_owned(),
            roles: vec![RoleName::new("ann_handler", "main")],
            restart: RestartMethod::Tasks(sender),
        }],
        rules: rules(),
        interval: Duration::from_secs(60),
        token: "open sesame".to_owned(),
        pool: "Deep Shaft".to_owned(),
        destinations: Vec::new(),
    };
    let http = http_client::client().unwrap();
    let monitor = Monitor::start(config, &http, &Metrics::new(), &stop);
    let restart = "/monitor/restart?role=ann-handler&name=main";
    for request in [Request::get("/monitor/state"), Request::post(restart)] {
        assert_eq!(ask(&monitor, request).await.0, StatusCode::UNAUTHORIZED);
    }
    let wrong = Request::post(restart).header(AUTHORIZATION, "Bearer open");
    assert_eq!(ask(&monitor, wrong).await.0, StatusCode::UNAUTHORIZED);
    let (status, said) = ask(&monitor, with_token(Request::post("/monitor/restart?role=master"))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(said["message"], "there is no master; there are: ann_handler main");
    assert_eq!(ask(&monitor, with_token(Request::post(restart))).await.0, StatusCode::ACCEPTED);
    let order = orders.recv().await.unwrap();
    assert_eq!(
        (order.role.to_string().as_str(), order.reason.as_str()),
        ("ann_handler main", "somebody asked for it")
    );
}
