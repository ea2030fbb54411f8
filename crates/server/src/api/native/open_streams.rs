//! The open streams in an order of their own, and which of them a request names.

use std::ops::ControlFlow;
use std::sync::Arc;

use tidings_hub::{Hub, Topic, TopicFilter, View};

use crate::auth::access::is_within;
use crate::context::Context;
use crate::engine::streams::{BodyStream, Streams};
use crate::engine::subject::Subject;
use crate::engine::{Engine, Seen};
use crate::http::problem::Problem;
use crate::http::request::{Query, topic};
use crate::work;

/// The streams that shards write, and those that hyper writes.
pub(super) struct OpenStreams {
    pub(super) hub: Hub,
    engine: Arc<Engine>,
    streams: Arc<Streams>,
}

/// An open stream.
pub(super) enum OpenStream<'a> {
    OfShard(Seen<'a>),
    OfHyper(&'a BodyStream),
}

/// The position of a stream in the list: its shard (one past the last shard for streams that hyper
/// writes) and its number there. It does not change while the stream is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) part: usize,
    pub(super) key: usize,
}

/// The topics and subjects that a query names.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) topics: Vec<Topic>,
    pub(super) subjects: Vec<Subject>,
    /// The patterns that a stream must keep to; `None` for streams of all topics.
    within: Option<Vec<TopicFilter>>,
}

impl OpenStreams {
    pub(super) fn of(context: &Context) -> Self {
        let (engine, streams) = (Arc::clone(&context.engine), Arc::clone(&context.streams));
        Self { hub: context.hub.clone(), engine, streams }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.engine.len() + self.streams.bodies()
    }

    /// Visits the selected streams of a portion, until `visit` breaks off; returns the position of the
    /// next portion.
    pub(super) fn visit(
        &self,
        from: Position,
        named: &Selection,
        mut visit: impl FnMut(Position, OpenStream<'_>) -> ControlFlow<()>,
    ) -> Option<Position> {
        let shards = self.engine.shards();
        let next = match from.part {
            part if part < shards => self.engine.see(part, from.key, named.len(), |seen| {
                work::looked_at(1);
                let position = Position { key: seen.key, ..from };
                match named.has(seen.subjects(), |topic| seen.reads(topic), || seen.view()) {
                    true => visit(position, OpenStream::OfShard(seen)),
                    false => ControlFlow::Continue(()),
                }
            }),
            part if part == shards => {
                let (some, mut next) = self.streams.some_bodies(from.key);
                for (key, body) in some {
                    work::looked_at(1);
                    let reads = |topic: &Topic| body.view.matches(topic.as_str());
                    let is_named = named.has(body.subjects(), reads, || body.view.clone());
                    let position = Position { key, ..from };
                    if is_named && visit(position, OpenStream::OfHyper(&body)).is_break() {
                        next = Some(key + 1);
                        break;
                    }
                }
                next
            }
            _ => return None,
        };
        Some(match next {
            Some(key) => Position { key, ..from },
            None => Position { part: from.part + 1, key: 0 },
        })
    }
}

impl Selection {
    pub(super) fn new(context: &Context, query: &Query) -> Result<Self, Problem> {
        // Each of them is compared with each stream, as each filter of a stream is with each event.
        let max = context.config.filters_max;
        for name in ["topic", "subject"] {
            if query.all(name).nth(max).is_some() {
                let detail = format!("at most {max} of them are named in one request");
                return Err(Problem::invalid_parameter(name, &detail));
            }
        }
        let topics = query.all("topic").map(topic);
        let subjects = query.all("subject").map(|name| {
            Subject::new(name).map_err(|error| {
                Problem::invalid_parameter("subject", &format!("as such, {error}"))
            })
        });
        Ok(Self {
            topics: topics.collect::<Result<_, _>>()?,
            subjects: subjects.collect::<Result<_, _>>()?,
            within: None,
        })
    }

    /// Leaves out the streams that carry more than these patterns cover; `None` leaves out nothing.
    pub(super) fn within(self, patterns: Option<&[TopicFilter]>) -> Self {
        Self { within: patterns.map(<[TopicFilter]>::to_vec), ..self }
    }

    fn len(&self) -> usize {
        self.topics.len() + self.subjects.len()
    }

    /// Returns whether it selects every stream.
    pub(super) fn is_everybody(&self) -> bool {
        self.topics.is_empty() && self.subjects.is_empty() && self.within.is_none()
    }

    /// Returns whether a stream is selected: it belongs to one of the subjects, is sent one of the
    /// topics, and keeps to the patterns.
    fn has(
        &self,
        subjects: [Option<&Subject>; 2],
        reads: impl Fn(&Topic) -> bool,
        view: impl FnOnce() -> View,
    ) -> bool {
        let is_selected = || subjects.iter().flatten().any(|&one| self.subjects.contains(one));
        (self.subjects.is_empty() || is_selected())
            && (self.topics.is_empty() || self.topics.iter().any(reads))
            && self.within.as_ref().is_none_or(|patterns| is_within(&view(), patterns))
    }
}

/// Reads a position.
pub(super) fn position(text: &str) -> Result<Position, Problem> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { text.parse().ok() } else { None }
    };
    let parts = text.split_once('-');
    let position =
        parts.and_then(|(part, key)| Some(Position { part: number(part)?, key: number(key)? }));
    position.ok_or_else(|| {
        Problem::invalid_parameter("after", "it is what an earlier answer gave as 'next'")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_list_is_two_numbers() {
        assert_eq!(position("0-0").unwrap(), Position::default());
        assert_eq!(position("2-4711").unwrap(), Position { part: 2, key: 4711 });
        for text in ["", "-", "1", "1-", "-1", "+1-1", "1-1-1", "1-x", "1-99999999999999999999"] {
            assert!(position(text).is_err(), "{text:?}");
        }
    }
}
