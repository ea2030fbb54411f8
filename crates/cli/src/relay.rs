//! `tidings relay`: follows an event stream and publishes it to a hub.
//!
//! ```text
//!   upstream ──▶ event ──▶ publish, until the hub has answered ──▶ save the ID ──▶ next event
//! ```
//!
//! Events are relayed one at a time, and the saved position advances only when the hub has
//! committed an event, so an event that was not committed arrives again. An event that was
//! committed may arrive again too, because the response was lost or the relay was killed before it
//! could save. It then has the same idempotency key and is not published twice. Hubs forget
//! keys after ten minutes. Therefore the file contains the key that is being published
//! under, and if that event arrives again, the hub is asked whether it holds it.
//!
//! An event that has come back to a hub is passed over: see `way`.

mod way;

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use http::HeaderValue;
use serde_json::json;
use tidings_client::{
    Builder, Draft, End, Event, EventId, EventType, Gap, IdempotencyKey, PublishError, Publisher,
    Signal,
};

use self::way::{Onward, Way};
use crate::config::RelayConfig;
use crate::follow::Failed;
use crate::message::tell;
use crate::sentence::sentence;
use crate::signals::Signals;
use crate::terminal::{self, ConnectionReport};

/// The minimum time for which hubs remember an idempotency key.
const KEYS_HELD: Duration = Duration::from_secs(600);

/// The waits after the publisher has given up on an event, which is soon if the hub asks for a long
/// wait: they double. Whatever the hub asks for, the relay waits as long, an hour at most.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Relays until the upstream ends the stream for good or a process signal arrives.
pub(crate) fn run(config: RelayConfig) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(relay(config))
}

async fn relay(config: RelayConfig) -> Result<(), Box<dyn Error>> {
    let RelayConfig { mut follower, publisher, upstream, upstream_topic, to, copy, interactive } =
        config;
    let mut signals = Signals::new()?;
    let in_doubt = follower.publishing().map(|key| InDoubt { key: key.to_owned(), copy });
    let mut relay = Relay {
        publisher,
        keys: EventKeys::new(upstream, to),
        way: Way::new(&upstream_topic),
        in_doubt,
        connection: ConnectionReport::new(interactive),
        told: Told::default(),
    };
    loop {
        let signal = tokio::select! {
            signal = follower.next() => signal?,
            _ = signals.next() => return Ok(follower.flush()?),
        };
        let Some(signal) = signal else { return Ok(()) };
        if let Some(relayed) = relay.handle(&signal) {
            if let Some(key) = &relayed.key {
                follower.announce(key.as_str())?;
            }
            // Ending here does not advance the position: the event arrives again in the next run.
            tokio::select! {
                done = relay.publish(relayed) => done?,
                _ = signals.next() => return Ok(follower.flush()?),
            }
        }
        // Also past an event that is passed over.
        follower.advance(&signal);
        if let Signal::Closed(closed) = signal {
            follower.flush()?;
            return match closed.is_failure() {
                true => Err(Failed(closed).into()),
                false => Ok(()),
            };
        }
    }
}

/// Handles the signals of the upstream.
struct Relay {
    publisher: Publisher,
    keys: EventKeys,
    way: Way,
    in_doubt: Option<InDoubt>,
    connection: ConnectionReport,
    told: Told,
}

/// The reasons to pass over events that were reported in this run. Once is enough: in a ring every
/// event comes back.
#[derive(Debug, Default)]
struct Told {
    came_back: bool,
    too_far: bool,
}

/// An event to publish.
struct RelayedEvent {
    draft: Draft,
    id: Option<EventId>,
    /// The key that the event has every time it arrives; `None` if it cannot be known.
    key: Option<IdempotencyKey>,
    /// The header that names the way it came.
    via: Option<HeaderValue>,
}

/// The event that the previous run was publishing when it ended.
struct InDoubt {
    key: String,
    /// The hub's stream of the topic.
    copy: Builder,
}

