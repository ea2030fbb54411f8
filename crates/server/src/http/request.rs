//! A request as handlers are given it: its head, its body, and the client that sent it.

mod accept;
mod body;
mod caller;
mod claims;
mod headers;
mod path;
mod query;

pub(crate) use self::accept::{Format, MetricsFormat, essence};
pub use self::body::RequestBody;
pub(crate) use self::body::{Rest, utf8, without_mark};
pub use self::caller::Caller;
pub(crate) use self::claims::Claims;
pub(crate) use self::headers::Given;
pub(crate) use self::path::topic;
pub use self::path::topic_of_path;
pub use self::query::Query;
pub(crate) use self::query::{no_token_in_query, percent_decode};

use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use tidings_hub::{StreamRequest, TopicFilter, Topics};

use crate::http::answer::Answer;
use crate::http::problem::Problem;
use crate::http::whole::WholeAnswer;

/// A request that has been admitted.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The method, the target and the headers.
    pub head: &'a Parts,
    /// The body, which need not have come yet.
    pub body: &'a mut RequestBody,
    /// The client that sent it.
    pub caller: &'a Caller,
    /// The claims in its headers.
    pub(crate) claims: &'a Claims,
}

impl Request<'_> {
    /// The names of the query parameters that carry a last event ID: ours, and those that polyfills
    /// of EventSource send.
    pub const LAST_EVENT_ID: [&'static str; 3] = StreamRequest::LAST_EVENT_ID;

    /// The same request for a shorter time.
    pub(crate) fn reborrow(&mut self) -> Request<'_> {
        Request { body: self.body, ..*self }
    }

    /// Reads the query, which may have no other parameters than these.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names the first parameter that is unknown or cannot be decoded.
    pub fn query(&self, known: &[&str]) -> Result<Query, Problem> {
        let query = Query::parse(self.head.uri.query())?;
        query.only(known)?;
        Ok(query)
    }

    /// Reads the query of a stream: parameters that resemble one of `known` or one of the hub's own
    /// streams are refused, because a misspelled one would lose its reader's place in silence; all
    /// others are ignored, because a refusal ends a browser's EventSource for good.
    ///
    /// # Errors
    ///
    /// As [`Request::query`].
    pub fn stream_query(&self, known: &[&str]) -> Result<Query, Problem> {
        let query = Query::parse(self.head.uri.query())?;
        query.only_for_stream(known)?;
        Ok(query)
    }

    /// The redirect (308) of a path that ends with a slash to the same path without it; `None` for
    /// other paths. It is relative, so that it holds beneath a proxy's prefix, too.
    #[must_use]
    pub fn without_final_slash(&self) -> Option<Answer> {
        let clean = self.head.uri.path().strip_suffix('/')?;
        let last = clean.rsplit('/').next().filter(|last| !matches!(*last, "" | "." | ".."))?;
        let query = self.head.uri.query().map_or(String::new(), |query| format!("?{query}"));
        let location = HeaderValue::try_from(format!("../{last}{query}")).ok()?;
        let detail =
            "this path has no final slash: follow the redirect (curl -L), or leave it out\n";
        let mut whole = WholeAnswer::text(StatusCode::PERMANENT_REDIRECT, detail);
        whole.headers_mut().insert(LOCATION, location);
        Some(whole.into())
    }

    /// The place where a stream for this client starts, and the kind of client. The last event ID comes
    /// in the header or in one of the parameters [`Request::LAST_EVENT_ID`].
    ///
    /// # Errors
    ///
    /// A [`Problem`] if the parameters contradict each other.
    pub fn stream(&self, query: &Query) -> Result<StreamRequest, Problem> {
        Ok(StreamRequest::from_pairs(&self.head.headers, query.pairs())?)
    }

    /// Refuses the request unless its sender may publish to each of these topics.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names the topic and the right, if authentication is configured.
    pub fn require_publish(&self, topics: &Topics) -> Result<(), Problem> {
        self.caller.access().may_publish(topics.as_slice())
    }

    /// Refuses the request unless its sender may manage the topics of a filter.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names the filter and the right, if authentication is configured.
    pub fn require_manage(&self, filter: &TopicFilter) -> Result<(), Problem> {
        self.caller.access().may_manage(filter)
    }

    /// Refuses every method that the path does not have; `methods` is as the header `Allow` lists them.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names the methods.
    pub fn require_method(&self, methods: &'static str) -> Result<(), Problem> {
        let method = self.head.method.as_str();
        match methods.split(", ").any(|allowed| allowed == method) {
            true => Ok(()),
            false => Err(self.method_not_allowed(methods)),
        }
    }

    /// The problem of a method that the path does not have.
    #[must_use]
    pub fn method_not_allowed(&self, methods: &'static str) -> Problem {
        Problem::method_not_allowed(&self.head.method, methods)
    }
}
