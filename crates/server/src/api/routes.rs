//! The paths of the hub's own routes.

use crate::http::request::topic_of_path;

/// The path of one of the hub's own routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// One topic: the rest of the path, as it was sent.
    Topic(&'a str),
    Events,
    Topics,
    Streams,
    StopStream,
    Subscribers,
    Nodes,
    Health,
    Ready,
    Metrics,
    Index,
    OpenApi,
    Asset(&'a str),
    /// `OPTIONS *` asks about the server as a whole.
    Server,
}

impl<'a> Route<'a> {
    /// The route of a path; `None` if nothing is at that path.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/events" => Self::Events,
            "/topics" => Self::Topics,
            "/streams" => Self::Streams,
            "/streams/stop" => Self::StopStream,
            "/subscribers" => Self::Subscribers,
            "/nodes" => Self::Nodes,
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/" => Self::Index,
            "/openapi.json" => Self::OpenApi,
            "*" => Self::Server,
            _ => match path.strip_prefix("/topics/") {
                Some(topic) => Self::Topic(topic),
                None => Self::Asset(path.strip_prefix("/assets/")?),
            },
        })
    }

    /// Returns whether something may be at the path, which a path with a slash more is redirected to.
    pub(crate) fn is_clean(self) -> bool {
        match self {
            Self::Topic(path) => topic_of_path(path).is_ok(),
            Self::Asset(_) | Self::Index | Self::Server => false,
            _ => true,
        }
    }

    /// Returns whether the route answers for any host. Load balancers probe an address, and the
    /// answers are no secret.
    pub(crate) fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }

    /// Returns whether it cannot be answered before the journal is open.
    pub(crate) fn needs_journal(self) -> bool {
        matches!(
            self,
            Self::Topic(_)
                | Self::Events
                | Self::Topics
                | Self::Streams
                | Self::StopStream
                | Self::Subscribers
        )
    }

    /// Returns whether even reading it is a matter of managing the server. Pages of any origin may be
    /// allowed to read topics, but never the addresses of subscribers.
    pub(crate) fn is_for_managers(self) -> bool {
        matches!(self, Self::Subscribers | Self::Nodes)
    }

    /// The methods of the route, as the header `Allow` lists them.
    pub(crate) fn methods(self) -> &'static str {
        match self {
            Self::Topic(_) | Self::Events | Self::StopStream => "GET, HEAD, OPTIONS, POST",
            Self::Subscribers => "DELETE, GET, HEAD, OPTIONS",
            Self::Server => "DELETE, GET, HEAD, OPTIONS, POST",
            _ => "GET, HEAD, OPTIONS",
        }
    }
}
