//! Publishes the events of a body while the body arrives.

use bytes::Bytes;
use http::Response;
use tidings_hub::{Draft, IdempotencyKey};
use tokio::task::yield_now;

use super::report::Report;
use crate::context::Context;
use crate::http::problem::Problem;
use crate::http::request::RequestBody;
use crate::http::respond::accept_events;

/// Reads events from a body while the body arrives.
pub(super) trait EventReader: Send {
    /// Reads a chunk and appends the events that it completes; stops at the first event that cannot
    /// be published.
    fn read(&mut self, chunk: &[u8], drafts: &mut Vec<Draft>) -> Result<(), Problem>;

    /// Reads the remainder at the end of the body.
    fn end(&mut self, drafts: &mut Vec<Draft>) -> Result<(), Problem>;
}

/// A streamed request on its way into the hub.
pub(super) struct Ingest<'a> {
    context: &'a Context,
    key: Option<IdempotencyKey>,
    report: Report,
}

impl<'a> Ingest<'a> {
    pub(super) fn new(context: &'a Context, key: Option<IdempotencyKey>) -> Self {
        Self { context, key, report: Report::default() }
    }

    /// Publishes chunk by chunk. The next chunk is read once the events of the previous one are
    /// committed: this is the publisher's backpressure.
    pub(super) async fn run(
        mut self,
        body: &mut RequestBody,
        mut reader: Box<dyn EventReader>,
    ) -> Response<Bytes> {
        let stopped = loop {
            let mut drafts = Vec::new();
            let (read, is_end) = match body.chunk().await {
                Ok(Some(chunk)) => (reader.read(&chunk, &mut drafts), false),
                Ok(None) => (reader.end(&mut drafts), true),
                Err(problem) => break Some(problem),
            };
            // Events before the first refused one stay published.
            let committed = self.commit(drafts).await;
            if let Err(problem) = committed.and(read.map_err(|p| self.report.place(p))) {
                break Some(problem);
            }
            if is_end {
                break None;
            }
            // The next chunk may have arrived, and other connections would wait for the last.
            yield_now().await;
        };
        match stopped {
            None => self.report.into_response(),
            Some(problem) => {
                self.context.metrics.refused(problem.kind());
                self.report.into_refusal(problem)
            }
        }
    }

    async fn commit(&mut self, mut drafts: Vec<Draft>) -> Result<(), Problem> {
        let hub = &self.context.hub;
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
            accept_events(self.context)?;
            self.context.tick();
            let published = hub.publish_all(drafts).await?;
            self.report.count(published);
        }
        match wrong {
            Some((_, reason)) => Err(self.report.place(Problem::from(&reason))),
            None => Ok(()),
        }
    }
}
