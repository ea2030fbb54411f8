//! Publishes the events of a body while the body arrives.

use bytes::Bytes;
use http::{Response, StatusCode};
use tidings_hub::{Cursor, Draft};
use tokio::time::sleep;

use super::json_event::JsonObject;
use super::marks::Marks;
use super::piped::{Piped, topic_of};
use super::report::Report;
use super::stream_append::name_stream;
use crate::context::Context;
use crate::http::problem::Problem;
use crate::http::request::{Caller, RequestBody};
use crate::http::respond::{accept_events, shutting_down};
use crate::phase::draining;
use crate::turn::{TURN_BYTES, Turn};

/// The parts of a body that were read, in order.
#[derive(Debug, Default)]
pub(super) struct BodyItems {
    drafts: Vec<Draft>,
    /// The objects that begin or end their topics' streams, each with the number of events before it.
    appends: Vec<(usize, JsonObject)>,
}

impl BodyItems {
    pub(super) fn push(&mut self, draft: Draft) {
        self.drafts.push(draft);
    }

    /// Adds an object that begins or ends its topic's stream.
    pub(super) fn push_append(&mut self, object: JsonObject) {
        self.appends.push((self.drafts.len(), object));
    }
}

/// Reads events from a body while the body arrives.
pub(super) trait EventReader: Send {
    /// Reads a chunk and appends what it completes; stops at the first event that cannot be published.
    fn read(&mut self, chunk: &[u8], items: &mut BodyItems) -> Result<(), Problem>;

    /// The bytes that are kept of an event whose end has not arrived.
    fn unfinished_bytes(&self) -> usize;

    /// Reads the remainder at the end of the body.
    fn end(&mut self, items: &mut BodyItems) -> Result<(), Problem>;
}

/// A streamed request on its way into the hub.
pub(super) struct Ingest<'a> {
    context: &'a Context,
    caller: &'a Caller,
    marks: Marks,
    report: Report,
    /// The stream that the events belong to, if the request is about one.
    piped: Option<Piped<'a>>,
    /// How many objects have begun or ended streams, and where the newest of these streams begins.
    appended: u64,
    begun: Option<Cursor>,
}

impl<'a> Ingest<'a> {
    pub(super) fn new(context: &'a Context, caller: &'a Caller, marks: Marks) -> Self {
        let (report, piped, begun) = (Report::default(), None, None);
        Self { context, caller, marks, report, piped, appended: 0, begun }
    }

    /// Publishes to this stream.
    pub(super) fn into_stream(self, piped: Piped<'a>) -> Self {
        Self { piped: Some(piped), ..self }
    }

    /// Publishes a body while it arrives.
    pub(super) async fn run(
        mut self,
        body: &mut RequestBody,
        mut reader: Box<dyn EventReader>,
    ) -> Response<Bytes> {
        let mut response = match self.publish(body, &mut *reader).await {
            Ok(()) => {
                let mut response = self.report.into_response();
                if self.appended > 0 {
                    *response.status_mut() = StatusCode::CREATED;
                }
                response
            }
            Err(problem) => {
                self.context.metrics.refused(problem.kind());
                self.report.into_refusal(problem)
            }
        };
        if let Some(begun) = self.begun {
            name_stream(response.headers_mut(), begun);
        }
        if let Some(piped) = &self.piped {
            piped.name(response.headers_mut());
        }
        response
    }

    /// The next chunk of the body. The stream that it is piped into may be stopped meanwhile, and the hub may shut
    /// down: its producer would learn that last of all, since its body need not end.
    async fn chunk(&mut self, body: &mut RequestBody) -> Result<Option<Bytes>, Problem> {
        let Some(piped) = &mut self.piped else { return body.chunk().await };
        let mut phases = self.context.phases();
        tokio::select! {
            biased;
            () = piped.stopped() => return Err(piped.stop().await),
            () = draining(&mut phases) => {}
            chunk = body.chunk() => return chunk,
        }
        Err(shutting_down(&self.context.hub))
    }

    /// The next chunk is read once the events of the previous one are committed: this is the
    /// publisher's backpressure. A chunk is read in portions, so that one request neither publishes
    /// any number of events at once nor keeps its thread to itself.
    async fn publish(
        &mut self,
        body: &mut RequestBody,
        reader: &mut dyn EventReader,
    ) -> Result<(), Problem> {
        let mut turn = Turn::default();
        while let Some(chunk) = self.chunk(body).await? {
            for portion in chunk.chunks(TURN_BYTES) {
                let mut items = BodyItems::default();
                let read = reader.read(portion, &mut items);
                let read = read.and(body.hold(reader.unfinished_bytes()));
                self.commit_until(items, read).await?;
                turn.spend(portion.len()).await;
            }
        }
        let mut items = BodyItems::default();
        let read = reader.end(&mut items);
        self.commit_until(items, read).await?;
        match &mut self.piped {
            Some(piped) => piped.finish().await,
            None => Ok(()),
        }
    }

