//! Whom this process trusts when it connects over TLS (`rtmps`, `wss`). Shell: it reads certificates.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Longest file of certificates: all of Mozilla's roots together take a fifth of it.
const MAX_CA_FILE: u64 = 1 << 20;

/// No connection can be secured. Never says what is in the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("certificates of {} cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds a certificate that cannot be used", .0.display())]
    BadCertificate(PathBuf),
    #[error("tls: {0}")]
    Rustls(#[from] rustls::Error),
    #[error("certificates were not read: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// A client that trusts Mozilla's roots, the machine's own, and those of `ca_file`. It is read anew for each
/// connection, so that a renewed file needs no restart. The platform's verifier is not asked: it fails on a
/// machine without any roots.
pub async fn client_config(ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, Error> {
    // Files are read, some hundred on some machines.
    let roots = tokio::task::spawn_blocking(move || roots(ca_file.as_deref())).await??;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|_| Error::BadCertificate(path.to_owned()))?;
        }
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut pem = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_CA_FILE).read_to_end(&mut pem));
    read.map_err(|error| Error::Unreadable { path: path.to_owned(), error })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Error::NoCertificate(path.to_owned())),
    }
}
