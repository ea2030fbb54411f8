//! The outcome of the events of one request.

use std::collections::VecDeque;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use tidings_hub::{EventId, Published};

use crate::http::problem::Problem;
use crate::http::response::{JSON, no_store};

/// The header of an answer that repeats an earlier one, because nothing was published this time.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The outcome of the events of one request.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) committed: u64,
    duplicates: u64,
    latest: VecDeque<EventId>,
}

impl Report {
    /// IDs of one answer at most: those of the latest events. A publisher that needs all of them
    /// can read them.
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

    /// Adds to a problem the index of its event: the first that is not committed.
    pub(super) fn place(&self, problem: Problem) -> Problem {
        problem.with("index", self.committed)
    }

    fn ids(&self) -> Value {
        self.latest.iter().map(EventId::as_str).collect()
    }

    /// The answer if every event was published.
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
        let mut response = no_store(&JSON, body);
        if self.committed > 0 {
            *response.status_mut() = StatusCode::CREATED;
            if self.duplicates == self.committed {
                response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            }
        }
        response
    }

    /// The answer if one was refused: the problem, the index of its event, and the events published
    /// before it.
    pub(super) fn into_refusal(self, problem: Problem) -> Response<Bytes> {
        let refused = problem.to_members();
        let (committed, ids) = (self.committed, self.ids());
        problem
            .with("committed", committed)
            .with("ids", ids)
            .with("refused", refused)
            .into_response()
    }
}
