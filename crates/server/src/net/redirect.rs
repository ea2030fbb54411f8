//! The answers of a listener that sends everything to the one with TLS.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

use crate::context::Context;
use crate::http::admit::redirectable;
use crate::http::authority::{Authority, Host};
use crate::http::common_headers::CommonHeaders;

/// The port that an `https` URL means if it names none.
const HTTPS_PORT: u16 = 443;

/// Answers a request with the same path at a port with TLS. The method stays what it is.
pub(crate) fn answer(context: &Context, head: &Parts, port: u16) -> Response<Bytes> {
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = head.uri.authority().map(|authority| authority.as_str()).or(host);
    let live = context.control.live();
    let mut response = match redirectable(&live.hosts, host) {
        Ok(authority) => redirect(&authority, head, port),
        Err(refused) => {
            let problem = refused.into_problem();
            context.metrics.refused(problem.kind());
            problem.into_response()
        }
    };
    CommonHeaders::Any.add_to(response.headers_mut());
    response
}

fn redirect(authority: &Authority, head: &Parts, port: u16) -> Response<Bytes> {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let host = match &authority.host {
        Host::Address(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        host => host.to_string(),
    };
    let port = if port == HTTPS_PORT { String::new() } else { format!(":{port}") };
    let location = format!("https://{host}{port}{path}");
    let mut response = Response::new(Bytes::from_static(b"this server speaks TLS: use https://\n"));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn the_same_path_is_named_at_the_port_with_tls() {
        let location = |authority: &str, path: &str, port| {
            let (head, ()) = Request::get(path).body(()).unwrap().into_parts();
            let response = redirect(&Authority::parse(authority).unwrap(), &head, port);
            assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
            response.headers()[LOCATION].to_str().unwrap().to_owned()
        };
        assert_eq!(
            location("A.example:80", "/topics/a?b=c", 443),
            "https://a.example/topics/a?b=c"
        );
        assert_eq!(location("a.example", "/", 4443), "https://a.example:4443/");
        assert_eq!(location("[::1]:80", "/", 4443), "https://[::1]:4443/");
    }
}
