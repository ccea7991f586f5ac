//! Every page of the sample pool: made whole, without inline scripts or styles, with every text there.

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use http::Request;
use http::header::LOCATION;
use tower::ServiceExt;

use super::super::facts::sample;
use super::super::static_files::compressed;
use super::*;

const PAGES: [&str; 13] = [
    "/",
    "/?address=pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2",
    "/m/pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2?range=7d",
    "/m/NQ762NH6LDHVUJ2CMATRVLDHJ5TGJGQACNQ9",
    "/m/NQ0700000000000000000000000000000000",
    "/blocks",
    "/blocks?chain=nimiq&page=2",
    "/payouts",
    "/statistics?range=30d",
    "/transparency",
    "/connect",
    "/connect?address=NQ762NH6LDHVUJ2CMATRVLDHJ5TGJGQACNQ9&system=windows",
    "/status",
];

fn router() -> Router {
    router_with_clock(SiteFiles::new(None).unwrap(), Facts::sample(), || sample::NOW)
}

async fn get_page(address: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(address).body(Body::empty()).unwrap();
    let answer = router().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, 10 << 20).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// A page of a pool that a test has made up.
async fn page_of(pool: PoolFacts, address: &str) -> String {
    let site = router_with_clock(SiteFiles::new(None).unwrap(), Facts::made_up(pool), || sample::NOW);
    let body = site.oneshot(Request::get(address).body(Body::empty()).unwrap()).await.unwrap().into_body();
    String::from_utf8(to_bytes(body, 10 << 20).await.unwrap().to_vec()).unwrap()
}

/// A figure of a page, by its identifier.
fn figure<'p>(page: &'p str, id: &str) -> &'p str {
    let (before, after) = page.split_once(&format!("\"{id}\"")).unwrap_or_else(|| panic!("no figure {id}"));
    let start = before.rfind("<div class=\"figure ").unwrap();
    let end = before.len() + after.find("</div>").unwrap();
    &page[start..end]
}

/// The part of a page from an identifier to the end of its element, which has none of its kind in it.
fn part<'p>(page: &'p str, id: &str, end: &str) -> &'p str {
    let rest = page.split(&format!("id=\"{id}\"")).nth(1).unwrap_or_else(|| panic!("nothing is {id}"));
    rest.split(end).next().unwrap_or_default()
}

#[tokio::test]
async fn every_page_is_whole_and_has_nothing_inline() {
    let texts = Texts::default();
    for address in PAGES {
        let (status, headers, text) = get_page(address).await;
        assert_eq!(status, StatusCode::OK, "{address}");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
        assert!(text.trim_end().ends_with("</html>"), "{address} is cut");
        for inline in ["<script>", " style=\"", " onclick", "javascript:", "<style"] {
            assert!(!text.contains(inline), "{address} has {inline}");
        }
        for elsewhere in ["src=\"http", "src=\"//", "url(", "<iframe", "<object"] {
            assert!(!text.contains(elsewhere), "{address} asks a third party: {elsewhere}");
        }
        for link in text.split("<link ").skip(1).filter_map(|link| link.split('>').next()) {
            assert!(!link.contains("href=\"http"), "{address} asks a third party: {link}");
        }
        let sections: BTreeSet<&str> = texts.keys().filter_map(|key| key.split('.').next()).collect();
        for section in sections {
            assert!(!text.contains(&format!(">{section}.")), "{address} shows a key of {section}");
        }
    }
}

#[tokio::test]
async fn identifiers_are_unique_on_every_page() {
    for address in PAGES {
        let (_, _, text) = get_page(address).await;
        let mut seen = BTreeSet::new();
        for id in text.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(seen.insert(id), "{address} has {id:?} twice");
        }
    }
}

#[tokio::test]
async fn every_link_leads_somewhere() {
    let api = crate::site::api::router(
        Facts::sample(),
        None,
        crate::site::SiteLimits::default(),
        std::sync::Arc::default(),
        &crate::metrics::Metrics::new(),
        tokio_util::sync::CancellationToken::new(),
    );
    let site = router().merge(api);
    // `/metrics` and the PayMaker are other roles'.
    let mut seen: BTreeSet<String> = ["/metrics".to_owned()].into();
    for page in PAGES {
        let (_, _, text) = get_page(page).await;
        for attribute in ["href=\"/", "src=\"/", "action=\"/", "data-series=\"/"] {
            for link in text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                let link = format!("/{}", link.replace("&#38;", "&").replace("&amp;", "&"));
                let address = link.split('#').next().unwrap_or_default().to_owned();
                if address.contains("/paymaker/") || !seen.insert(address.clone()) {
                    continue;
                }
                let request = Request::get(&address).body(Body::empty()).unwrap();
                let status = site.clone().oneshot(request).await.unwrap().status();
                let is_there = status.is_success() || status.is_redirection() || address == "/find";
                assert!(is_there, "{page} leads to {address}, which answers {status}");
            }
        }
    }
    assert!(seen.len() > 60, "{seen:?}");
}

