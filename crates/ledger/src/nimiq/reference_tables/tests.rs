//! Scripts that are written are read again, whatever is in them; and dumps of the real programs are read.

use std::collections::BTreeMap;

use nimiq::{Address, BlockHash, Height, Luna, TransactionHash};
use proptest::collection::vec;
use proptest::prelude::*;

use super::dump::{self, DumpFault};
use super::opening::{OpeningFault, Openings, openings};
use super::script::Script;
use super::{MOST_LUNA, Version};
use crate::UnixMillis;

/// Tables in the making: heights of blocks and whether they count; credits and debits by user, of 4.
#[derive(Debug, Clone)]
struct Made {
    version: Version,
    blocks: Vec<(u32, bool)>,
    payins: BTreeMap<(u8, u8), i64>,
    payouts: Vec<(u8, i64)>,
    requests: usize,
}

const USERS: u8 = 4;

fn made() -> impl Strategy<Value = Made> {
    let amount = prop_oneof![0..=20_000_000i64, Just(MOST_LUNA), 0..=MOST_LUNA];
    (
        prop_oneof![Just(Version::V1_0), Just(Version::V1_1)],
        vec((any::<u32>(), any::<bool>()), 1..8),
        proptest::collection::btree_map((0..USERS, 0..7u8), amount.clone(), 0..20),
        vec((0..USERS, amount), 0..20),
        0..=usize::from(USERS),
    )
        .prop_map(|(version, blocks, mut payins, payouts, requests)| {
            payins.retain(|(_, block), _| usize::from(*block) < blocks.len());
            Made { version, blocks, payins, payouts, requests }
        })
}

fn address(user: u8) -> Address {
    Address([user.wrapping_mul(83) ^ 0x27; 20])
}

impl Made {
    fn script(&self) -> Vec<u8> {
        let mut script = Script::new(Vec::new(), self.version).unwrap();
        for user in 0..USERS {
            script.user(u64::from(user) + 1, &address(user)).unwrap();
        }
        for (id, (height, main_chain)) in (1..).zip(&self.blocks) {
            let hash = BlockHash([(id as u8).wrapping_mul(39); 32]);
            script.block(id, &hash, Height(*height), *main_chain, UnixMillis(5)).unwrap();
        }
        match self.version {
            Version::V1_0 => script.share((1, 7, 1), UnixMillis(6), 1 << 19, &BlockHash([0x27; 32])).unwrap(),
            Version::V1_1 => script.shares((1, 7, 1), 3, 3 << 19).unwrap(),
        }
        for ((user, block), amount) in &self.payins {
            let (user, block) = (u64::from(*user) + 1, u64::from(*block) + 1);
            script.payin(user, Luna(*amount as u64), block, UnixMillis(7)).unwrap();
        }
        for (user, amount) in &self.payouts {
            let transaction = TransactionHash([0x5c; 32]);
            script.payout(u64::from(*user) + 1, Luna(*amount as u64), UnixMillis(8), &transaction).unwrap();
        }
        for user in 1..=self.requests {
            script.payout_request(user as u64).unwrap();
        }
        script.finish().unwrap()
    }

