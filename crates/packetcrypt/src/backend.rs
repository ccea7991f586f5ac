//! Which implementation of the proof of work runs.
//!
//! The plain one, in the modules that read like the specification, is the truth. The others are mirrors of it for
//! processors with wide registers; they take batches, since lanes are filled with states of several nonces. A batch
//! asks [`Backend::chosen`] once, when it is made, and every step is one `match` outside all loops.
//!
//! What all vector backends have in common is the lane engine, here: which state, block, message or item goes through
//! which lane. What differs is below [`kernels::Kernels`]: a folder for each backend, alike file by file.
//!
//! `docs/performance.md` explains the kernels, their data layout, bounds and figures.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

#[cfg(not(target_arch = "x86_64"))]
mod absent;
#[cfg(test)]
mod against_plain;
pub(crate) mod ahead;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod batch;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "what only kernels use"))]
pub(crate) mod blocks;
pub(crate) mod items;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "what only kernels use"))]
pub(crate) mod kernels;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "what only kernels use"))]
mod passes;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "what only kernels use"))]
pub(crate) mod states;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused, reason = "what only kernels use"))]
pub(crate) mod wide_machine;
pub(crate) mod wide_program;

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use absent::{Absent as Avx2, Absent as Avx512};
use kernels::Kernels;
#[cfg(target_arch = "x86_64")]
pub(crate) use {avx2::Avx2, avx512::Avx512};

/// The environment variable that forces a backend.
pub const BACKEND_VARIABLE: &str = "HEADFRAME_BACKEND";

/// An implementation of the proof of work. All give the same results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// One state after the other, on any processor.
    Plain,
    /// 256-bit registers (AVX2).
    Avx2,
    /// 512-bit registers with integer multiply-add (AVX-512 F, BW, DQ, VL, CD, IFMA, VBMI2, BITALG, VPOPCNTDQ, GFNI).
    Avx512,
}

/// A backend was asked for by a name that there is none of, or that this processor cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No such name.
    #[error("there is no backend {0:?}; there are: plain, avx2, avx512")]
    Unknown(String),
    /// The processor lacks something.
    #[error("this processor cannot run the backend {0}; it can run: {1}")]
    Unsupported(Backend, Available),
}

/// The backends that this processor can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available(Vec<Backend>);

impl fmt::Display for Available {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, backend) in self.0.iter().enumerate() {
            write!(formatter, "{}{backend}", if position > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

static CHOSEN: OnceLock<Backend> = OnceLock::new();

impl Backend {
    /// All, the simplest first.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Avx2, Self::Avx512];

    /// The backends that this processor can run, the fastest last.
    pub fn available() -> Available {
        Available(Self::ALL.into_iter().filter(|backend| backend.is_supported()).collect())
    }

    /// The backend that new batches use: what [`Backend::force`] has set, else what the environment variable
    /// [`BACKEND_VARIABLE`] names, else the fastest that the processor can run.
    ///
    /// A variable that names none of them means nothing here; the program refuses it.
    pub fn chosen() -> Self {
        *CHOSEN.get_or_init(|| Self::from_environment().ok().flatten().unwrap_or_else(Self::fastest))
    }

    /// Makes new batches use this backend. To be called before the first of them; later calls change nothing.
    pub fn force(self) -> Result<(), BackendError> {
        if !self.is_supported() {
            return Err(BackendError::Unsupported(self, Self::available()));
        }
        CHOSEN.get_or_init(|| self);
        Ok(())
    }

    fn from_environment() -> Result<Option<Self>, BackendError> {
        match std::env::var(BACKEND_VARIABLE) {
            Ok(name) if !name.is_empty() => {
                let backend: Self = name.parse()?;
                if backend.is_supported() {
                    Ok(Some(backend))
                } else {
                    Err(BackendError::Unsupported(backend, Self::available()))
                }
            }
            _ => Ok(None),
        }
    }

    fn fastest() -> Self {
        Self::available().0.pop().unwrap_or(Self::Plain)
    }

    /// Whether this processor can run it.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Plain => true,
            Self::Avx2 => Avx2::detect().is_some(),
            Self::Avx512 => Avx512::detect().is_some(),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Plain => "plain",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

impl FromStr for Backend {
    type Err = BackendError;

    fn from_str(name: &str) -> Result<Self, BackendError> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.to_string() == name)
            .ok_or_else(|| BackendError::Unknown(name.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse(), Ok(backend));
        }
        let error = "sse9".parse::<Backend>().unwrap_err();
        assert_eq!(error.to_string(), r#"there is no backend "sse9"; there are: plain, avx2, avx512"#);
    }

    #[test]
    fn the_plain_backend_runs_everywhere() {
        assert!(Backend::Plain.is_supported());
        assert!(Backend::available().to_string().starts_with("plain"));
    }
}