#[tokio::test]
async fn hashes_lead_to_the_operator_s_explorer_and_payments_go_on() {
    let (_, _, text) = get_page("/blocks").await;
    let block = &sample::pool().packetcrypt.unwrap().blocks[0].hash;
    assert!(text.contains(&format!("href=\"https://explorer.example/pkt/{block}\"")), "{text}");
    let nimiq = &sample::pool().nimiq.unwrap().blocks[0].hash;
    assert!(text.contains(nimiq.as_str()) && !text.contains(&format!("/{nimiq}")), "none is named for Nimiq");
    let own = "/m/NQ762NH6LDHVUJ2CMATRVLDHJ5TGJGQACNQ9";
    let (_, _, all) = get_page(own).await;
    let (_, _, older) = get_page(&format!("{own}?before=3")).await;
    let rows = |page: &str| page.split("id=\"payment-table\"").nth(1).unwrap().matches("<tr>").count();
    assert_eq!((rows(&all), rows(&older)), (5, 3), "with the head");
    assert!(older.contains("?range=24h#money"), "the way back");
}

#[tokio::test]
async fn what_is_not_known_is_never_zero() {
    let (_, _, text) = get_page("/statistics").await;
    let facts = sample::pool();
    let nimiq = facts.nimiq.unwrap();
    assert_eq!(nimiq.miners.dumb.value.is_none(), text.contains("not known yet"));
    for figure in text.split("<div class=\"figure ").skip(1) {
        let figure = figure.split("</div>").next().unwrap();
        let unknown = figure.contains("class=\"unknown\"");
        assert_eq!(unknown, figure.contains("not known yet"), "{figure}");
    }
}

#[tokio::test]
async fn what_nobody_has_told_yet_is_not_known_and_not_zero() {
    let mut pool = sample::pool();
    let packetcrypt = pool.packetcrypt.as_mut().unwrap();
    (packetcrypt.fee, packetcrypt.block_miners_part) = (None, None);
    let nimiq = pool.nimiq.as_mut().unwrap();
    (nimiq.totals, nimiq.average_payout.value, nimiq.next_block) = (None, None, None);
    for (address, figures) in [
        ("/", &["packetcrypt-fee"][..]),
        ("/statistics", &["packetcrypt-fee", "nimiq-average-payout"]),
        ("/payouts", &["packetcrypt-fee", "nimiq-liabilities", "nimiq-paid", "nimiq-average-payout"]),
        ("/transparency", &["nimiq-reserve", "nimiq-liabilities", "nimiq-fee-account"]),
    ] {
        let text = page_of(pool.clone(), address).await;
        for id in figures {
            let figure = figure(&text, id);
            assert!(figure.contains("not known yet") && !figure.contains("now ·"), "{address}: {figure}");
        }
    }
}

#[tokio::test]
async fn a_pool_that_has_found_nothing_says_so_and_one_that_does_not_know_says_that() {
    for (found, said) in [(Some(0), "none yet"), (None, "not known yet")] {
        let mut pool = sample::pool();
        let packetcrypt = pool.packetcrypt.as_mut().unwrap();
        packetcrypt.blocks.clear();
        packetcrypt.blocks_found.value = found;
        let text = page_of(pool, "/").await;
        let figure = figure(&text, "packetcrypt-last-block");
        assert!(figure.contains(said), "{figure}");
    }
}

#[tokio::test]
async fn an_address_is_found_and_a_wrong_one_is_explained() {
    let (status, headers, _) =
        get_page(&format!("/find?address={}", sample::NIM_MINER.replace(' ', "+"))).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(headers[LOCATION], "/m/NQ762NH6LDHVUJ2CMATRVLDHJ5TGJGQACNQ9");
    let slip = sample::PKT_MINER.replacen("6hqs", "6hqz", 1);
    for address in [format!("/find?address={slip}"), format!("/m/{slip}")] {
        let (status, _, text) = get_page(&address).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{address}");
        assert!(text.contains(&format!("href=\"/m/{}\"", sample::PKT_MINER)), "{text}");
    }
    let (_, _, text) = get_page("/find?address=bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq").await;
    assert!(text.contains("Bitcoin"), "{text}");
}

