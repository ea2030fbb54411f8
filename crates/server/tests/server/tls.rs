//! TLS: the handshake, and streams that promise over TLS what they promise in clear text.

mod handshakes;
mod identity;
mod streams;

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tidings_hub::HubConfig;
use tidings_server::{ServerConfig, TlsConfig, TlsIdentity};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::harness::{Io, Running, secure, start_with};

/// An authority that certificates are issued by.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn issue(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A connector of clients that trust the authority, with a certificate of their own or without.
    pub(crate) fn connector(&self, own: Option<&Pair>) -> TlsConnector {
        TlsConnector::from(Arc::new(self.client(ALL_VERSIONS, own)))
    }

    /// The configuration of such a client that speaks these versions of TLS.
    pub(crate) fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Pair>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![chain], key).unwrap()
            }
        }
    }
}

impl Pair {
    pub(crate) fn identity(&self) -> TlsIdentity {
        let (certificate, key) = (self.certificate.as_bytes(), self.key.as_bytes());
        TlsIdentity::from_pem(certificate, key, None).unwrap()
    }
}

/// Starts a server with TLS, and with some of the configuration changed.
pub(crate) async fn start_tls(change: impl FnOnce(&mut ServerConfig, &mut HubConfig)) -> Running {
    let authority = Authority::new();
    let identity = authority.issue("localhost").identity();
    let mut server = start_with(|config, hub| {
        config.tls = Some(TlsConfig::new(identity));
        change(config, hub);
    })
    .await;
    server.connector = Some(authority.connector(None));
    server
}

/// Opens a connection with TLS.
pub(crate) async fn connect(server: &Running) -> Box<dyn Io> {
    let socket = TcpStream::connect(server.address).await.unwrap();
    secure(socket, server.connector.as_ref(), &["http/1.1"]).await.unwrap()
}
