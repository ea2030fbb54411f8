//! The files of TLS: a certificate, its key, and the authorities of clients' certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tidings_server::{Hosts, ServerConfig, TlsIdentity};

use super::settings::{Settings, Value};
use crate::sentence::sentence;

/// The files of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// The content of the files at one moment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TlsTexts {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// A larger file is no list of certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The time before a certificate's end from which on its end is warned of: certificates of automatic
/// authorities are renewed earlier.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

impl TlsFiles {
    /// The files that the settings name; `None` without TLS.
    pub(super) fn of(settings: &Settings, mistakes: &mut Vec<String>) -> Option<Self> {
        let [certificate, key, client_ca, redirect] =
            ["tls.certificate", "tls.key", "tls.client_ca", "tls.redirect"]
                .map(|key| settings.get(key));
        let mut needs = |value: Value<'_>, what| {
            mistakes.push(value.mistake(value.text(), what));
        };
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let client_ca = client_ca.map(Value::path);
                Some(Self { certificate: certificate.path(), key: key.path(), client_ca })
            }
            (Some(certificate), None) => {
                needs(certificate, "needs its key, too (tls.key)");
                None
            }
            (None, Some(key)) => {
                needs(key, "needs its certificate, too (tls.certificate)");
                None
            }
            (None, None) => {
                for value in [client_ca, redirect].into_iter().flatten() {
                    needs(value, "needs TLS (tls.certificate and tls.key)");
                }
                None
            }
        }
    }

    /// Reads the files.
    pub(crate) fn read(&self) -> Result<TlsTexts, String> {
        Ok(TlsTexts {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            client_ca: self.client_ca.as_deref().map(read).transpose()?,
        })
    }

    /// Reads the files for the first time.
    pub(super) fn identity(&self) -> Result<(TlsTexts, TlsIdentity), String> {
        let texts = self.read()?;
        let identity = texts.identity().map_err(|why| format!("{self}: {why}"))?;
        Ok((texts, identity))
    }
}

impl std::fmt::Display for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} and {}", self.certificate.display(), self.key.display())?;
        self.client_ca.as_ref().map_or(Ok(()), |path| write!(f, ", with {}", path.display()))
    }
}

impl TlsTexts {
    /// The certificate and the key, if they fit.
    pub(crate) fn identity(&self) -> Result<TlsIdentity, String> {
        TlsIdentity::from_pem(&self.certificate, &self.key, self.client_ca.as_deref())
            .map_err(|error| sentence(&error))
    }
}

impl std::fmt::Debug for TlsTexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsTexts").finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > FILE_BYTES_MAX) {
        return Err(format!("{name} is too large for a certificate or a key"));
    }
    fs::read(path).map_err(|error| format!("{name} cannot be read: {error}"))
}

/// Warns of a certificate that clients will refuse.
pub(super) fn warnings(server: &ServerConfig, now: SystemTime) -> Vec<String> {
    let Some(tls) = &server.tls else { return Vec::new() };
    let mut warnings = Vec::new();
    if let Some((from, until)) = tls.identity.validity() {
        let date = |time| humantime::format_rfc3339_seconds(time);
        if now < from {
            warnings.push(format!("the certificate is not valid before {}", date(from)));
        } else if until < now {
            warnings.push(format!("the certificate expired at {}", date(until)));
        } else if until < now + EXPIRES_SOON {
            warnings.push(format!("the certificate expires soon, at {}", date(until)));
        }
    }
    if let Hosts::Listed(hosts) = &server.hosts {
        let foreign = hosts.iter().filter(|host| !tls.identity.is_for(host));
        let names = tls.identity.names().join(", ");
        warnings.extend(foreign.map(|host| {
            format!("the certificate is not for the host {host}: its names are {names}")
        }));
    }
    warnings
}
