//! Admission: decides whether a request may be handled at all.
//!
//! A hub without tokens on loopback is open to programs on this machine and to its own pages, and
//! to no other page in the machine's browser. They are distinguished by headers that browsers send
//! and pages cannot forge: Host, Origin, Sec-Fetch-Site and Sec-Fetch-Mode. Programs other than
//! browsers send neither Origin nor Sec-Fetch-Site and pass.

use std::borrow::Cow;

use http::{HeaderValue, Method, Version};

use crate::config::{Origins, Others};
use crate::http::authority::{Authority, Origin};
use crate::http::cors::Cors;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::Claims;
use crate::http::served_hosts::ServedHosts;

/// The input of [`admit`], a pure function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) intent: Intent,
    pub(crate) version: Version,
    /// The host in the request's target, which HTTP/2 always sends and HTTP/1.1 rarely.
    pub(crate) target: Option<&'a str>,
    pub(crate) claims: &'a Claims,
    /// Whether the server itself speaks TLS: its own pages have the scheme `https` then.
    pub(crate) is_tls: bool,
    /// Whether any host is answered.
    pub(crate) is_probe: bool,
}

/// The intent of a request; for a preflight, the intent of the request that it announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    Read,
    /// Change something, or read data that is not open to every page that may read events.
    Act,
}

impl Intent {
    /// Safe methods read (RFC 9110, section 9.2.1), unless the path is one of those few where a GET
    /// acts.
    pub(crate) fn new(method: &Method, is_unsafe_get: bool) -> Self {
        match *method {
            Method::OPTIONS => Self::Read,
            Method::GET | Method::HEAD if !is_unsafe_get => Self::Read,
            _ => Self::Act,
        }
    }
}

/// The decision for a request that may go on, with the CORS headers of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admitted<'a> {
    pub(crate) cors: Cors<'a>,
}

/// The reason why a request may not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// It names no host, or two.
    NoHost,
    /// It is for a host that is not served.
    Host(Box<str>),
    /// It comes from a page of another origin.
    Origin(Box<str>),
    /// Another site would make the user's browser act, or send a request whose answer no page may
    /// read.
    Site,
}

/// Decides whether a request may go on.
pub(crate) fn admit<'a>(
    hosts: &ServedHosts,
    origins: &Origins,
    asked: &Asked<'a>,
) -> Result<Admitted<'a>, NotAdmitted> {
    let claims = asked.claims;
    let own = served_authority(hosts, asked)?;
    // A stream whose answer no page can read would only be held open.
    let is_harmful = asked.intent == Intent::Act || claims.is_blind;
    let by_other_site = || match claims.is_by_other_site && is_harmful {
        true => Err(NotAdmitted::Site),
        false => Ok(Admitted { cors: Cors::Same }),
    };
    let Some(value) = claims.origin.first() else { return by_other_site() };
    let refused = || Err(NotAdmitted::Origin(shown(value)));
    if claims.origin.is_repeated() {
        return refused();
    }
    let origin = value.to_str().ok().and_then(Origin::read);
    if let Some(origin) = origin {
        if origins.listed.contains(&origin) {
            return Ok(Admitted { cors: Cors::Listed(value) });
        }
        let has_own_scheme = !asked.is_tls || origin.is_secure();
        if has_own_scheme && own.is_some_and(|own| origin.is_of(&own)) {
            return by_other_site();
        }
    }
    match (origins.others, asked.intent) {
        (Others::Read, Intent::Read) => Ok(Admitted { cors: Cors::Any }),
        _ => refused(),
    }
}

/// The host that the request is for, if it is served; `None` if none needs to be named.
fn served_authority<'a>(
    hosts: &'a ServedHosts,
    asked: &Asked<'_>,
) -> Result<Option<Cow<'a, Authority>>, NotAdmitted> {
    let host = &asked.claims.host;
    if host.is_repeated() {
        return Err(NotAdmitted::NoHost);
    }
    if asked.is_probe && (asked.target.is_some() || host.first().is_some()) {
        let header = || host.first().and_then(|value| value.to_str().ok());
        let authority = asked.target.or_else(header).and_then(Authority::parse);
        return Ok(authority.map(Cow::Owned));
    }
    let header = match host.first() {
        Some(value) => Some(value.to_str().map_err(|_| NotAdmitted::Host(shown(value)))?),
        None => None,
    };
    // If both are sent, both must be served: the one that is ignored could be the true one.
    if let (Some(_), Some(header)) = (asked.target, header) {
        check_host(hosts, header)?;
    }
    match asked.target.or(header) {
        Some(text) => check_host(hosts, text).map(Some),
        // No browser speaks HTTP/1.0, and only browsers can be attacked by DNS rebinding.
        None if asked.version <= Version::HTTP_10 => Ok(None),
        None => Err(NotAdmitted::NoHost),
    }
}

fn check_host<'a>(hosts: &'a ServedHosts, text: &str) -> Result<Cow<'a, Authority>, NotAdmitted> {
    hosts.find(text).ok_or_else(|| NotAdmitted::Host(text.into()))
}

/// The host that a redirect to TLS may name.
pub(crate) fn redirectable<'a>(
    hosts: &'a ServedHosts,
    host: Option<&str>,
) -> Result<Cow<'a, Authority>, NotAdmitted> {
    check_host(hosts, host.ok_or(NotAdmitted::NoHost)?)
}

fn shown(value: &HeaderValue) -> Box<str> {
    String::from_utf8_lossy(value.as_bytes()).into()
}

impl NotAdmitted {
    pub(crate) fn into_problem(self) -> Problem {
        match self {
            Self::NoHost => Problem::new(
                ProblemKind::MissingHost,
                "the request must name one host, in the Host header",
            ),
            Self::Host(host) => Problem::new(
                ProblemKind::ForeignHost,
                format!(
                    "this server does not answer to the host '{}'; --allow-host names further ones",
                    cut(&host)
                ),
            ),
            Self::Origin(origin) => Problem::new(
                ProblemKind::ForeignOrigin,
                format!(
                    "pages of the origin '{}' may not do this; --allow-origin names origins that \
                     may, and a proxy in front must pass the Host header on",
                    cut(&origin)
                ),
            ),
            Self::Site => Problem::new(
                ProblemKind::ForeignSite,
                "another site made the browser send this request, and it would change something, or \
                 no page could read the answer; --allow-origin names origins that may",
            ),
        }
    }
}

/// The start of a foreign text, so that answers stay small.
fn cut(text: &str) -> &str {
    const SHOWN_BYTES_MAX: usize = 256;
    &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)]
}

#[cfg(test)]
mod tests;
