//! The API over the sample pool: every documented question has its answer, and wrong ones are told what is right.

use axum::body::Body;
use axum::response::Response;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::site::facts::{MinerFacts, PoolFacts, Series, sample};
use crate::site::record::signed_line::SignedLine;

fn api(limits: SiteLimits) -> Router {
    router(Facts::sample(), None, limits, Arc::default(), &Metrics::new(), CancellationToken::new())
}

async fn ask(router: &Router, method: Method, path: &str) -> Response {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn get(path: &str) -> (u16, String) {
    let response = ask(&api(SiteLimits::default()), Method::GET, path).await;
    (response.status().as_u16(), text(response).await)
}

#[test]
fn the_document_in_the_repository_is_what_the_code_says() {
    let kept = include_str!("../../../../../docs/api/openapi.json");
    let now = document().to_pretty_json().unwrap();
    if kept.trim_end() != now.trim_end() {
        let new = std::env::temp_dir().join("openapi.json");
        std::fs::write(&new, now + "\n").unwrap();
        panic!(
            "docs/api/openapi.json is not what /api/v1/openapi.json answers: that is now in {}",
            new.display()
        );
    }
}

#[test]
fn the_document_allows_what_is_not_known_and_names_what_the_gate_answers() {
    let document = serde_json::to_value(document()).unwrap();
    let figures = document["components"]["schemas"].as_object().unwrap().iter();
    let figures: Vec<_> = figures.filter(|(name, _)| name.starts_with("Measured_")).collect();
    assert_eq!(figures.len(), 4);
    for (name, schema) in figures {
        let one_of = schema["properties"]["value"]["oneOf"].as_array().unwrap_or_else(|| panic!("{name}"));
        assert!(one_of.iter().any(|one| one["type"] == "null"), "{name} cannot be unknown");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(item["get"]["responses"]["414"].is_object(), "{path}");
    }
}

/// With every chain, series and format that the document names.
fn documented_questions() -> Vec<String> {
    let mut questions = Vec::new();
    for path in document().paths.paths.keys() {
        let chains = ["packetcrypt", "nimiq"];
        for chain in chains {
            let question = if path.ends_with("/credits") {
                format!("?block={}", sample::settled_block())
            } else {
                String::new()
            };
            let address = if chain == "nimiq" { sample::NIM_MINER } else { sample::PKT_MINER };
            let series = if chain == "nimiq" { "hash_rate" } else { "bandwidth" };
            let path = path
                .replace("{chain}", chain)
                .replace("{address}", &address.replace(' ', "%20"))
                .replace("{name}", series);
            questions.push(path + &question);
        }
    }
    questions.sort();
    questions.dedup();
    questions
}

#[tokio::test]
async fn every_documented_question_is_answered_with_an_etag() {
    let questions = documented_questions();
    assert!(questions.len() >= 15, "{questions:?}");
    for question in questions.iter().filter(|question| !question.ends_with("/events")) {
        let router = api(SiteLimits::default());
        let first = ask(&router, Method::GET, question).await;
        assert_eq!(first.status(), 200, "{question}");
        let is_json = first.headers()[CONTENT_TYPE] == "application/json";
        assert_eq!(is_json, !question.ends_with("/log"), "{question}");
        assert_eq!(first.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{question}");
        let etag = first.headers()[ETAG].clone();
        let body = text(first).await;
        assert!(!is_json || serde_json::from_str::<Value>(&body).is_ok(), "{question}: {body}");
        let again = Request::get(question).header(IF_NONE_MATCH, etag).body(Body::empty()).unwrap();
        assert_eq!(router.oneshot(again).await.unwrap().status(), 304, "{question}");
    }
}

#[tokio::test]
async fn what_pages_show_and_what_the_api_says_is_the_same() {
    let (_, body) = get("/api/v1/pool").await;
    assert_eq!(body, serde_json::to_string(&sample::pool()).unwrap());
    assert!(serde_json::from_str::<PoolFacts>(&body).unwrap().nimiq.is_some());
    let (_, body) = get(&format!("/api/v1/packetcrypt/miners/{}", sample::PKT_MINER)).await;
    assert!(serde_json::from_str::<MinerFacts>(&body).unwrap().packetcrypt.is_some());
    let (_, body) = get("/api/v1/nimiq/series/hash_rate?range=7d").await;
    let series: Series = serde_json::from_str(&body).unwrap();
    assert_eq!(series.points.len(), 168);
    assert!(series.points.contains(&None), "unknown is null");
    let (_, body) = get("/api/v1/metrics").await;
    let figures: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(figures["packetcrypt.bandwidth"]["unit"], "kbit/s");
    let (_, body) = get("/pool.json").await;
    let pool: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(pool["chains"][1]["minimum_payout"], "50");
}

#[tokio::test]
async fn lists_of_nimiq_pools_find_what_they_know_from_others() {
    let whole = async |path| serde_json::from_str::<Value>(&get(path).await.1).unwrap();
    let chain = sample::pool().nimiq.unwrap();
    let team = whole("/poolinfo.json").await;
    assert_eq!(team["poolFee"], chain.fee.percent());
    assert_eq!(team["walletAddress"], chain.address.clone().unwrap());
    assert_eq!(team["teamSize"], chain.miners.devices.value.unwrap());
    let statistics = whole("/poolstats.json").await;
    assert_eq!(statistics["last_mined_block"], chain.blocks[0].found_at.0);
    let server = &statistics["nodes"]["all"][0];
    assert_eq!((server["host"].as_str(), server["status"].as_str()), (Some("pool.example:8443"), Some("ok")));
    let figures = whole("/api/v1/stats/pool").await;
    for (name, figure) in figures.as_object().unwrap() {
        assert_eq!(&server[name], figure, "{name}");
    }
    assert_eq!(figures["clients"]["nano"], chain.miners.nano.value.unwrap());
    assert!(figures["banned_ips"].is_null(), "what is not counted is not 0");
    let information = whole("/minerinfo.json").await;
    assert_eq!((&information["host"], &information["port"]), (&"pool.example".into(), &8443.into()));
    assert_eq!(information["payouts"], "automatic above 50 NIM");
}

#[tokio::test]
async fn tables_go_back_page_by_page_to_their_end() {
    let (mut before, mut hashes) = (String::new(), Vec::new());
    loop {
        let (status, body) = get(&format!("/api/v1/packetcrypt/blocks?limit=3{before}")).await;
        assert_eq!(status, 200);
        let page: Value = serde_json::from_str(&body).unwrap();
        hashes.extend(page["items"].as_array().unwrap().iter().map(|block| block["hash"].clone()));
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    assert_eq!(hashes.len(), sample::pool().packetcrypt.unwrap().blocks.len());
}

#[tokio::test]
async fn every_table_is_there_as_csv_with_the_rows_of_its_json() {
    for table in [
        "packetcrypt/blocks",
        "nimiq/blocks",
        "nimiq/payments",
        "packetcrypt/payees",
        "packetcrypt/payout-tables",
        "statements",
        "incidents",
    ] {
        let (_, body) = get(&format!("/api/v1/{table}")).await;
        let page: Value = serde_json::from_str(&body).unwrap();
        let rows = page["items"].as_array().unwrap().len();
        let (status, csv) = get(&format!("/api/v1/{table}?format=csv")).await;
        assert_eq!((status, csv.lines().count()), (200, rows + 1), "{table}: {csv}");
        let fields = csv.lines().next().unwrap().split(',').count();
        assert!(csv.lines().all(|line| line.split(',').count() == fields), "{csv}");
    }
}

#[tokio::test]
async fn the_record_is_told_as_it_was_signed_and_by_kind() {
    let (_, log) = get("/api/v1/statements/log").await;
    let mut place = None;
    for line in log.lines() {
        let line: SignedLine = line.parse().unwrap();
        place = Some(line.follow(place, Some(sample::STATEMENT_KEY)).unwrap().1);
    }
    let (_, body) = get("/api/v1/statements?limit=1").await;
    let page: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(page["items"][0]["hash"], hex::encode(place.unwrap().previous));
    let (_, body) = get("/api/v1/statements?kind=terms").await;
    let page: Value = serde_json::from_str(&body).unwrap();
    let fees: Vec<_> =
        page["items"].as_array().unwrap().iter().map(|one| &one["statement"]["stated"]["fee"]).collect();
    assert_eq!(fees, ["0.01", "0.01", "0.02"], "newest first");
    let (_, body) = get("/api/v1/incidents?limit=1").await;
    let page: Value = serde_json::from_str(&body).unwrap();
    assert!(page["items"][0]["ended_at"].is_null() && page["next"].is_u64(), "{body}");
}

#[tokio::test]
async fn wrong_questions_are_told_what_is_right() {
    let misspelt = sample::PKT_MINER.replacen("6hqs", "6hqz", 1);
    for (path, status, part) in [
        (format!("/api/v1/packetcrypt/miners/{misspelt}"), 400, sample::PKT_MINER),
        (
            format!("/api/v1/packetcrypt/miners/{}", sample::NIM_MINER.replace(' ', "")),
            400,
            "/api/v1/nimiq/miners/NQ76",
        ),
        ("/api/v1/packetcrypt/miners/bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq".to_owned(), 400, "Bitcoin"),
        ("/api/v1/nimiq/miners/..%2f..%2fetc%2fpasswd".to_owned(), 400, "no address"),
        ("/api/v1/bitcoin/blocks".to_owned(), 404, "packetcrypt or nimiq"),
        ("/api/v1/nimiq/series/bandwidth".to_owned(), 404, "hash_rate"),
        (format!("/api/v1/packetcrypt/series/effort?address={}", sample::PKT_MINER), 404, "whole pool"),
        ("/api/v1/packetcrypt/series/bandwidth?range=2y".to_owned(), 400, "30d"),
        ("/api/v1/nimiq/blocks?limit=1000000".to_owned(), 400, "from 1 to 500"),
        ("/api/v1/statements?kind=promises".to_owned(), 400, "terms, totals, incident_began"),
        ("/api/v1/nimiq/blocks?order=asc".to_owned(), 400, "limit"),
        ("/api/v1/nothing/here".to_owned(), 404, "openapi.json"),
        ("/api/v2/pool".to_owned(), 404, "openapi.json"),
        (format!("/api/v1/pool?{}", "x".repeat(4000)), 414, "2048"),
    ] {
        let (answered, body) = get(&path).await;
        assert_eq!(answered, status, "{path}: {body}");
        assert!(body.contains(part), "{path}: {body}");
        let fault: Value = serde_json::from_str(&body).unwrap();
        assert!(fault["code"].is_string() && fault["message"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn the_api_is_only_read() {
    let router = api(SiteLimits::default());
    let posted = ask(&router, Method::POST, "/api/v1/pool").await;
    assert_eq!(posted.status(), 405);
    assert_eq!(posted.headers()[ALLOW], "GET,HEAD");
    let options = ask(&router, Method::OPTIONS, "/api/v1/pool").await;
    assert_eq!((options.status().as_u16(), &options.headers()[ALLOW]), (204, &"GET,HEAD".parse().unwrap()));
    let orders = format!("/api/v1/packetcrypt/miners/{}/notifications", sample::PKT_MINER);
    let options = ask(&router, Method::OPTIONS, &orders).await;
    assert_eq!(options.headers()[ALLOW], "GET,HEAD,POST");
    let head = ask(&router, Method::HEAD, "/api/v1/pool").await;
    assert_eq!(head.status(), 200);
    assert_eq!(text(head).await, "");
}

#[tokio::test]
async fn a_flood_is_told_to_wait() {
    let router = api(SiteLimits { requests_per_minute: 10, ..SiteLimits::default() });
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let response = ask(&router, Method::GET, "/api/v1/pool").await;
        if response.status() == 429 {
            assert!(response.headers().contains_key(RETRY_AFTER));
        }
        statuses.push(response.status().as_u16());
    }
    assert_eq!(statuses[..10], [200; 10]);
    assert_eq!(statuses[19], 429);
}

#[tokio::test]
async fn listeners_have_places_and_give_them_back() {
    let router = api(SiteLimits { streams: 3, streams_per_address: 2, ..SiteLimits::default() });
    let listen = async || ask(&router, Method::GET, "/api/v1/events").await;
    let first = listen().await;
    assert_eq!(first.headers()[CONTENT_TYPE], "text/event-stream");
    let second = listen().await;
    assert_eq!(second.status(), 200);
    assert_eq!(listen().await.status(), 429, "two of one address");
    drop(second);
    assert_eq!(listen().await.status(), 200);
    let misspelt = ask(&router, Method::GET, "/api/v1/events?address=nobody").await;
    assert_eq!(misspelt.status(), 400);
    let mut body = first.into_body();
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&frame[..], b"retry: 5000\n\n");
}

#[tokio::test]
async fn a_reader_who_is_too_slow_is_cut_off_and_the_others_hear_everything() {
    let facts = Facts::sample();
    let limits = SiteLimits { streams: 2, ..SiteLimits::default() };
    let router =
        router(facts.clone(), None, limits, Arc::default(), &Metrics::new(), CancellationToken::new());
    let address = crate::site::address::read(sample::PKT_MINER, &facts.now().chains()).unwrap();
    let question = format!("/api/v1/events?address={}", sample::PKT_MINER);
    let mut quick = ask(&router, Method::GET, &question).await.into_body();
    let mut slow = ask(&router, Method::GET, &question).await.into_body();
    let next = async |body: &mut Body| {
        let frame = body.frame().await?.unwrap().into_data().unwrap();
        Some(String::from_utf8(frame.to_vec()).unwrap())
    };
    assert_eq!(next(&mut quick).await.unwrap(), "retry: 5000\n\n");
    assert_eq!(next(&mut slow).await.unwrap(), "retry: 5000\n\n");
    assert_eq!(ask(&router, Method::GET, &question).await.status(), 503, "both places are taken");
    for pieces in 1..=50 {
        facts.events().worked(address, pieces, crate::site::facts::Moment(pieces));
        assert!(next(&mut quick).await.unwrap().contains(&format!("\"pieces\":{pieces}")));
    }
    assert_eq!(next(&mut slow).await, None, "its browser asks again");
    assert_eq!(ask(&router, Method::GET, &question).await.status(), 200, "and finds its place free");
}

#[tokio::test]
async fn a_table_that_was_sent_proves_what_its_blocks_paid() {
    let (status, body) = get("/api/v1/packetcrypt/payees?table=4703").await;
    assert_eq!(status, 200);
    let page: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(page["items"][0]["address"], sample::PKT_FEE);
    let (status, body) = get("/api/v1/packetcrypt/payees?table=1").await;
    assert_eq!((status, body.contains("no such table")), (404, true), "{body}");
    let credits = "/api/v1/nimiq/credits?block=";
    let (status, body) = get(&format!("{credits}{}", sample::settled_block())).await;
    let page: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, page["items"][0]["is_of_pool"].as_bool()), (200, Some(true)), "{body}");
    let (status, body) = get(&format!("{credits}{}", "00".repeat(32))).await;
    assert_eq!((status, body.contains("no such settled block")), (404, true), "{body}");
    let (status, body) = get(&format!("{credits}12")).await;
    assert_eq!((status, body.contains("64 hexadecimal digits")), (400, true), "{body}");
}

#[tokio::test]
async fn what_must_be_signed_is_told_and_a_pool_without_subscriptions_takes_no_orders() {
    let base = format!("/api/v1/packetcrypt/miners/{}/notifications", sample::PKT_MINER);
    let (status, body) =
        get(&format!("{base}?action=subscribe&kind=ntfy&url=https%3A%2F%2Fntfy.sh%2Ft&time=1790000000"))
            .await;
    let state: Value = serde_json::from_str(&body).unwrap();
    let pool = sample::pool().identity.url;
    let line = format!(
        "Headframe notifications: subscribe ntfy https://ntfy.sh/t for {} at {pool}, time 1790000000",
        sample::PKT_MINER
    );
    assert_eq!((status, state["sign"].as_str(), &state["targets"]), (200, Some(&*line), &0.into()));
    let (status, body) = get(&format!("{base}?kind=ntfy&url=https://127.0.0.1/t")).await;
    assert!(status == 400 && body.contains("public address"), "{body}");
    let order = ask(&api(SiteLimits::default()), Method::POST, &base).await;
    assert_eq!(order.status(), 404);
}

#[tokio::test]
async fn an_order_without_a_good_signature_is_told_what_must_be_signed() {
    let folder = tempfile::tempdir().unwrap();
    let subscriptions = Some(Arc::new(Subscriptions::open(folder.path(), false, None).unwrap()));
    let limits = SiteLimits::default();
    let router = router(
        Facts::sample(),
        subscriptions,
        limits,
        Arc::default(),
        &Metrics::new(),
        CancellationToken::new(),
    );
    let base = format!("/api/v1/packetcrypt/miners/{}/notifications", sample::PKT_MINER);
    let now = crate::site::facts::Moment::now().0 / 1000;
    let order = |time: u64, signature: &str| {
        serde_json::json!({
            "action": "subscribe", "kind": "ntfy", "url": "https://ntfy.sh/t", "time": time, "signature": signature,
        })
    };
    for (body, status, part) in [
        ("{}".to_owned(), 400, "action"),
        (order(now, "x").to_string(), 403, "for pkt1"),
        (order(now - 700, "x").to_string(), 400, "sign it anew"),
        (" ".repeat(5000), 400, "4096"),
        (
            r#"{"action":"confirm","kind":"email","url":"a@b.example","code":"0"}"#.to_owned(),
            400,
            "no e-mail",
        ),
        (
            r#"{"action":"confirm","kind":"email","url":"a'b@c.example","code":"0"}"#.to_owned(),
            400,
            "letters",
        ),
        (
            r#"{"action":"confirm","kind":"ntfy","url":"https://ntfy.sh/t","code":"0"}"#.to_owned(),
            403,
            "code",
        ),
        (
            r#"{"action":"start","kind":"ntfy","url":"https://ntfy.sh/t","code":"0"}"#.to_owned(),
            400,
            "confirm",
        ),
    ] {
        let request = Request::post(&base).body(Body::from(body.clone())).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{body}");
        let said = text(answer).await;
        assert!(said.contains(part), "{body}: {said}");
    }
}
