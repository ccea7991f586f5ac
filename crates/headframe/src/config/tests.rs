//! Configurations as operators write them, and what they are told.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn load(text: &str) -> Result<Config, Problems> {
    Config::load(Some((Path::new("pool.toml"), text)), [], &[], Files::MayBeElsewhere)
}

/// The messages for a text that is wrong.
fn faults(text: &str) -> Vec<String> {
    load(text).unwrap_err().0.iter().map(Problem::to_string).collect()
}

#[test]
fn nothing_at_all_is_a_pool_on_the_dev_chain() {
    let config = Config::load(None, [], &[], Files::MayBeElsewhere).unwrap();
    assert!(config.nodes.is_empty());
    assert_eq!(config.ann_handlers[0].name.as_ref().unwrap().as_str(), "main");
    assert_eq!(config.blk_handlers.len(), 1);
    assert!(config.http.listen.ip().is_loopback());
}

#[test]
fn the_example_is_good_as_printed_and_in_the_repository() {
    let example = Config::example();
    load(&example).unwrap();
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pool.example.toml");
    let kept = std::fs::read_to_string(kept).unwrap();
    assert!(kept == example, "pool.example.toml is not what `headframe config example` prints");
}

#[test]
fn the_example_is_good_with_every_key_uncommented() {
    let key = |line: &str| {
        let bare = line.strip_prefix("# ")?;
        let name = bare.trim_start_matches('[').split([' ', ']']).next()?;
        let is_key = bare.starts_with("[[") && bare.ends_with("]]") || bare.contains(" = ");
        (is_key && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')).then(|| bare.to_owned())
    };
    let lines: Vec<String> =
        Config::example().lines().map(|line| key(line).unwrap_or_else(|| line.to_owned())).collect();
    let text = lines.join("\n").replace("announcement_work = 128\n", "");
    let text = text.replace("secret_file = \"/etc/headframe/notify.secret\"\n", "");
    let config = load(&text).unwrap();
    assert_eq!(config.ann_handlers[0].name.as_ref().unwrap().as_str(), "main");
    assert_eq!(config.nodes.len(), 1);
}

#[test]
fn every_error_is_reported_with_its_place_and_a_suggestion() {
    let faults = faults(
        "[mastr]\n\
         [master]\n\
         mine_old_ann = 3\n\
         announcement_work = \"many\"\n\
         announcement_target = 0x20000001\n\
         [pay_maker]\n\
         pool_fee = 1.5\n\
         update_cycle = 3601\n\
         default_address = \"pkt1nobody\"\n\
         [node]\n\
         url = \"http://127.0.0.1:1\"\n",
    );
    let expected = [
        "pool.toml:1:2: `mastr` is no section; did you mean `master`?",
        "pool.toml:3:1: `master.mine_old_ann` is no key of this section; did you mean `mine_old_anns`?",
        "pool.toml:4:21: `master.announcement_work` must be a whole number from 1 to 16777216 (hashes), not the text \"many\"",
        "pool.toml:5:23: `master.announcement_target` must be a canonical compact target such as 0x1f0fffff, not the whole \
         number 536870913 (target 20000001 is not canonical",
        "pool.toml:5:23: `master.announcement_target` says the same as `announcement_work`, which is also given; keep one of them",
        "pool.toml:7:12: `pay_maker.pool_fee` must be a decimal number from 0 to 0.999999 with at most 12 decimals, not the number 1.5",
        "pool.toml:8:16: `pay_maker.update_cycle` must be a whole number from 0 to 3600 (seconds), not the whole number 3601",
        "pool.toml:9:19: `pay_maker.default_address` must be a PKT address that a pool can pay, not the text \"pkt1nobody\"",
        "pool.toml:10:2: `node` may be given several times; write it as [[node]]",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}\nis not\n{expected}");
    }
}

#[test]
fn a_handler_that_the_masters_list_does_not_have_is_found() {
    let faults = faults(
        "[master]\n\
         announcement_urls = [\"http://pool.example/ann/one\", \"http://pool.example/ann/one\"]\n\
         [[ann_handler]]\n\
         name = \"one\"\n\
         url = \"http://pool.example/ann/on\"\n",
    );
    assert!(faults[0].contains("has http://pool.example/ann/one twice"), "{faults:?}");
    assert_eq!(
        faults[1],
        "pool.toml:5:7: `ann_handler.one.url` is http://pool.example/ann/on, which is not in \
         `master.announcement_urls`: no miner would find this handler; the nearest entry of the list is \
         http://pool.example/ann/one"
    );
}

