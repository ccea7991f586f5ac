//! Items, trees, work, whole jobs, and whole announcements.

use std::sync::atomic::AtomicBool;

use anyhow::{anyhow, bail, ensure};
use packetcrypt::announcement::{attempt_seed, hash_table_seed};
use packetcrypt::check::{AnnouncementFault, AnnouncementToCheck, Checker, ProofVersion, Rules};
use packetcrypt::crypto_cycle::State;
use packetcrypt::item::{
    Item, ItemNumber, Recipe, TABLE_ITEMS, Table, Workshop, memohash_item, update_version_0,
};
use packetcrypt::merkle::{Tree, is_proven, leaf_hash};
use packetcrypt::mine::Miner;
use packetcrypt::{Announcement, AnnouncementHeader, BlockHash, CompactTarget, WorkHash};

use super::{Row, expanded};

pub(super) fn item(row: &Row) -> anyhow::Result<()> {
    let number = item_number(row.number("item_no")?)?;
    let item = match row.text("kind")? {
        "v0" => memohash_item(&row.array("seed")?, number),
        "v1" => {
            let mut workshop = Workshop::new();
            let recipe = Recipe::new(&row.array("seed")?, &mut workshop)?;
            row.same("insn_count", recipe.program().len())?;
            *recipe.item(number, &mut workshop)?
        }
        kind => bail!("unknown kind {kind:?}"),
    };
    row.same_bytes("item_head", &item[..64])?;
    if row.has("item") {
        row.same_bytes("item", &item)?;
    }
    row.same_digest("item_blake2b256", &item)
}

fn item_number(number: u64) -> anyhow::Result<ItemNumber> {
    ItemNumber::new(usize::try_from(number)?).ok_or_else(|| anyhow!("a table has no item {number}"))
}

pub(super) fn merkle(row: &Row) -> anyhow::Result<()> {
    let (seed, number) = (row.array("item_seed")?, item_number(row.number("item_no")?)?);
    let items: Vec<Item> = (0..TABLE_ITEMS as u64).map(|k| expanded(&seed, k)).collect::<Result<_, _>>()?;
    let mut tree = Tree::default();
    tree.grow(&items);
    let (leaf, branch) = (leaf_hash(&items[number.index()]), tree.branch(number));
    row.same_bytes("leaf_hash", &leaf)?;
    row.same_bytes("root", tree.root())?;
    row.same_bytes("branch", &[branch.as_flattened(), tree.root()].concat())?;
    ensure!(is_proven(&leaf, number, &branch, tree.root()), "the branch does not prove its own item");
    Ok(())
}

/// Where the peers differ, or know no limit, the specification's own rule (1.3) decides.
pub(super) fn work(row: &Row) -> anyhow::Result<()> {
    let bits = CompactTarget(u32::try_from(row.hex_number("bits")?)?);
    match row.text("kind")? {
        "work_check" => {
            let expected = row.flag("packetcrypt_rs")? && bits.is_announcement_target();
            let met = bits.is_announcement_target() && bits.is_met_by(&row.array("hash")?);
            ensure!(met == expected, "expected {expected}, got {met}");
            Ok(())
        }
        "soft_nonce_max" => {
            if let Some(max) = bits.soft_nonce_max() {
                row.same("max", max)
            } else {
                ensure!(!bits.is_announcement_target(), "no soft nonce maximum for a good target");
                Ok(())
            }
        }
        kind => bail!("unknown kind {kind:?}"),
    }
}

/// A whole job, step by step, and then by the miner.
pub(super) fn trace(row: &Row) -> anyhow::Result<()> {
    let never = AtomicBool::new(false);
    let header = AnnouncementHeader::from_bytes(&row.array("header")?);
    let parent = BlockHash::from_internal(row.array("parent")?);
    let (mut workshop, mut table, mut tree) = (Workshop::new(), Table::default(), Tree::default());

    let proof_table_seed = header.hash_with_parent(&parent);
    row.same_bytes("ann_hash0", &proof_table_seed)?;
    if header.version == 0 {
        table.fill_version_0(attempt_seed(&proof_table_seed));
    } else {
        let recipe = Recipe::new(&proof_table_seed, &mut workshop)?;
        row.same("prog0_insn_count", recipe.program().len())?;
        table.fill(&recipe, &mut workshop, &never)?;
        row.same_digest("table0_item8191_blake2b256", &table.items()[TABLE_ITEMS - 1])?;
    }
    row.same_digest("table0_blake2b256", table.items().as_flattened())?;
    row.same_bytes("table0_item0_head", &table.items()[0][..64])?;
    tree.grow(table.items());
    row.same_bytes("root", tree.root())?;
    let hash_with_root = header.hash_with_root(tree.root());
    row.same_bytes("ann_hash1", &hash_with_root)?;
    if header.version > 0 {
        let seed = hash_table_seed(tree.root(), &proof_table_seed);
        row.same_bytes("v1_seed", &seed)?;
        let recipe = Recipe::new(&seed, &mut workshop)?;
        row.same("prog1_insn_count", recipe.program().len())?;
        table.fill(&recipe, &mut workshop, &never)?;
        row.same_digest("table1_blake2b256", table.items().as_flattened())?;
    }
    for attempt in row.list("attempts")? {
        check_attempt(&Row(attempt.clone()), &header, &hash_with_root, &table, &mut workshop)?;
    }
    check_first(row, &header, &parent)
}

