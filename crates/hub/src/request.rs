//! Requests for event streams: where the client wants to start, and what kind of client it is.

use std::borrow::Cow;
use std::fmt;

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;

use crate::start::Start;
use crate::stream_text::Client;

/// A request for an event stream: where to start, and what kind of client asks.
///
/// With the feature `axum` it is an extractor. For other servers, [`StreamRequest::parse`] reads it
/// from the headers and the query:
///
/// ```
/// use http::HeaderMap;
/// use tidings_hub::{Client, Hub, Start, StreamRequest, Topic};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("cache-control", "no-cache".parse()?);
/// let request = StreamRequest::parse(&headers, Some("page=2&lastEventId=earliest"))?;
/// assert_eq!(request.client, Client::EventSource);
/// assert_eq!(request.start, Start::Oldest);
///
/// let hub = Hub::default();
/// let response = hub.stream(Topic::from_static("news"), request).into_response();
/// assert_eq!(response.headers()["content-type"], "text/event-stream");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamRequest {
    /// Where the stream starts.
    pub start: Start,
    /// The kind of client that reads it.
    pub client: Client,
}

impl StreamRequest {
    /// The names of the query parameter for clients that cannot set the header `Last-Event-ID`: ours,
    /// and those that polyfills send.
    pub const LAST_EVENT_ID: [&str; 3] = ["last_event_id", "lastEventId", "lastEventID"];

    /// A request from a start, by a kind of client.
    #[must_use]
    pub fn new(start: Start, client: Client) -> Self {
        Self { start, client }
    }

    /// Reads a request's headers and the query of its URI.
    ///
    /// The last event ID is the header `Last-Event-ID`, or else one of the query parameters
    /// [`LAST_EVENT_ID`](Self::LAST_EVENT_ID). The header wins: a browser that reconnects repeats a
    /// stale query beside a fresh header. Other parameters are ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidLastEventId`] if the query says it twice, in different ways, or malformed. To ignore
    /// such a parameter would be to lose the client's place in silence.
    pub fn parse(headers: &HeaderMap, query: Option<&str>) -> Result<Self, InvalidLastEventId> {
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((known(&decode(name)?)?, decode(value)))
        });
        let mut given = Given::default();
        for (name, value) in pairs {
            given.add(name, value.ok_or(InvalidLastEventId { name, fault: Fault::Malformed })?)?;
        }
        Ok(given.or_header(headers))
    }

    /// Reads a request like [`StreamRequest::parse`], from a query that the server has decoded.
    ///
    /// # Errors
    ///
    /// [`InvalidLastEventId`] if the query says it twice or in different ways.
    pub fn from_pairs<'a>(
        headers: &HeaderMap,
        query: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, InvalidLastEventId> {
        let mut given = Given::default();
        for (name, value) in query {
            if let Some(name) = known(name) {
                given.add(name, value.into())?;
            }
        }
        Ok(given.or_header(headers))
    }
}

impl StreamRequest {
    /// The status for a reader whose stream has ended while it was away: 204, which stops an EventSource for good and is
    /// no error, if the request accepts event streams alone, as an EventSource's does; else 410. Readers that use
    /// `fetch`, such as htmx, take 204 for a broken answer and ask again for ever.
    ///
    /// [`Body::into_response`](crate::Body::into_response) has not seen the request, and answers 204:
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use tidings_hub::{Hub, StreamRequest, Topic};
    ///
    /// # let (hub, headers) = (Hub::default(), HeaderMap::new());
    /// let request = StreamRequest::parse(&headers, None)?;
    /// let mut response = hub.stream(Topic::from_static("chat/1"), request).into_response();
    /// if response.status() == StatusCode::NO_CONTENT {
    ///     *response.status_mut() = StreamRequest::ended_status(&headers);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn ended_status(headers: &HeaderMap) -> StatusCode {
        match headers.get(ACCEPT) {
            Some(accept) if accept == "text/event-stream" => StatusCode::NO_CONTENT,
            _ => StatusCode::GONE,
        }
    }
}

impl From<Start> for StreamRequest {
    fn from(start: Start) -> Self {
        Self::new(start, Client::default())
    }
}

/// The last event ID that a query gives, by the names it has been given under.
#[derive(Default)]
struct Given<'a> {
    names: [bool; StreamRequest::LAST_EVENT_ID.len()],
    value: Option<Cow<'a, str>>,
}

