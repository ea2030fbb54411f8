//! The names and the dates of a certificate.

use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

use crate::http::authority::Host;

/// The names of hosts that a certificate is for.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    certificate.valid_dns_names().map(str::to_owned).collect()
}

/// Returns whether a certificate is for a host.
pub(super) fn is_for(certificate: &CertificateDer<'_>, host: &Host) -> bool {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return false };
    let name = match host {
        Host::Name(name) => ServerName::try_from(name.as_str()).ok(),
        Host::Address(address) => Some(ServerName::from(*address)),
    };
    name.is_some_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}

/// The first and the last moment at which a certificate is valid.
///
/// The dates are told by the errors of two verifications, at the beginning and at the end of all
/// time: they come before all other errors.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Option<(SystemTime, SystemTime)> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let error_at = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let usage = KeyUsage::server_auth();
        certificate.verify_for_usage(&[], &[], &[], time, usage, None, None).err()
    };
    let Some(Error::CertNotValidYet { not_before, .. }) = error_at(0) else { return None };
    let Some(Error::CertExpired { not_after, .. }) = error_at(u64::MAX) else { return None };
    let time =
        |time: UnixTime| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    Some((time(not_before)?, time(not_after)?))
}
