//! A pool that exists only as an example: for the documentation of the API and for tests of pages.
//!
//! It has something of everything that a page can show: both chains, every state, known and unknown figures.

use bytes::Bytes;
use nimiq::PrivateKey;

use super::{
    Amount, AnnouncementClass, BlockStanding, Chain, ClassState, ComponentState, Condition, Conduct, Device,
    Earnings, Explorers, Identity, Incident, IncidentBeginning, IncidentEnd, IncidentKind, Interval,
    LedgerTotals, Luck, LuckWindow, Measured, MinerFacts, MinerState, Moment, NextNimiqBlock, NimiqFacts,
    NimiqMiner, NimiqMiners, PacketCryptFacts, PacketCryptMiner, PacketCryptMiners, PaidBlock, Part, Payee,
    Payment, PaymentState, PaymentsPage, PayoutBatch, PayoutTableFacts, PayoutTableState, PoolBlock,
    PoolFacts, RefusalCount, Series, SeriesQuery, SignedStatement, Stated, Statement, Terms, Totals, Unit,
    WindowFacts,
};
use crate::site::address::MinerAddress;
use crate::site::record::signed_line::{Place, SignedLine};

/// When it all happens: 1 November 2026, 12:00 UTC.
pub const NOW: Moment = Moment(1_793_534_400_000);

/// An announcement and block miner, with a lot to show.
pub const PKT_MINER: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
/// Another one.
pub const PKT_MINER_2: &str = "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t";
/// Who gets the fee.
pub const PKT_FEE: &str = "pKTcgnvpPdXQ6HztTC5snBc69887g471zE";
/// A Nimiq miner with a lot to show.
pub const NIM_MINER: &str = "NQ76 2NH6 LDHV UJ2C MATR VLDH J5TG JGQA CNQ9";

/// The public key that belongs to the sample's statements.
pub const STATEMENT_KEY: &str = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";

/// A few members of the document that the sample's PayMaker would give out.
pub const WHO_TO_PAY: &str = r#"{"error":[],"warn":[],"generatedAt":1793534400000,"result":{"pKTcgnvpPdXQ6HztTC5snBc69887g471zE":1},"poolFee":0.01,"blockMiners":0.5,"annMiners":0.5}"#;

const DAY: u64 = 86_400;
const SHORT: u64 = 600;

fn ago(seconds: u64) -> Moment {
    Moment(NOW.0 - seconds * 1000)
}

/// The pool.
pub fn pool() -> PoolFacts {
    PoolFacts {
        gathered_at: NOW,
        identity: Identity {
            name: "Sample pool".to_owned(),
            contact: Some("mailto:operator@pool.example".to_owned()),
            explorers: Explorers {
                packetcrypt: Some("https://explorer.example/pkt/{hash}".to_owned()),
                nimiq: None,
            },
            url: "https://pool.example".to_owned(),
            version: "0.1.0".to_owned(),
            build: Some("4f1c2d9a".to_owned()),
            started_at: ago(3 * DAY),
        },
        packetcrypt: Some(packetcrypt()),
        nimiq: Some(nimiq()),
        components: components(),
    }
}

