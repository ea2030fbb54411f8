//! Names of hosts and origins, as requests and the configuration spell them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use smol_str::{SmolStr, StrExt as _};

/// The host that a request names, with its port if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
}

/// A host: an address, or a name in lower case without a final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// Most names are short enough to need no memory of their own.
    Name(SmolStr),
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl Authority {
    /// Reads `host[:port]` (RFC 9110, section 7.2); `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                (Host::Address(address.into()), rest.strip_prefix(':').or_else(|| no_rest(rest))?)
            }
            None => {
                let colon = text.bytes().position(|byte| byte == b':');
                let (host, port) = colon.map_or((text, ""), |at| (&text[..at], &text[at + 1..]));
                (Host::parse_name(host)?, port)
            }
        };
        let port = match port {
            "" => None,
            port => Some(parse_port(port)?),
        };
        Some(Self { host, port })
    }
}

/// Nothing may follow an address but a port.
fn no_rest(rest: &str) -> Option<&str> {
    rest.is_empty().then_some(rest)
}

/// Digits only, where `u16::from_str` would also take `+80`.
fn parse_port(port: &str) -> Option<u16> {
    port.bytes().try_fold(0_u16, |port, byte| {
        let digit = byte.is_ascii_digit().then(|| u16::from(byte - b'0'))?;
        port.checked_mul(10)?.checked_add(digit)
    })
}

impl Host {
    fn parse_name(text: &str) -> Option<Self> {
        if text.starts_with(|first: char| first.is_ascii_digit())
            && let Ok(address) = text.parse()
        {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name =
            !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_legal);
        is_name.then(|| Self::Name(name.to_ascii_lowercase_smolstr()))
    }

    /// Returns whether it always means this machine: a loopback address, or a name that resolves to one by
    /// specification (RFC 6761, section 6.3).
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Address(address) => address.to_canonical().is_loopback(),
        }
    }
}

/// The most bytes of a name (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// A name or address that a server answers to, without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(pub(crate) Host);

impl HostName {
    /// Reads a name or an address; an IPv6 one may stand in brackets or not.
    ///
    /// # Errors
    ///
    /// [`InvalidHostName`] if `text` is neither, or has a port: every port of a name is served.
    pub fn parse(text: &str) -> Result<Self, InvalidHostName> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self(Host::Address(address.into())));
        }
        match Authority::parse(text) {
            Some(Authority { host, port: None }) if !text.ends_with(':') => Ok(Self(host)),
            _ => Err(InvalidHostName { text: text.into() }),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The error of a text that does not name a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHostName {
    text: Box<str>,
}

impl fmt::Display for InvalidHostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is not a host: give a name or an address, without scheme and port",
            self.text
        )
    }
}

impl std::error::Error for InvalidHostName {}

/// The origin of a page: scheme, host and port (RFC 6454).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Box<str>,
    host: Host,
    /// `None` is the scheme's own.
    port: Option<u16>,
}

impl Origin {
    /// Reads an origin as browsers send it: `scheme://host[:port]`.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] for any other text, including `null`: every page without an origin sends
    /// it, so that listing it would admit strangers.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        Self::read(text).ok_or_else(|| InvalidOrigin { text: text.into() })
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let mut bytes = scheme.bytes();
        let is_scheme = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !is_scheme {
            return None;
        }
        let scheme: Box<str> = scheme.to_ascii_lowercase().into();
        let Authority { host, port } = Authority::parse(rest)?;
        let port = port.filter(|&port| Some(port) != default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// Returns whether its pages come over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        &*self.scheme == "https"
    }

    /// Returns whether a page of this origin comes from the server that is addressed as `authority`. The
    /// scheme is not compared: a proxy in front may speak TLS.
    pub(crate) fn is_of(&self, authority: &Authority) -> bool {
        let Some(default) = default_port(&self.scheme) else { return false };
        self.host == authority.host
            && self.port.unwrap_or(default) == authority.port.unwrap_or(default)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// The error of a text that is not an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin {
    text: Box<str>,
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is not an origin: give scheme and host, and a port if it is not the scheme's own, as \
             in https://example.com",
            self.text
        )
    }
}

