//! TLS for a listener that clients reach without a proxy in front.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// What clients are shown. Clones share it, so that all of them show what replaces it.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ArcSwap<ServerConfig>>,
}

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A file cannot be read, or is no PEM.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system or the parser says.
        #[source]
        reason: pem::Error,
    },
    /// It holds no certificate.
    #[error("{path} holds no certificate (expected PEM, \"-----BEGIN CERTIFICATE-----\")")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The two do not belong together, or the key is of a kind that is not known.
    #[error("certificate and key cannot be used together")]
    Library(#[from] rustls::Error),
}

impl Tls {
    /// From the files of the certificate chain and of its private key, both PEM.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsFault> {
        let unreadable = |path: &Path, reason| TlsFault::Unreadable { path: path.to_owned(), reason };
        let certificates = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|reason| unreadable(certificate, reason))?;
        if certificates.is_empty() {
            return Err(TlsFault::Empty { path: certificate.to_owned() });
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|reason| unreadable(key, reason))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        // A connection lasts for hours: tickets to resume one would cost more than they save.
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(ArcSwap::from_pointee(config)) })
    }

    /// Shows new clients what `other` shows; connections that are open go on.
    pub fn replace(&self, other: &Self) {
        self.config.store(other.config.load_full());
    }

    /// For the next client.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_and_key_must_be_there_and_belong_together() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let made = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (one, other) = (made(), made());
        let certificate = write("certificate.pem", one.cert.pem());
        let (key, other_key) = (
            write("key.pem", one.signing_key.serialize_pem()),
            write("other.pem", other.signing_key.serialize_pem()),
        );
        assert!(Tls::from_files(&certificate, &key).is_ok());
        assert!(matches!(Tls::from_files(&certificate, &other_key), Err(TlsFault::Library(_))));
        assert!(matches!(Tls::from_files(&key, &key), Err(TlsFault::Empty { .. })));
        let absent = folder.path().join("absent.pem");
        assert!(matches!(Tls::from_files(&certificate, &absent), Err(TlsFault::Unreadable { .. })));
    }
}