fn components() -> Vec<ComponentState> {
    let component = |role: &str, name: &str, chain| ComponentState {
        role: role.to_owned(),
        name: name.to_owned(),
        chain: Some(chain),
        condition: Condition::Ready,
        reason: None,
        since: ago(3 * DAY),
        checked_at: ago(1),
        started_at: Some(ago(3 * DAY)),
        version: Some("0.1.0".to_owned()),
        build: Some("4f1c2d9a".to_owned()),
        load: None,
    };
    let busy = |role: &str, percent: f64, chain| ComponentState {
        load: Some(Measured::over(percent, Unit::Percent, 10, ago(4))),
        ..component(role, "main", chain)
    };
    let node = |name: &str, chain| ComponentState {
        started_at: None,
        version: None,
        build: None,
        ..component("node", name, chain)
    };
    let troubled = ComponentState {
        condition: Condition::Troubled,
        reason: Some("the Master does not answer".to_owned()),
        since: ago(95),
        ..component("ann_handler", "second", Chain::PacketCrypt)
    };
    let unreachable = ComponentState {
        condition: Condition::Unreachable,
        reason: Some("connection refused".to_owned()),
        since: ago(640),
        ..component("nimiq_payout", "", Chain::Nimiq)
    };
    vec![
        component("master", "", Chain::PacketCrypt),
        component("pay_maker", "", Chain::PacketCrypt),
        busy("ann_handler", 62.5, Chain::PacketCrypt),
        troubled,
        busy("blk_handler", 3.1, Chain::PacketCrypt),
        busy("nimiq_server", 18.4, Chain::Nimiq),
        component("nimiq_service", "", Chain::Nimiq),
        unreachable,
        node("PKT 1", Chain::PacketCrypt),
        node("Nimiq", Chain::Nimiq),
    ]
}

fn luck(effort: f64, mean: f64, counted: u32) -> Luck {
    let window = |blocks: Option<u32>, counted: u32, spread: f64| LuckWindow {
        blocks,
        counted,
        effort_percent: Some(mean),
        low_percent: Some(100.0 - spread),
        high_percent: Some(100.0 + 1.4 * spread),
    };
    Luck {
        current_effort: Measured::at(effort, Unit::Percent, NOW),
        windows: vec![
            window(Some(10), counted.min(10), 52.0),
            window(Some(100), counted.min(100), 18.6),
            window(None, counted, 13.0),
        ],
    }
}

fn packetcrypt() -> PacketCryptFacts {
    let windows = (
        WindowFacts { newest: Some(ago(4)), oldest: Some(ago(9_100)), filled_percent: Some(100.0) },
        WindowFacts { newest: Some(ago(60)), oldest: Some(ago(14_460)), filled_percent: Some(86.5) },
    );
    let reward = Amount::pkt_units(2_042 << 30);
    let payee = |address: &str, part| Payee {
        address: address.to_owned(),
        part: Part(part),
        amount: Some(Amount::pkt_units(
            (i128::from(reward.units) * i128::from(part) / 1_000_000_000_000) as i64,
        )),
        is_of_pool: address == PKT_FEE,
    };
    let table = PayoutTableFacts {
        number: Some(4711),
        made_at: ago(41),
        newest_event: Some(ago(43)),
        state: PayoutTableState::PaidAsSent,
        detail: None,
        share_window: windows.0,
        announcement_window: windows.1,
        payee_count: 3,
        payees: vec![
            payee(PKT_FEE, 10_000_000_000),
            payee(PKT_MINER, 653_425_000_000),
            payee(PKT_MINER_2, 336_575_000_000),
        ],
        paid_in: Vec::new(),
    };
    let older = PayoutTableFacts {
        number: Some(4710),
        made_at: ago(161),
        newest_event: Some(ago(163)),
        state: PayoutTableState::Refused,
        detail: Some("the node does not answer".to_owned()),
        payees: Vec::new(),
        ..table.clone()
    };
    let paid = PayoutTableFacts {
        number: Some(4703),
        made_at: ago(920),
        newest_event: Some(ago(921)),
        payees: Vec::new(),
        paid_in: vec![PaidBlock {
            height: Some(2_114_912),
            hash: format!("{:064x}", 2_114_912_u128 << 64 | 0xabc_def0),
            standing: BlockStanding::Immature,
            confirmations: Some(15),
        }],
        ..table.clone()
    };
    PacketCryptFacts {
        pool_url: "https://pool.example/master".to_owned(),
        announcement_urls: vec![
            "https://pool.example/ann/main".to_owned(),
            "https://pool.example/ann/second".to_owned(),
        ],
        block_urls: vec!["https://pool.example/blk/main".to_owned()],
        is_private: false,
        height: Measured::at(2_114_927, Unit::Blocks, NOW),
        difficulty: Measured::at(48_213.75, Unit::Difficulty, NOW),
        announcement_work: Measured::at(128.0, Unit::Difficulty, NOW),
        announcement_speed: Measured::over(41_250_000.0, Unit::EncryptionsPerSecond, 120, ago(60)),
        block_speed: Measured::over(1_820_000.0, Unit::EncryptionsPerSecond, SHORT, NOW),
        bandwidth: Measured::over(2_578.0, Unit::KilobitsPerSecond, 120, ago(60)),
        bandwidth_sent: Measured::over(9_668.0, Unit::KilobitsPerSecond, SHORT, NOW),
        miners: PacketCryptMiners {
            announcements: Measured::over(37, Unit::Miners, SHORT, NOW),
            blocks: Measured::over(12, Unit::Miners, SHORT, NOW),
        },
        luck: luck(61.3, 94.2, 211),
        shares: Measured::over(31_822, Unit::Shares, DAY, NOW),
        blocks_found: Measured::over(19, Unit::Blocks, DAY, NOW),
        chain_blocks: Measured::over(1_440, Unit::Blocks, DAY, NOW),
        fee: Some(Part(10_000_000_000)),
        block_miners_part: Some(Part(495_000_000_000)),
        announcement_miners_part: Some(Part(495_000_000_000)),
        payout_rule:
            "PPLNS paid by each block itself: half of the reward goes to shares, half to announcements, \
                      each by the work in its window."
                .to_owned(),
        next_reward: Measured::at(reward, Unit::Pkt, ago(12)),
        payout_table: Some(table.clone()),
        payout_tables: vec![PayoutTableFacts { payees: Vec::new(), ..table }, older, paid],
        blocks: blocks(reward),
        announcement_classes: classes(),
        warnings: vec!["Ran out of ann shares to pay paying [6.75%] to defaultAddress".to_owned()],
    }
}

