//! TLS: the certificate with its key, and what clients are asked for.

mod certificate;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};

use crate::http::authority::HostName;

/// The configuration of TLS on all addresses that a server listens on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The certificate and its key. [`Control::set_identity`](crate::Control::set_identity) changes
    /// them while the server runs.
    pub identity: TlsIdentity,
    /// Further addresses, without TLS, that redirect every request to the first address with TLS; by
    /// default none.
    pub redirect: Vec<SocketAddr>,
}

impl TlsConfig {
    /// TLS with an identity, and without addresses that redirect to it.
    #[must_use]
    pub fn new(identity: TlsIdentity) -> Self {
        Self { identity, redirect: Vec::new() }
    }
}

/// A certificate with its key, and the authorities that must have issued the certificates of
/// clients, if any.
///
/// TLS 1.3 and 1.2 are spoken, and HTTP/2 or HTTP/1.1 as the client prefers. A returning client may
/// resume its session, which saves most of the handshake; no data comes before the handshake ends,
/// because it could be replayed.
#[derive(Clone)]
pub struct TlsIdentity {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

impl TlsIdentity {
    /// Reads a certificate with its chain, the certificate first, and its key, both in PEM. With
    /// `client_roots`, also in PEM, each client must show a certificate that one of these has issued.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] names the part that cannot be used. A key that does not belong to the
    /// certificate is an error, too.
    pub fn from_pem(
        certificate: &[u8],
        key: &[u8],
        client_roots: Option<&[u8]>,
    ) -> Result<Self, InvalidTls> {
        let chain = certificates(certificate).ok_or(InvalidTls::Certificate)?;
        let first = chain.first().ok_or(InvalidTls::Certificate)?.clone();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| InvalidTls::Key)?;
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(refused)?;
        let builder = match client_roots {
            Some(roots) => builder.with_client_cert_verifier(verifier(roots, provider)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => InvalidTls::Mismatch,
            rustls::Error::InvalidCertificate(_) => InvalidTls::Certificate,
            error => refused(error),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A session is the client's to keep: any number of clients cost the server nothing.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new().map_err(refused)?;
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), certificate: first })
    }

    /// The names of hosts that the certificate is for.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        certificate::names(&self.certificate)
    }

    /// Returns whether the certificate is for a host.
    #[must_use]
    pub fn is_for(&self, host: &HostName) -> bool {
        certificate::is_for(&self.certificate, &host.0)
    }

    /// The first and the last moment at which the certificate is valid; `None` if it does not say so
    /// in the usual way.
    #[must_use]
    pub fn validity(&self) -> Option<(SystemTime, SystemTime)> {
        certificate::validity(&self.certificate)
    }

    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("names", &self.names()).finish_non_exhaustive()
    }
}

/// The error of a certificate, a key or authorities that cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum InvalidTls {
    /// There is no usable certificate in PEM.
    Certificate,
    /// There is no private key in PEM.
    Key,
    /// The key belongs to another certificate. While a pair of files is replaced, it looks like this
    /// for a moment.
    Mismatch,
    /// There are no usable authorities for the certificates of clients.
    ClientRoots,
    /// TLS refuses the pair for another reason.
    Refused(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for InvalidTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "the certificate is no usable certificate in PEM",
            Self::Key => "the key is no private key in PEM",
            Self::Mismatch => "the key does not belong to the certificate",
            Self::ClientRoots => "the authorities for clients are no usable certificates in PEM",
            Self::Refused(_) => "the certificate and its key cannot be used",
        })
    }
}

impl std::error::Error for InvalidTls {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(&**error),
            _ => None,
        }
    }
}

fn refused(error: rustls::Error) -> InvalidTls {
    InvalidTls::Refused(error.into())
}

/// All certificates of a text in PEM; `None` if one of them is broken.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()
}

fn verifier(
    roots: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, InvalidTls> {
    let mut store = RootCertStore::empty();
    for root in certificates(roots).ok_or(InvalidTls::ClientRoots)? {
        store.add(root).map_err(|_| InvalidTls::ClientRoots)?;
    }
    let built = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build();
    built.map_err(|_: VerifierBuilderError| InvalidTls::ClientRoots)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn pair(names: &[&str]) -> (String, String) {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 4, 1);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_tells_its_names_and_its_time() {
        let (certificate, key) = pair(&["events.example.com", "*.example.org", "192.0.2.7"]);
        let identity = TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes(), None).unwrap();
        assert_eq!(identity.names(), ["events.example.com", "*.example.org"]);
        let is_for = |host: &str| identity.is_for(&HostName::parse(host).unwrap());
        assert!(["events.example.com", "a.example.org", "192.0.2.7"].into_iter().all(is_for));
        assert!(!["example.com", "example.org", "192.0.2.8", "a_b"].into_iter().any(is_for));
        let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 24 * 60 * 60);
        assert_eq!(identity.validity(), Some((day(20_454), day(20_544))));
    }

    #[test]
    fn a_part_that_cannot_be_used_is_named() {
        let (certificate, key) = pair(&["a"]);
        let (_, other) = pair(&["a"]);
        let check = |certificate: &str, key: &str, roots: Option<&str>| {
            let roots = roots.map(str::as_bytes);
            TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes(), roots)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(check(&certificate, &key, None), Ok(()));
        assert_eq!(check(&certificate, &key, Some(&certificate)), Ok(()));
        for (error, part) in [
            (check("", &key, None), "the certificate is"),
            (check(&key, &key, None), "the certificate is"),
            (check(&certificate, "", None), "the key is"),
            (check(&certificate, &certificate, None), "the key is"),
            (check(&certificate, &other, None), "the key does not belong"),
            (check(&certificate, &key, Some("")), "the authorities"),
        ] {
            let error = error.unwrap_err();
            assert!(error.starts_with(part), "{error}");
        }
    }
}
