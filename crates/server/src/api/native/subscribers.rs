//! Lists subscribers and closes their streams.

use bytes::Bytes;
use http::{Response, Version};
use serde::Serialize;
use tidings_hub::{Time, Topic, TopicFilter, View};
use tokio::task::yield_now;

use super::paging::{LIMIT, limit};
use crate::context::Context;
use crate::engine::streams::BodyStream;
use crate::engine::subject::Subject;
use crate::engine::{Framing, Seen};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Query, Request, topic};
use crate::http::response::{JSON, no_content, no_store};

/// `GET /subscribers`: lists the open streams, or those of the named topics or subjects.
pub(crate) async fn list(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<Bytes>, Problem> {
    let query = request.query(&["topic", "subject", "limit", "after"])?;
    let named = Selection::new(context, &query)?;
    let limit = query.one("limit")?.map_or(Ok(LIMIT), limit)?;
    let from = query.one("after")?.map_or(Ok(Position::default()), position)?;
    context.tick();
    let mut page = Page { named, from, limit, matching: 0, found: Vec::new(), next: None };
    // With a selection, all streams are visited, because the answer includes their number.
    let is_everybody = page.named.is_nobody();
    let mut at = if is_everybody { Some(from) } else { Some(Position::default()) };
    while let Some(portion) = at.filter(|_| !(is_everybody && page.next.is_some())) {
        at = page.look(context, portion);
        yield_now().await;
    }
    let Page { matching, found: subscribers, next, .. } = page;
    let total =
        if is_everybody { context.engine.len() + context.streams.bodies() } else { matching };
    let next = next.map(|Position { part, key }| format!("{part}-{key}"));
    let json = JsonPage { total, subscribers, next };
    let body = serde_json::to_vec(&json).expect("texts and numbers make JSON");
    Ok(no_store(&JSON, body))
}

/// `DELETE /subscribers`: closes the streams that are open on exactly these topics, after the
/// events published so far, or those of these subjects, at once. Their EventSources reconnect once,
/// are answered 204, and stay closed.
pub(crate) async fn close(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<Bytes>, Problem> {
    let query = request.query(&["topic", "subject"])?;
    let Selection { topics, subjects } = Selection::new(context, &query)?;
    match (topics.is_empty(), subjects.is_empty()) {
        (true, true) => {
            let detail = "name the streams to close: topic= names a topic, subject= a subject";
            return Err(Problem::new(ProblemKind::MissingParameter, detail));
        }
        (false, false) => {
            let why = "topic= is given too, and it is unclear whether a stream must match both or \
                       either: close them one after the other";
            return Err(Problem::invalid_parameter("subject", why));
        }
        _ => {}
    }
    context.tick();
    for topic in topics {
        context.hub.close(topic).await?;
    }
    for subject in subjects {
        // First, so that a reader that reconnects, or is just connecting, is recognized by this
        // entry.
        context.hub.close(subject.ends().clone()).await?;
        context.engine.close_subject(&subject);
        context.streams.close_bodies(&subject);
        yield_now().await;
    }
    Ok(no_content())
}

/// The topics and subjects that a query names.
#[derive(Debug)]
struct Selection {
    topics: Vec<Topic>,
    subjects: Vec<Subject>,
}

impl Selection {
    fn new(context: &Context, query: &Query) -> Result<Self, Problem> {
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
        })
    }

    fn len(&self) -> usize {
        self.topics.len() + self.subjects.len()
    }

    fn is_nobody(&self) -> bool {
        self.topics.is_empty() && self.subjects.is_empty()
    }

    /// Returns whether a stream is selected: it belongs to one of the subjects and is sent one of the
    /// topics.
    fn has(&self, subject: Option<&Subject>, reads: impl Fn(&Topic) -> bool) -> bool {
        let is_selected = || subject.is_some_and(|subject| self.subjects.contains(subject));
        (self.subjects.is_empty() || is_selected())
            && (self.topics.is_empty() || self.topics.iter().any(reads))
    }
}