impl<'a> Given<'a> {
    fn add(&mut self, name: &'static str, value: Cow<'a, str>) -> Result<(), InvalidLastEventId> {
        let index = StreamRequest::LAST_EVENT_ID.iter().position(|known| *known == name);
        if index.is_some_and(|index| std::mem::replace(&mut self.names[index], true)) {
            return Err(InvalidLastEventId { name, fault: Fault::Repeated });
        }
        match &self.value {
            Some(earlier) if *earlier != value => {
                Err(InvalidLastEventId { name, fault: Fault::Contradicted })
            }
            _ => {
                self.value = Some(value);
                Ok(())
            }
        }
    }

    fn or_header(self, headers: &HeaderMap) -> StreamRequest {
        let start = match Start::from_headers(headers) {
            Start::Tail => Start::resume(self.value.as_deref()),
            start => start,
        };
        StreamRequest::new(start, Client::from_headers(headers))
    }
}

fn known(name: &str) -> Option<&'static str> {
    StreamRequest::LAST_EVENT_ID.into_iter().find(|known| *known == name)
}

/// Decodes one side of a pair as forms write it. In contrast to browsers, which let malformed text
/// pass unchanged: the meaning of such text cannot be known.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    let mut escapes = text.split('%').skip(1);
    let is_escape =
        |rest: &str| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !escapes.all(is_escape) {
        return None;
    }
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().ok();
    }
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned().into())
}

/// The query's last event ID cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLastEventId {
    name: &'static str,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Repeated,
    Contradicted,
    Malformed,
}

impl InvalidLastEventId {
    /// The name of the query parameter.
    #[must_use]
    pub fn parameter(&self) -> &'static str {
        self.name
    }
}

impl fmt::Display for InvalidLastEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.fault {
            Fault::Repeated => "it is given twice",
            Fault::Contradicted => "another spelling of it says something else",
            Fault::Malformed => "it is not percent-encoded UTF-8",
        };
        write!(f, "the query parameter '{}' cannot be used: {why}", self.name)
    }
}

impl std::error::Error for InvalidLastEventId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: Option<&str>, query: &str, expected: Result<Start, &str>) {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("last-event-id", header.parse().unwrap());
        }
        let request = StreamRequest::parse(&headers, Some(query));
        let expected = expected
            .map_err(|why| format!("the query parameter 'last_event_id' cannot be used: {why}"));
        assert_eq!(request.map(|request| request.start).map_err(|e| e.to_string()), expected);
    }

    #[test]
    fn a_place_is_read_under_each_of_its_names() {
        for name in StreamRequest::LAST_EVENT_ID {
            check(None, &format!("a=%zz&{name}=a+b%2Bc&x"), Ok(Start::After("a b+c".into())));
        }
        check(None, "", Ok(Start::Tail));
        check(None, "last_event_id=", Ok(Start::Tail));
        check(None, "lastEventId=earliest", Ok(Start::Oldest));
        check(None, "last%5Fevent_id=7&LASTEVENTID=8", Ok(Start::After("7".into())));
    }

    #[test]
    fn the_header_wins_unless_it_is_empty() {
        check(Some("7"), "last_event_id=8", Ok(Start::After("7".into())));
        check(Some(""), "last_event_id=8", Ok(Start::After("8".into())));
    }

    #[test]
    fn a_place_that_is_not_clear_is_refused() {
        check(None, "last_event_id=7&lastEventId=7", Ok(Start::After("7".into())));
        check(None, "last_event_id=7&last_event_id=7", Err("it is given twice"));
        let another = "another spelling of it says something else";
        check(None, "lastEventId=8&last_event_id=7", Err(another));
        for value in ["%", "%4", "%zz", "a%C3"] {
            let malformed = Err("it is not percent-encoded UTF-8");
            check(Some("7"), &format!("last_event_id={value}"), malformed);
        }
    }

    #[test]
    fn a_decoded_query_is_read_alike() {
        let headers = HeaderMap::new();
        let read = |pairs: &[(&'static str, &'static str)]| {
            StreamRequest::from_pairs(&headers, pairs.iter().copied()).map(|request| request.start)
        };
        assert_eq!(read(&[("x", "1"), ("lastEventID", "7")]), Ok(Start::After("7".into())));
        assert!(read(&[("lastEventID", "7"), ("lastEventID", "7")]).is_err());
    }
}
