//! `tidings relay`: follows an event stream and publishes it to a hub.
//!
//! ```text
//!   upstream ──▶ event ──▶ publish, until the hub has answered ──▶ keep the place ──▶ next event
//! ```
//!
//! One event at a time, and the place moves only when the hub has committed it: so what was not
//! committed comes again. What comes again although it was committed (the answer was lost, or the
//! relay was killed before it could write) has the same idempotency key, and is not doubled. Keys
//! are forgotten, by hubs in memory after ten minutes; so the file names the key that is being
//! published under, and the hub is asked whether it holds that one event when it comes again.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::json;
use tidings_client::{
    Builder, Draft, Event, EventId, EventType, Gap, IdempotencyKey, PublishError, Publisher, Signal,
};

use crate::config::{RelayConfig, Watched};
use crate::follow::Failed;
use crate::sentence;
use crate::signals::Signals;
use crate::terminal;

/// How long hubs remember an idempotency key at least.
const KEYS_HELD: Duration = Duration::from_secs(600);

/// Relays until the upstream says not to come back, or a signal ends it.
pub(crate) fn run(config: RelayConfig) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(relay(config))
}

async fn relay(config: RelayConfig) -> Result<(), Box<dyn Error>> {
    let RelayConfig { mut follower, publisher, upstream, to, copy, watched } = config;
    let mut signals = Signals::new()?;
    let doubt = follower.publishing().map(|key| Doubt { key: key.to_owned(), copy });
    let mut desk = Desk { publisher, names: Names::new(upstream, to), doubt, watched };
    loop {
        let signal = tokio::select! {
            signal = follower.next() => signal?,
            _ = signals.next() => return Ok(follower.flush()?),
        };
        let Some(signal) = signal else { return Ok(()) };
        if let Some(post) = desk.deal_with(&signal) {
            if let Some(name) = &post.name {
                follower.announce(name.as_str())?;
            }
            // An end in the middle of this leaves the place where it is: the event comes again.
            tokio::select! {
                done = desk.publish(post) => done?,
                _ = signals.next() => return Ok(follower.flush()?),
            }
            follower.stand(&signal);
        }
        if let Signal::Closed(closed) = signal {
            follower.flush()?;
            return match closed.is_failure() {
                true => Err(Failed(closed).into()),
                false => Ok(()),
            };
        }
    }
}

/// Where the upstream's signals are dealt with.
struct Desk {
    publisher: Publisher,
    names: Names,
    doubt: Option<Doubt>,
    watched: Watched,
}

/// An event to publish.
struct Post {
    draft: Draft,
    id: Option<EventId>,
    /// What it is called whenever it comes; `None` if that cannot be told.
    name: Option<IdempotencyKey>,
}

/// What the run before may have published last, or not.
struct Doubt {
    key: String,
    /// The stream it would be in.
    copy: Builder,
}

impl Desk {
    /// Tells people what `signal` tells, and makes what is to be published of it, if anything.
    fn deal_with(&mut self, signal: &Signal) -> Option<Post> {
        match signal {
            Signal::Open(open) => {
                self.names.forget();
                self.mention(&terminal::open(open));
                None
            }
            Signal::Retrying(retrying) => {
                self.mention(&terminal::retrying(retrying));
                None
            }
            Signal::Event(event) => Some(self.names.post(event)),
            Signal::Gap(gap) => {
                tell(&terminal::gap(gap));
                Some(self.names.post_gap(gap))
            }
            _ => None,
        }
    }

    /// Publishes until the hub has answered. An ID that it does not take is left out.
    async fn publish(&mut self, post: Post) -> Result<(), Refused> {
        if self.was_published(&post).await {
            return Ok(());
        }
        let Post { draft, mut id, name } = post;
        let key = name.unwrap_or_else(IdempotencyKey::random);
        let mut unsettled_since = None;
        loop {
            let named = match &id {
                Some(id) => draft.clone().with_id(id.clone()),
                None => draft.clone(),
            };
            match self.publisher.publish_with_key(named, &key).await {
                Ok(_) => return Ok(()),
                // Hubs are stricter than streams: what refused the event may be its ID.
                Err(PublishError::Refused(refused))
                    if refused.status.as_u16() == 400 && id.is_some() =>
                {
                    id = None;
                }
                Err(error @ PublishError::Refused(_)) => return Err(Refused(error)),
                Err(error) => {
                    tell(&format!("{}; trying on", sentence(&error)));
                    if matches!(error, PublishError::Unsettled { .. }) {
                        warn_of_a_double(*unsettled_since.get_or_insert_with(Instant::now));
                    }
                }
            }
        }
    }

