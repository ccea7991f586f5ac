//! The API as an operator meets it, and as everybody else does.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::*;
use crate::listener::Client;
use crate::metrics::Stage;

pub(super) const TOKEN: &str = "0f9a3c5e7b1d24680f9a3c5e7b1d2468";

pub(super) struct Stand {
    admission: Arc<Admission>,
    payouts: Nudge,
    ordered: mpsc::Receiver<String>,
    routes: Router,
    folder: tempfile::TempDir,
}

impl Stand {
    pub(super) fn new(token: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let audit = folder.path().join("audit");
        Self::with_audit(token, &audit, folder)
    }

    fn with_audit(token: Option<&str>, audit: &Path, folder: tempfile::TempDir) -> Self {
        let admission = Arc::<Admission>::default();
        let (payouts, metrics) = (Nudge::default(), Metrics::new());
        let ann_handler = metrics.for_role("ann_handler", "main");
        ann_handler.gauge("posts_waiting", "Posts").set(7);
        ann_handler.stage(Stage::Store).took(Duration::from_millis(2));
        let nudge = payouts.clone();
        let (orders, ordered) = mpsc::channel(1);
        let config = AdminConfig {
            process: "up".to_owned(),
            token: token.and_then(AdminToken::parse),
            admission: Arc::clone(&admission),
            accounts: None,
            metrics,
            retries: vec![Retry { what: "payouts", role: "PayMaker".to_owned(), nudge }],
            configuration: Configuration {
                in_force: Box::new(|| json!({"http.listen": "127.0.0.1:8080"})),
                difference: Box::new(|| Err("cannot read it".to_owned())),
                reload: Box::new(|dry_run| {
                    Box::pin(async move {
                        if dry_run {
                            Ok(json!({"in_force": []}))
                        } else {
                            Err("line 3: it is wrong".to_owned())
                        }
                    })
                }),
            },
            restarts: Restarts {
                roles: Box::new(|| vec![RoleName::new("ann_handler", "main")]),
                order: Box::new(move |role| orders.try_send(role.to_string()).is_ok()),
            },
        };
        let routes = Admin::open(config, audit).unwrap().routes();
        Self { admission, payouts, ordered, routes, folder }
    }

    pub(super) async fn answer(&self, from: &str, mut request: Request<Body>) -> Response {
        let address: IpAddr = from.parse().unwrap();
        request.extensions_mut().insert(Client { address, exempt: address.is_loopback() });
        self.routes.clone().oneshot(request).await.unwrap()
    }

    async fn send(&self, from: &str, request: Request<Body>) -> (u16, Value) {
        let answer = self.answer(from, request).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = Request::get(path).header("host", "127.0.0.1:1").body(Body::empty()).unwrap();
        self.send("127.0.0.1", request).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = Request::post(path).header("host", "localhost").body(Body::from(body.to_string()));
        self.send("127.0.0.1", request.unwrap()).await
    }

    /// Whether the PayMaker's pause has been ended since it was asked last.
    async fn is_told(&self) -> bool {
        tokio::time::timeout(Duration::ZERO, self.payouts.told()).await.is_ok()
    }

    fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("audit")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn u8_bans_are_listed_added_and_lifted_and_all_of_it_is_written_down() {
    let stand = Stand::new(None);
    let stranger = Client { address: "192.0.2.1".parse().unwrap(), exempt: false };
    stand.admission.ban(stranger, "invalid_share");
    let (status, bans) = stand.get("/admin/bans").await;
    assert_eq!(
        (status, bans[0]["subject"].as_str(), bans[0]["reason"].as_str()),
        (200, Some("192.0.2.1"), Some("invalid_share"))
    );
    let ask = json!({"subject": "198.51.100.0/24", "minutes": 60, "reason": "floods", "dry_run": true});
    let (status, would) = stand.post("/admin/bans", ask.clone()).await;
    assert_eq!((status, would["would_ban"]["subject"].as_str()), (200, Some("198.51.100.0/24")));
    assert_eq!(stand.admission.holding().len(), 1, "a dry run does nothing");
    let mut ask = ask;
    ask["dry_run"] = false.into();
    assert_eq!(stand.post("/admin/bans", ask).await.0, 200);
    assert_eq!(stand.admission.holding().len(), 2);
    let lift = |dry_run: bool| json!({"subject": "192.0.2.1", "dry_run": dry_run});
    assert_eq!(stand.post("/admin/bans/lift", lift(true)).await.0, 200);
    assert!(stand.admission.not_banned(stranger).is_err());
    assert_eq!(stand.post("/admin/bans/lift", lift(false)).await.0, 200);
    assert!(stand.admission.not_banned(stranger).is_ok());
    assert_eq!(stand.post("/admin/bans/lift", lift(false)).await.0, 404);
    let audit = stand.audit();
    let acts: Vec<_> =
        audit.iter().map(|line| (line["act"].as_str().unwrap(), line["done"].as_bool().unwrap())).collect();
    assert_eq!(acts, [("ban", false), ("ban", true), ("lift", false), ("lift", true), ("lift", false)]);
    assert!(audit.iter().all(|line| line["who"] == "127.0.0.1" && line["time"].is_string()));
    let (_, shown) = stand.get("/admin/audit").await;
    assert_eq!(shown.as_array().unwrap().first(), audit.last(), "newest first");
}

#[tokio::test]
async fn u8_queues_configuration_and_retry() {
    let stand = Stand::new(None);
    let queue = json!([{"role": "ann_handler", "name": "main", "queue": "posts_waiting", "length": 7.0, "unit": "posts"}]);
    assert_eq!(stand.get("/admin/queues").await, (200, queue));
    let (status, stages) = stand.get("/admin/stages").await;
    let stage = &stages[0];
    assert_eq!((status, &stage["role"], &stage["name"]), (200, &json!("ann_handler"), &json!("main")));
    assert_eq!((&stage["stage"], &stage["count"], &stage["unit"]), (&json!("store"), &json!(1), &json!("s")));
    assert!((0.001..=0.003).contains(&stage["median"].as_f64().unwrap()), "{stage}");
    let acts = json!({
        "process": "up",
        "restart": [{"role": "ann_handler", "name": "main"}],
        "retry": [{"what": "payouts", "roles": ["PayMaker"]}],
    });
    assert_eq!(stand.get("/admin/acts").await, (200, acts));
    assert_eq!(stand.get("/admin/config").await.1["http.listen"], "127.0.0.1:8080");
    let (status, fault) = stand.get("/admin/config/difference").await;
    assert_eq!((status, fault["message"].as_str()), (503, Some("cannot read it")));
    let retry = |what: &str, dry_run: bool| json!({"what": what, "dry_run": dry_run});
    assert_eq!(
        stand.post("/admin/retry", retry("payouts", true)).await,
        (200, json!({"would_tell": ["PayMaker"]}))
    );
    assert!(!stand.is_told().await);
    assert_eq!(
        stand.post("/admin/retry", retry("payouts", false)).await,
        (200, json!({"told": ["PayMaker"]}))
    );
    assert!(stand.is_told().await);
    let (status, fault) = stand.post("/admin/retry", retry("everything", false)).await;
    assert!(status == 404 && fault["message"].as_str().unwrap().ends_with("this process can do: payouts"));
}

#[tokio::test]
async fn u8_what_is_asked_wrongly_is_told_what_is_right() {
    let stand = Stand::new(None);
    for (path, body) in [
        ("/admin/bans", json!({"subject": "everybody", "minutes": 1, "reason": "x"})),
        ("/admin/bans", json!({"subject": "192.0.2.1", "minutes": 0, "reason": "x"})),
        ("/admin/bans", json!({"subject": "192.0.2.1", "minutes": -1, "reason": "x"})),
        ("/admin/bans", json!({"subject": "192.0.2.1", "minutes": 1, "reason": " "})),
        ("/admin/bans", json!({"subject": "192.0.2.1", "minutes": 1})),
        ("/admin/bans", json!({"subject": "192.0.2.1", "minutes": 1, "reason": "x", "dryrun": true})),
        ("/admin/bans/lift", json!([])),
        ("/admin/retry", json!("payouts")),
        ("/admin/retry", json!({"what": "payouts", "reason": "x".repeat(20_000)})),
    ] {
        let (status, fault) = stand.post(path, body.clone()).await;
        assert!(
            status == 400 && fault["message"].as_str().is_some_and(|text| !text.is_empty()),
            "{body}: {fault}"
        );
    }
    assert_eq!(stand.get("/admin/retry").await.0, 405);
    assert_eq!(stand.post("/admin/queues", json!({})).await.0, 405);
    let (status, fault) = stand.get("/admin/unknown").await;
    assert!(status == 404 && fault["message"].as_str().unwrap().contains("/admin/bans/lift"));
    assert!(stand.admission.holding().is_empty());
}

#[tokio::test]
async fn u8_without_a_token_this_machine_alone_may_ask_and_no_page_for_it() {
    let stand = Stand::new(None);
    let request = |headers: &[(&str, &str)]| {
        let mut request = Request::get("/admin/bans");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    };
    let own = ("host", "127.0.0.1:8079");
    assert_eq!(stand.send("127.0.0.1", request(&[own])).await.0, 200);
    for (from, headers) in [
        ("192.0.2.1", vec![own]),
        ("10.0.0.1", vec![own]),
        ("127.0.0.1", vec![]),
        ("127.0.0.1", vec![("host", "rebound.example")]),
        ("127.0.0.1", vec![own, ("origin", "http://127.0.0.1:8080")]),
        ("127.0.0.1", vec![own, ("sec-fetch-site", "cross-site")]),
    ] {
        assert_eq!(stand.send(from, request(&headers)).await.0, 403, "{from} {headers:?}");
    }
}

#[tokio::test]
async fn u8_with_a_token_nobody_asks_without_it_and_guessing_is_refused() {
    let stand = Stand::new(Some(TOKEN));
    let request = |authorization: Option<String>| {
        let mut request = Request::get("/admin/bans").header("host", "pool.example");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        request.body(Body::empty()).unwrap()
    };
    let right = || request(Some(format!("Bearer {TOKEN}")));
    assert_eq!(stand.send("192.0.2.1", right()).await.0, 200);
    assert_eq!(stand.send("127.0.0.1", request(None)).await.0, 401);
    for wrong in
        [format!("Bearer {}", &TOKEN[1..]), format!("Basic {TOKEN}"), TOKEN.to_owned(), String::new()]
    {
        assert_eq!(stand.send("192.0.2.1", request(Some(wrong))).await.0, 401);
    }
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(stand.send("192.0.2.1", request(Some("Bearer wrong".to_owned()))).await.0);
    }
    assert_eq!(statuses.last(), Some(&429));
    assert_eq!(stand.send("192.0.2.2", request(None)).await.0, 401, "others are not concerned");
    assert_eq!(stand.send("192.0.2.1", right()).await.0, 200, "who knows it is not shut out");
}

