//! The library's programs and its check of announcements.

use packetcrypt::{Announcement, BlockHash, WorkHash};
use packetcrypt_sys::{PacketCryptAnn, ValidateCtx, check_ann};

/// Checks announcements of version 1 as the library does.
#[derive(Default)]
pub struct Checker(ValidateCtx);

impl Checker {
    /// The work hash, or the library's name of the fault. It ends the process on work bits without a mantissa, and
    /// where the program of a table is too big.
    pub fn check(
        &mut self,
        announcement: &Announcement,
        parent: &BlockHash,
    ) -> Result<WorkHash, &'static str> {
        packetcrypt_sys::init();
        let announcement = PacketCryptAnn { bytes: bytes::Bytes::copy_from_slice(announcement.as_bytes()) };
        check_ann(&announcement, parent.as_internal(), &mut self.0).map(WorkHash)
    }
}

/// The library's growing array.
#[repr(C)]
struct Vector {
    elements: *mut u32,
    count: u32,
    max: u32,
}

unsafe extern "C" {
    fn RandGen_generate(words: *mut u32, seed: *mut [u8; 32], variables: *mut Vector) -> i32;
}

/// `RANDGEN(seed)`; `None` where the program is too big.
pub fn program(seed: &[u8; 32]) -> Option<Vec<u32>> {
    packetcrypt_sys::init();
    let mut seed = *seed;
    // One word more than a program can have: a program too big is written one too far.
    let mut words = vec![0; 2049];
    // The library makes and grows the array. It is not freed: tests are short.
    let mut variables = Vector { elements: std::ptr::null_mut(), count: 0, max: 0 };
    // SAFETY: the pointers are valid for the call, and the lengths are those that the function expects.
    let length = unsafe { RandGen_generate(words.as_mut_ptr(), &raw mut seed, &raw mut variables) };
    words.truncate(usize::try_from(length).ok()?);
    Some(words)
}