impl Relay {
    /// Reports `signal` on standard error, and returns the event to publish for it, if there is
    /// one.
    fn handle(&mut self, signal: &Signal) -> Option<RelayedEvent> {
        self.way.handle(signal);
        match signal {
            Signal::Open(open) => {
                self.keys.reset();
                self.connection.open(open).iter().for_each(|text| tell(text));
                None
            }
            Signal::Retrying(retrying) => {
                self.connection.retrying(retrying).iter().for_each(|text| tell(text));
                None
            }
            Signal::Event(event) => {
                let relayed = self.keys.event(event);
                self.go_on(relayed)
            }
            Signal::Gap(gap) => {
                tell(&terminal::gap(gap));
                let relayed = self.keys.gap(gap);
                self.go_on(relayed)
            }
            Signal::End(end) => {
                let relayed = self.keys.end(end);
                self.go_on(relayed)
            }
            _ => None,
        }
    }

    /// Names the way of an event, or passes over it.
    fn go_on(&mut self, relayed: RelayedEvent) -> Option<RelayedEvent> {
        match self.way.take() {
            Onward::Publish(via) => Some(RelayedEvent { via, ..relayed }),
            Onward::Loop => {
                self.told.came_back();
                None
            }
            Onward::TooFar => {
                self.told.too_far();
                None
            }
        }
    }

    /// Publishes until the hub answers. An ID that the hub does not accept is omitted.
    async fn publish(&mut self, relayed: RelayedEvent) -> Result<(), NotRelayed> {
        if self.was_published(&relayed).await {
            return Ok(());
        }
        let RelayedEvent { draft, mut id, key, via } = relayed;
        let key = key.unwrap_or_else(IdempotencyKey::random);
        let mut unsettled_since = None;
        let mut pause = PAUSE_FIRST;
        loop {
            let named = match &id {
                Some(id) => draft.clone().with_id(id.clone()),
                None => draft.clone(),
            };
            let published = match &via {
                Some(via) => self.publisher.publish_relayed(named, &key, via.clone()).await,
                None => self.publisher.publish_with_key(named, &key).await,
            };
            match published {
                Ok(_) => return Ok(()),
                Err(PublishError::Refused(refused)) if refused.is_relay_loop() => {
                    self.told.came_back();
                    return Ok(());
                }
                // Hubs are stricter than streams, so the ID may be the reason for the refusal.
                Err(PublishError::Refused(refused))
                    if refused.status.as_u16() == 400 && id.is_some() =>
                {
                    id = None;
                }
                Err(error @ PublishError::Refused(_)) => return Err(NotRelayed(error)),
                Err(error) => {
                    let wait = error.retry_after().unwrap_or_default().min(RETRY_AFTER_MAX);
                    let wait = wait.max(pause);
                    tell(&format!("{}; trying again in {} s", sentence(&error), wait.as_secs()));
                    tokio::time::sleep(wait).await;
                    pause = (2 * pause).min(PAUSE_MAX);
                    if matches!(error, PublishError::Unsettled { .. }) {
                        warn_of_a_double(*unsettled_since.get_or_insert_with(Instant::now));
                    }
                }
            }
        }
    }

    /// Returns whether the previous run was publishing this event and the hub holds it.
    async fn was_published(&mut self, relayed: &RelayedEvent) -> bool {
        let (Some(key), Some(id)) = (&relayed.key, &relayed.id) else { return false };
        match self.in_doubt.take_if(|in_doubt| in_doubt.key == key.as_str()) {
            Some(in_doubt) => holds(in_doubt.copy, id, &mut self.connection).await,
            None => false,
        }
    }
}

impl Told {
    fn came_back(&mut self) {
        if !std::mem::replace(&mut self.came_back, true) {
            tell(
                "an event has come back to a topic that it was published to before; such events are passed over",
            );
        }
    }

    fn too_far(&mut self) {
        if !std::mem::replace(&mut self.too_far, true) {
            tell(
                "an event has passed 16 relays, which is the maximum; such events are passed over",
            );
        }
    }
}

/// Returns whether the hub holds the event with this ID in the topic of `copy`. If it does, a
/// stream resumed from the ID starts after it, and the response head says so. If the hub does not
/// answer, the idempotency key decides.
async fn holds(copy: Builder, id: &EventId, connection: &mut ConnectionReport) -> bool {
    // As a last event ID, `earliest` means everything the hub holds, and no event of a hub has this
    // ID.
    if id.as_str() == "earliest" {
        return false;
    }
    let Ok(mut copy) = copy.last_event_id(id.as_str()).open() else { return false };
    while let Some(signal) = copy.next().await {
        if let Signal::Retrying(retrying) = &signal {
            connection.retrying(retrying).iter().for_each(|text| tell(text));
        }
        if let Signal::Open(open) = signal {
            let resumed_from = open.headers.get("last-event-id");
            return resumed_from.is_some_and(|from| from.as_bytes() == id.as_str().as_bytes());
        }
    }
    false
}