impl std::error::Error for InvalidOrigin {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_looks_like_loopback_is_spelled_as_loopback(text in "[a-c:.\\[\\]0-9l-o@ -]{0,20}") {
            if let Some(authority) = Authority::parse(&text) {
                let name = text.rsplit_once(':').filter(|_| authority.port.is_some());
                let name = name.map_or(&*text, |(name, _)| name).trim_end_matches([':', '.']);
                let is_spelled = name.starts_with("127.")
                    || name.ends_with("localhost")
                    || name.starts_with('[') && name.contains(':');
                prop_assert!(!authority.host.is_loopback() || is_spelled, "{text}");
            }
        }
    }

    fn authority(text: &str) -> Authority {
        Authority::parse(text).unwrap()
    }

    #[test]
    fn hosts_are_told_apart_from_ports() {
        let name = |name: &str| Host::Name(name.into());
        assert_eq!(authority("Example.COM"), Authority { host: name("example.com"), port: None });
        assert_eq!(authority("a.b.:8080"), Authority { host: name("a.b"), port: Some(8080) });
        assert_eq!(authority("a:"), Authority { host: name("a"), port: None });
        let v6 = Authority { host: Host::Address("::1".parse().unwrap()), port: Some(4000) };
        assert_eq!(authority("[::1]:4000"), v6);
        assert_eq!(authority("[::1]"), Authority { port: None, ..v6 });
        for text in [
            "",
            ":80",
            "a:b",
            "a:+80",
            "a:65536",
            "::1",
            "[::1",
            "[::1]80",
            "[a]:80",
            "a b",
            "a/b",
            "user@a",
            "a\u{e9}",
            "a:80:80",
            "[127.0.0.1]",
            ".",
        ] {
            assert_eq!(Authority::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn loopback_is_what_no_other_machine_can_answer_to() {
        for text in [
            "localhost",
            "LOCALHOST.",
            "a.localhost:80",
            "127.0.0.1",
            "127.8.9.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(authority(text).host.is_loopback(), "{text}");
        }
        for text in
            ["0.0.0.0", "[::]", "10.0.0.1", "localhost.example.com", "notlocalhost", "127.1"]
        {
            assert!(!authority(text).host.is_loopback(), "{text}");
        }
    }

    #[test]
    fn a_host_name_is_a_host_without_a_port() {
        assert!(HostName::parse("example.com").is_ok());
        assert_eq!(HostName::parse("::1"), HostName::parse("[::1]"));
        for text in ["example.com:80", "a:", "http://a", "", "*"] {
            assert!(HostName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_no_path() {
        assert_eq!(Origin::read("HTTP://A.example:80"), Origin::read("http://a.example"));
        assert_ne!(Origin::read("http://a.example:443"), Origin::read("http://a.example"));
        assert_ne!(Origin::read("https://a.example"), Origin::read("http://a.example"));
        for text in ["null", "*", "", "a.example", "http://", "http://a/", "http://a/b", "//a"] {
            assert!(Origin::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_origin_is_of_the_authority_with_the_same_host_and_port() {
        let is_of =
            |origin: &str, text: &str| Origin::read(origin).unwrap().is_of(&authority(text));
        assert!(is_of("http://localhost:4000", "localhost:4000"));
        assert!(is_of("http://a.example", "a.example"));
        assert!(is_of("https://a.example", "a.example:443"));
        assert!(is_of("http://[::1]:4000", "[::1]:4000"));
        assert!(!is_of("http://localhost:4001", "localhost:4000"));
        assert!(!is_of("http://localhost:4000", "127.0.0.1:4000"));
        assert!(!is_of("https://a.example:80", "a.example"));
        assert!(!is_of("chrome-extension://a.example", "a.example"));
    }
}
