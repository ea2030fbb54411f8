//! The reasons why streams end.

use tidings_hub::StreamEnd;

/// The reason why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// The streams of its topic or its subject were closed.
    Completed,
    /// It reached its timeout or its maximum age.
    TimedOut,
    /// The server drained its streams.
    Drained,
    /// Its reader lost events, and is told so by the end.
    EventsLost,
    /// The client closed the connection.
    ClientClosed,
    /// The connection failed.
    ConnectionFailed,
    /// The client accepted no bytes for too long.
    ClientStalled,
    /// The client sent more data after its request than the server discards.
    ClientSentData,
}

impl Reason {
    pub(crate) const ALL: [Self; 8] = [
        Self::Completed,
        Self::TimedOut,
        Self::Drained,
        Self::EventsLost,
        Self::ClientClosed,
        Self::ConnectionFailed,
        Self::ClientStalled,
        Self::ClientSentData,
    ];

    /// The label in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::TimedOut => "timed-out",
            Self::Drained => "drained",
            Self::EventsLost => "events-lost",
            Self::ClientClosed => "client-closed",
            Self::ConnectionFailed => "connection-failed",
            Self::ClientStalled => "client-stalled",
            Self::ClientSentData => "client-sent-data",
        }
    }

    /// The end that a stream's hooks are given.
    pub(super) fn stream_end(self) -> StreamEnd {
        match self {
            Self::Completed => StreamEnd::Completed,
            Self::TimedOut => StreamEnd::TimedOut,
            Self::Drained => StreamEnd::Drained,
            Self::EventsLost => StreamEnd::EventsLost,
            Self::ClientClosed
            | Self::ConnectionFailed
            | Self::ClientStalled
            | Self::ClientSentData => StreamEnd::ClientClosed,
        }
    }
}

impl From<StreamEnd> for Reason {
    /// The reason for the end of a stream that hyper writes. hyper does not say why a client is
    /// gone.
    fn from(end: StreamEnd) -> Self {
        match end {
            StreamEnd::Completed => Self::Completed,
            StreamEnd::TimedOut => Self::TimedOut,
            StreamEnd::Drained => Self::Drained,
            StreamEnd::EventsLost => Self::EventsLost,
            _ => Self::ClientClosed,
        }
    }
}