    /// Whether this is what the run before was publishing, and the hub holds it.
    async fn was_published(&mut self, post: &Post) -> bool {
        let (Some(name), Some(id)) = (&post.name, &post.id) else { return false };
        match self.doubt.take_if(|doubt| doubt.key == name.as_str()) {
            Some(doubt) => holds(doubt.copy, id).await,
            None => false,
        }
    }

    fn mention(&self, what: &str) {
        if self.watched == Watched::Yes {
            tell(what);
        }
    }
}

/// Whether a hub holds the event with this ID in the topic of `copy`: then a stream resumed from it
/// starts after it, and says so in its head. Where the hub does not answer that, the key decides.
async fn holds(copy: Builder, id: &EventId) -> bool {
    // Asked for that, a hub answers for everything it holds; and no event of its has this ID.
    if id.as_str() == "earliest" {
        return false;
    }
    let Ok(mut copy) = copy.last_event_id(id.as_str()).open() else { return false };
    while let Some(signal) = copy.next().await {
        if let Signal::Open(open) = signal {
            let place = open.headers.get("last-event-id");
            return place.is_some_and(|place| place.as_bytes() == id.as_str().as_bytes());
        }
    }
    false
}

fn tell(what: &str) {
    eprintln!("tidings: {}", terminal::harmless(what));
}

/// Says what repeating an event can do once the hub may have forgotten its key.
fn warn_of_a_double(unsettled_since: Instant) {
    if unsettled_since.elapsed() >= KEYS_HELD {
        tell("the hub has not settled this event for ten minutes: it may be published twice");
    }
}

/// The hub does not take an event, and would not take it later.
#[derive(Debug)]
struct Refused(PublishError);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event could not be relayed, and the place is kept before it: {}", self.0)
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Gives each event of the upstream a name that it has again when it comes again: the last event ID
/// as of it, and how many events without an ID of their own came since that.
struct Names {
    upstream: String,
    to: String,
    place: String,
    since: u64,
}

impl Names {
    fn new(upstream: String, to: String) -> Self {
        Self { upstream, to, place: String::new(), since: 0 }
    }

    /// Starts to count anew, as what follows the place comes anew.
    fn forget(&mut self) {
        self.place.clear();
        self.since = 0;
    }

    fn post(&mut self, event: &Event) -> Post {
        // A type that was read may hold a NUL, which none that is written can.
        let event_type = event.event_type().replace('\0', "\u{FFFD}");
        let draft = Draft::new(&self.to, event.data());
        let draft = match EventType::new(event_type) {
            Ok(event_type) => draft.with_type(event_type),
            Err(_) => draft,
        };
        let place = event.last_event_id();
        if event.id().is_some() || place != self.place {
            place.clone_into(&mut self.place);
            self.since = 0;
        }
        if event.id().is_none() {
            self.since += 1;
        }
        // An ID that was read has no CR, LF or NUL in it.
        let id = event.id().and_then(|id| EventId::new(id).ok());
        Post { draft, id, name: self.key(event.event_type(), event.data()) }
    }

    /// A gap is told again to whoever resumes from before it, and is an event as well.
    fn post_gap(&mut self, gap: &Gap) -> Post {
        let data = json!({ "asked": gap.asked, "oldest": gap.oldest }).to_string();
        self.place.clone_from(&gap.last_event_id);
        self.since = 0;
        let name = self.key("gap", &data);
        let event_type = EventType::new("gap").expect("it holds no CR, LF or NUL");
        let draft = Draft::new(&self.to, data).with_type(event_type);
        Post { draft, id: EventId::new(gap.last_event_id.as_str()).ok(), name }
    }

    /// The key of an event at the place. Its text is part of it, so that an upstream that starts
    /// its IDs again, as a counter in memory does, loses nothing by it.
    fn key(&self, event_type: &str, data: &str) -> Option<IdempotencyKey> {
        if self.place.is_empty() {
            // Without an ID there is no telling a repetition from a new event of equal text.
            return None;
        }
        let since = self.since.to_be_bytes();
        let parts: [&[u8]; 7] = [
            b"tidings relay 1",
            self.upstream.as_bytes(),
            self.to.as_bytes(),
            self.place.as_bytes(),
            &since,
            event_type.as_bytes(),
            data.as_bytes(),
        ];
        Some(IdempotencyKey::derived(parts))
    }
}