/// The position of a stream in the list: its shard (one past the last shard for streams that hyper
/// writes) and its number there. It does not change while the stream is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    part: usize,
    key: usize,
}

fn position(text: &str) -> Result<Position, Problem> {
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

/// A page of the list while it is collected.
#[derive(Debug)]
struct Page {
    named: Selection,
    from: Position,
    limit: usize,
    /// The number of selected streams.
    matching: usize,
    found: Vec<Subscriber>,
    /// The first stream after this page.
    next: Option<Position>,
}

impl Page {
    /// Visits a portion of the streams; returns the position of the next portion.
    fn look(&mut self, context: &Context, at: Position) -> Option<Position> {
        let now = context.hub.time();
        let shards = context.engine.shards();
        let next = match at.part {
            part if part < shards => context.engine.see(part, at.key, self.named.len(), |seen| {
                let position = Position { key: seen.key, ..at };
                if self.named.has(seen.subject(), |topic| seen.reads(topic)) {
                    self.find(position, || Subscriber::of_shard(&seen, now));
                }
            }),
            part if part == shards => {
                let (some, next) = context.streams.some_bodies(at.key);
                for (key, body) in some {
                    let reads = |topic: &Topic| body.view.matches(topic.as_str());
                    if self.named.has(body.subject(), reads) {
                        let age = context.hub.uptime().saturating_sub(body.since());
                        let since = now.saturating_sub(age);
                        self.find(Position { key, ..at }, || Subscriber::of_body(&body, since));
                    }
                }
                next
            }
            _ => return None,
        };
        Some(match next {
            Some(key) => Position { key, ..at },
            None => Position { part: at.part + 1, key: 0 },
        })
    }

    fn find(&mut self, at: Position, describe: impl FnOnce() -> Subscriber) {
        self.matching += 1;
        if at < self.from {
            return;
        }
        if self.found.len() < self.limit {
            self.found.push(describe());
        } else if self.next.is_none() {
            self.next = Some(at);
        }
    }
}

#[derive(Serialize)]
struct JsonPage {
    total: usize,
    subscribers: Vec<Subscriber>,
    /// The value of `after` that continues the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A stream as JSON shows it.
#[derive(Debug, Serialize)]
struct Subscriber {
    topics: Vec<String>,
    r#match: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The address of the client; missing if the connection has just closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    since: String,
    protocol: &'static str,
    behind: bool,
}

impl Subscriber {
    fn of_shard(seen: &Seen<'_>, now: Time) -> Self {
        let (topics, patterns) = names(&seen.view());
        Self {
            topics,
            r#match: patterns,
            subject: seen.subject().map(|subject| subject.as_str().to_owned()),
            // Asked of the kernel, so that no stream has to store an address that is rarely needed.
            address: seen.socket().peer_addr().ok().map(|address| address.to_string()),
            since: now.saturating_sub(seen.age()).to_string(),
            protocol: match seen.framing() {
                Framing::Chunked => "HTTP/1.1",
                Framing::Close => "HTTP/1.0",
            },
            behind: seen.is_behind(),
        }
    }

    fn of_body(body: &BodyStream, since: Time) -> Self {
        let (topics, patterns) = names(&body.view);
        Self {
            topics,
            r#match: patterns,
            subject: body.subject().map(|subject| subject.as_str().to_owned()),
            address: Some(body.address().to_string()),
            since: since.to_string(),
            protocol: match body.version {
                Version::HTTP_2 => "HTTP/2",
                Version::HTTP_09 | Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            behind: body.is_behind(),
        }
    }
}

/// The exact topics and the patterns of a view.
fn names(view: &View) -> (Vec<String>, Vec<String>) {
    let is_topic = |filter: &&TopicFilter| matches!(filter, TopicFilter::Exact(_));
    let (topics, patterns): (Vec<_>, Vec<_>) = view.filters().iter().partition(is_topic);
    let texts =
        |filters: Vec<&TopicFilter>| filters.iter().map(|f| f.as_str().to_owned()).collect();
    (texts(topics), texts(patterns))
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