#[tokio::test]
async fn a_wrong_address_can_be_mended_where_it_was_typed() {
    let slip = sample::PKT_MINER.replacen("6hqs", "6hqz", 1);
    let (_, _, text) = get_page(&format!("/find?address={slip}")).await;
    assert!(text.contains(&format!("name=\"address\" value=\"{slip}\"")), "{text}");
}

#[tokio::test]
async fn an_address_without_work_is_told_how_to_begin_and_shown_no_empty_tables() {
    let (_, _, text) = get_page(&format!("/m/{}", sample::PKT_MINER_2)).await;
    assert!(text.contains("no work of this address yet"), "{text}");
    assert!(text.contains(&format!("<mark>{}</mark>", sample::PKT_MINER_2)), "no command: {text}");
    for empty in ["earnings-table", "conduct-table", "figures-miner", "data-series"] {
        assert!(!text.contains(empty), "{empty} without anything in it");
    }
    let (_, _, known) = get_page(&format!("/m/{}", sample::PKT_MINER)).await;
    assert!(known.contains("earnings-table") && !known.contains("no work of this address"));
}

#[tokio::test]
async fn the_pool_s_own_address_is_told_from_those_of_miners() {
    let (_, _, text) = get_page("/transparency").await;
    let table = part(&text, "next-table", "</section>");
    let rows: Vec<&str> = table.split("<tr").filter(|row| row.contains("href=\"/m/")).collect();
    assert_eq!(rows.len(), 3, "{text}");
    for row in rows {
        assert_eq!(row.contains("the pool’s own"), row.contains(sample::PKT_FEE), "{row}");
    }
    assert!(text.contains("work does not fill a window"), "{text}");
    let (_, _, own) = get_page(&format!("/m/{}", sample::PKT_FEE)).await;
    assert!(own.contains("an address of the pool’s own"), "{own}");
}

#[tokio::test]
async fn transparency_tells_terms_totals_incidents_and_statements_and_how_to_check_them() {
    let (_, _, text) = get_page("/transparency").await;
    let terms = part(&text, "terms-table", "</section>");
    assert_eq!(terms.matches("<tr>").count(), 4, "with the head: {terms}");
    assert!(terms.contains("PKT: fee 2\u{a0}%") && terms.contains("PKT: fee 1\u{a0}%"), "{terms}");
    let incidents = part(&text, "incident-table", "</section>");
    for said in
        ["did not answer", "Nimiq payouts", "connection refused", "goes on", "no new block", "40\u{a0}min"]
    {
        assert!(incidents.contains(said), "{said} in {incidents}");
    }
    let statements = part(&text, "statement-table", "</section>");
    assert_eq!(statements.matches("<tr>").count(), 8, "{statements}");
    assert!(
        statements.contains("owed to miners") && statements.contains("statement 5 is over"),
        "{statements}"
    );
    let command = format!("headframe verify statements log --key {}", sample::STATEMENT_KEY);
    assert!(text.contains(&command), "{text}");
    for (proofs, list) in [("proofs-pkt", "payees?table=4703"), ("proofs-nimiq", "credits?block=")] {
        let proofs = part(&text, proofs, "</section>");
        assert!(proofs.contains(list) && proofs.contains("format=csv"), "{proofs}");
    }
    let window = part(&text, "next-nimiq-table", "</section>");
    assert!(
        window.contains("1\u{202f}000") && window.contains("since") && window.contains("1.93\u{a0}%"),
        "{window}"
    );
    for total in ["nimiq-liabilities", "nimiq-fee-account", "nimiq-reserve"] {
        assert!(figure(&text, total).contains("value"), "{total}");
    }
}

#[tokio::test]
async fn status_tells_of_every_part_how_it_is_since_when_its_load_and_its_last_start() {
    let mut pool = sample::pool();
    pool.components[0].version = Some("0.0.9".to_owned());
    let text = page_of(pool.clone(), "/status").await;
    let table = part(&text, "status-table", "</section>");
    assert_eq!(table.matches("<tr>").count(), pool.components.len() + 1);
    for said in ["62.5\u{a0}%", "Last restart", "Headframe 0.0.9", "the Master does not answer", "PKT 1"] {
        assert!(table.contains(said), "{said} in {table}");
    }
    assert_eq!(table.matches("Headframe 0").count(), 1, "only what differs from the website is named");
    assert!(part(&text, "started", "</section>").contains("4f1c2d9a"));
}