#[test]
fn handlers_that_others_run_are_only_listed() {
    let config = load("[master]\nannouncement_urls = [\"http://127.0.0.1:9000\"]\n").unwrap();
    assert!(config.ann_handlers.is_empty());
    assert_eq!(config.blk_handlers.len(), 1);
}

#[test]
fn r_m8_two_handlers_cannot_have_one_url_or_one_name() {
    let faults = faults(
        "[[ann_handler]]\nname = \"a\"\nurl = \"http://h/x\"\n[[ann_handler]]\nname = \"a\"\nurl = \"http://h/x\"\n",
    );
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults[0].starts_with("pool.toml:5:8: `ann_handler.a.name` \"a\" is already the name"),
        "{faults:?}"
    );
    assert!(faults[1].starts_with("pool.toml:6:7: `ann_handler.a.url` \"http://h/x\" is already the url"));
}

#[test]
fn a_guessable_password_may_guard_loopback_only() {
    let text =
        "[pool]\npassword = \"x\"\nurl = \"http://pool.example/master\"\n[http]\nlisten = \"192.0.2.1:80\"\n";
    assert!(faults(text)[0].starts_with("pool.toml:2:12: `pool.password` is easy to guess"));
    load(&text.replace("192.0.2.1:80", "127.0.0.1:80")).unwrap();
}

#[test]
fn who_listens_everywhere_must_say_how_to_reach_it() {
    let faults = faults("[http]\nlisten = \"0.0.0.0:80\"\n");
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.contains("url` is missing: the role listens on all interfaces")));
}

#[test]
fn a_real_node_needs_payees() {
    let faults = faults("[[node]]\nurl = \"http://127.0.0.1:64765\"\n");
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.contains("address` is missing")));
}

#[test]
fn later_layers_win_and_are_named_when_they_are_wrong() {
    let text = "[master]\nmine_old_anns = 1\n";
    let file = Some((Path::new("pool.toml"), text));
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let flag = |value: &str| Override {
        key: "master.mine_old_anns".to_owned(),
        value: value.to_owned(),
        flag: "--set master.mine_old_anns".to_owned(),
    };
    let environment = || {
        [
            variable("HEADFRAME_MASTER_MINE_OLD_ANNS", "3"),
            variable("HEADFRAME_ANN_HANDLER_MAIN_THREADS", "2"),
            variable("HEADFRAME_LOG", "debug"),
            // cargo sets it for what it runs.
            variable("HEADFRAME_BUILD", "0123456789ab"),
            variable("HOME", "/"),
        ]
    };
    let config = Config::load(file, environment(), &[], Files::MayBeElsewhere).unwrap();
    assert_eq!((config.master.mine_old_anns, config.ann_handlers[0].threads), (3, 2));
    let config = Config::load(file, environment(), &[flag("4")], Files::MayBeElsewhere).unwrap();
    assert_eq!(config.master.mine_old_anns, 4);

    let problems =
        Config::load(file, [variable("HEADFRAME_MASTR_X", "1")], &[flag("99")], Files::MayBeElsewhere)
            .unwrap_err()
            .0;
    let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert!(
        problems[0].starts_with("environment variable HEADFRAME_MASTR_X: names no section"),
        "{problems:?}"
    );
    assert!(problems[1].starts_with(
        "command line --set master.mine_old_anns: `master.mine_old_anns` must be a whole number from 0 to 5"
    ));
}

#[test]
fn a_secret_that_does_not_fit_is_not_shown() {
    assert!(faults("[pool]\npassword = 12345678\n")[0].ends_with("not something else"));
}

