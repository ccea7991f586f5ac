//! The checks of a post that cost nothing: everything before the proof of work
//! (`docs/protocol/packetcrypt-announcements.md` 7.2 steps 1 to 6).

use packetcrypt::announcement::HEADER_SIZE;
use packetcrypt::{AnnouncementHeader, CompactTarget};
use wire::Refusal;
use wire::announcement_post::Assignment;

use super::slots::Slot;

/// What the headers of a post say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    /// Announcements without a signing key.
    pub unsigned: u32,
    /// The easiest work bits among them.
    pub easiest: CompactTarget,
}

/// Checks every announcement with its own hash (rule R-A1). The first failure refuses the whole post.
pub(super) fn inspect(
    announcements: &[[u8; 1024]],
    prefixes: &[u64],
    assignment: Assignment,
    slot: &Slot,
) -> Result<Summary, Refusal> {
    let mut summary = Summary { unsigned: 0, easiest: CompactTarget(0) };
    // Announcements of a post mostly have the same bits; the test for canonical form is not for free.
    let mut last_good = None;
    for (index, (announcement, prefix)) in announcements.iter().zip(prefixes).enumerate() {
        let header: &[u8; HEADER_SIZE] =
            announcement.first_chunk().ok_or(Refusal::NotAligned { length: 0 })?;
        let header = AnnouncementHeader::from_bytes(header);
        check_key(&header, index, slot)?;
        if header.parent_height != slot.height {
            let got = i64::from(header.parent_height.0 as i32);
            return Err(Refusal::WrongParentHeight { index, want: slot.height, got });
        }
        if last_good != Some(header.work_bits) {
            check_bits(header.work_bits, index, slot)?;
            last_good = Some(header.work_bits);
        }
        if *prefix == 0 || *prefix == u64::MAX {
            return Err(Refusal::ReservedHash { index });
        }
        if assignment.handler_of_header(&header, *prefix, slot.place.count) != Some(slot.place.number) {
            return Err(Refusal::SubmitElsewhere { index });
        }
        if header.version != slot.version {
            return Err(Refusal::UnsupportedAnnVersion { index, version: header.version });
        }
        summary.unsigned += u32::from(header.signing_key.is_none());
        // Canonical targets are in the order of their numbers.
        summary.easiest = CompactTarget(summary.easiest.0.max(header.work_bits.0));
    }
    Ok(summary)
}

fn check_key(header: &AnnouncementHeader, index: usize, slot: &Slot) -> Result<(), Refusal> {
    match (&header.signing_key, &slot.signing_key) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(Refusal::UnexpectedSigned { index }),
        (Some(found), Some(wanted)) if found == wanted => Ok(()),
        (Some(_), Some(_)) => Err(Refusal::WrongSigningKey { index }),
    }
}

/// Rule R-A13: only canonical targets, compared as targets.
fn check_bits(bits: CompactTarget, index: usize, slot: &Slot) -> Result<(), Refusal> {
    let good = bits.is_announcement_target() && bits.is_canonical() && bits.0 <= slot.easiest.0;
    if good { Ok(()) } else { Err(Refusal::NotEnoughWork { index }) }
}
