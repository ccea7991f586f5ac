//! The proof of work: Argon2d of a block's header.
//!
//! Version 0x13, one pass over 512 KiB in one lane, a tag of 32 bytes; the password is the header, the salt a constant
//! (`docs/protocol/nimiq-pool.md` 2.7). One implementation of several runs ([`Backend`]); `docs/performance.md`
//! explains the kernels and has their figures.

mod backend;
mod plain;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod fill;
#[cfg(target_arch = "x86_64")]
mod first_blocks;
#[cfg(target_arch = "x86_64")]
mod memory;

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use crate::header::{HEADER_SIZE, NONCE_OFFSET};
use crate::{ProofOfWork, Target};

pub use backend::{BACKEND_VARIABLE, Backend, BackendError};

type Header = [u8; HEADER_SIZE];

const SALT: &[u8] = b"nimiqrocks!";
const TAG_SIZE: usize = 32;
const VERSION: u32 = 0x13;
const PASSES: u32 = 1;
const LANES: u32 = 1;
/// The memory of one hash in blocks of 1 KiB.
const BLOCKS: usize = 512;

/// Computes proofs of work, one thread at a time, in memory of its own: 0.5 MiB for the plain backend, 2 MiB for the
/// others, which compute two at once.
#[derive(Debug)]
pub struct Hasher(Engine);

#[derive(Debug)]
enum Engine {
    Plain(plain::Memory),
    #[cfg(target_arch = "x86_64")]
    Avx2(memory::Memory),
    #[cfg(target_arch = "x86_64")]
    Avx512(memory::Memory),
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// With the backend that this processor runs best, or that the environment names ([`Backend::chosen`]).
    pub fn new() -> Self {
        Self::on(Backend::chosen())
    }

    /// With a backend of choice. Panics if this processor cannot run it ([`Backend::is_supported`]).
    pub fn on(backend: Backend) -> Self {
        assert!(backend.is_supported(), "this processor cannot run the backend {backend}");
        Self(match backend {
            Backend::Plain => Engine::Plain(plain::Memory::new()),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => Engine::Avx2(memory::Memory::new()),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => Engine::Avx512(memory::Memory::new()),
            // Not supported, so never asked for.
            #[cfg(not(target_arch = "x86_64"))]
            Backend::Avx2 | Backend::Avx512 => Engine::Plain(plain::Memory::new()),
        })
    }

    /// The proof of work of a header.
    pub fn hash(&mut self, header: &[u8; HEADER_SIZE]) -> ProofOfWork {
        match &mut self.0 {
            Engine::Plain(memory) => plain::hash(memory, header),
            #[cfg(target_arch = "x86_64")]
            Engine::Avx2(memory) => {
                let [first, _] = memory.areas();
                let [pow] = avx2::hashes([first], [header]);
                pow
            }
            #[cfg(target_arch = "x86_64")]
            Engine::Avx512(memory) => {
                let [first, _] = memory.areas();
                let [pow] = avx512::hashes([first], [header]);
                pow
            }
        }
    }

    /// The proofs of work of two headers, at less than twice the price of one.
    fn hash_two(&mut self, headers: [&Header; 2]) -> [ProofOfWork; 2] {
        match &mut self.0 {
            Engine::Plain(memory) => headers.map(|header| plain::hash(memory, header)),
            #[cfg(target_arch = "x86_64")]
            Engine::Avx2(memory) => avx2::hashes(memory.areas(), headers),
            #[cfg(target_arch = "x86_64")]
            Engine::Avx512(memory) => avx512::hashes(memory.areas(), headers),
        }
    }

    /// The proofs of work of many headers, in their order. An even number is cheapest.
    pub fn hash_many<'a>(
        &mut self,
        headers: impl IntoIterator<Item = &'a [u8; HEADER_SIZE]>,
    ) -> Vec<ProofOfWork> {
        let mut headers = headers.into_iter();
        let mut proofs = Vec::with_capacity(headers.size_hint().0);
        while let Some(first) = headers.next() {
            match headers.next() {
                Some(second) => proofs.extend(self.hash_two([first, second])),
                None => proofs.push(self.hash(first)),
            }
        }
        proofs
    }

    /// The first nonce in the range with which the header's proof of work meets the target, and that proof.
    pub fn mine(
        &mut self,
        header: &[u8; HEADER_SIZE],
        nonces: RangeInclusive<u32>,
        target: &Target,
    ) -> Option<(u32, ProofOfWork)> {
        let mut nonces = nonces.map(|nonce| {
            let mut header = *header;
            header[NONCE_OFFSET..].copy_from_slice(&nonce.to_be_bytes());
            (nonce, header)
        });
        while let Some((nonce, header)) = nonces.next() {
            let tried = match nonces.next() {
                Some((next, next_header)) => {
                    let [pow, next_pow] = self.hash_two([&header, &next_header]);
                    [Some((nonce, pow)), Some((next, next_pow))]
                }
                None => [Some((nonce, self.hash(&header))), None],
            };
            let found = tried.into_iter().flatten().find(|(_, pow)| target.is_met_by(pow));
            if found.is_some() {
                return found;
            }
        }
        None
    }
}
