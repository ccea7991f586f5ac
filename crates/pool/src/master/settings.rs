//! What the operator decides, and may change while the Master runs (rule R-M8).

use packetcrypt::target::Number;
use packetcrypt::{BlockHash, CompactTarget, Height};
use wire::pool_config::{self, PoolConfig};
use wire::signing_key::PrivateSeed;

/// Blocks below the tip beyond which announcements would be too old to be mined with.
const MINE_OLD_ANNS_LIMIT: u32 = 255;

/// The Master's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterSettings {
    /// Public pool URL, without a slash at its end.
    pub master_url: String,
    /// Public base URL of each announcement handler; order and number assign announcements.
    pub ann_handler_urls: Vec<String>,
    /// Public base URL of each block handler; order and number assign shares.
    pub blk_handler_urls: Vec<String>,
    /// Base URL of the PayMaker, for handlers.
    pub paymaker_url: String,
    /// Announcement versions that are taken; handlers look at the first only.
    pub ann_versions: Vec<u8>,
    /// How many blocks below the newest one the parent of an announcement should be.
    pub mine_old_anns: u32,
    /// The easiest announcement target.
    pub ann_target: CompactTarget,
    /// How hard a share is.
    pub share_target: ShareTarget,
    /// The secret of the signing keys, in a pool that signs.
    pub private_seed: Option<PrivateSeed>,
    /// Base URL for block infos, where it is not the pool URL.
    pub blkinfo_url: Option<String>,
}

/// How hard a share is (`docs/protocol/packetcrypt-pool.md` 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareTarget {
    /// The work of a block divided by this; on average about its cube is the number of shares for each block.
    WorkDivisor(u32),
    /// Always this.
    Fixed(CompactTarget),
}

impl Default for ShareTarget {
    fn default() -> Self {
        Self::WorkDivisor(64)
    }
}

/// What is wrong with settings: every fault, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Master's settings cannot be used: {}", faults.join("; "))]
pub struct SettingsFault {
    /// One sentence for each.
    pub faults: Vec<String>,
}

impl ShareTarget {
    /// The share target while blocks have these bits: `(T + 1) · divisor − 1`, which is the target of the divided
    /// work without any rounding.
    pub(super) fn of_block(self, bits: CompactTarget) -> CompactTarget {
        let divisor = match self {
            Self::Fixed(target) => return target,
            Self::WorkDivisor(divisor) => divisor,
        };
        let one = Number::from(1u32);
        let block = bits.expand().unwrap_or_default();
        let share = (block + one) * Number::from(divisor) - one;
        let compact = CompactTarget::from_number(&share);
        if compact.0 > CompactTarget::EASIEST.0 { CompactTarget::EASIEST } else { compact }
    }
}

impl MasterSettings {
    /// Whether the settings make sense.
    pub fn check(&self) -> Result<(), SettingsFault> {
        let mut faults = Vec::new();
        check_url("masterUrl", &self.master_url, &mut faults);
        check_url("paymakerUrl", &self.paymaker_url, &mut faults);
        check_urls("annHandlers", &self.ann_handler_urls, &mut faults);
        check_urls("blkHandlers", &self.blk_handler_urls, &mut faults);
        if let Some(url) = &self.blkinfo_url {
            check_url("blkinfoUrl", url, &mut faults);
        }
        check_target("annTarget", self.ann_target, &mut faults);
        match self.share_target {
            ShareTarget::WorkDivisor(0) => faults.push("shareWorkDivisor must be 1 or more".to_owned()),
            ShareTarget::WorkDivisor(_) => {}
            ShareTarget::Fixed(target) => check_target("shareMinWork", target, &mut faults),
        }
        if self.ann_versions.is_empty() {
            faults.push("annVersions must name at least one version, usually 1".to_owned());
        }
        if self.mine_old_anns > MINE_OLD_ANNS_LIMIT {
            faults.push(format!(
                "mineOldAnns is {}, at most {MINE_OLD_ANNS_LIMIT} makes sense",
                self.mine_old_anns
            ));
        }
        if faults.is_empty() { Ok(()) } else { Err(SettingsFault { faults }) }
    }

    /// The pool's configuration while `current_height` is mined on top of `tip_hash`.
    pub(super) fn pool_config(&self, current_height: Height, tip_hash: BlockHash) -> PoolConfig {
        let submit = |urls: &[String]| urls.iter().map(|url| format!("{url}/submit")).collect();
        PoolConfig {
            tip_hash,
            current_height,
            master_url: self.master_url.clone(),
            submit_ann_urls: submit(&self.ann_handler_urls),
            download_ann_urls: self.ann_handler_urls.clone(),
            submit_block_urls: submit(&self.blk_handler_urls),
            paymaker_url: self.paymaker_url.clone(),
            version: pool_config::VERSION,
            soft_version: pool_config::SOFT_VERSION,
            ann_versions: self.ann_versions.clone(),
            mine_old_anns: self.mine_old_anns,
            ann_target: Some(self.ann_target),
            blkinfo_url: self.blkinfo_url.clone(),
        }
    }
}