fn classes() -> Vec<AnnouncementClass> {
    let class = |age: u32, state, accepted, worth_percent| AnnouncementClass {
        parent_height: 2_114_927 - age,
        age_blocks: age,
        state,
        accepted: Measured::at(accepted, Unit::Announcements, NOW),
        worth_percent,
    };
    vec![
        class(1, ClassState::Fresh, 2_031, None),
        class(2, ClassState::Fresh, 18_224, None),
        class(3, ClassState::Mature, 19_411, Some(100.0)),
        class(4, ClassState::Mature, 17_890, Some(50.0)),
        class(9, ClassState::Mature, 18_117, Some(1.5625)),
        class(11, ClassState::Spoiled, 18_004, Some(0.0)),
    ]
}

fn blocks(reward: Amount) -> Vec<PoolBlock> {
    let block = |height: u32, seconds, effort, standing, confirmations| PoolBlock {
        height: Some(height),
        hash: format!("{:064x}", u128::from(height) << 64 | 0xabc_def0),
        found_at: ago(seconds),
        finder: Some(PKT_MINER.to_owned()),
        effort_percent: effort,
        reward: Some(reward),
        payout_table: Some(4703),
        standing,
        confirmations: Some(confirmations),
        confirmations_needed: Some(100),
    };
    let lost = PoolBlock {
        finder: Some(PKT_MINER_2.to_owned()),
        ..block(2_114_790, 9_000, Some(171.9), BlockStanding::Orphaned, 0)
    };
    let unknown = PoolBlock {
        height: None,
        reward: None,
        payout_table: None,
        confirmations: None,
        ..block(2_114_701, 14_000, None, BlockStanding::Unknown, 0)
    };
    vec![
        block(2_114_912, 905, Some(38.4), BlockStanding::Immature, 15),
        lost,
        unknown,
        block(2_113_300, DAY, Some(102.0), BlockStanding::Mature, 1_627),
    ]
}

