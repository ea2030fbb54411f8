//! The arguments of `serve` about TLS.

use std::path::PathBuf;

use clap::Args;

/// The files of TLS, as written.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TlsArgs {
    /// Certificate for TLS in PEM, followed by those of its chain. All addresses speak TLS then. A new
    /// one is used within a second.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_certificate: Option<PathBuf>,

    /// Key of the certificate in PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Certificates of authorities in PEM: clients must show a certificate that one of them issued.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_client_ca: Option<PathBuf>,

    /// Further address, without TLS, that redirects to the first address with TLS, such as 0.0.0.0:80;
    /// may be repeated.
    #[arg(long, value_name = "ADDR")]
    pub(crate) tls_redirect: Vec<String>,
}