fn check_url(key: &str, url: &str, faults: &mut Vec<String>) {
    match reqwest::Url::parse(url) {
        Err(error) => faults.push(format!("{key}: {url:?} is no URL: {error}")),
        Ok(parsed) if !matches!(parsed.scheme(), "http" | "https") => {
            faults.push(format!("{key}: {url:?} must start with http:// or https://"));
        }
        Ok(_) if url.ends_with('/') => faults.push(format!("{key}: {url:?} must not end in a slash")),
        Ok(_) => {}
    }
}

fn check_urls(key: &str, urls: &[String], faults: &mut Vec<String>) {
    if urls.len() > pool_config::MAX_HANDLERS {
        faults.push(format!(
            "{key}: {} handlers, at most {} are possible",
            urls.len(),
            pool_config::MAX_HANDLERS
        ));
    }
    for (place, url) in urls.iter().enumerate() {
        check_url(key, url, faults);
        if urls.iter().take(place).any(|earlier| earlier == url) {
            faults
                .push(format!("{key}: {url:?} is there twice; miners and handlers would count differently"));
        }
    }
}

fn check_target(key: &str, target: CompactTarget, faults: &mut Vec<String>) {
    if !target.is_announcement_target() || !target.is_canonical() {
        faults.push(format!(
            "{key}: 0x{:08x} is no canonical compact target from 0x03000001 to 0x207fffff",
            target.0
        ));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::master) fn settings() -> MasterSettings {
        MasterSettings {
            master_url: "http://127.0.0.1:19080/master".to_owned(),
            ann_handler_urls: vec!["http://127.0.0.1:19081".to_owned()],
            blk_handler_urls: vec!["http://127.0.0.1:19082".to_owned()],
            paymaker_url: "http://127.0.0.1:19083".to_owned(),
            ann_versions: vec![1],
            mine_old_anns: 2,
            ann_target: CompactTarget(0x2020_0000),
            share_target: ShareTarget::WorkDivisor(2),
            private_seed: None,
            blkinfo_url: None,
        }
    }

    #[test]
    fn share_targets_are_those_of_the_reference() {
        let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/pool/targets.json");
        let vectors: serde_json::Value = serde_json::from_slice(&std::fs::read(vectors).unwrap()).unwrap();
        let rows = vectors["share_target"].as_array().unwrap();
        assert!(rows.len() > 10);
        let hex = |value: &serde_json::Value| {
            CompactTarget(u32::from_str_radix(value.as_str().unwrap(), 16).unwrap())
        };
        for row in rows {
            let Some(divisor) = row["share_work_divisor"].as_u64() else { continue };
            let target = ShareTarget::WorkDivisor(divisor as u32).of_block(hex(&row["block_bits"]));
            assert_eq!(target, hex(&row["share_target"]), "{row}");
        }
    }

    #[test]
    fn r_m8_every_fault_is_named() {
        let wrong = MasterSettings {
            master_url: "http://pool.example/master/".to_owned(),
            ann_handler_urls: vec!["http://a.example".to_owned(), "http://a.example".to_owned()],
            blk_handler_urls: vec!["nonsense".to_owned()],
            paymaker_url: "ftp://paymaker".to_owned(),
            ann_versions: Vec::new(),
            mine_old_anns: 1000,
            ann_target: CompactTarget(0x2000_0001),
            share_target: ShareTarget::WorkDivisor(0),
            ..settings()
        };
        let faults = wrong.check().unwrap_err().faults;
        let expected = [
            "must not end in a slash",
            "ftp://paymaker",
            "twice",
            "no URL",
            "0x20000001 is no canonical",
            "shareWorkDivisor",
            "annVersions",
            "mineOldAnns",
        ];
        for words in expected {
            assert_eq!(faults.iter().filter(|fault| fault.contains(words)).count(), 1, "{words}: {faults:?}");
        }
        assert_eq!(settings().check(), Ok(()));
    }

    #[test]
    fn the_configuration_is_that_of_the_reference() {
        let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/pool/annhandler/config.json");
        let recorded = std::fs::read(recorded).unwrap();
        let tip = "c243dd171214a2d93f3179728fc59bee68f74ad41c896871ca2cdb254baec5ec";
        let ours = settings().pool_config(Height(63), BlockHash::from_display_hex(tip).unwrap());
        assert_eq!(ours.to_json(), String::from_utf8(recorded).unwrap());
    }
}
