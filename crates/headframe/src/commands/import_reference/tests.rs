//! Configurations of reference pools, as their operators have them.

use std::path::Path;

use super::*;
use crate::config::Files;

fn import(files: &[(&str, &str)]) -> Draft {
    let mut draft = Draft::default();
    for (name, text) in files {
        draft.begin(name);
        match Path::new(name).extension().unwrap().to_str().unwrap() {
            "toml" => pool_toml::read(text, &mut draft).unwrap(),
            "js" => pool_js::read(text, &mut draft).unwrap(),
            _ => nimiq_conf::read(text, &mut draft).unwrap(),
        }
    }
    draft
}

/// The result, which must have no errors.
fn loaded(draft: &Draft) -> Config {
    let text = draft.render();
    Config::load(Some((Path::new("pool.toml"), &text)), [], &[], Files::MayBeElsewhere)
        .unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

#[test]
fn a_packetcrypt_pool_is_carried_over() {
    let draft = import(&[
        ("pool.toml", include_str!("samples/pool.toml")),
        ("pool.js", include_str!("samples/pool.js")),
    ]);
    let config = loaded(&draft);
    assert_eq!(config.pool.url.as_ref().unwrap().as_str(), "http://pool.example/master");
    assert_eq!(config.nodes[0].url.as_ref().unwrap().as_str(), "https://127.0.0.1:64765");
    let names: Vec<&str> = config.ann_handlers.iter().map(crate::roles::ann_name).collect();
    assert_eq!(names, ["ah0", "ah-1", "ann2"], "two of pool.toml, and one that only pool.js knows");
    assert_eq!(config.ann_handlers[0].threads, 8);
    assert_eq!(config.ann_handlers[0].spray_at.len(), 1);
    assert_eq!(config.master.announcement_urls.len(), 3);
    assert_eq!(config.master.announcement_urls[0].as_str(), "http://ann0.pool.example");
    assert_eq!((config.master.announcement_work, config.master.mine_old_anns), (256, 3));
    assert_eq!(config.blk_handlers[0].requests, 50);
    assert_eq!(config.pay_maker.history.as_secs(), 172_800);
    assert_eq!(config.pay_maker.pool_fee.to_string(), "0.2");
    assert_eq!(config.pay_maker.slots_to_keep_events, Some(10));
    let noted: Vec<&str> = draft.notes().iter().filter_map(|note| note.split('`').nth(1)).collect();
    assert_eq!(
        noted,
        [
            "ann_handler.ah0.spray_workers",
            "ann_handler.ah_1.skip_check_chance",
            "ann_handler.ah_1.spray_workers",
            "ann_handler.ah_1.subscribe_to",
            "root_workdir",
            "rootWorkdir",
            "rpc.rejectUnauthorized",
            "payMaker.maxConnections",
            "payMaker.updateHook",
        ]
    );
}

#[test]
fn a_nimiq_pool_is_carried_over() {
    let draft = import(&[
        ("server.conf", include_str!("samples/server.conf")),
        ("payout.conf", include_str!("samples/payout.conf")),
    ]);
    let config = loaded(&draft);
    let server = &config.nimiq_servers[0];
    assert_eq!(server.listen.to_string(), "0.0.0.0:8444");
    assert_eq!(server.certificate.as_deref(), Some(Path::new("/etc/ssl/pool.cer")));
    assert_eq!(server.silent_for.as_secs(), 600);
    assert_eq!(server.banned, ["192.0.2.1", "NQ07 0000 0000 0000 0000 0000 0000 0000 0000"]);
    assert_eq!(config.nimiq_service.window.to_string(), "last 2000 shares");
    assert_eq!(config.nimiq_payout.automatic_above, nimiq::Luna(1_000_050));
    assert!(config.nimiq_payout.owner_address.is_some());
    assert_eq!(config.nimiq_network(), nimiq::Network::Test);
    let noted: Vec<&str> = draft.notes().iter().filter_map(|note| note.split('`').nth(1)).collect();
    assert_eq!(
        noted,
        [
            "poolServer.mySqlPsw",
            "poolServer.mySqlHost",
            "pool.spsTimeUnit",
            "host",
            "tls",
            "rpcServer",
            "poolPayout.mySqlPsw",
            "wallet.seed",
        ]
    );
    assert!(!draft.render().contains("e3b0c442"), "no secret key is carried into a configuration");
}

#[test]
fn what_two_files_say_differently_is_noted() {
    let draft = import(&[
        ("pool.toml", "paymaker_http_password = \"b7f3c01d9e8a4c55\"\n"),
        ("pool.js", "config.paymakerHttpPasswd = '55c4a8e9d10c3f7b';\n"),
    ]);
    assert_eq!(
        draft.notes(),
        ["pool.js: `pool.password`: another file says something else, which was taken"]
    );
}

#[test]
fn a_file_that_is_something_else_is_refused() {
    let mut draft = Draft::default();
    assert!(pool_js::read("const a = 1;", &mut draft).unwrap_err().to_string().contains("`config`"));
    assert!(nimiq_conf::read("[1]", &mut draft).is_err());
    assert!(nimiq_conf::read("{a: ", &mut draft).unwrap_err().to_string().contains("line 1"));
    assert!(pool_toml::read("a = ", &mut draft).is_err());
    let error = super::read(Path::new("/nonexistent/pool.ini"), &mut draft).unwrap_err();
    assert!(error.to_string().contains("cannot read"), "{error}");
}
