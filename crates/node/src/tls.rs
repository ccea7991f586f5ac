//! Which certificate of a server is believed.
//!
//! `pktd --tls` makes itself a certificate (`rpc.cert`) that is its own authority. Certificate libraries refuse
//! an authority's certificate as a server's, so such a file is compared with what the server shows; the
//! signatures of the handshake are still checked. A file that holds a real authority works as usual.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

/// Whose certificates a node behind `https`, or a pool behind `wss`, may show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsTrust {
    /// Those issued by the authorities that browsers know.
    #[default]
    PublicAuthorities,
    /// Those in this PEM file (pktd's `rpc.cert`), or issued by an authority in it.
    CertificateFile(PathBuf),
}

/// Why a certificate file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    /// It cannot be read, or is no PEM.
    #[error("cannot read certificates from {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system or the parser said.
        reason: String,
    },
    /// It holds no certificate.
    #[error("{path} holds no certificate (expected PEM, \"-----BEGIN CERTIFICATE-----\")")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The TLS library refuses the configuration.
    #[error("TLS: {0}")]
    Library(#[from] rustls::Error),
}

impl TlsTrust {
    /// The TLS configuration for it; `None` where the default of the HTTP or WebSocket library is right.
    pub fn client_config(&self) -> Result<Option<ClientConfig>, TrustFault> {
        let Self::CertificateFile(path) = self else { return Ok(None) };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(FileVerifier::read(path, &provider)?);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Some(config))
    }
}

/// Believes the very certificates of a file, and those that they issued.
#[derive(Debug)]
struct FileVerifier {
    certificates: Vec<CertificateDer<'static>>,
    /// `None` where no certificate of the file can be an authority.
    issued: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl FileVerifier {
    fn read(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, TrustFault> {
        let unreadable = |error: rustls::pki_types::pem::Error| TrustFault::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let certificates = CertificateDer::pem_file_iter(path)
            .map_err(unreadable)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        if certificates.is_empty() {
            return Err(TrustFault::Empty { path: path.to_owned() });
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let issued =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok();
        Ok(Self { certificates, issued, provider: provider.clone() })
    }
}

impl ServerCertVerifier for FileVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.certificates.iter().any(|known| known == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.issued {
            Some(issued) => {
                issued.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(rustls::CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