#[tokio::test]
async fn statistics_have_a_chart_of_everything_that_has_a_past_and_tell_of_handlers_and_nodes() {
    for range in ["1h", "24h", "7d", "30d"] {
        let (_, _, text) = get_page(&format!("/statistics?range={range}")).await;
        for (chain, name) in [Chain::PacketCrypt, Chain::Nimiq]
            .into_iter()
            .flat_map(|chain| SeriesName::of_chain(chain).iter().map(move |name| (chain.name(), name.name())))
        {
            let chart = format!("data-series=\"/api/v1/{chain}/series/{name}?range={range}\"");
            assert!(text.contains(&chart), "{chart}");
        }
        let sent = compressed(text.as_bytes(), flate2::Compression::fast()).unwrap().len();
        assert!(sent < 40_000 && text.len() < 128_000, "{range}: {sent} bytes, {} unpacked", text.len());
        assert!(figure(&text, "packetcrypt-handler-load").contains("32.8"), "the mean of two handlers");
        let nodes = figure(&text, "nimiq-nodes");
        assert!(nodes.contains(">1 <span class=\"unit\">of 1</span>"), "{nodes}");
    }
    let (_, _, text) = get_page("/statistics").await;
    let classes = part(&text, "class-table", "</section>");
    assert!(classes.contains("In use") && classes.contains("2\u{202f}114\u{202f}924"), "{classes}");
}

#[tokio::test]
async fn connect_explains_every_code_that_a_miner_may_be_told() {
    let (_, _, text) = get_page("/connect").await;
    for code in ["packetcrypt-height_out_of_range", "packetcrypt-overloaded", "nimiq-invalid_pow"] {
        let meaning = part(&text, &format!("code-{code}"), "</tr>");
        assert!(meaning.len() > 60, "{code}: {meaning}");
    }
    assert!(text.contains("curl https://pool.example/master/config.json"), "no port test");
    let endpoints = part(&text, "endpoint-list", "</dl>");
    let second = endpoints.split("<dt>").find(|endpoint| endpoint.contains("/ann/second")).unwrap();
    assert!(second.contains("troubled") && endpoints.matches("works").count() == 4, "{endpoints}");
    let (_, _, text) = get_page("/connect?work=nimiq&system=windows").await;
    assert!(text.contains("Test-NetConnection pool.example -Port 8443"), "{text}");
    assert!(text.contains("wss://pool.example:8443"), "no endpoint");
}

#[tokio::test]
async fn a_miner_sees_the_state_of_its_work_and_what_each_window_pays() {
    let (_, _, text) = get_page(&format!("/m/{}", sample::PKT_MINER)).await;
    let next = part(&text, "miner-next", "</section>");
    assert!(
        next.contains("30\u{a0}% · 612\u{a0}PKT") && next.contains("35.3\u{a0}% · 722\u{a0}PKT"),
        "{next}"
    );
    assert!(part(&text, "miner-state", "</p>").contains("mining"));
    let conduct = part(&text, "conduct-table", "</section>");
    assert!(conduct.contains("stale parent") && conduct.contains("210"), "{conduct}");
    assert!(figure(&text, "miner-warm-up").contains("100"));
    let (_, _, text) = get_page("/m/NQ762NH6LDHVUJ2CMATRVLDHJ5TGJGQACNQ9").await;
    let devices = part(&text, "device-table", "</section>");
    assert_eq!(devices.matches("<tr>").count(), 3, "{devices}");
}

#[tokio::test]
async fn a_block_leads_to_the_list_of_those_whom_it_paid() {
    let (_, _, text) = get_page("/blocks").await;
    assert!(text.contains("/api/v1/packetcrypt/payees?table=4703"), "{text}");
    let settled = format!("/api/v1/nimiq/credits?block={}", sample::settled_block());
    assert!(text.contains(&settled), "{text}");
    let found = &sample::pool().nimiq.unwrap().blocks[0].hash;
    assert!(!text.contains(&format!("credits?block={found}")), "it is not settled");
}

#[tokio::test]
async fn scripts_in_what_visitors_send_are_words() {
    let script = "%3Cscript%3Ealert(1)%3C/script%3E%22%20onload=%22x";
    for address in [
        format!("/find?address={script}"),
        format!("/?address={script}"),
        format!("/connect?address={script}&work={script}&system={script}"),
        format!("/m/{}", script.replace('/', "%2F")),
        format!("/blocks?chain={script}&page={script}&range={script}"),
    ] {
        let (_, _, text) = get_page(&address).await;
        assert!(!text.contains("<script>") && !text.contains("\" onload"), "{address}: {text}");
    }
}