fn nimiq() -> NimiqFacts {
    NimiqFacts {
        servers: vec!["wss://pool.example:8443".to_owned()],
        address: Some("NQ07 0000 0000 0000 0000 0000 0000 0000 0000".to_owned()),
        network: "main".to_owned(),
        height: Measured::at(1_412_004, Unit::Blocks, ago(20)),
        difficulty: Measured::at(9_412.5, Unit::Difficulty, ago(20)),
        network_speed: Measured::at(10_281_000.0, Unit::HashesPerSecond, ago(20)),
        expected_per_day: Measured::over(Amount::luna(43_512_000), Unit::Nim, DAY, ago(20)),
        speed: Measured::over(1_284_000.0, Unit::HashesPerSecond, SHORT, NOW),
        shares: Measured::over(16_204, Unit::Shares, DAY, NOW),
        miners: NimiqMiners {
            addresses: Measured::over(58, Unit::Miners, SHORT, NOW),
            devices: Measured::over(81, Unit::Miners, SHORT, NOW),
            smart: Measured::at(22, Unit::Connections, NOW),
            nano: Measured::at(61, Unit::Connections, NOW),
            dumb: Measured::at(None, Unit::Connections, NOW),
        },
        luck: luck(143.8, 106.4, 64),
        blocks_found: Measured::over(11, Unit::Blocks, DAY, NOW),
        fee: Part(10_000_000_000),
        payout_rule: "PPLNS over the last 1000 shares; paid out above 50 NIM.".to_owned(),
        confirmations_needed: 10,
        automatic_above: Amount::luna(5_000_000),
        payout_interval_seconds: 600,
        blocks: nimiq_blocks(),
        batches: vec![PayoutBatch {
            prepared_at: ago(300),
            payments: 2,
            value: Amount::luna(12_345_678),
            network_fees: Amount::luna(276),
            state: PaymentState::Mined,
        }],
        payments: nimiq_payments(),
        average_payout: Measured::over(Amount::luna(6_104_211), Unit::Nim, 30 * DAY, NOW),
        next_block: Some(NextNimiqBlock {
            as_of: NOW,
            oldest_share: Some(ago(5_340)),
            newest_share: Some(ago(2)),
            shares: 1_000,
            payee_count: 58,
            payees: vec![
                nimiq_payee("NQ07 0000 0000 0000 0000 0000 0000 0000 0000", 810_000_000_000),
                nimiq_payee(NIM_MINER, 19_314_000_000),
            ],
        }),
        totals: Some(LedgerTotals {
            as_of: NOW,
            immature: Amount::luna(1_240_000_000),
            confirmed: Amount::luna(402_118_923),
            under_way: Amount::luna(12_345_678),
            paid: Amount::luna(98_004_123_456),
            fees: Amount::luna(44_120_004),
            liabilities: Amount::luna(1_654_464_601),
            reserve: None,
        }),
    }
}

fn nimiq_payee(address: &str, part: u64) -> Payee {
    let amount = 412_000_000 * u128::from(part) / 1_000_000_000_000;
    Payee {
        address: address.to_owned(),
        part: Part(part),
        amount: Some(Amount::luna(amount as i64)),
        is_of_pool: false,
    }
}

/// The hash of a block of the sample that is settled.
pub fn settled_block() -> String {
    nimiq_blocks().swap_remove(1).hash
}

/// Whom the blocks of the sample credit that are settled.
pub fn credits(block: &str, offset: u64, limit: u32) -> Option<Vec<Payee>> {
    let settled = |block: &PoolBlock| block.standing != BlockStanding::Found;
    nimiq_blocks().iter().find(|known| known.hash == block && settled(known))?;
    let fee = Payee {
        is_of_pool: true,
        ..nimiq_payee("NQ07 0000 0000 0000 0000 0000 0000 0000 0000", 10_000_000_000)
    };
    let credits = vec![fee, nimiq_payee(NIM_MINER, 990_000_000_000)];
    Some(credits.into_iter().skip(offset as usize).take(limit as usize).collect())
}

