//! Why streams end.

use tidings_hub::StreamEnd;

/// Why a slot was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// Its stream was ended from our side: its topic's were, or its subject's.
    Completed,
    /// Its time was over.
    TimedOut,
    /// The server is ending.
    Drained,
    /// Its client left.
    ClientClosed,
    /// Its connection broke.
    ConnectionFailed,
    /// It took nothing for too long.
    ClientStalled,
    /// It sent more after its request than is read.
    ClientSentData,
}

impl Reason {
    pub(crate) const ALL: [Self; 7] = [
        Self::Completed,
        Self::TimedOut,
        Self::Drained,
        Self::ClientClosed,
        Self::ConnectionFailed,
        Self::ClientStalled,
        Self::ClientSentData,
    ];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::TimedOut => "timed-out",
            Self::Drained => "drained",
            Self::ClientClosed => "client-closed",
            Self::ConnectionFailed => "connection-failed",
            Self::ClientStalled => "client-stalled",
            Self::ClientSentData => "client-sent-data",
        }
    }

    /// What a stream's hooks are told.
    pub(super) fn stream_end(self) -> StreamEnd {
        match self {
            Self::Completed => StreamEnd::Completed,
            Self::TimedOut => StreamEnd::TimedOut,
            Self::Drained => StreamEnd::Drained,
            Self::ClientClosed
            | Self::ConnectionFailed
            | Self::ClientStalled
            | Self::ClientSentData => StreamEnd::ClientClosed,
        }
    }
}

impl From<StreamEnd> for Reason {
    /// What is known of a stream that hyper writes: why its reader is gone is not.
    fn from(end: StreamEnd) -> Self {
        match end {
            StreamEnd::Completed => Self::Completed,
            StreamEnd::TimedOut => Self::TimedOut,
            StreamEnd::Drained => Self::Drained,
            _ => Self::ClientClosed,
        }
    }
}