fn check_attempt(
    attempt: &Row,
    header: &AnnouncementHeader,
    hash_with_root: &[u8; 64],
    table: &Table,
    workshop: &mut Workshop,
) -> anyhow::Result<()> {
    let mut state = State::init(attempt_seed(hash_with_root), attempt.number("soft_nonce")?);
    let mut numbers = Vec::new();
    for _ in 0..4 {
        let number = ItemNumber::wanted_by(&state);
        numbers.push(number.index());
        if header.version == 0 {
            update_version_0(&mut state, table.item(number), workshop)?;
        } else {
            state.update(table.item(number));
        }
    }
    attempt.same("items", numbers)?;
    let work_hash = state.finish();
    attempt.same_bytes("work_hash", &work_hash.0)?;
    attempt.same("meets_target", header.work_bits.is_met_by(&work_hash.0))
}

/// The announcement of the lowest soft nonce that meets the target: it is valid, and the miner finds it.
fn check_first(row: &Row, header: &AnnouncementHeader, parent: &BlockHash) -> anyhow::Result<()> {
    let first = Announcement::from(row.array("first_ann")?);
    row.same_digest("first_ann_blake2b256", first.as_bytes())?;
    if let Err(fault) = verdict(&first, parent, ProofVersion(u8::from(header.version > 0) + 1)) {
        bail!("first_ann: {fault}");
    }
    if header.version > 0 {
        let mut found = Vec::new();
        let mut miner = Miner::new();
        let mut job = miner.prepare(header, parent, &AtomicBool::new(false))?;
        job.attempt(0..first.soft_nonce() + 1, |announcement| found.push(announcement));
        ensure!(found.len() == 1, "up to the first announcement, the miner found {}", found.len());
        row.same_bytes("first_ann", found[0].as_bytes())?;
    }
    Ok(())
}

fn verdict(
    announcement: &Announcement,
    parent: &BlockHash,
    proof_version: ProofVersion,
) -> Result<WorkHash, AnnouncementFault> {
    let [verdict] = Checker::new(Rules::PKT)
        .check(&[AnnouncementToCheck { announcement, parent }], proof_version)
        .try_into()
        .expect("a verdict for each announcement");
    verdict
}

/// The name of a verdict, and the work hash where there is one.
fn named(verdict: Result<WorkHash, AnnouncementFault>) -> (&'static str, Option<WorkHash>) {
    match verdict {
        Ok(work_hash) => ("OK", Some(work_hash)),
        Err(fault @ AnnouncementFault::InsufficientWork { work_hash }) => (fault.name(), Some(work_hash)),
        Err(fault) => (fault.name(), None),
    }
}

pub(super) fn valid(row: &Row) -> anyhow::Result<()> {
    let announcement = Announcement::from(row.array("ann")?);
    let header = announcement.header();
    row.same("version", header.version)?;
    row.same("soft_nonce", announcement.soft_nonce())?;
    row.same("hard_nonce", header.hard_nonce)?;
    row.same("bits", header.work_bits.to_string())?;
    row.same("height", header.parent_height.0)?;
    row.same_bytes("ann_blake2b256", &announcement.announcement_hash().0)?;
    check_verdicts(row, &announcement, ["pktd_pcp1", "pktd_pcp2"])
}

pub(super) fn invalid(row: &Row) -> anyhow::Result<()> {
    check_verdicts(row, &Announcement::from(row.array("ann")?), ["expect_pcp1", "expect_pcp2"])
}

fn check_verdicts(row: &Row, announcement: &Announcement, keys: [&str; 2]) -> anyhow::Result<()> {
    let parent = BlockHash::from_internal(row.array("parent")?);
    for (key, version) in keys.into_iter().zip([1, 2]) {
        let (name, work_hash) = named(verdict(announcement, &parent, ProofVersion(version)));
        row.same(key, name)?;
        if let Some(work_hash) = work_hash {
            row.same_bytes("work_hash", &work_hash.0)?;
        }
    }
    Ok(())
}
