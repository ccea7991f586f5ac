//! Which certificate of a server is believed.
//!
//! `pktd --tls` makes itself a certificate (`rpc.cert`) that is its own authority. Certificate libraries refuse
//! an authority's certificate as a server's, so such a file is compared with what the server shows; the
//! signatures of the handshake are still checked. A file that holds a real authority works as usual.
//!
//! Without such a file, the authorities of this machine are believed. A machine may have none, as a container that holds
//! nothing but the program: then it is those that browsers know, as they were when the program was built.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
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
    /// Those issued by the authorities that this machine believes, or else that browsers know.
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
    /// The TLS configuration for it.
    pub fn client_config(&self) -> Result<ClientConfig, TrustFault> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions()?;
        let config = match self {
            Self::PublicAuthorities => config.with_root_certificates(authorities()),
            Self::CertificateFile(path) => {
                let verifier = Arc::new(FileVerifier::read(path, &provider)?);
                config.dangerous().with_custom_certificate_verifier(verifier)
            }
        };
        Ok(config.with_no_client_auth())
    }

    /// A client of HTTP, in the making, that believes nobody else.
    pub fn http_client(&self) -> Result<reqwest::ClientBuilder, TrustFault> {
        Ok(reqwest::Client::builder().tls_backend_preconfigured(self.client_config()?))
    }
}

/// Those whom this machine believes, looked up once.
fn authorities() -> Arc<RootCertStore> {
    static KNOWN: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| Arc::new(or_built_in(rustls_native_certs::load_native_certs().certs)));
    Arc::clone(known)
}

fn or_built_in(of_machine: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(of_machine);
    if roots.is_empty() {
        tracing::debug!("this machine knows no certificate authorities; those of the program are believed");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_authorities_believes_those_of_the_program_and_any_other_its_own() {
        assert_eq!(or_built_in(Vec::new()).len(), webpki_roots::TLS_SERVER_ROOTS.len());
        let broken = CertificateDer::from(vec![0x30, 0x00]);
        assert_eq!(or_built_in(vec![broken]).len(), webpki_roots::TLS_SERVER_ROOTS.len());
        let own = rcgen::generate_simple_self_signed(vec!["authority.example".to_owned()]).unwrap();
        assert_eq!(or_built_in(vec![own.cert.der().clone()]).len(), 1);
    }
}
