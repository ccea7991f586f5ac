//! What is fuzzed: every parser of `wire`, and those of the crates beside it.

use ledger::backup::Manifest;
use packetcrypt::block::{Elements, Proof, Transaction};
use pool::monitor::figures::Figures;
use pool::site::record::signed_line::{Place, SignedLine};
use pool::site::subscriptions;

use super::{Target, nimiq};

/// Every target.
pub fn all() -> Vec<Target> {
    let wire = wire::fuzz::TARGETS;
    let wire = wire.iter().map(|target| Target {
        name: target.name,
        seeds: seeds_of(target.name),
        feed: target.exercise,
    });
    let beside = [
        Target {
            name: "proof_elements",
            seeds: &["blocks/shares_valid", "blocks-real"],
            feed: proof_elements,
        },
        Target { name: "transaction", seeds: &["blocks-real", "pktd-rpc"], feed: transaction },
        Target { name: "node_reply", seeds: &["pktd-rpc", "pool/node_rpc"], feed: node_reply },
        Target { name: "monitor_figures", seeds: &[], feed: monitor_figures },
        Target { name: "signed_message", seeds: &[], feed: signed_message },
        Target { name: "subscription_target", seeds: &[], feed: subscription_target },
        Target { name: "backup_manifest", seeds: &[], feed: backup_manifest },
        Target { name: "signed_line", seeds: &[], feed: signed_line },
    ];
    wire.chain(beside).chain(nimiq::all()).collect()
}

/// The vectors that hold messages of a family, beside its folder in `fuzz/corpus`.
fn seeds_of(name: &str) -> &'static [&'static str] {
    match name {
        "work" | "template" | "pool_config" | "block_info" => &["pool/master"],
        "announcement_post" => &["pool/annhandler", "client_headers"],
        "batch" => &["pool/annhandler"],
        "sprayer" => &["pool/sprayer"],
        "share_post" => &["pool/blkhandler", "blocks-real"],
        "event" => &["pool/events", "pool/paymaker"],
        "reply" => &["pool/annhandler", "pool/blkhandler"],
        "address" => &["pool/payto", "blocks/addresses"],
        "nimiq_client_message" | "nimiq_server_message" | "proxy_protocol" | "forwarded" => &[],
        _ => &["pool/paymaker"],
    }
}

fn proof_elements(input: &[u8]) {
    if let Ok(proof) = Proof::from_upload(input) {
        let again = Proof::from_upload(&proof.to_upload());
        assert_eq!(again.as_ref().ok(), Some(&proof), "built and parsed again: {again:?}");
    }
    let _ = Elements::read(input);
}

fn transaction(input: &[u8]) {
    let _ = Transaction::read(input);
}

fn node_reply(input: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(input) {
        let _ = node::pktd::template::read(value);
    }
}

fn monitor_figures(input: &[u8]) {
    let figures = Figures::read(&String::from_utf8_lossy(input));
    let _ = Figures::together([&figures, &figures]);
}

/// An address, a signature and a text, a line each.
fn signed_message(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.splitn(3, '\n');
    let (Some(address), Some(signature), Some(text)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    if let Ok(address) = address.parse() {
        let _ = wire::pkt_signed_message::check(&address, text, signature);
    }
}

fn subscription_target(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(target) = subscriptions::Target::read("email", &text, false) {
        assert!(!target.url.contains(['\'', '"', '$', '`', ' ', '\n']), "{target:?} can leave its line");
    }
    if let Ok(target) = subscriptions::Target::read("webhook", &text, false) {
        assert_eq!(target.url.get(..6).map(str::to_lowercase).as_deref(), Some("https:"), "{target:?}");
    }
}

fn backup_manifest(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(manifest) = Manifest::parse(text) {
        assert_eq!(manifest.to_text().trim_end(), text.trim_end(), "a manifest has one text");
    }
}

/// The lines of a record of statements.
fn signed_line(input: &[u8]) {
    let mut place = None;
    for line in String::from_utf8_lossy(input).lines() {
        let Ok(line) = line.parse::<SignedLine>() else { return };
        assert_eq!(line.to_string().parse(), Ok(line.clone()), "a line has one text");
        if let Ok((signed, next)) = line.follow(place, None) {
            assert!(place.is_none_or(|place: Place| place.number == signed.statement.number));
            place = Some(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn every_folder_of_seeds_has_a_target() {
        let targets = super::all();
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        for entry in std::fs::read_dir(corpus).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(targets.iter().any(|target| name == target.name), "no target is called {name:?}");
        }
    }
}
