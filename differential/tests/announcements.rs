//! Programs, and whole announcements: mined by us, altered, and made up.

use std::sync::atomic::AtomicBool;

use differential::announcement as reference;
use packetcrypt::announcement::ANNOUNCEMENT_SIZE;
use packetcrypt::check::{AnnouncementFault, AnnouncementToCheck, Checker, ProofVersion, Rules};
use packetcrypt::mine::Miner;
use packetcrypt::rand_gen::Generator;
use packetcrypt::{Announcement, AnnouncementHeader, BlockHash, CompactTarget, Height, SigningKey, WorkHash};
use proptest::prelude::*;

/// Both verdicts, or `None` where only we give one: where the library would end the process or knows no such rule.
fn verdicts(
    announcement: &Announcement,
    parent: &BlockHash,
) -> Option<(Result<WorkHash, &'static str>, Result<WorkHash, &'static str>)> {
    use AnnouncementFault::{
        BadBits, BadProgram, BadProgram0, BadProgram0Exec, BadProgramExec, InvalidMerkle,
    };
    let to_check = [AnnouncementToCheck { announcement, parent }];
    let ours = match Checker::new(Rules::NEW_CHAIN).check(&to_check, ProofVersion::CURRENT).remove(0) {
        Err(BadBits | BadProgram | BadProgramExec | BadProgram0 | BadProgram0Exec) => return None,
        Err(InvalidMerkle) => Err("INVAL"),
        Err(fault) => Err(fault.name()),
        Ok(work_hash) => Ok(work_hash),
    };
    Some((ours, reference::Checker::default().check(announcement, parent)))
}

/// Any header of version 1 with an easy target.
fn headers() -> impl Strategy<Value = AnnouncementHeader> {
    let numbers =
        (1u8..=255, any::<u32>(), 0x2001_0000u32..0x2080_0000, any::<u32>(), any::<u32>(), any::<u32>());
    (numbers, any::<[u8; 32]>(), any::<[u8; 32]>(), any::<bool>()).prop_map(
        |((version, hard_nonce, bits, height, content_type, content_length), content_hash, key, signed)| {
            AnnouncementHeader {
                version,
                hard_nonce,
                work_bits: CompactTarget(bits),
                parent_height: Height(height),
                content_type,
                content_length,
                content_hash,
                signing_key: if signed { SigningKey::new(key) } else { None },
            }
        },
    )
}

fn mined(header: &AnnouncementHeader, parent: &BlockHash, attempts: u32) -> Vec<Announcement> {
    let mut found = Vec::new();
    let mut miner = Miner::new();
    let mut job = miner.prepare(header, parent, &AtomicBool::new(false)).expect("a usable hard nonce");
    job.attempt(0..attempts, |announcement| found.push(announcement));
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn programs_agree(seed: [u8; 32]) {
        let mut generator = Generator::new();
        prop_assert_eq!(generator.generate(&seed).ok().map(<[u32]>::to_vec), reference::program(&seed));
    }

    #[test]
    fn made_up_announcements_are_refused_alike(
        header in headers(),
        soft_nonce: [u8; 3],
        proof in proptest::collection::vec(any::<u8>(), ANNOUNCEMENT_SIZE - 88),
        parent: [u8; 32],
    ) {
        let mut bytes = [0; ANNOUNCEMENT_SIZE];
        bytes[..88].copy_from_slice(&header.to_bytes());
        bytes[1..4].copy_from_slice(&soft_nonce);
        bytes[88..].copy_from_slice(&proof);
        if let Some((ours, theirs)) = verdicts(&bytes.into(), &BlockHash::from_internal(parent)) {
            prop_assert_eq!(ours, theirs);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_we_mine_is_valid_for_both(header in headers(), parent: [u8; 32]) {
        let parent = BlockHash::from_internal(parent);
        for announcement in mined(&header, &parent, 400) {
            let (ours, theirs) = verdicts(&announcement, &parent).expect("our verdict is good");
            prop_assert!(ours.is_ok());
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn what_is_altered_is_refused_alike(
        header in headers(),
        parent: [u8; 32],
        alterations in proptest::collection::vec((0..ANNOUNCEMENT_SIZE, 1u8..), 300),
    ) {
        let parent = BlockHash::from_internal(parent);
        let found = mined(&header, &parent, 64);
        for ((position, change), original) in alterations.into_iter().zip(found.iter().cycle()) {
            let mut bytes = *original.as_bytes();
            bytes[position] ^= change;
            // Versions 0 of the library are none (pitfall 1).
            if bytes[0] == 0 {
                continue;
            }
            if let Some((ours, theirs)) = verdicts(&bytes.into(), &parent) {
                prop_assert!(ours.is_err());
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