    /// Commits the events before the first refused one; they stay published.
    async fn commit_until(
        &mut self,
        items: BodyItems,
        read: Result<(), Problem>,
    ) -> Result<(), Problem> {
        let (mut drafts, mut committed) = (items.drafts.into_iter(), 0);
        for (before, object) in items.appends {
            self.commit(drafts.by_ref().take(before - committed).collect()).await?;
            committed = before;
            let appended = self.append(object).await;
            appended.map_err(|problem| self.report.place(problem))?;
        }
        self.commit(drafts.collect()).await?;
        read.map_err(|problem| self.report.place(problem))
    }

    async fn commit(&mut self, mut drafts: Vec<Draft>) -> Result<(), Problem> {
        let hub = &self.context.hub;
        drafts = self.marks.put_on_all(drafts, self.report.committed);
        if self.piped.is_none() {
            hub.catch_up_for(&drafts).await;
        }
        let wrong = |draft: &Draft| {
            self.caller.access().may_publish(draft.topics().as_slice())?;
            hub.check(draft).map_err(|reason| Problem::from(&reason))?;
            // An event with a key may have been published before its stream ended.
            match self.piped.is_some() || draft.idempotency_key().is_some() {
                true => Ok(()),
                false => hub.check_streams(draft).map_err(Problem::from),
            }
        };
        let wrong = drafts.iter().enumerate().find_map(|(i, d)| Some((i, wrong(d).err()?)));
        if let Some((index, _)) = wrong {
            drafts.truncate(index);
        }
        if !drafts.is_empty() {
            self.wait_for_room(drafts.len()).await?;
            match &self.piped {
                Some(piped) => self.report.count(piped.publish(drafts).await?),
                None => self.publish_drafts(drafts).await?,
            }
        }
        match wrong {
            Some((_, problem)) => Err(self.report.place(problem)),
            None => Ok(()),
        }
    }

    /// Publishes events, or those before the first one that does not belong to its topic's stream.
    async fn publish_drafts(&mut self, drafts: Vec<Draft>) -> Result<(), Problem> {
        let hub = &self.context.hub;
        if !drafts.iter().any(|draft| hub.check_streams(draft).is_err()) {
            self.report.count(hub.publish_in_order(drafts).await?);
            return Ok(());
        }
        // Some may be known by their keys, and are answered as they were the first time.
        for draft in drafts {
            let published = hub.publish(draft).await;
            let published = published.map_err(|error| self.report.place(error.into()))?;
            self.report.count(vec![published]);
        }
        Ok(())
    }

    /// Makes a request to its topic's stream of an object, after everything before it.
    async fn append(&mut self, object: JsonObject) -> Result<(), Problem> {
        let topic = topic_of(object.topics())?;
        self.caller.access().may_publish(object.topics().as_slice())?;
        // The keys of beginnings and ends are compared with each other alone.
        let key = self.marks.key.as_ref().map(|key| key.at(self.appended));
        let append = object.append(None, key);
        let drafts = object.into_draft().into_iter().collect();
        let drafts = self.marks.put_on_all(drafts, self.report.committed);
        self.wait_for_room(1).await?;
        let appending = self.context.hub.append(topic, &append, drafts);
        let appended = appending.await?;
        self.report.count(appended.published);
        self.appended += 1;
        self.begun = appended.begin.or(self.begun);
        Ok(())
    }

    /// A publisher that is too fast waits, as for a journal that is slow.
    async fn wait_for_room(&self, events: usize) -> Result<(), Problem> {
        while let Err(wait) = self.context.room_for_events(self.caller, events) {
            sleep(wait).await;
        }
        accept_events(&self.context.hub)?;
        self.context.tick();
        Ok(())
    }
}

/// Reads a body that comes in two chunks; returns the data of its events, and the problem that ended
/// it.
#[cfg(test)]
pub(super) fn read_cut(
    mut reader: impl EventReader,
    text: &[u8],
    cut: usize,
) -> (Vec<String>, Option<Problem>) {
    let mut items = BodyItems::default();
    let (first, second) = text.split_at(cut);
    let read = reader
        .read(first, &mut items)
        .and_then(|()| reader.read(second, &mut items))
        .and_then(|()| reader.end(&mut items));
    let data = items.drafts.iter().map(|draft| draft.event().data().to_owned());
    (data.collect(), read.err())
}
