//! The text of requests, prepared except for the topic and the body.

use std::fmt::Write as _;

use super::target::Target;

/// A request up to its last header, split where the topic stands.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    parts: Vec<Vec<u8>>,
}

impl Request {
    /// Prepares a request. A header in `own` replaces the header of the same name in `usual`.
    pub(crate) fn new(
        method: &str,
        target: &Target,
        usual: &[(&str, &str)],
        own: &[(String, String)],
    ) -> Self {
        let mut headers = format!(" HTTP/1.1\r\nHost: {}\r\n", target.authority);
        let is_own = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let usual = usual.iter().filter(|(name, _)| !is_own(name)).copied();
        let own = own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in usual.chain(own) {
            // Writing to a string does not fail.
            let _ = write!(headers, "{name}: {value}\r\n");
        }
        let mut parts: Vec<Vec<u8>> = target.path.iter().map(|part| part.clone().into()).collect();
        if let [first, ..] = parts.as_mut_slice() {
            first.splice(0..0, format!("{method} ").into_bytes());
        }
        if let [.., last] = parts.as_mut_slice() {
            last.extend_from_slice(headers.as_bytes());
        }
        Self { parts }
    }

    /// Writes a request without a body.
    pub(crate) fn write(&self, out: &mut Vec<u8>, topic: &str) {
        self.write_headers(out, topic);
        out.extend_from_slice(b"\r\n");
    }

    /// Writes a request up to its body, which is `len` bytes long.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Target {
        Target::parse(&format!("http://[::1]{path}")).unwrap()
    }

    fn written(request: &Request, topic: &str) -> String {
        let mut out = Vec::new();
        request.write(&mut out, topic);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_topic_stands_wherever_the_url_says() {
        let request = Request::new("GET", &target("/a/{topic}?t={topic}&x"), &[], &[]);
        assert_eq!(written(&request, "b"), "GET /a/b?t=b&x HTTP/1.1\r\nHost: [::1]\r\n\r\n");
        let request = Request::new("GET", &target("/a"), &[], &[]);
        assert_eq!(written(&request, "b"), "GET /a HTTP/1.1\r\nHost: [::1]\r\n\r\n");
    }

    #[test]
    fn a_header_of_the_users_replaces_the_usual_one() {
        let own = [("accept".to_owned(), "x/y".to_owned()), ("A".to_owned(), "b".to_owned())];
        let usual = [("Accept", "z"), ("C", "d")];
        let request = Request::new("POST", &target("/"), &usual, &own);
        assert_eq!(
            written(&request, ""),
            "POST / HTTP/1.1\r\nHost: [::1]\r\nC: d\r\naccept: x/y\r\nA: b\r\n\r\n"
        );
        let mut out = Vec::new();
        Request::new("POST", &target("/"), &[], &[]).write_before_body(&mut out, "", 12);
        assert!(out.ends_with(b"Host: [::1]\r\nContent-Length: 12\r\n\r\n"));
    }
}