    fn balances(&self) -> BTreeMap<Address, i64> {
        let mut balances: BTreeMap<_, _> = (0..USERS).map(|user| (address(user), 0)).collect();
        for ((user, block), amount) in &self.payins {
            if self.blocks[usize::from(*block)].1 {
                *balances.get_mut(&address(*user)).unwrap() += amount;
            }
        }
        for (user, amount) in &self.payouts {
            *balances.get_mut(&address(*user)).unwrap() -= amount;
        }
        balances
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(made in made()) {
        let read = dump::read(made.script().as_slice()).unwrap();
        let openings = openings(&read.tables).unwrap();
        prop_assert_eq!(openings.balances, made.balances());
        prop_assert_eq!(openings.payins + openings.void_payins, made.payins.len() as u64);
        prop_assert_eq!((openings.payouts, openings.requests), (made.payouts.len() as u64, made.requests));
    }

    #[test]
    fn a_script_that_was_cut_or_changed_is_read_or_is_not(made in made(), at: usize, byte: u8) {
        let mut script = made.script();
        let at = at % script.len();
        script[at] = byte;
        let _ = dump::read(script.as_slice()).map(|dump| openings(&dump.tables));
        script.truncate(at);
        let _ = dump::read(script.as_slice());
    }
}

const HEAD: &str = "CREATE TABLE `user` (`id` int(11) NOT NULL AUTO_INCREMENT, `address` varchar(64) NOT NULL, \
    PRIMARY KEY (`id`), UNIQUE KEY `address` (`address`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `block` (`id` int, `hash` binary(32), `height` int, `main_chain` tinyint(1) DEFAULT 0);
CREATE TABLE `payin` (`id` int, `user` int, `amount` double NOT NULL, `block` int);
CREATE TABLE IF NOT EXISTS payout (id int PRIMARY KEY, user int, amount double, `datetime` bigint, transaction binary(32));
INSERT INTO `user` VALUES (1,'AQEBAQEBAQEBAQEBAQEBAQEBAQE=');
";

fn read(rest: &str) -> Result<Openings, String> {
    let dump = dump::read(format!("{HEAD}{rest}").as_bytes()).map_err(|fault| fault.to_string())?;
    openings(&dump.tables).map_err(|fault| fault.to_string())
}

const BLOCK: &str =
    "INSERT INTO `block` VALUES (3,0x1111111111111111111111111111111111111111111111111111111111111111,77,1);";

#[test]
fn an_amount_that_is_not_whole_is_named_with_its_row() {
    let rest = "INSERT INTO `payin` VALUES (1,1,5,3),(2,1,440597534.25,3);";
    let expected = "row 2 of table payin: amount is 440597534.25; expected a whole number of luna from 0 to 9007199254740992";
    assert_eq!(read(rest).unwrap_err(), expected);
    let rest = "INSERT INTO payout (user, amount) VALUES (1, -5);";
    assert!(
        read(rest).unwrap_err().starts_with("row 1 of table payout: amount is -5; expected a whole number")
    );
}

#[test]
fn rows_that_do_not_fit_together_are_named() {
    let with_block = |rest: &str| read(&format!("{BLOCK}{rest}")).unwrap_err();
    let rest = "INSERT INTO payin VALUES (1,1,5,4);";
    assert_eq!(with_block(rest), "row 1 of table payin names block 4, which is not in the dump");
    let rest = "INSERT INTO payin VALUES (1,1,5,3),(2,9,5,3);";
    assert_eq!(with_block(rest), "row 2 of table payin names user 9, which is not in the dump");
    let rest = "INSERT INTO payin VALUES (1,1,5,3),(2,1,6,3);";
    assert_eq!(with_block(rest), "row 2 of table payin repeats the credit of user 1 for block 3");
    assert_eq!(with_block(BLOCK), "row 2 of table block repeats the id 3");
    let rest = "INSERT INTO user VALUES (2,'AQEBAQEBAQEBAQEBAQEBAQEBAQE=');";
    assert!(with_block(rest).starts_with("row 2 of table user repeats the address NQ"));
    let rest = "INSERT INTO payout VALUES (1,2,5,0,NULL);";
    assert_eq!(with_block(rest), "row 1 of table payout names user 2, which is not in the dump");
}

#[test]
fn rows_of_another_form_are_named() {
    for (rest, expected) in [
        ("INSERT INTO user VALUES (2);", "row 2 of table user has 1 values for 2 columns"),
        (
            "INSERT INTO user VALUES (-2,'');",
            "row 2 of table user: id is -2; expected a number from 0 to 4294967295",
        ),
        (
            "INSERT INTO user VALUES (2,'NQ07');",
            "row 2 of table user: address is \"NQ07\"; expected the base64",
        ),
        ("INSERT INTO user VALUES (2,NULL);", "row 2 of table user: address is NULL; expected the base64"),
        (
            "INSERT INTO block VALUES (1,'short',5,1);",
            "row 1 of table block: hash is \"short\"; expected the 32 bytes",
        ),
        ("INSERT INTO payin (user, amount) VALUES (1,5);", "table payin has no column block here"),
        ("INSERT INTO payin SELECT 1;", "expected VALUES, not \"SELECT\""),
        ("INSERT INTO payin VALUES (1,now(),3);", "expected a value, not \"now\""),
        ("INSERT INTO payin VALUES (1,1,5,3)", "expected ; after the last row, not the end"),
        ("CREATE TABLE payin (id int);", "table payin is made a second time"),
    ] {
        let fault = read(rest).unwrap_err();
        assert!(fault.contains(expected), "{rest}: {fault}");
    }
    let none = dump::read(&b"SELECT 1;"[..]).unwrap_err();
    assert!(matches!(none, DumpFault::NoTable { table: "user" }));
    let unknown = dump::read(&b"INSERT INTO user VALUES (1);"[..]).unwrap_err();
    assert!(matches!(unknown, DumpFault::Column { table: "user", column: "id", .. }));
}

#[test]
fn what_is_no_row_of_the_accounts_is_passed_over() {
    let address = "41674943".repeat(6) + "4167493D";
    let rest = format!(
        "DELIMITER ;;\nCREATE PROCEDURE p() BEGIN INSERT INTO user VALUES (a); END ;;\nDELIMITER ;\n\
         LOCK TABLES `user` WRITE; INSERT INTO `devices` VALUES (1,'it''s; a \\' name'),(2,b'1');\n\
         REPLACE INTO `pool`.`user` (`address`, id) VALUES (0x{address}, 2); INSERT INTO pool.payin VALUES (1,2,0,3);"
    );
    let openings = read(&format!("{BLOCK}{rest}")).unwrap();
    assert_eq!(
        openings.balances.into_iter().collect::<Vec<_>>(),
        [(Address([1; 20]), 0), (Address([2; 20]), 0)]
    );
    assert_eq!(openings.payins, 1);
}

#[test]
fn credits_off_the_main_chain_are_void_and_young_ones_are_pointed_out() {
    let hash = "0x1111111111111111111111111111111111111111111111111111111111111111";
    let rest = format!(
        "INSERT INTO block VALUES (1,{hash},100,1),(2,{hash},101,0),(3,{hash},110,1),(4,{hash},NULL,0);\n\
         INSERT INTO payin VALUES (1,1,10,1),(2,1,200,2),(3,1,3000,3);\nINSERT INTO payout VALUES (1,1,4e3,0,NULL);"
    );
    let openings = read(&rest).unwrap();
    assert_eq!(openings.balances.into_values().collect::<Vec<_>>(), [-990]);
    assert_eq!((openings.payins, openings.void_payins, openings.payouts), (2, 1, 1));
    assert_eq!(openings.unconfirmed, 3000);
    let empty = OpeningFault::Unknown { table: "payin", row: 1, what: "user 1".into() };
    assert_eq!(empty.to_string(), "row 1 of table payin names user 1, which is not in the dump");
}

/// Made by the real programs: `vectors/nimiq-dumps/README.md`.
#[test]
fn dumps_of_mariadb_are_read() {
    let dumps = [
        &include_bytes!("../../../../../vectors/nimiq-dumps/version-1.0.sql")[..],
        include_bytes!("../../../../../vectors/nimiq-dumps/version-1.1-hex.sql"),
        include_bytes!("../../../../../vectors/nimiq-dumps/version-1.1-rows.sql"),
    ];
    for dump in dumps {
        let openings = openings(&dump::read(dump).unwrap().tables).unwrap();
        let owed = [(1, 65), (2, 171_600_039), (3, 0)].map(|(user, luna)| (Address([user; 20]), luna));
        assert_eq!(openings.balances.into_iter().collect::<Vec<_>>(), owed);
        assert_eq!((openings.payins, openings.void_payins, openings.payouts), (4, 1, 2));
        assert_eq!((openings.requests, openings.unconfirmed), (1, 5));
    }
}

/// Found by counting what a dump of the fuzzer's could add up to.
#[test]
fn more_money_than_there_is_is_an_error() {
    let payouts: Vec<_> = (0..1025).map(|_| "(1, 9007199254740992)").collect();
    let fault =
        read(&format!("INSERT INTO payout (user, amount) VALUES {};", payouts.join(","))).unwrap_err();
    assert_eq!(fault, "row 1025 of table payout makes more money than an account can hold");
}