/// Warns that repeating an event may publish it twice once the hub may have forgotten its key.
fn warn_of_a_double(unsettled_since: Instant) {
    if unsettled_since.elapsed() >= KEYS_HELD {
        tell("the hub has not confirmed this event for ten minutes; it may be published twice");
    }
}

/// The hub refuses an event for good.
#[derive(Debug)]
struct NotRelayed(PublishError);

impl fmt::Display for NotRelayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event could not be relayed, and the next run starts with it: {}", self.0)
    }
}

impl Error for NotRelayed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Derives an idempotency key for each event of the upstream, which is the same every time the
/// event arrives. It is made of the last event ID at the event and the number of events without an
/// ID of their own since then.
struct EventKeys {
    upstream: String,
    to: String,
    last_event_id: String,
    since: u64,
}

impl EventKeys {
    fn new(upstream: String, to: String) -> Self {
        Self { upstream, to, last_event_id: String::new(), since: 0 }
    }

    /// Restarts the count, because everything after the last event ID arrives again.
    fn reset(&mut self) {
        self.last_event_id.clear();
        self.since = 0;
    }

    fn event(&mut self, event: &Event) -> RelayedEvent {
        // The type of a received event can contain NUL, but that of a published event cannot.
        let event_type = event.event_type().replace('\0', "\u{FFFD}");
        let draft = Draft::new(&self.to, event.data());
        let draft = match EventType::new(event_type) {
            Ok(event_type) => draft.with_type(event_type),
            Err(_) => draft,
        };
        let last_event_id = event.last_event_id();
        if event.id().is_some() || last_event_id != self.last_event_id {
            last_event_id.clone_into(&mut self.last_event_id);
            self.since = 0;
        }
        if event.id().is_none() {
            self.since += 1;
        }
        // An ID that was decoded contains no CR, LF or NUL.
        let id = event.id().and_then(|id| EventId::new(id).ok());
        RelayedEvent { draft, id, key: self.key(event.event_type(), event.data()), via: None }
    }

    /// Makes an event of a gap. It has a key, because the upstream reports a gap again to every
    /// reader that resumes from before it.
    fn gap(&mut self, gap: &Gap) -> RelayedEvent {
        let data = json!({ "asked": gap.asked, "oldest": gap.oldest }).to_string();
        self.of_the_hub("gap", data, &gap.last_event_id)
    }

    /// Makes an event of the end of a stream of the upstream. The hub has no such stream, so it is an event
    /// like others.
    fn end(&mut self, end: &End) -> RelayedEvent {
        let mut data = json!({ "reason": end.reason.as_str(), "events": end.events });
        if let Some(topic) = &end.topic {
            data["topic"] = topic.as_str().into();
        }
        self.of_the_hub("end", data.to_string(), &end.last_event_id)
    }

    fn of_the_hub(&mut self, event_type: &'static str, data: String, id: &str) -> RelayedEvent {
        id.clone_into(&mut self.last_event_id);
        self.since = 0;
        let key = self.key(event_type, &data);
        let named = EventType::new(event_type).expect("it holds no CR, LF or NUL");
        let draft = Draft::new(&self.to, data).with_type(named);
        RelayedEvent { draft, id: EventId::new(id).ok(), key, via: None }
    }

    /// Returns the key of an event after the last event ID. The type and the data are part of the
    /// key, so that events are not lost when an upstream starts its IDs again, as a counter in
    /// memory does.
    fn key(&self, event_type: &str, data: &str) -> Option<IdempotencyKey> {
        if self.last_event_id.is_empty() {
            // Without an ID, a repeated event cannot be told from a new event with the same data.
            return None;
        }
        let since = self.since.to_be_bytes();
        let parts: [&[u8]; 7] = [
            b"tidings relay 1",
            self.upstream.as_bytes(),
            self.to.as_bytes(),
            self.last_event_id.as_bytes(),
            &since,
            event_type.as_bytes(),
            data.as_bytes(),
        ];
        Some(IdempotencyKey::derived(parts))
    }
}
