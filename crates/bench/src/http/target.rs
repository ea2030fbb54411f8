//! Where requests go, and their text, written out but for the topic.

use std::fmt::Write as _;
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use crate::http::socket::Endpoint;
use crate::http::tls::Security;

/// Where connections are made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whether connections are secured.
    pub scheme: Scheme,
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Whether connections are secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// They are not.
    Http,
    /// They are secured by TLS.
    Https,
}

impl Place {
    /// Finds an address that accepts connections.
    ///
    /// # Errors
    ///
    /// The name cannot be resolved, none of its addresses accepts one within five seconds, or the
    /// roots that certificates are verified by cannot be read.
    pub(crate) fn find(&self) -> io::Result<Endpoint> {
        let security = match self.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(Security::of(&self.host)?),
        };
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PROBE) {
                Ok(_) => return Ok(Endpoint { address, security }),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

/// How long an address may take to accept the first connection.
const PROBE: Duration = Duration::from_secs(5);

/// A request without its method and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the request goes.
    pub place: Place,
    /// As the header `Host` has it.
    pub authority: String,
    /// Path and query; where a topic stands, it is cut.
    pub path: Vec<String>,
}

impl Target {
    /// Whether the URL has a topic in it.
    pub fn has_topic(&self) -> bool {
        self.path.len() > 1
    }

    /// Writes a request out. A header that `own` names replaces the one of `usual`.
    pub(crate) fn request(
        &self,
        method: &str,
        usual: &[(&str, &str)],
        own: &[(String, String)],
    ) -> Request {
        let mut headers = format!(" HTTP/1.1\r\nHost: {}\r\n", self.authority);
        let is_own = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let usual = usual.iter().filter(|(name, _)| !is_own(name)).copied();
        let own = own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in usual.chain(own) {
            // Writing to a string does not fail.
            let _ = write!(headers, "{name}: {value}\r\n");
        }
        let mut parts: Vec<Vec<u8>> = self.path.iter().map(|part| part.clone().into()).collect();
        if let [first, ..] = parts.as_mut_slice() {
            first.splice(0..0, format!("{method} ").into_bytes());
        }
        if let [.., last] = parts.as_mut_slice() {
            last.extend_from_slice(headers.as_bytes());
        }
        Request { parts }
    }
}

/// The text of a request up to its last header, cut where a topic stands.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    parts: Vec<Vec<u8>>,
}

impl Request {
    /// Writes a request without a body.
    pub(crate) fn write(&self, out: &mut Vec<u8>, topic: &str) {
        self.write_headers(out, topic);
        out.extend_from_slice(b"\r\n");
    }

    /// Writes all of a request but its body of `len` bytes.
    pub(crate) fn write_before_body(&self, out: &mut Vec<u8>, topic: &str, len: usize) {
        self.write_headers(out, topic);
        out.extend_from_slice(format!("Content-Length: {len}\r\n\r\n").as_bytes());
    }

    fn write_headers(&self, out: &mut Vec<u8>, topic: &str) {
        for (number, part) in self.parts.iter().enumerate() {
            if number > 0 {
                out.extend_from_slice(topic.as_bytes());
            }
            out.extend_from_slice(part);
        }
    }
}

/// The names of this run's topics: no other run has them, so nothing of it is held under them.
#[derive(Clone, Debug)]
pub(crate) struct Topics(Vec<String>);

impl Topics {
    pub(crate) fn new(run: u32, count: u32) -> Self {
        Self((0..count).map(|number| format!("bench-{run:08x}-{number}")).collect())
    }

    pub(crate) fn name(&self, topic: u32) -> &str {
        &self.0[topic as usize]
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &[&str]) -> Target {
        Target {
            place: Place { scheme: Scheme::Http, host: "::1".into(), port: 80 },
            authority: "[::1]".into(),
            path: path.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    fn written(request: &Request, topic: &str) -> String {
        let mut out = Vec::new();
        request.write(&mut out, topic);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_topic_stands_wherever_the_url_says() {
        let request = target(&["/a/", "?t=", "&x"]).request("GET", &[], &[]);
        assert_eq!(written(&request, "b"), "GET /a/b?t=b&x HTTP/1.1\r\nHost: [::1]\r\n\r\n");
        assert!(target(&["/a/", ""]).has_topic() && !target(&["/a"]).has_topic());
        let request = target(&["/a"]).request("GET", &[], &[]);
        assert_eq!(written(&request, "b"), "GET /a HTTP/1.1\r\nHost: [::1]\r\n\r\n");
    }

    #[test]
    fn a_header_of_the_users_replaces_the_usual_one() {
        let own = [("accept".to_owned(), "x/y".to_owned()), ("A".to_owned(), "b".to_owned())];
        let request = target(&["/"]).request("POST", &[("Accept", "z"), ("C", "d")], &own);
        assert_eq!(
            written(&request, ""),
            "POST / HTTP/1.1\r\nHost: [::1]\r\nC: d\r\naccept: x/y\r\nA: b\r\n\r\n"
        );
        let mut out = Vec::new();
        target(&["/"]).request("POST", &[], &[]).write_before_body(&mut out, "", 12);
        assert!(out.ends_with(b"Host: [::1]\r\nContent-Length: 12\r\n\r\n"));
    }
}
