//! Why connections failed or ended, and how often.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use crate::http::head::{BadHead, Status};

/// Why one connection failed or ended.
#[derive(Debug)]
pub(crate) enum Cause {
    Connect(io::Error),
    Head(BadHead),
    /// The connection was closed before the head of the response was complete.
    NoHead,
    Refused(Status),
    /// The response is not an event stream but of this media type.
    MediaType(String),
    Coding(String),
    /// The server ended the stream.
    Ended,
    /// The connection was closed in the middle of the stream.
    Cut,
    Broken(io::Error),
    BadChunk,
    EventTooLarge,
    /// The connection was closed before a publish was answered.
    Unanswered,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Head(error) => write!(f, "{error}"),
            Self::NoHead => write!(f, "closed before the response head was complete"),
            Self::Refused(status) => write!(f, "refused with {status}"),
            Self::MediaType(media_type) if media_type.is_empty() => {
                write!(f, "the response has no Content-Type; text/event-stream is required")
            }
            Self::MediaType(media_type) => {
                write!(f, "the response is {media_type:?}, not text/event-stream")
            }
            Self::Coding(coding) => {
                write!(f, "the response is encoded with {coding:?}, which was not requested")
            }
            Self::Ended => write!(f, "ended by the server"),
            Self::Cut => write!(f, "closed in the middle of the stream"),
            Self::Broken(error) => write!(f, "connection failed: {error}"),
            Self::BadChunk => write!(f, "the chunked coding is malformed"),
            Self::EventTooLarge => write!(f, "an event exceeds the decoder's limit of 16 MiB"),
            Self::Unanswered => write!(f, "closed before the publish was answered"),
        }
    }
}

/// The number of occurrences of each cause.
#[derive(Debug, Default)]
pub(crate) struct Causes {
    counts: BTreeMap<String, u64>,
    total: u64,
}

impl Causes {
    /// The maximum number of distinct causes, so that a server with ever new ones cannot fill
    /// memory.
    const KINDS_MAX: usize = 20;

    pub(crate) fn add(&mut self, cause: &Cause) {
        self.total += 1;
        let text = cause.to_string();
        let is_known = self.counts.len() < Self::KINDS_MAX || self.counts.contains_key(&text);
        let text = if is_known { text } else { "other causes".to_owned() };
        *self.counts.entry(text).or_default() += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Returns the causes with their counts, the most frequent first.
    pub(crate) fn list(&self) -> Vec<(&str, u64)> {
        let mut list: Vec<_> =
            self.counts.iter().map(|(text, count)| (text.as_str(), *count)).collect();
        list.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_counted_each_and_their_kinds_are_limited() {
        let mut causes = Causes::default();
        causes.add(&Cause::Ended);
        for number in 0..100 {
            causes.add(&Cause::MediaType(number.to_string()));
        }
        causes.add(&Cause::Ended);
        assert_eq!(causes.total(), 102);
        assert_eq!(causes.list()[0], ("other causes", 81));
        assert_eq!(causes.list()[1], ("ended by the server", 2));
        assert_eq!(causes.list().len(), Causes::KINDS_MAX + 1);
    }
}
