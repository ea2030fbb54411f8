//! The reasons why TLS refuses a server's certificate, in words.

use std::error::Error;
use std::{fmt, io};

use rustls::CertificateError;

/// The error of a certificate that is not believed. The source is the TLS library's own error.
#[derive(Debug)]
struct CertificateRefused {
    why: &'static str,
    source: io::Error,
}

impl fmt::Display for CertificateRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why)
    }
}

impl Error for CertificateRefused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Explains the error of a handshake if it is about the server's certificate.
pub(super) fn explained(error: io::Error) -> Box<dyn Error + Send + Sync> {
    match error.get_ref().and_then(|inner| inner.downcast_ref()).and_then(reason) {
        Some(why) => CertificateRefused { why, source: error }.into(),
        None => error.into(),
    }
}

fn reason(error: &rustls::Error) -> Option<&'static str> {
    let rustls::Error::InvalidCertificate(error) = error else { return None };
    Some(match error {
        CertificateError::UnknownIssuer => {
            "the server's certificate was issued by no authority that is trusted here"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another host"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet, or this machine's clock is wrong"
        }
        // The library's own error has no variant for it.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "the server shows the certificate of an authority (CA:TRUE) as its own: it needs one that \
             the authority issued, or one that was made with basicConstraints=CA:FALSE"
        }
        _ => return None,
    })
}
