//! Whom this process trusts when it connects over TLS (`rtmps`, `wss`). Shell: it reads certificates.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};

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
    #[error("tls: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
    #[error("certificates were not read: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// A client that trusts Mozilla's roots, the machine's own, and those of `ca_file`. It is read anew for each
/// connection, so that a renewed file needs no restart. The platform's verifier is not asked: it fails on a
/// machine without any roots.
pub async fn client_config(ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, Error> {
    // Files are read, some hundred on some machines.
    let (roots, own) = tokio::task::spawn_blocking(move || roots(ca_file.as_deref())).await??;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let web_pki =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        // What it has to be told of: a verifier of one's own. It adds one case to the usual one.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { web_pki, own }))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The usual verifier, and besides: a server's own certificate that stands in the CA file is trusted for the names in
/// it, while it is valid. That is what an ordinary self-signed certificate is (`openssl req -x509`): it says of itself
/// that it is an authority, which webpki accepts of none that a server presents as its own (RFC 5280 4.2.1.9 would allow
/// it).
#[derive(Debug)]
struct Verifier {
    web_pki: Arc<WebPkiServerVerifier>,
    /// The certificates of the CA file.
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.web_pki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // These are found after the time of validity was checked, so that it holds here. A test watches over it.
            Err(rustls::Error::InvalidCertificate(reason))
                if names_no_authority(&reason) && self.own.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.web_pki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.web_pki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.web_pki.supported_verify_schemes()
    }
}

/// A certificate authority used as a server, or a server's certificate whose authority is not known, or has only the name
/// of one that is.
fn names_no_authority(reason: &CertificateError) -> bool {
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => true,
        CertificateError::Other(OtherError(other)) => {
            matches!(other.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

type Trusted = (RootCertStore, Vec<CertificateDer<'static>>);

fn roots(ca_file: Option<&Path>) -> Result<Trusted, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let own = ca_file.map(certificates).transpose()?.unwrap_or_default();
    if let Some(path) = ca_file {
        for certificate in &own {
            roots.add(certificate.clone()).map_err(|_| Error::BadCertificate(path.to_owned()))?;
        }
    }
    Ok((roots, own))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    /// A self-signed certificate for `name`, valid in 2025 and 2026.
    fn self_signed(name: &str, is_ca: IsCa) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = is_ca;
        (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2027, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    /// What a client says to a server with `certificate` that wants to be `name`, half of the year `year`.
    fn verify(
        trusted: &[CertificateDer<'static>],
        certificate: &CertificateDer<'_>,
        name: &str,
        year: u64,
    ) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        // Without any root webpki has no verifier.
        roots.add(self_signed("unused.test", IsCa::Ca(BasicConstraints::Unconstrained))).unwrap();
        trusted.iter().for_each(|certificate| roots.add(certificate.clone()).unwrap());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let web_pki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let now = Duration::from_secs(((year - 1970) * 365 + (year - 1969) / 4 + 182) * 86_400);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let verifier = Verifier { web_pki, own: trusted.to_vec() };
        verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::since_unix_epoch(now)).map(drop)
    }

    #[test]
    fn a_self_signed_certificate_is_trusted_for_its_own_name_while_it_is_valid_and_for_nothing_else() {
        for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::ExplicitNoCa, IsCa::NoCa] {
            for name in ["localhost", "stream.example.net", "192.0.2.1", "::1"] {
                let own = self_signed(name, is_ca);
                // The same subject and the same names, another key.
                let twin = self_signed(name, is_ca);
                let trusted = [twin.clone(), own.clone()];
                let shown = format!("{name} {is_ca:?}");
                assert_eq!(verify(&trusted, &own, name, 2025), Ok(()), "{shown}");
                assert_eq!(verify(&trusted, &own, name, 2026), Ok(()), "{shown}");
                for (trusted, certificate, name, year) in [
                    (&trusted[..1], &own, name, 2025),
                    (&[], &own, name, 2025),
                    (&trusted[..], &own, "other.test", 2025),
                    (&trusted[..], &own, "127.0.0.1", 2025),
                    (&trusted[..], &own, name, 2024),
                    (&trusted[..], &own, name, 2027),
                ] {
                    let refused = verify(trusted, certificate, name, year);
                    assert!(refused.is_err(), "{shown}: {} trusted, as {name} in {year}", trusted.len());
                }
            }
        }
    }

    #[test]
    fn an_authority_in_the_file_still_signs_for_others_and_a_server_in_the_file_does_not() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["ca.test".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
        let mut params = CertificateParams::new(vec!["server.test".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2027, 1, 1));
        let server = params.signed_by(&KeyPair::generate().unwrap(), &authority).unwrap().der().clone();
        let authority = authority.der().clone();
        assert_eq!(verify(&[authority], &server, "server.test", 2025), Ok(()));
        // The server's certificate alone: for that server, though not self-signed.
        assert_eq!(verify(std::slice::from_ref(&server), &server, "server.test", 2025), Ok(()));
        assert!(verify(std::slice::from_ref(&server), &server, "server.test", 2027).is_err());
        let other = self_signed("server.test", IsCa::NoCa);
        assert!(verify(&[server], &other, "server.test", 2025).is_err());
    }
}