fn nimiq_blocks() -> Vec<PoolBlock> {
    let block = |height: u32, seconds, standing, confirmations| PoolBlock {
        height: Some(height),
        hash: format!("{:064x}", u128::from(height) << 80 | 0x1234_5678),
        found_at: ago(seconds),
        finder: (standing != BlockStanding::Found).then(|| NIM_MINER.to_owned()),
        effort_percent: (standing != BlockStanding::Found).then_some(88.8),
        reward: Some(Amount::luna(412_000_000)),
        payout_table: None,
        standing,
        confirmations: Some(confirmations),
        confirmations_needed: Some(10),
    };
    vec![
        block(1_412_003, 80, BlockStanding::Found, 2),
        block(1_411_998, 400, BlockStanding::Immature, 7),
        block(1_411_950, 3_300, BlockStanding::Orphaned, 0),
        block(1_411_800, 12_000, BlockStanding::Mature, 205),
    ]
}

fn nimiq_payments() -> Vec<Payment> {
    let payment = |seconds, luna, state, height| Payment {
        at: ago(seconds),
        address: NIM_MINER.to_owned(),
        amount: Some(Amount::luna(luna)),
        part: None,
        network_fee: Some(Amount::luna(138)),
        hash: format!("{:064x}", seconds * 0x1_0001),
        height,
        state,
        kind: "automatic".to_owned(),
    };
    vec![
        payment(300, 8_345_678, PaymentState::Mined, Some(1_411_999)),
        payment(301, 4_000_000, PaymentState::Broadcast, None),
        payment(DAY, 5_100_000, PaymentState::Confirmed, Some(1_410_550)),
        payment(2 * DAY, 5_020_000, PaymentState::Expired, None),
    ]
}

/// What the sample pool knows of an address: a lot of its two miners, nothing of anybody else.
pub fn miner(address: &MinerAddress) -> MinerFacts {
    let text = address.to_string();
    let known = [PKT_MINER, NIM_MINER].contains(&text.as_str());
    let chain = address.chain();
    MinerFacts {
        address: text,
        chain,
        gathered_at: NOW,
        state: if known { MinerState::Mining } else { MinerState::Unknown },
        last_seen: known.then_some(ago(3)),
        last_seen_seconds: known.then_some(3),
        refusals: Vec::new(),
        packetcrypt: (known && chain == Chain::PacketCrypt).then(packetcrypt_miner),
        nimiq: (known && chain == Chain::Nimiq).then(nimiq_miner),
    }
}

fn earnings(amount: impl Fn(i64) -> Amount) -> Earnings {
    let interval = |days: i64, spread: i64| Interval {
        low: amount(days * (100 - spread) * 10_000),
        expected: amount(days * 1_000_000),
        high: amount(days * (100 + spread) * 10_000),
    };
    Earnings { day: Some(interval(1, 45)), week: Some(interval(7, 17)), month: Some(interval(30, 8)) }
}

fn packetcrypt_miner() -> PacketCryptMiner {
    let reward = Amount::pkt_units(1_334 << 30);
    PacketCryptMiner {
        announcement_speed: Measured::over(12_400_000.0, Unit::EncryptionsPerSecond, SHORT, ago(60)),
        announcement_speed_day: Measured::over(11_900_000.0, Unit::EncryptionsPerSecond, DAY, ago(60)),
        block_speed: Measured::over(None, Unit::EncryptionsPerSecond, SHORT, NOW),
        block_speed_day: Measured::over(402_000.0, Unit::EncryptionsPerSecond, DAY, NOW),
        bandwidth: Measured::over(775.0, Unit::KilobitsPerSecond, SHORT, ago(60)),
        announcements: Conduct {
            window_seconds: DAY,
            accepted: Some(8_370_112),
            duplicate: Some(210),
            refused: Some(4_096),
            refusals: vec![RefusalCount { code: "stale_parent".to_owned(), count: 4_096 }],
        },
        shares: Conduct { window_seconds: DAY, accepted: Some(1_204), ..Conduct::default() },
        announcements_part: Some(Part(300_000_000_000)),
        shares_part: Some(Part(353_425_000_000)),
        next_part: Some(Part(653_425_000_000)),
        announcements_amount: Some(Amount::pkt_units(612 << 30)),
        shares_amount: Some(Amount::pkt_units(722 << 30)),
        next_amount: Some(reward),
        warm_up_percent: Some(100.0),
        earnings: earnings(|millionths| Amount::pkt_units(millionths * 1_073)),
        payments: vec![Payment {
            at: ago(905),
            address: PKT_MINER.to_owned(),
            amount: Some(reward),
            part: Some(Part(653_425_000_000)),
            network_fee: None,
            hash: format!("{:064x}", 0x0abc_def0_u64),
            height: Some(2_114_912),
            state: PaymentState::Mined,
            kind: "block".to_owned(),
        }],
        paid: Some(reward),
    }
}