#[test]
fn which_pools_run_follows_from_the_nodes() {
    let runs =
        |text: &str| load(text).map(|config| (config.runs_packetcrypt(), config.runs_nimiq())).unwrap();
    let node =
        "[[node]]\nurl = \"http://n\"\n[pay_maker]\ndefault_address = \"PKT\"\nerror_address = \"PKT\"\n"
            .replace("PKT", "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2");
    let nimiq_node = "[[nimiq_node]]\nurl = \"http://m\"\n";
    let nimiq = "[nimiq]\naddress = \"NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9\"\n";
    assert_eq!(runs(""), (true, true));
    assert_eq!(runs(&node), (true, false));
    assert_eq!(runs(&format!("{nimiq_node}{nimiq}")), (false, true));
    assert_eq!(runs(&format!("{node}{nimiq_node}{nimiq}")), (true, true));
    assert_eq!(runs("[nimiq]\nrun = \"no\"\n"), (true, false));
    assert_eq!(load("").unwrap().nimiq_network(), Network::Dev);
    assert_eq!(load(&format!("{nimiq_node}{nimiq}")).unwrap().nimiq_network(), Network::Main);
}

#[test]
fn the_nimiq_pool_is_told_what_it_lacks() {
    let faults = faults(
        "[nimiq]\n\
         accounts = \"mysql://pool:hunter2@localhost/pool\"\n\
         [[nimiq_node]]\n\
         [[nimiq_server]]\n\
         name = \"main\"\n\
         certificate = \"c.pem\"\n\
         banned = [\"everybody\"]\n\
         [nimiq_service]\n\
         window = \"1000\"\n\
         pool_fee = 0.0000001\n\
         [nimiq_payout]\n\
         automatic_above = 0.000001\n",
    );
    let expected = [
        "pool.toml:1:2: `nimiq.address` is missing: with a real node the pool needs an account",
        "pool.toml:2:12: `nimiq.accounts` must be sqlite://FILE or postgres://USER@HOST/DATABASE (kept out of logs), not something else",
        "pool.toml:3:1: `nimiq_node.1.url` is missing",
        "pool.toml:6:15: `nimiq_server.main.key` is missing: TLS needs certificate and key",
        "pool.toml:7:10: `nimiq_server.main.banned` must be a list of texts, each an IP address, a network or a payout address",
        "pool.toml:9:10: `nimiq_service.window` must be \"last N shares\" or",
        "pool.toml:10:12: `nimiq_service.pool_fee` must be a decimal number from 0 to 1 with at most 6 decimals",
        "pool.toml:12:19: `nimiq_payout.automatic_above` must be an amount in NIM with at most 5 decimals",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}\nis not\n{expected}");
    }
}

#[test]
fn amounts_and_fees_are_whole() {
    let config = load("[nimiq_payout]\nautomatic_above = 0.5\n[nimiq_service]\npool_fee = 0.025\n").unwrap();
    assert_eq!(config.nimiq_payout.automatic_above, nimiq::Luna(50_000));
    assert_eq!(config.nimiq_service.pool_fee.millionths(), 25_000);
    let config = load("").unwrap();
    assert_eq!(config.nimiq_payout.automatic_above, nimiq::Luna(5_000_000));
    assert_eq!(config.nimiq_service.pool_fee.millionths(), 10_000);
    assert_eq!(config.nimiq_servers[0].listen.port(), 8443);
}

/// One configuration of the table: its title, its text, and what is said about it.
struct Case<'t> {
    title: &'t str,
    text: &'t str,
    said: Vec<&'t str>,
}

/// `### TITLE`, the text, `---`, a line for each error.
fn table() -> Vec<Case<'static>> {
    let parts = include_str!("wrong_configurations.txt").split("### ").skip(1);
    parts
        .map(|part| {
            let (title, part) = part.split_once('\n').unwrap();
            let (text, said) = part.split_once("---\n").unwrap();
            Case { title, text, said: said.lines().filter(|line| !line.is_empty()).collect() }
        })
        .collect()
}

