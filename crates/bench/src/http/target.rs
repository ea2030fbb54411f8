//! URLs of requests, which may contain a topic.

use std::fmt;
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use url::Url;

use super::socket::Endpoint;
use super::tls::Security;

/// The scheme, host and port that connections are made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// The scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Origin {
    /// Finds an address that accepts connections.
    ///
    /// # Errors
    ///
    /// The name cannot be resolved, none of its addresses accepts a connection within five seconds,
    /// or the system's root certificates cannot be read.
    pub(crate) fn find(&self) -> io::Result<Endpoint> {
        let security = match self.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(Security::of(&self.host)?),
        };
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PROBE_TIMEOUT) {
                Ok(_) => return Ok(Endpoint { address, security }),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// How long an address may take to accept the first connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The URL of a request, in which `{topic}` stands for the name of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(crate) origin: Origin,
    /// The value of the header `Host`.
    pub(crate) authority: String,
    /// The path and the query, split where the topic stands.
    pub(crate) path: Vec<String>,
}

/// Why a URL cannot be a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadTarget {
    /// The URL is relative, malformed, or of another scheme than `http` and `https`.
    NotHttp,
    /// The URL contains a user name or a password.
    Credentials,
    /// The topic stands in the host name.
    TopicInHost,
}

impl fmt::Display for BadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "not an absolute http or https URL",
            Self::Credentials => "a user name or a password in the URL is not sent",
            Self::TopicInHost => "the topic cannot be part of the host name",
        })
    }
}

impl std::error::Error for BadTarget {}

/// Stands for `{topic}` while a URL is parsed: the parser would percent-encode the braces.
const STAND_IN: &str = "tidings-bench-topic";

impl Target {
    /// Stands for the topic in a URL.
    pub const TOPIC: &str = "{topic}";

    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// See [`BadTarget`].
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        let text = text.replace(Self::TOPIC, STAND_IN);
        let url = Url::parse(&text).map_err(|_| BadTarget::NotHttp)?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(BadTarget::NotHttp),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadTarget::Credentials);
        }
        let host = url.host_str().unwrap_or_default();
        if host.contains(STAND_IN) {
            return Err(BadTarget::TopicInHost);
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let path = path.split(STAND_IN).map(str::to_owned).collect();
        Ok(Self { origin: Origin { scheme, host, port }, authority, path })
    }

    /// Returns whether the URL contains a topic.
    pub fn has_topic(&self) -> bool {
        self.path.len() > 1
    }

    /// Returns another path of the same server, without a topic.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        Self { path: vec![path.to_owned()], ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_cut_where_the_topic_stands() {
        let Target { origin, authority, path } =
            Target::parse("http://[::1]:81/a/{topic}?x={topic}&y").unwrap();
        assert_eq!(origin, Origin { scheme: Scheme::Http, host: "::1".into(), port: 81 });
        assert_eq!(authority, "[::1]:81");
        assert_eq!(path, ["/a/", "?x=", "&y"]);
        let Target { origin, authority, path } = Target::parse("http://a").unwrap();
        assert_eq!((authority.as_str(), path, origin.port), ("a", vec!["/".to_owned()], 80));
        let secure = Target::parse("https://a").unwrap().origin;
        assert_eq!(secure, Origin { scheme: Scheme::Https, host: "a".into(), port: 443 });
    }

    #[test]
    fn urls_that_cannot_be_requested_are_refused() {
        for (text, why) in [
            ("a", BadTarget::NotHttp),
            ("ftp://a", BadTarget::NotHttp),
            ("http://u:p@a/", BadTarget::Credentials),
            ("http://{topic}.a/", BadTarget::TopicInHost),
        ] {
            assert_eq!(Target::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn another_path_keeps_the_server() {
        let target = Target::parse("http://a:1/topics/{topic}").unwrap();
        assert!(target.has_topic());
        assert_eq!(target.at("/events"), Target::parse("http://a:1/events").unwrap());
        assert!(!target.at("/events").has_topic());
    }
}
