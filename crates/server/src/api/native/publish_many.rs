//! Publishing many events with one request.

use std::collections::VecDeque;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use tidings_hub::{Draft, EventId, IdempotencyKey, Published};

use super::ndjson::Lines;
use super::publish::{REPLAYED, problem, refused};
use super::publish_headers::PublishHeaders;
use super::relay::EventStream;
use super::{JSON, fresh, publish_json, query};
use crate::app::App;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{RequestBody, essence};

/// `POST /events`: the content type says how the events are written.
pub(super) async fn events(
    app: &App,
    head: &Parts,
    body: &mut RequestBody,
) -> Result<Response<Bytes>, Problem> {
    let headers = PublishHeaders::of(&head.headers);
    headers.refuse_coding()?;
    let bytes_max = app.hub.config().event_bytes_max;
    let reader: Box<dyn Reader> = match essence(&head.headers).as_deref() {
        Some("application/json") => return publish_json::events(app, head, &headers, body).await,
        Some("application/x-ndjson" | "application/ndjson" | "application/jsonl") => {
            query(head, &[])?;
            Box::new(Lines::new(bytes_max))
        }
        Some("text/event-stream") => Box::new(EventStream::new(head, bytes_max)?),
        _ => return Err(unsupported(head)),
    };
    let key = headers.idempotency_key()?;
    Ok(Ingest { app, key, report: Report::default() }.run(body, reader).await)
}

fn unsupported(head: &Parts) -> Problem {
    let given = match head.headers.get(CONTENT_TYPE) {
        Some(given) => format!("not {}", String::from_utf8_lossy(given.as_bytes())),
        None => "and the request names none".to_owned(),
    };
    let detail = format!(
        "events are taken as application/json (an object or an array), application/x-ndjson (an \
         object a line) or text/event-stream (with ?topic=), {given}; one event whose data is the \
         body is published by POST /topics/{{topic}}"
    );
    Problem::new(ProblemKind::UnsupportedContent, detail)
}

/// Reads events from a body as it comes.
pub(super) trait Reader: Send {
    /// Reads on and appends what was completed; stops at the first event that cannot be published.
    fn read(&mut self, chunk: &[u8], drafts: &mut Vec<Draft>) -> Result<(), Problem>;

    /// Reads what is left at the end of the body.
    fn end(&mut self, drafts: &mut Vec<Draft>) -> Result<(), Problem>;
}

/// A streamed request on its way into the hub.
struct Ingest<'a> {
    app: &'a App,
    key: Option<IdempotencyKey>,
    report: Report,
}

impl Ingest<'_> {
    /// Publishes chunk by chunk. The next one is read when the events of the one before are committed,
    /// so that a publisher is held back and nothing piles up.
    async fn run(mut self, body: &mut RequestBody, mut reader: Box<dyn Reader>) -> Response<Bytes> {
        let stopped = loop {
            let mut drafts = Vec::new();
            let (read, is_end) = match body.chunk().await {
                Ok(Some(chunk)) => (reader.read(&chunk, &mut drafts), false),
                Ok(None) => (reader.end(&mut drafts), true),
                Err(problem) => break Some(problem),
            };
            // What precedes the first one that is refused stays published.
            let committed = self.commit(drafts).await;
            if let Err(problem) = committed.and(read.map_err(|p| self.report.place(p))) {
                break Some(problem);
            }
            if is_end {
                break None;
            }
        };
        match stopped {
            None => self.report.into_response(),
            Some(problem) => {
                self.app.metrics.refused(problem.kind());
                self.report.into_refusal(problem)
            }
        }
    }

    async fn commit(&mut self, mut drafts: Vec<Draft>) -> Result<(), Problem> {
        let hub = &self.app.hub;
        let checked = drafts.iter().map(|draft| hub.check(draft)).enumerate();
        let wrong = checked.into_iter().find_map(|(index, checked)| Some((index, checked.err()?)));
        if let Some((index, _)) = wrong {
            drafts.truncate(index);
        }
        if let Some(key) = &self.key {
            let keyed = (self.report.committed..).zip(drafts);
            drafts = keyed.map(|(i, draft)| draft.with_idempotency_key(key.at(i))).collect();
        }
        if !drafts.is_empty() {
            self.app.tick();
            let published = hub.publish_all(drafts).map_err(problem)?.await.map_err(problem)?;
            self.report.count(published);
        }
        match wrong {
            Some((_, reason)) => Err(self.report.place(refused(&reason))),
            None => Ok(()),
        }
    }
}

/// What has become of a request's events.
#[derive(Debug, Default)]
pub(super) struct Report {
    committed: u64,
    duplicates: u64,
    latest: VecDeque<EventId>,
}

impl Report {
    /// IDs of one answer at most: those of the latest events. Whoever needs all of them reads them.
    const IDS_MAX: usize = 1000;

    pub(super) fn count(&mut self, published: Vec<Published>) {
        self.committed += published.len() as u64;
        self.duplicates += published.iter().filter(|event| event.is_duplicate).count() as u64;
        let skipped = published.len().saturating_sub(Self::IDS_MAX);
        let ids = published.into_iter().skip(skipped).map(|event| event.id());
        self.latest.extend(ids);
        let surplus = self.latest.len().saturating_sub(Self::IDS_MAX);
        self.latest.drain(..surplus);
    }

    /// Says which event a problem is about: the first that is not committed.
    fn place(&self, problem: Problem) -> Problem {
        problem.with("index", self.committed)
    }

    fn ids(&self) -> Value {
        self.latest.iter().map(EventId::as_str).collect()
    }

    /// The answer where everything was published.
    pub(super) fn into_response(self) -> Response<Bytes> {
        #[derive(Serialize)]
        struct Committed<'a> {
            committed: u64,
            ids: Vec<&'a str>,
        }

        let ids = self.latest.iter().map(EventId::as_str).collect();
        let body = Committed { committed: self.committed, ids };
        let mut body = serde_json::to_vec(&body).expect("a number and texts make JSON");
        body.push(b'\n');
        let mut response = fresh(&JSON, body);
        if self.committed > 0 {
            *response.status_mut() = StatusCode::CREATED;
            if self.duplicates == self.committed {
                response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            }
        }
        response
    }

    /// The answer where it was not: the problem, which event it is about, and what was published
    /// before.
    fn into_refusal(self, problem: Problem) -> Response<Bytes> {
        let refused = problem.to_members();
        let (committed, ids) = (self.committed, self.ids());
        problem
            .with("committed", committed)
            .with("ids", ids)
            .with("refused", refused)
            .into_response()
    }
}