/// Everything at once, each with its line and the way out.
#[test]
fn wrong_configurations_are_told_all_their_errors_in_these_words() {
    let table = table();
    let mut said = String::new();
    for Case { title, text, .. } in &table {
        let loaded = Config::load(Some((Path::new("pool.toml"), text)), [], &[], Files::MustBeHere);
        let problems = loaded.expect_err(title);
        writeln!(
            said,
            "### {title}\n{text}---\n{}\n",
            problems.0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
        )
        .unwrap();
    }
    for (case, part) in table.iter().zip(said.split("### ").skip(1)) {
        let now: Vec<&str> =
            part.split_once("---\n").unwrap().1.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(now, case.said, "{}", case.title);
        for line in now {
            assert!(line.starts_with("pool.toml:"), "where? {line}");
            assert!(line.contains(" must be ") || line.contains("; "), "and what mends it? {line}");
        }
    }
    assert!(table.len() >= 60, "{}", table.len());
}

#[test]
fn a_way_to_tell_people_has_what_its_kind_needs() {
    let faults = faults(
        "[[notify]]\n\
         name = \"phone\"\n\
         kind = \"telegram\"\n\
         [[notify]]\n\
         name = \"phone\"\n\
         kind = \"webhook\"\n\
         url = \"ftp://127.0.0.1/x\"\n\
         secret = \"between us, and long\"\n\
         secret_file = \"/etc/headframe/secret\"\n\
         [[notify]]\n\
         kind = \"email\"\n\
         server = \"mail.example\"\n\
         from = \"pool at example\"\n",
    );
    let expected = [
        "pool.toml:1:1: `notify.phone.secret` is missing, and this `kind` needs it",
        "pool.toml:1:1: `notify.phone.chat` is missing, and this `kind` needs it",
        "pool.toml:5:8: `notify.phone.name` \"phone\" is already the name of the notify at pool.toml:2:8",
        "pool.toml:7:7: `notify.phone.url` must be an http or https URL",
        "pool.toml:9:15: `notify.phone.secret_file` does the same as `secret`, which is also given; keep one of them",
        "pool.toml:10:1: `notify.3.name` is missing",
        "pool.toml:10:1: `notify.3.to` is missing, and this `kind` needs it",
        "pool.toml:12:10: `notify.3.server` must be HOST:PORT, not the text \"mail.example\"",
        "pool.toml:13:8: `notify.3.from` must be an e-mail address, not the text \"pool at example\"",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}\nis not\n{expected}");
    }
}

#[test]
fn nobody_is_told_unless_somebody_is_named() {
    let config = load(
        "[[notify]]\nname = \"mail\"\nkind = \"email\"\nserver = \"[::1]:25\"\nfrom = \"a@b\"\nto = [\"c@d\"]\n",
    );
    let config = config.unwrap();
    assert_eq!(config.notify.len(), 1);
    assert_eq!(config.notify[0].server.as_ref().unwrap().host, "::1");
    assert!(load("").unwrap().notify.is_empty());
}

#[test]
fn the_key_of_the_pool_is_of_its_address_and_for_its_owner_alone() {
    const OTHER: &str = "NQ65 HV5A R30G C016 6PXL NQ0H AJQX TRXL F97P";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pool.key");
    let key = nimiq::PrivateKey::new(&[7; 32]).public_key().address().to_string();
    let check = |address: &str, content: &str, mode: u32| {
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let text = format!("[nimiq]\n{address}[nimiq_payout]\nkey_file = {:?}\n", file.display().to_string());
        let loaded = Config::load(Some((Path::new("pool.toml"), &text)), [], &[], Files::MustBeHere);
        loaded.map_err(|problems| problems.0.iter().map(Problem::to_string).collect::<String>()).err()
    };
    let seven = "07".repeat(32);
    assert_eq!(check(&format!("address = {key:?}\n"), &seven, 0o600), None);
    // On the embedded chain the address is that of the key.
    assert_eq!(check("", &seven, 0o600), None);
    let other = check(&format!("address = {OTHER:?}\n"), &seven, 0o600).unwrap();
    assert!(
        other.contains(&format!("holds the key of {key}, and that is not `nimiq.address`; write")),
        "{other}"
    );
    let open = check(&format!("address = {key:?}\n"), &seven, 0o640).unwrap();
    assert!(open.contains("which others may use too (mode 0640); chmod 600 "), "{open}");
    let no_key = check(&format!("address = {key:?}\n"), "secret", 0o600).unwrap();
    assert!(no_key.contains("which holds no key: ") && !no_key.contains("secret"), "{no_key}");
}