fn nimiq_miner() -> NimiqMiner {
    let device = |id, speed: Option<f64>, seconds| Device {
        id,
        speed: Measured::over(speed, Unit::HashesPerSecond, SHORT, NOW),
        shares: Measured::over(812, Unit::Shares, DAY, NOW),
        last_seen: ago(seconds),
    };
    NimiqMiner {
        speed: Measured::over(24_800.0, Unit::HashesPerSecond, SHORT, NOW),
        speed_day: Measured::over(23_100.0, Unit::HashesPerSecond, DAY, NOW),
        shares: Conduct { window_seconds: DAY, accepted: Some(1_624), ..Conduct::default() },
        devices: vec![device(4_096_111, Some(24_800.0), 3), device(1_200_001, None, 40_000)],
        next_part: Some(Part(19_314_000_000)),
        next_amount: Some(Amount::luna(7_957_368)),
        immature: Amount::luna(15_914_736),
        confirmed: Amount::luna(2_100_512),
        under_way: Amount::luna(8_345_816),
        paid: Amount::luna(5_100_000),
        automatic_above: Amount::luna(8_000_000),
        is_own_threshold: true,
        payout_requested: false,
        earnings: earnings(|millionths| Amount::luna(millionths * 87)),
        payments: nimiq_payments(),
    }
}

/// Payments to an address, numbered from the oldest on.
pub fn payments_to(address: &MinerAddress, before: Option<u64>, limit: u32) -> PaymentsPage {
    let facts = miner(address);
    let payments = facts.packetcrypt.map(|own| own.payments).or(facts.nimiq.map(|own| own.payments));
    let payments = payments.unwrap_or_default();
    let numbered = (1..=payments.len() as u64).rev().zip(payments);
    let earlier: Vec<_> =
        numbered.filter(|(number, _)| before.is_none_or(|before| *number < before)).collect();
    let has_more = earlier.len() > limit as usize;
    let page = &earlier[..earlier.len().min(limit as usize)];
    PaymentsPage {
        payments: page.iter().map(|(_, payment)| payment.clone()).collect(),
        next: page.last().filter(|_| has_more).map(|(number, _)| *number),
    }
}

/// What the pool has stated, newest first.
pub fn statements(before: Option<u64>, kind: Option<&str>, limit: u32) -> Vec<SignedStatement> {
    let wanted = |signed: &SignedStatement| {
        let statement = &signed.statement;
        before.is_none_or(|before| statement.number < before)
            && kind.is_none_or(|kind| kind == statement.stated.kind())
    };
    let record = record().into_iter().rev().map(|(_, signed)| signed);
    record.filter(wanted).take(limit as usize).collect()
}

/// The same as it was signed.
pub fn statement_log() -> Bytes {
    SignedLine::together(record().iter().map(|(line, _)| line)).into()
}

/// What went wrong, newest first: one is over, the other goes on.
pub fn incidents(before: Option<u64>, limit: u32) -> Vec<Incident> {
    let incidents = [
        Incident { number: 7, beginning: payouts_down(), ended_at: None },
        Incident { number: 5, beginning: chain_stalled(), ended_at: Some(ago(DAY)) },
    ];
    let earlier = |incident: &Incident| before.is_none_or(|before| incident.number < before);
    incidents.into_iter().filter(earlier).take(limit as usize).collect()
}

