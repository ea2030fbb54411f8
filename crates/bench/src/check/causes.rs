//! Why connections failed or ended, and how often each.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use crate::http::head::{BadHead, Status};

/// Why one connection came to nothing, or to an end.
#[derive(Debug)]
pub(crate) enum Cause {
    Connect(io::Error),
    Head(BadHead),
    /// The connection was closed before the response's head was whole.
    NoHead,
    Refused(Status),
    /// The response is no event stream but this.
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
            Self::NoHead => write!(f, "closed before the response's head was whole"),
            Self::Refused(status) => write!(f, "refused with {status}"),
            Self::MediaType(media_type) if media_type.is_empty() => {
                write!(f, "the response has no Content-Type, and text/event-stream is needed")
            }
            Self::MediaType(media_type) => {
                write!(f, "the response is {media_type:?}, and no text/event-stream")
            }
            Self::Coding(coding) => write!(f, "the response is encoded with {coding:?}, unasked"),
            Self::Ended => write!(f, "ended by the server"),
            Self::Cut => write!(f, "cut in the middle of the stream"),
            Self::Broken(error) => write!(f, "broken: {error}"),
            Self::BadChunk => write!(f, "the chunked coding is broken"),
            Self::EventTooLarge => write!(f, "an event exceeds the decoder's limit of 16 MiB"),
            Self::Unanswered => write!(f, "closed before the publish was answered"),
        }
    }
}

/// How often there was each cause.
#[derive(Debug, Default)]
pub(crate) struct Causes {
    counts: BTreeMap<String, u64>,
    total: u64,
}

impl Causes {
    /// Causes that are told apart: a server that thinks up a new one each time must not fill memory.
    const KINDS_MAX: usize = 20;

    pub(crate) fn add(&mut self, cause: &Cause) {
        self.total += 1;
        let text = cause.to_string();
        let is_known = self.counts.len() < Self::KINDS_MAX || self.counts.contains_key(&text);
        let text = if is_known { text } else { "for other reasons".to_owned() };
        *self.counts.entry(text).or_default() += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The causes with their counts, the most frequent first.
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
        assert_eq!(causes.list()[0], ("for other reasons", 81));
        assert_eq!(causes.list()[1], ("ended by the server", 2));
        assert_eq!(causes.list().len(), Causes::KINDS_MAX + 1);
    }
}
