//! Every backend against the vectors, and against the plain one.

use proptest::prelude::*;

use super::*;
use crate::CompactTarget;

/// Header and proof of work of every block in a file of the vectors.
fn vectors(file: &str) -> Vec<(Header, ProofOfWork)> {
    fn collect(value: &serde_json::Value, found: &mut Vec<(Header, ProofOfWork)>) {
        match value {
            serde_json::Value::Array(members) => members.iter().for_each(|member| collect(member, found)),
            serde_json::Value::Object(members) => {
                let bytes = ["header", "light"].into_iter().find_map(|key| members.get(key)?.as_str());
                if let (Some(bytes), Some(pow)) = (bytes, members.get("pow").and_then(|pow| pow.as_str())) {
                    let header = *hex::decode(bytes).unwrap().first_chunk().unwrap();
                    found.push((header, ProofOfWork::from_hex(pow).unwrap()));
                }
                members.values().for_each(|member| collect(member, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::from_str(file).unwrap(), &mut found);
    found
}

#[test]
fn every_backend_gives_the_proofs_of_the_vectors() {
    let files = [
        (include_str!("../../../../vectors/nimiq/genesis.json"), 3),
        (include_str!("../../../../vectors/nimiq/headers-random.json"), 60),
        (include_str!("../../../../vectors/nimiq/chain-dev.json"), 50),
    ];
    for (file, count) in files {
        let (headers, proofs): (Vec<_>, Vec<_>) = vectors(file).into_iter().unzip();
        assert_eq!(headers.len(), count);
        for backend in Backend::available() {
            assert_eq!(Hasher::on(backend).hash_many(&headers), proofs, "{backend}");
        }
    }
}

/// Headers that differ in every byte.
fn headers(count: usize) -> Vec<Header> {
    let digests = |header: usize| {
        (0..5u8).flat_map(move |part| crate::hash::blake2b_256(&[&header.to_le_bytes(), &[part]])).collect()
    };
    (0..count)
        .map(|header| {
            let bytes: Vec<u8> = digests(header);
            *bytes.first_chunk().unwrap()
        })
        .collect()
}

fn plain(header: &Header) -> ProofOfWork {
    Hasher::on(Backend::Plain).hash(header)
}

#[test]
fn many_headers_give_what_each_gives_alone() {
    let headers = headers(7);
    for backend in Backend::available() {
        let mut hasher = Hasher::on(backend);
        for count in 0..=headers.len() {
            let expected: Vec<_> = headers[..count].iter().map(plain).collect();
            assert_eq!(hasher.hash_many(&headers[..count]), expected, "{backend}, {count} headers");
        }
        assert_eq!(hasher.hash(&headers[0]), plain(&headers[0]), "{backend}, after others");
    }
}

#[test]
fn mining_finds_the_first_nonce_that_is_good_enough() {
    let header = headers(1)[0];
    let with_nonce = |nonce: u32| {
        let mut header = header;
        header[NONCE_OFFSET..].copy_from_slice(&nonce.to_be_bytes());
        plain(&header)
    };
    // A target that this proof of work meets by a hair, as fine as compact targets are.
    let just_met = |pow: &ProofOfWork| {
        let [first, second, third, ..] = pow.0;
        CompactTarget(u32::from_be_bytes([0x20, first, second, third]) + 1).target()
    };
    for backend in Backend::available() {
        let mut hasher = Hasher::on(backend);
        for (first, last) in [(0, 0), (5, 9), (u32::MAX - 4, u32::MAX)] {
            let proofs: Vec<_> = (first..=last).map(|nonce| (nonce, with_nonce(nonce))).collect();
            for (_, pow) in &proofs {
                let target = just_met(pow);
                let expected = proofs.iter().find(|(_, pow)| target.is_met_by(pow)).copied();
                assert_eq!(
                    hasher.mine(&header, first..=last, &target),
                    expected,
                    "{backend}, {first} to {last}"
                );
            }
            let found = hasher.mine(&header, first..=last, &Target::HARDEST);
            assert_eq!(found, None, "{backend}, {first} to {last}");
        }
        let no_nonces = RangeInclusive::new(1, 0);
        assert_eq!(hasher.mine(&header, no_nonces, &CompactTarget(u32::MAX).target()), None, "{backend}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_backend_gives_what_the_plain_one_gives(
        first in prop::array::uniform32(any::<u8>()),
        second in prop::collection::vec(any::<u8>(), HEADER_SIZE),
    ) {
        let mut headers = [[0; HEADER_SIZE]; 2];
        headers[0][HEADER_SIZE - 32..].copy_from_slice(&first);
        headers[1].copy_from_slice(&second);
        let expected = headers.each_ref().map(plain);
        for backend in Backend::available() {
            let mut hasher = Hasher::on(backend);
            prop_assert_eq!(hasher.hash_two(headers.each_ref()), expected);
            prop_assert_eq!(hasher.hash(&headers[1]), expected[1]);
        }
    }
}

/// Areas between pages that nobody may touch.
#[cfg(all(unix, target_arch = "x86_64"))]
mod bounds {
    use super::super::memory::Area;
    use super::*;
    use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

    const PAGE: usize = 4096;
    const MAP: usize = size_of::<Area>() + 2 * PAGE;

    struct Guarded(*mut core::ffi::c_void);

    impl Guarded {
        fn new() -> Self {
            // SAFETY: a new map of memory that cannot be touched, of which the middle then can.
            unsafe {
                let map =
                    mmap_anonymous(std::ptr::null_mut(), MAP, ProtFlags::empty(), MapFlags::PRIVATE).unwrap();
                mprotect(map.byte_add(PAGE), size_of::<Area>(), MprotectFlags::READ | MprotectFlags::WRITE)
                    .unwrap();
                Self(map)
            }
        }

        fn area(&mut self) -> &mut Area {
            // SAFETY: mapped, zero, aligned to a page, and borrowed as long as the map.
            unsafe { &mut *self.0.byte_add(PAGE).cast() }
        }
    }

    impl Drop for Guarded {
        fn drop(&mut self) {
            // SAFETY: mapped in `new`, and no longer borrowed.
            unsafe { munmap(self.0, MAP) }.unwrap();
        }
    }

    #[test]
    fn no_kernel_touches_memory_beside_its_areas() {
        let (mut first, mut second) = (Guarded::new(), Guarded::new());
        let headers = headers(2);
        let expected = [plain(&headers[0]), plain(&headers[1])];
        let kernels = [
            (Backend::Avx2, avx2::hashes as fn([&mut Area; 2], [&Header; 2]) -> [ProofOfWork; 2]),
            (Backend::Avx512, avx512::hashes),
        ];
        for (backend, hashes) in kernels.into_iter().filter(|(backend, _)| backend.is_supported()) {
            let found = hashes([first.area(), second.area()], [&headers[0], &headers[1]]);
            assert_eq!(found, expected, "{backend}");
        }
    }
}