fn payouts_down() -> IncidentBeginning {
    IncidentBeginning {
        what: IncidentKind::Unreachable,
        chain: Some(Chain::Nimiq),
        role: Some("nimiq_payout".to_owned()),
        name: None,
        reason: Some("connection refused".to_owned()),
        began_at: ago(640),
    }
}

fn chain_stalled() -> IncidentBeginning {
    IncidentBeginning {
        what: IncidentKind::ChainStalled,
        chain: Some(Chain::PacketCrypt),
        role: None,
        name: None,
        reason: Some("no block after 2113300".to_owned()),
        began_at: ago(DAY + 2_400),
    }
}

/// The record, oldest first.
fn record() -> Vec<(SignedLine, SignedStatement)> {
    let terms = |chain, fee: u64, rule: &str, confirmations| {
        Stated::Terms(Terms {
            chain,
            fee: Part(fee),
            rule: rule.to_owned(),
            block_miners_part: (chain == Chain::PacketCrypt).then_some(Part(495_000_000_000)),
            announcement_miners_part: (chain == Chain::PacketCrypt).then_some(Part(495_000_000_000)),
            confirmations,
            automatic_above: confirmations.map(|_| Amount::luna(5_000_000)),
        })
    };
    let totals = Totals {
        chain: Chain::Nimiq,
        height: Some(1_410_550),
        newest_block: Some(format!("{:064x}", 1_410_500_u128 << 80 | 0x1234_5678)),
        payout_table: None,
        payees: None,
        book: nimiq().totals,
    };
    let stated = [
        (40 * DAY, terms(Chain::PacketCrypt, 20_000_000_000, "PPLNS paid by each block itself.", None)),
        (40 * DAY, terms(Chain::Nimiq, 10_000_000_000, "PPLNS over the last 1000 shares.", Some(10))),
        (12 * DAY, terms(Chain::PacketCrypt, 10_000_000_000, "PPLNS paid by each block itself.", None)),
        (DAY + 3_000, Stated::Totals(totals)),
        (DAY + 600, Stated::IncidentBegan(chain_stalled())),
        (DAY - 60, Stated::IncidentEnded(IncidentEnd { began: 5, ended_at: ago(DAY) })),
        (580, Stated::IncidentBegan(payouts_down())),
    ];
    let key = PrivateKey::new(&[7; 32]);
    let (mut place, mut record) = (Place::FIRST, Vec::new());
    for (seconds, stated) in stated {
        let statement = Statement {
            number: place.number,
            at: ago(seconds),
            previous: hex::encode(place.previous),
            key: hex::encode(key.public_key().0),
            stated,
        };
        // It is made here, so it can be neither unwritable nor wrong.
        let Ok(line) = SignedLine::sign(&key, &statement) else { break };
        let Ok((signed, next)) = line.follow(Some(place), None) else { break };
        record.push((line, signed));
        place = next;
    }
    record
}

/// A series with a slow wave, a gap of an hour, and nothing before the pool began.
pub fn series(query: &SeriesQuery) -> Series {
    let step = query.range.step_seconds();
    let points = query.range.points();
    let from = Moment(NOW.0 - step * 1000 * points as u64);
    let begun = points / 8;
    let gap = (points / 2)..(points / 2 + 3);
    let value = |index: usize| 1_000.0 + 400.0 * (index as f64 / 9.0).sin();
    Series {
        chain: query.chain,
        name: query.name,
        range: query.range,
        address: query.address.clone(),
        unit: query.name.unit(query.chain),
        from,
        step_seconds: step,
        points: (0..points)
            .map(|index| (index >= begun && !gap.contains(&index)).then(|| value(index)))
            .collect(),
        as_of: NOW,
    }
}