#[tokio::test]
async fn scripts_in_what_others_tell_are_words() {
    let script = "<script>alert(1)</script>\"'onload=x".to_owned();
    let mut pool = sample::pool();
    pool.identity.name.clone_from(&script);
    pool.identity.contact = Some(script.clone());
    pool.identity.build = Some(script.clone());
    pool.identity.explorers.packetcrypt = Some(format!("https://x/{script}{{hash}}"));
    for component in &mut pool.components {
        (component.name, component.reason) = (script.clone(), Some(script.clone()));
    }
    let packetcrypt = pool.packetcrypt.as_mut().unwrap();
    packetcrypt.pool_url.clone_from(&script);
    packetcrypt.announcement_urls = vec![script.clone()];
    packetcrypt.payout_rule.clone_from(&script);
    packetcrypt.warnings = vec![script.clone()];
    packetcrypt.payout_tables[0].detail = Some(script.clone());
    packetcrypt.payout_table.as_mut().unwrap().payees[0].address.clone_from(&script);
    (packetcrypt.blocks[0].finder, packetcrypt.blocks[0].hash) = (Some(script.clone()), script.clone());
    let nimiq = pool.nimiq.as_mut().unwrap();
    (nimiq.network, nimiq.address) = (script.clone(), Some(script.clone()));
    nimiq.servers = vec![script.clone()];
    (nimiq.payments[0].hash, nimiq.payments[0].address) = (script.clone(), script.clone());
    let site = router_with_clock(SiteFiles::new(None).unwrap(), Facts::made_up(pool), || sample::NOW);
    for address in PAGES {
        let request = Request::get(address).body(Body::empty()).unwrap();
        let body = site.clone().oneshot(request).await.unwrap().into_body();
        let text = String::from_utf8(to_bytes(body, 10 << 20).await.unwrap().to_vec()).unwrap();
        assert!(text.contains("alert(1)"), "{address} does not show it");
        assert!(!text.contains("<script>") && !text.contains("\"'onload"), "{address}: {text}");
    }
}

#[tokio::test]
async fn huge_questions_are_answered_with_small_pages() {
    let huge = "9".repeat(6000);
    for address in [
        format!("/?address={huge}"),
        format!("/find?address={huge}"),
        format!("/m/{huge}"),
        format!("/blocks?page={huge}&range={huge}&chain={huge}"),
        format!("/m/{}?before={huge}", sample::PKT_MINER),
    ] {
        let (status, _, text) = get_page(&address).await;
        assert!(status == StatusCode::OK || status == StatusCode::NOT_FOUND, "{status}");
        assert!(text.len() < 100_000 && !text.contains(&huge[..200]), "{} bytes", text.len());
    }
}

#[tokio::test]
async fn the_visitor_s_address_stands_in_the_commands() {
    let (_, _, text) = get_page(&format!("/?address={}", sample::PKT_MINER)).await;
    assert_eq!(text.matches(&format!("<mark>{}</mark>", sample::PKT_MINER)).count(), 2, "{text}");
    assert!(text.contains("<mark>YOUR_NIMIQ_ADDRESS</mark>"));
}

#[tokio::test]
async fn an_operator_s_page_is_served_under_its_name_and_others_are_not_there() {
    let (status, headers, text) = get_page("/embedding").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(text.contains("<pool-metric"));
    for address in ["/nothing", "/static/nothing.js", "/static/../texts/en.toml", "/static/%2e%2e/Cargo.toml"]
    {
        assert_eq!(get_page(address).await.0, StatusCode::NOT_FOUND, "{address}");
    }
}

#[test]
fn every_text_is_used_and_every_used_text_is_there() {
    let mut sources = String::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/site/pages")).unwrap() {
        sources.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let texts = Texts::default();
    for key in texts.keys() {
        let mut parts = key.split('.');
        let used = match (parts.next(), parts.next(), parts.next()) {
            (Some("figure"), Some(name), Some(_)) => sources.contains(&format!("\"{name}\"")),
            (Some("chart"), Some(name), Some(_)) => SeriesName::from_name(name).is_some(),
            (Some("refusal"), Some(code), None) => {
                wire::Refusal::CODES.contains(&code)
                    || nimiq::share::Refusal::ALL.iter().any(|one| one.code() == code)
            }
            _ => sources.contains(&format!("\"{key}\"")),
        };
        assert!(used, "{key} is used nowhere");
    }
    for call in [".get(\"", ".fill(\""] {
        for key in sources.split(call).skip(1).filter_map(|rest| rest.split('"').next()) {
            let is_key = key.contains('.') && !key.contains('/');
            assert!(!is_key || texts.get(key) != key, "{key} is no text");
        }
    }
}
