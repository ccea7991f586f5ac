//! Which implementation of Argon2d runs.
//!
//! The plain one is the truth, the others are tested against it. Names and variable are those of the `packetcrypt`
//! crate's backends; what a name needs of the processor is less here.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// The environment variable that forces a backend.
pub const BACKEND_VARIABLE: &str = "HEADFRAME_BACKEND";

/// An implementation of the proof of work. All give the same results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// The crate `argon2`, on any processor.
    Plain,
    /// 256-bit registers (AVX2).
    Avx2,
    /// 512-bit registers (AVX-512 F).
    Avx512,
}

/// A backend was asked for by a name that there is none of, or that this processor cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No such name.
    #[error("there is no backend {0:?}; there are: plain, avx2, avx512")]
    Unknown(String),
    /// The processor lacks something.
    #[error("this processor cannot run the backend {0} of Argon2d")]
    Unsupported(Backend),
}

static CHOSEN: OnceLock<Backend> = OnceLock::new();

impl Backend {
    /// All, the simplest first.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Avx2, Self::Avx512];

    /// The backends that this processor can run, the fastest last.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        Self::ALL.into_iter().filter(|backend| backend.is_supported())
    }

    /// The backend that new hashers use: what [`Backend::force`] has set, else what the environment variable
    /// [`BACKEND_VARIABLE`] names, if the processor can run that, else the fastest that it can run.
    pub fn chosen() -> Self {
        *CHOSEN.get_or_init(|| {
            let named = std::env::var(BACKEND_VARIABLE).ok().and_then(|name| name.parse().ok());
            named.filter(|backend: &Self| backend.is_supported()).unwrap_or_else(Self::fastest)
        })
    }

    /// Makes new hashers use this backend. To be called before the first of them; later calls change nothing.
    pub fn force(self) -> Result<(), BackendError> {
        if !self.is_supported() {
            return Err(BackendError::Unsupported(self));
        }
        CHOSEN.get_or_init(|| self);
        Ok(())
    }

    fn fastest() -> Self {
        Self::available().next_back().unwrap_or(Self::Plain)
    }

    /// Whether this processor can run it.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Plain => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => super::avx2::is_supported(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => super::avx512::is_supported(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
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
        assert!(Backend::available().any(|backend| backend == Backend::Plain));
        assert!(Backend::chosen().is_supported());
    }
}