#[tokio::test]
async fn u8_nothing_is_answered_as_done_that_cannot_be_written_down() {
    let stand = Stand::with_audit(None, Path::new("/dev/full"), tempfile::tempdir().unwrap());
    let (status, fault) =
        stand.post("/admin/bans", json!({"subject": "192.0.2.1", "minutes": 1, "reason": "x"})).await;
    assert_eq!((status, fault["code"].as_str()), (500, Some("audit_failed")));
}

#[tokio::test]
async fn u8_a_reload_answers_with_its_report_or_says_why_nothing_has_changed() {
    let stand = Stand::new(None);
    let (status, report) = stand.post("/admin/reload", json!({"dry_run": true})).await;
    assert_eq!((status, &report["would_be"]["in_force"]), (200, &json!([])));
    let (status, fault) = stand.post("/admin/reload", json!({})).await;
    assert_eq!((status, fault["message"].as_str()), (503, Some("nothing has changed: line 3: it is wrong")));
    let done: Vec<_> = stand.audit().iter().map(|line| line["done"].as_bool().unwrap()).collect();
    assert_eq!(done, [false, false]);
}

#[tokio::test]
async fn u8_a_role_is_started_again_on_order() {
    let mut stand = Stand::new(None);
    let order = |role: &str, dry_run: bool| json!({"role": role, "name": "main", "dry_run": dry_run});
    let (status, fault) = stand.post("/admin/restart", order("master", false)).await;
    assert_eq!(status, 404);
    assert!(fault["message"].as_str().unwrap().ends_with("can start again: ann_handler main"), "{fault}");
    assert_eq!(stand.post("/admin/restart", order("ann-handler", true)).await.0, 200);
    assert!(stand.ordered.try_recv().is_err(), "a dry run orders nothing");
    assert_eq!(stand.post("/admin/restart", order("ann-handler", false)).await.0, 200);
    assert_eq!(stand.post("/admin/restart", order("ann-handler", false)).await.0, 503, "one order waits");
    assert_eq!(stand.ordered.recv().await.as_deref(), Some("ann_handler main"));
}
