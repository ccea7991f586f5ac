//! The proof of work for processors with AVX-512 and its integer multiply-add (IFMA).

mod base_multiplication;
mod batch;
mod blake2b;
mod chacha20;
mod field;
mod items;
mod passes;
mod poly1305;
mod rand_hash;
mod states;

pub(crate) use batch::Batch;
pub(crate) use items::{ItemLanes, ItemSource};
pub(crate) use rand_hash::WideProgram;

/// Whether the processor has every instruction that this backend uses.
pub(crate) fn is_supported() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512ifma")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("avx512bitalg")
        && is_x86_feature_detected!("avx512vpopcntdq")
        && is_x86_feature_detected!("gfni")
}

/// Messages in one call of [`digests`].
pub(crate) const DIGEST_LANES: usize = blake2b::LANES;

/// The BLAKE2b digests of sixteen messages of equal length, of as many bytes as the places have.
pub(crate) fn digests<const DIGEST: usize>(
    messages: [&[u8]; DIGEST_LANES],
    places: &mut [[u8; DIGEST]; DIGEST_LANES],
) {
    assert!(is_supported(), "this backend is chosen only where the processor can run it");
    const { assert!(DIGEST >= 1 && DIGEST <= 64) };
    // SAFETY: the processor has these features.
    let digests = unsafe { blake2b::digests(messages, DIGEST as u8) };
    for (message, place) in places.iter_mut().enumerate() {
        digests.copy_to(message, place);
    }
}

#[cfg(test)]
mod tests;
