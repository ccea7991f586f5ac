//! Files that state a rule: addresses, signing keys, target arithmetic, and which headers clients send.

use packetcrypt::Height;
use serde::Deserialize;
use serde_json::Value;
use wire::PktAddress;
use wire::announcement_post::PostHeaders;
use wire::pkt_address::ChainAddress;
use wire::share_post::ShareHeaders;
use wire::signing_key::PrivateSeed;
use wire::work_number::{estimated_encryptions, share_target, target_for_work, work};

use super::master::compact_target;
use super::{Tally, VectorFile, Verdict, each, holds, same};

/// These lie beside the folders of the roles, and other protocols may have files of the same names: the members of
/// their rows decide.
pub(super) fn check(file: &VectorFile<'_>) -> Option<anyhow::Result<Tally>> {
    match file.name {
        "payto.json" if has_member(file, "peer_accepts") => Some(addresses(file)),
        "keys.json" if has_member(file, "ed25519_seed") => Some(keys(file)),
        "targets.json" if has_member(file, "share_encryptions") => Some(targets(file)),
        "client_headers.json" if has_member(file, "request_headers") => Some(client_headers(file)),
        _ => None,
    }
}

/// Whether the first row of a list, or the object itself, has a member.
fn has_member(file: &VectorFile<'_>, member: &str) -> bool {
    match file.json::<Value>() {
        Ok(Value::Array(rows)) => rows.first().is_some_and(|row| row.get(member).is_some()),
        Ok(object) => object.get(member).is_some(),
        Err(_) => false,
    }
}

fn addresses(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        address: String,
        node_accepts: bool,
        recommended: bool,
    }
    let rows: Vec<Row> = file.json()?;
    Ok(each(
        &rows,
        |row| row.name.clone(),
        |row| {
            let ours = PktAddress::parse(&row.address);
            same("paid", &row.recommended, &ours.is_ok())?;
            let payable = ChainAddress::parse(&row.address).is_ok();
            holds("payable here, but not by the node", !payable || row.node_accepts)?;
            ours.map_or(Ok(()), |address| same("canonical", &row.address, &address.to_string()))
        },
    ))
}

fn keys(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    #[derive(Deserialize)]
    struct Row {
        private_seed: String,
        height: u32,
        ed25519_seed: String,
        public_key: String,
    }
    let rows: Vec<Row> = file.json()?;
    Ok(each(
        &rows,
        |row| format!("{:?} at {}", row.private_seed, row.height),
        |row| {
            let seed = PrivateSeed::new(row.private_seed.as_str()).ok_or("an empty seed")?;
            same("seed", &row.ed25519_seed, &hex::encode(seed.key_seed(Height(row.height))))?;
            let key = seed.signing_key(Height(row.height)).map(|key| hex::encode(key.as_bytes()));
            same("public key", &Some(row.public_key.clone()), &key)
        },
    ))
}

#[derive(Deserialize)]
struct Targets {
    ann_work_to_target: Vec<WorkToTarget>,
    work_multiple: Vec<TargetToWork>,
    work_multiple_to_target: Vec<MultipleToTarget>,
    share_target: Vec<ShareTarget>,
    share_encryptions: Vec<ShareEncryptions>,
}

#[derive(Deserialize)]
struct WorkToTarget {
    work: f64,
    target: String,
}

#[derive(Deserialize)]
struct TargetToWork {
    target: String,
    work: f64,
}

#[derive(Deserialize)]
struct MultipleToTarget {
    work_multiple: f64,
    target: String,
}

#[derive(Deserialize)]
struct ShareTarget {
    block_bits: String,
    share_work_divisor: f64,
    #[serde(rename = "share_target")]
    target: String,
}

#[derive(Deserialize)]
struct ShareEncryptions {
    share_target: String,
    ann_min_target: String,
    ann_count: String,
    encryptions: u128,
}

fn targets(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let targets: Targets = file.json()?;
    let mut tally = Tally::default();
    for row in &targets.ann_work_to_target {
        let got = target_for_work(row.work).to_string();
        tally.row(format!("target of work {}", row.work), same("target", &row.target, &got).err());
    }
    for row in &targets.work_multiple {
        let got = compact_target(&row.target).and_then(|target| same("work", &row.work, &work(target)));
        tally.row(format!("work of target {}", row.target), got.err());
    }
    for row in &targets.work_multiple_to_target {
        let got = target_for_work(row.work_multiple * 4096.0).to_string();
        tally.row(
            format!("target of difficulty {}", row.work_multiple),
            same("target", &row.target, &got).err(),
        );
    }
    for row in &targets.share_target {
        let got = compact_target(&row.block_bits).and_then(|bits| {
            same("target", &row.target, &share_target(bits, row.share_work_divisor).to_string())
        });
        tally.row(format!("share target of {} by {}", row.block_bits, row.share_work_divisor), got.err());
    }
    for row in &targets.share_encryptions {
        tally.row(format!("encryptions of {}", row.share_target), encryptions(row).err());
    }
    Ok(tally)
}

fn encryptions(row: &ShareEncryptions) -> Verdict {
    let (share, least) = (compact_target(&row.share_target)?, compact_target(&row.ann_min_target)?);
    let count = row.ann_count.parse().map_err(|fault| format!("count: {fault}"))?;
    same("encryptions", &row.encryptions, &estimated_encryptions(share, least, count))
}

#[derive(Deserialize)]
struct ClientRequest {
    role: String,
    method: String,
    path: String,
    request_headers: Vec<(String, String)>,
}

impl ClientRequest {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.request_headers.iter().find(|(one, _)| one.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_bytes())
    }
}

/// How basic authorization of the user `x` starts, with any password: `x:` in base64.
const BASIC_USER_X: &[u8] = b"Basic eDp";

/// Every request that a public client was seen to send is understood.
fn client_headers(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let requests: Vec<ClientRequest> = file.json()?;
    let name = |request: &ClientRequest| format!("{} {} to {}", request.method, request.path, request.role);
    Ok(each(&requests, name, |request| {
        let get = |name: &str| request.header(name);
        match request.role.as_str() {
            "ah" => PostHeaders::read(get).map(drop).map_err(|refusal| refusal.to_string()),
            "blk" => ShareHeaders::read(get).map(drop).map_err(|refusal| refusal.to_string()),
            "pm" => {
                let credentials = get("authorization").unwrap_or_default();
                holds("the user name is not \"x\"", credentials.starts_with(BASIC_USER_X))
            }
            "master" => {
                let name = request.path.rsplit('/').next().unwrap_or_default();
                holds("a path", name == "config.json" || wire::work::parse_file_name(name).is_some())
            }
            other => Err(format!("unknown role {other:?}")),
        }
    }))
}
