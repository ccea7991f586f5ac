//! The certificates of Nimiq servers: files that belong together, days that are left, and the name that miners connect to.

use std::path::Path;
use std::time::Duration;

use pool::listener::Tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::finding::Finding;
use crate::config::{Config, NimiqServer};
use crate::roles::nimiq::{server_name, tls_files};
use crate::roles::site::address_for_miners;

/// A certificate that ends sooner is a fault already.
const NOTICE: Duration = Duration::from_hours(7 * 24);

/// A finding for each server that speaks TLS.
pub fn examine(config: &Config) -> Vec<Finding> {
    let servers = config.nimiq_servers.iter().filter(|_| config.runs_nimiq());
    let with_files = servers.filter_map(|server| Some((server, tls_files(server)?)));
    let host = |server| host_for_miners(config, server);
    with_files
        .map(|(server, (certificate, key))| {
            certificate_of(server_name(server), host(server), certificate, key)
        })
        .collect()
}

/// Where miners are told to connect; `None` where the configuration names nothing that a certificate could be for.
fn host_for_miners(config: &Config, server: &NimiqServer) -> Option<String> {
    let site = config.site.url.as_ref().map(ToString::to_string);
    let told = match (&server.url, site) {
        (None, None) => return None,
        (_, site) => address_for_miners(server, &site.unwrap_or_default()),
    };
    let host = told.parse::<http::Uri>().ok()?.host()?.to_owned();
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

fn certificate_of(name: &str, host: Option<String>, certificate: &Path, key: &Path) -> Finding {
    let subject = format!("certificate of nimiq_server {name}");
    if let Err(fault) = Tls::from_files(certificate, key) {
        let what = format!("{:#}", anyhow::Error::from(fault));
        return Finding::fault(
            subject,
            what,
            "give `certificate` (the whole chain) and `key` of one certificate, both PEM",
        );
    }
    let renew = "renew it, and reload the server";
    match validity(certificate) {
        Ok(Validity::Good) if host.as_deref().is_some_and(|host| !is_for(certificate, host)) => {
            let host = host.unwrap_or_default();
            let what = format!("is not for {host}, where miners are told to connect: they refuse it");
            let fix =
                format!("get one for that name, or give `nimiq_server.{name}.url` the name that it is for");
            Finding::fault(subject, what, fix)
        }
        Ok(Validity::Good) => Finding::good(subject, "can be used, and holds for another week"),
        Ok(Validity::EndsSoon) => Finding::fault(subject, "ends within a week", renew),
        Ok(Validity::Ended) => Finding::fault(subject, "has ended: miners refuse it", renew),
        Ok(Validity::NotYet) => {
            Finding::fault(subject, "is not valid yet", "set the clock (timedatectl set-ntp true), or wait")
        }
        Err(error) => Finding::unseen(subject, format!("its dates cannot be read: {error}")),
    }
}

enum Validity {
    Good,
    EndsSoon,
    Ended,
    NotYet,
}

/// Whether it is for this name or address.
fn is_for(file: &Path, host: &str) -> bool {
    let chain = CertificateDer::pem_file_iter(file).ok();
    let own = chain.and_then(|mut chain| chain.next()?.ok());
    let valid = own.as_ref().and_then(|own| {
        let certificate = EndEntityCert::try_from(own).ok()?;
        certificate.verify_is_valid_for_subject_name(&ServerName::try_from(host).ok()?).ok()
    });
    valid.is_some()
}

/// Looks at the dates alone: the next certificate of the chain, or the certificate itself, is taken as trusted.
fn validity(file: &Path) -> anyhow::Result<Validity> {
    let chain = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>()?;
    let own = chain.first().ok_or_else(|| anyhow::anyhow!("the file holds no certificate"))?;
    let anchor = anchor_from_trusted_cert(chain.get(1).unwrap_or(own))?;
    let certificate = EndEntityCert::try_from(own)?;
    let at = |time: UnixTime| {
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let anchors = std::slice::from_ref(&anchor);
        certificate
            .verify_for_usage(algorithms, anchors, &[], time, KeyUsage::server_auth(), None, None)
            .err()
    };
    let now = UnixTime::now();
    let then = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + NOTICE);
    Ok(match (at(now), at(then)) {
        (Some(webpki::Error::CertExpired { .. }), _) => Validity::Ended,
        (Some(webpki::Error::CertNotValidYet { .. }), _) => Validity::NotYet,
        (_, Some(webpki::Error::CertExpired { .. })) => Validity::EndsSoon,
        _ => Validity::Good,
    })
}
