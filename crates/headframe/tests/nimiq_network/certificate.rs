//! A certificate that is its own authority, for pools on this machine.

use std::path::{Path, PathBuf};

/// Where it is, with its key.
pub struct Certificate {
    /// The certificate (PEM).
    pub file: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one in a folder.
    pub fn new(folder: &Path) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let made = Self { file: folder.join("certificate.pem"), key: folder.join("key.pem") };
        std::fs::write(&made.file, certificate.pem()).unwrap();
        std::fs::write(&made.key, key.serialize_pem()).unwrap();
        made
    }
}
