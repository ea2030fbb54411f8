//! Following: a loop around an ephemeral consumer, which is made anew from the hub's own place whenever it
//! falls silent, leaves something out, or goes away with its server.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use serde_json::json;
use tidings_hub::Now;
use tidings_hub::journal::shared::{SharedLog, Stopped, Stored};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::api::{Api, Failure, STREAM_NOT_FOUND};
use super::consumer::{Place, consumer, next};
use super::look::{Looks, Seen};
use super::status::Status;
use super::stream::Stream;

/// The silence after which it is made anew.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Time between two tries.
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// Why a consumer is given up.
enum Ended {
    /// Make another one.
    Again(Box<str>),
    /// The log has stopped.
    Stopped,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Again(failure.text())
    }
}

/// Reads the stream into the log until the log stops.
pub(super) async fn follow((log, api, stream, status): (SharedLog, Api, Stream, Arc<Status>)) {
    let mut is_told = false;
    let mut looks = Looks::new(&stream);
    loop {
        let ended = match begin(&log, &api, (&stream, &mut looks)).await {
            Ok(messages) => {
                status.consumers.fetch_add(1, Ordering::Relaxed);
                status.is_away.store(false, Ordering::Relaxed);
                if std::mem::replace(&mut is_told, false) {
                    info!(stream = stream.name, "stream can be followed again");
                }
                read(&log, &api, messages, &status).await
            }
            Err(ended) => ended,
        };
        match ended {
            Ended::Stopped => return,
            Ended::Again(reason) => {
                status.is_away.store(true, Ordering::Relaxed);
                if !std::mem::replace(&mut is_told, true) {
                    warn!(stream = stream.name, reason = &*reason, "stream cannot be followed now");
                }
            }
        }
        sleep(RETRY_EVERY).await;
    }
}

/// Checks that the stream is the one that was opened, and makes a consumer from the log's place on.
async fn begin(
    log: &SharedLog,
    api: &Api,
    (stream, looks): (&Stream, &mut Looks),
) -> Result<Subscriber, Ended> {
    let found = match api.stream_info(&stream.name).await {
        Ok(info) => Some(info),
        Err(Failure::Refused { code: STREAM_NOT_FOUND, .. }) => None,
        Err(failure) => return Err(failure.into()),
    };
    match looks.handle(found.as_ref(), log.through().max(stream.tail), Instant::now()) {
        Seen::Same => {}
        Seen::Doubtful(why) => return Err(Ended::Again(why.into())),
        Seen::Changed(why) => return Err(changed(log, why)),
    }
    let first = found.map_or(1, |info| info.state.first_seq.max(1));
    let from = place(log, first);
    let client = api.client()?;
    let inbox = client.new_inbox();
    let messages = client.subscribe(inbox.clone()).await;
    let messages = messages.map_err(|error| Ended::Again(error.to_string().into()))?;
    let config =
        consumer(&inbox, &json!({ "deliver_policy": "by_start_sequence", "opt_start_seq": from }));
    api.create_consumer(&stream.name, &config).await?;
    Ok(messages)
}

/// The place to read from: that of the message which was read last, so that another one there is noticed.
fn place(log: &SharedLog, first: u64) -> u64 {
    let through = log.through();
    if first > through + 1 {
        log.skip_through(first - 1);
    }
    through.max(first)
}

fn changed(log: &SharedLog, why: &'static str) -> Ended {
    log.stop(Stopped::PastChanged { why, generation: log.generation() });
    Ended::Stopped
}

/// Reads messages until the consumer is to be made anew.
async fn read(log: &SharedLog, api: &Api, mut messages: Subscriber, status: &Status) -> Ended {
    let mut delivered = 0;
    let mut missing = None;
    loop {
        poll_fn(|cx| log.poll_room(cx)).await;
        let message = match timeout(SILENCE_MAX, next(&mut messages)).await {
            Ok(Some(message)) => message,
            Ok(None) => return Ended::Again("the subscription has ended".into()),
            Err(_) => return Ended::Again("the consumer is silent".into()),
        };
        if let Some(code) = message.status {
            if code.as_u16() != 100 {
                let description = message.description.unwrap_or_default();
                return Ended::Again(format!("the consumer has ended: {description}").into());
            }
            if let Err(ended) = heartbeat(api, &message, delivered).await {
                return ended;
            }
            let newest = status.newest.load(Ordering::Relaxed);
            if is_stalled(&mut missing, newest, log.through()) {
                return Ended::Again("the consumer does not get what the stream has".into());
            }
            continue;
        }
        missing = None;
        let Some(place) = message.reply.as_deref().and_then(Place::parse) else { continue };
        delivered += 1;
        if place.delivered != delivered {
            return Ended::Again("the consumer has left something out".into());
        }
        status.note_newest(place.stream + place.pending);
        let stored = Stored { place: place.stream, time: place.time, bytes: &message.payload };
        if log.read(stored).is_err() {
            return Ended::Stopped;
        }
        let read = (place.stream, place.time, message.payload.len());
        status.note_read(read, Now::read());
    }
}

/// Returns whether a message that was missing at the last heartbeat is missing still. The server of a consumer
/// may have stopped to take the messages of the stream, because its disk is full, and yet go on to send
/// heartbeats; another consumer may be at another server.
fn is_stalled(missing: &mut Option<u64>, newest: u64, through: u64) -> bool {
    let before = std::mem::replace(missing, (newest > through).then_some(newest));
    before.is_some_and(|before| before > through)
}

/// Answers a heartbeat that wants an answer, and notices what has not come.
async fn heartbeat(api: &Api, message: &Message, delivered: u64) -> Result<(), Ended> {
    let header = |name| {
        let value = message.headers.as_ref()?.get(name)?;
        Some(value.as_str().to_owned())
    };
    let wanted = message.reply.as_ref().map(ToString::to_string);
    if let Some(subject) = wanted.or_else(|| header("Nats-Consumer-Stalled")) {
        let answered = api.client()?.publish(subject, bytes::Bytes::new()).await;
        answered.map_err(|error| Ended::Again(error.to_string().into()))?;
    }
    let newest = header("Nats-Last-Consumer").and_then(|number| number.parse::<u64>().ok());
    match newest {
        Some(newest) if newest > delivered => {
            Err(Ended::Again("the consumer has left something out".into()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_is_stalled_if_a_message_is_missing_for_two_heartbeats() {
        let mut missing = None;
        for (newest, through, is_stalled_now) in
            [(5, 5, false), (6, 5, false), (7, 6, false), (7, 6, true), (7, 7, false)]
        {
            assert_eq!(is_stalled(&mut missing, newest, through), is_stalled_now, "{newest}");
        }
    }
}
