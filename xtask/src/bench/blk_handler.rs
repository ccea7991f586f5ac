//! The block handler: fully checked shares for each core-second.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use packetcrypt::block::mine::{BlockJob, MiningSet};
use packetcrypt::block::{Header, MerkleRoot};
use packetcrypt::target::Number;
use packetcrypt::{Announcement, CanonicalTarget, CompactTarget, Height};
use wire::share_post::SharePost;
use wire::template::{self, BlockTemplate};
use wire::work::{self, WorkFile};

use super::dev_node::DevNode;
use super::load::Connection;
use super::mined::{self, PARENT, WORK_BITS};
use super::program::{ADDRESS, PASSWORD, Program, folder, free_address};
use super::stand_in_master::{HandlerUrls, StandInMaster, block_hash};
use super::{Goal, Reference, Row};

/// Announcements that are mined with: an odd number, and so many that few shares have one in common.
const ANNOUNCEMENTS: usize = 31 * 1024 + 1;
/// Shares of a run.
const SHARES: usize = 4096;
/// Connections that post at once.
const POSTING: usize = 16;
/// Attempts that a share takes, about.
const ATTEMPTS: u32 = 16;
/// The newest block: the announcements' parent is three below the work.
const TIP: Height = Height(PARENT.0 + 2);

/// Measures.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let prepared = Prepared::new()?;
    let taken = prepared.start(free_address()?)?.take(&prepared.shares)?;
    Ok(vec![Row {
        measure: "BlkHandler, fully checked (the reference asks its node)".to_owned(),
        unit: "shares per core-second",
        ours: taken,
        reference: Some(Reference::Known(310.0)),
        goal: Some(Goal::AtLeast(3100.0)),
    }])
}

/// Shares, and what a handler needs to take them.
pub struct Prepared {
    node: DevNode,
    work: WorkFile,
    shares: Vec<String>,
}

impl Prepared {
    /// Mines the shares.
    pub fn new() -> anyhow::Result<Self> {
        let node = DevNode::start()?;
        let work = work(&node)?;
        Ok(Self { shares: shares(&work)?, node, work })
    }

    /// Part `part` of the shares, of so many parts.
    pub fn part(&self, part: usize, parts: usize) -> &[String] {
        let length = self.shares.len() / parts;
        &self.shares[part * length..][..length]
    }

    /// Starts a handler at `address`, which knows none of the shares yet.
    pub fn start(&self, address: SocketAddr) -> anyhow::Result<Handler> {
        let folder = folder()?;
        let urls = HandlerUrls { ann: Vec::new(), blk: vec![format!("http://{address}/blk/main/submit")] };
        let master = StandInMaster::start(TIP, &urls)?;
        master.put(template::file_name(self.work.height), template_of(&self.work).to_bytes());
        master.put(work::file_name(self.work.height), self.work.to_bytes());
        let configuration = format!(
            "[pool]\nurl = \"{}\"\npassword = \"{PASSWORD}\"\n[http]\nlisten = \"{address}\"\n\
             [[node]]\nurl = \"{}\"\npassword = \"x\"\n[pay_maker]\ndefault_address = \"{ADDRESS}\"\n\
             error_address = \"{ADDRESS}\"\n[[blk_handler]]\nname = \"main\"\nthreads = 1\n",
            master.url(),
            self.node.url()
        );
        let mut handler = Program::headframe(folder.path(), &["blk-handler", "main"], &configuration)?;
        handler.until_ready(address)?;
        Ok(Handler { program: handler, address, _master: master, _folder: folder })
    }
}

/// A handler that runs.
pub struct Handler {
    program: Program,
    address: SocketAddr,
    _master: StandInMaster,
    _folder: tempfile::TempDir,
}

impl Handler {
    /// Has it take shares that it does not know; gives how many it takes in each core-second.
    pub fn take(&self, shares: &[String]) -> anyhow::Result<f64> {
        let ((), seconds) = self.program.exact_seconds_of(|| post_all(self.address, shares))?;
        Ok(shares.len() as f64 / seconds)
    }
}

/// Work with the dev chain's coinbase, whose shares are easy and whose blocks are out of reach.
fn work(node: &DevNode) -> anyhow::Result<WorkFile> {
    let coinbase = node.chain().template()?.coinbase_no_witness;
    let header = Header {
        version: 0x2000_0000,
        previous: block_hash(TIP),
        merkle_root: MerkleRoot::default(),
        time: 1_700_000_000,
        bits: CompactTarget(0x1a00_ffff),
        nonce: 0,
    };
    let share_target = share_target();
    let mut work = WorkFile {
        header,
        signing_key: None,
        share_target,
        ann_target: WORK_BITS,
        height: Height(TIP.0 + 1),
        coinbase,
        branch: Vec::new(),
    };
    work.header.merkle_root = work.merkle_root();
    Ok(work)
}

/// The share target that takes about [`ATTEMPTS`] attempts with all announcements.
fn share_target() -> CompactTarget {
    let enough = Number::from(ATTEMPTS);
    let targets = (0..64).map(|log| CompactTarget::for_work(&(Number::from(1u8) << log)));
    let attempts = |share: CompactTarget| {
        packetcrypt::target::effective_target(share, WORK_BITS, ANNOUNCEMENTS as u64)
            .work()
            .unwrap_or_default()
    };
    targets.clone().find(|share| attempts(*share) >= enough).unwrap_or(CompactTarget::EASIEST)
}

fn template_of(work: &WorkFile) -> BlockTemplate {
    BlockTemplate {
        height: work.height,
        header: work.header,
        coinbase_no_witness: work.coinbase.clone(),
        branch: Vec::new(),
        transactions: vec![work.coinbase.clone()],
    }
}

/// Mines shares; gives the bodies to post.
fn shares(work: &WorkFile) -> anyhow::Result<Vec<String>> {
    let store = mined::announcements(ANNOUNCEMENTS)?;
    let hash = |bytes| Announcement::from_bytes(bytes).announcement_hash();
    let entries = store.iter().zip(0..).map(|(bytes, slot)| (hash(bytes), slot)).collect();
    let set = MiningSet::build(entries, CanonicalTarget::try_from(WORK_BITS)?);
    let set = set.ok_or_else(|| anyhow::anyhow!("nothing to mine with"))?;
    let commitment = set.commitment();
    let (_, header) = work.committed(&commitment)?;
    let effective = set.effective_target(work.share_target, work.header.bits);
    let mut job = BlockJob::new(&header, &set, &store, effective);
    let mut finds = Vec::new();
    let mut start = 0;
    while finds.len() < SHARES {
        job.attempt(start, 1024, &mut finds);
        start += 1024;
    }
    finds.truncate(SHARES);
    let proofs = finds.iter().filter_map(|find| job.proof(find));
    Ok(proofs.map(|proof| SharePost { commitment, header, proof }.to_json()).collect())
}

/// Posts all shares, each of which must be accepted.
fn post_all(address: SocketAddr, shares: &[String]) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let post = || -> anyhow::Result<()> {
        let mut connection = Connection::open(address)?;
        while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
            let headers = [("x-pc-payto", ADDRESS), ("x-pc-sver", "1")];
            connection.post("/blk/main/submit", &headers, share.as_bytes())?.success()?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..POSTING).map(|_| scope.spawn(post)).collect();
        threads.into_iter().try_for_each(|one| one.join().unwrap_or_else(|_| anyhow::bail!("a panic")))
    })
}
