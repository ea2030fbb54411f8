//! Drafts: events on their way to being committed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tidings_proto::{Event, EventId};

use crate::cursor::{Cursor, Epoch};
use crate::topic::{InvalidTopic, Topic, is_control_or_format};
use crate::via::Via;

/// Maximum size of an event type: it is a name, which consumers put into variables and tables.
const EVENT_TYPE_BYTES_MAX: usize = 256;

/// Maximum reconnection time of an event. Some clients never reconnect after a larger one: they wait as
/// long as it says, or cannot count so far.
const RETRY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// An event that a publisher asks a hub to commit.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(crate) topics: Topics,
    pub(crate) private: bool,
    pub(crate) event: Event,
    pub(crate) idempotency: Option<IdempotencyKey>,
    pub(crate) via: Option<Via>,
    pub(crate) is_repeat: bool,
    /// Whether it may be committed without the others of its request.
    pub(crate) is_apart: bool,
}

impl Draft {
    /// A public event of a topic, or of several [`Topics`].
    ///
    /// An event with an ID keeps it as its publisher-given ID; one without gets an ID that spells
    /// its place in the hub's history.
    #[must_use]
    pub fn new(topics: impl Into<Topics>, event: Event) -> Self {
        let (topics, idempotency, via) = (topics.into(), None, None);
        let (private, is_repeat, is_apart) = (false, false, false);
        Self { topics, private, event, idempotency, via, is_repeat, is_apart }
    }

    /// Marks the event as private: for subscribers whose grant names its topic.
    #[must_use]
    pub fn with_private(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// Makes a repetition of this draft a duplicate: it is answered like the first and publishes nothing.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency = Some(key);
        self
    }

    /// Names the hops that the event came by, if it was read from another hub.
    #[must_use]
    pub fn with_via(mut self, via: Via) -> Self {
        self.via = Some(via);
        self
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The topics, the canonical one first.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Returns whether only subscribers whose grant names its topic are sent the event.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The key by which a repetition is recognized.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.idempotency.as_ref()
    }

    /// Returns whether it was published before: a journal that does not know its idempotency key commits
    /// [nothing](crate::journal::NotCommitted::Unseen).
    #[must_use]
    pub fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    /// The hops that the event came by, if it was read from another hub.
    #[must_use]
    pub fn via(&self) -> Option<&Via> {
        self.via.as_ref()
    }

    /// Checks the event by a hub's rules.
    pub(crate) fn check(&self, bytes_max: usize, epoch: Epoch) -> Result<(), Refused> {
        let event = &self.event;
        if event.event_type().as_str().len() > EVENT_TYPE_BYTES_MAX {
            return Err(Refused::EventType { bytes: event.event_type().as_str().len() });
        }
        if event.retry().is_some_and(|retry| retry > RETRY_MAX) {
            return Err(Refused::Retry);
        }
        let id_bytes = event.id().map_or(0, |id| id.as_str().len());
        let bytes = event.data().len() + event.event_type().as_str().len() + id_bytes;
        if bytes > bytes_max {
            return Err(Refused::TooLarge { bytes, bytes_max });
        }
        if self.via.as_ref().is_some_and(|via| via.has(epoch, self.topics.as_slice())) {
            return Err(Refused::RelayLoop);
        }
        match event.id() {
            Some(id) => check_id(id, epoch).map_err(Refused::Id),
            None => Ok(()),
        }
    }
}

/// The topics of one event: at least one, each once; the first is the canonical one.
#[derive(Debug, PartialEq, Eq)]
pub struct Topics(SmallVec<[Topic; 1]>);

impl Clone for Topics {
    fn clone(&self) -> Self {
        match self.as_slice() {
            // A list is cloned topic by topic; nearly all events have one.
            [topic] => Self::from(topic.clone()),
            _ => Self(self.0.clone()),
        }
    }
}

impl Topics {
    /// The most topics one event may have: each costs a place in a list and a look-up.
    pub const MAX: usize = 100;

    /// Several topics, repeated ones left out; `None` for none and for more than [`Topics::MAX`].
    #[must_use]
    pub fn new(topics: impl IntoIterator<Item = Topic>) -> Option<Self> {
        let mut distinct: SmallVec<[Topic; 1]> = SmallVec::new();
        for topic in topics {
            if !distinct.contains(&topic) {
                if distinct.len() == Self::MAX {
                    return None;
                }
                distinct.push(topic);
            }
        }
        if distinct.is_empty() { None } else { Some(Self(distinct)) }
    }

    /// The topics in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Topic] {
        &self.0
    }
}

impl From<Topic> for Topics {
    fn from(topic: Topic) -> Self {
        Self(SmallVec::from_buf([topic]))
    }
}

/// A key that a publisher repeats so that a second try publishes nothing: a text, and the index of
/// the event in its request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    key: Arc<str>,
    index: u64,
}

impl IdempotencyKey {
    /// The most bytes a key may have: four UUIDs' worth.
    pub const BYTES_MAX: usize = 256;

    /// The key of a request's first event.
    ///
    /// # Errors
    ///
    /// [`InvalidIdempotencyKey`] if the key is empty, longer than [`IdempotencyKey::BYTES_MAX`], or
    /// has control or format characters.
    pub fn new(key: &str) -> Result<Self, InvalidIdempotencyKey> {
        let legal = !key.is_empty()
            && key.len() <= Self::BYTES_MAX
            && !key.chars().any(is_control_or_format);
        if legal { Ok(Self { key: key.into(), index: 0 }) } else { Err(InvalidIdempotencyKey) }
    }

    /// The text, which the events of a request share.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.key
    }

    /// The index of the event in its request.
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    /// The key of the event at `index` in the same request.
    #[must_use]
    pub fn at(&self, index: u64) -> Self {
        Self { key: Arc::clone(&self.key), index }
    }
}

/// The text cannot be an idempotency key: it is empty, too long, or has invisible characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidIdempotencyKey;

impl fmt::Display for InvalidIdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an idempotency key has 1 to {} bytes and no control or format characters",
            IdempotencyKey::BYTES_MAX
        )
    }
}

impl std::error::Error for InvalidIdempotencyKey {}

/// Why a hub refuses an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The key of an [emitter](crate::Emitters) makes no topic.
    Topic(InvalidTopic),
    /// Its ID is not one that a hub takes.
    Id(RefusedId),
    /// It is larger than [`HubConfig::event_bytes_max`](crate::HubConfig::event_bytes_max).
    TooLarge {
        /// Its size: type, ID and data together.
        bytes: usize,
        /// The largest size allowed.
        bytes_max: usize,
    },
    /// It has come back to a topic that it was read from. Pass over it.
    RelayLoop,
    /// Its event type has more than 256 bytes.
    EventType {
        /// The size of its event type.
        bytes: usize,
    },
    /// Its reconnection time is longer than a day.
    Retry,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The sentence of the part that breaks its rule.
            Self::Topic(invalid) => invalid.fmt(f),
            Self::Id(refused) => refused.fmt(f),
            Self::TooLarge { bytes, bytes_max } => {
                write!(f, "an event has at most {bytes_max} bytes, this one has {bytes}")
            }
            Self::RelayLoop => f.write_str(
                "this event has come back to a topic that it was relayed from: relays form a loop",
            ),
            Self::EventType { bytes } => {
                write!(
                    f,
                    "an event type has at most {EVENT_TYPE_BYTES_MAX} bytes, this one has {bytes}"
                )
            }
            Self::Retry => {
                let millis = RETRY_MAX.as_millis();
                write!(f, "a reconnection time is at most a day, {millis} milliseconds")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// Why a hub refuses a publisher-given event ID that is otherwise legal to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedId {
    /// An empty ID would make its readers lose their place.
    Empty,
    /// More than 128 bytes: browsers and proxies limit headers, and an ID comes back in one.
    TooLong,
    /// A control or format character, or a blank at either end: none of these survives a header.
    Character,
    /// `earliest` asks for everything held, and texts that start with `#` are kept for later.
    Reserved,
    /// It spells a cursor of the hub's own history, and would point at another event.
    OwnCursor,
}

impl fmt::Display for RefusedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an event ID has at least one character",
            Self::TooLong => "an event ID has at most 128 bytes",
            Self::Character => {
                "an event ID has no control or format characters and no blank at either end"
            }
            Self::Reserved => "an event ID is neither 'earliest' nor starts with '#'",
            Self::OwnCursor => "this event ID spells a place in the hub's own history",
        })
    }
}

impl std::error::Error for RefusedId {}

/// Checks a publisher-given ID by the hub's stricter rule: it comes back in a header and must not be
/// mistaken for something else.
fn check_id(id: &EventId, epoch: Epoch) -> Result<(), RefusedId> {
    const BYTES_MAX: usize = 128;
    let id = id.as_str();
    if id.is_empty() {
        return Err(RefusedId::Empty);
    }
    if id.len() > BYTES_MAX {
        return Err(RefusedId::TooLong);
    }
    if id.chars().any(is_control_or_format) || id.trim() != id {
        return Err(RefusedId::Character);
    }
    if id == crate::start::EARLIEST || id.starts_with('#') {
        return Err(RefusedId::Reserved);
    }
    if Cursor::parse(id).is_some_and(|cursor| cursor.epoch == epoch) {
        return Err(RefusedId::OwnCursor);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Sequence;

    #[test]
    fn an_id_must_survive_a_header_and_mean_one_thing() {
        let epoch = Epoch::random();
        let check = |id: &str| check_id(&EventId::new(id).unwrap(), epoch);
        let own = Cursor { epoch, sequence: Sequence::new(7).unwrap() };
        let other = Cursor { epoch: Epoch::new(epoch.get() ^ 2).unwrap(), ..own };

        assert_eq!(check(""), Err(RefusedId::Empty));
        assert_eq!(check(&"é".repeat(64)), Ok(()));
        assert_eq!(check(&"x".repeat(129)), Err(RefusedId::TooLong));
        for id in [" a", "a ", "a\tb", "a\u{200b}b", "\u{a0}a"] {
            assert_eq!(check(id), Err(RefusedId::Character), "{id:?}");
        }
        for id in ["earliest", "#7"] {
            assert_eq!(check(id), Err(RefusedId::Reserved), "{id:?}");
        }
        assert_eq!(check(&own.to_string()), Err(RefusedId::OwnCursor));
        assert_eq!(check(&other.to_string()), Ok(()));
        for id in ["1", "a b", "…", "Earliest", "urn:uuid:1"] {
            assert_eq!(check(id), Ok(()), "{id:?}");
        }
    }

    #[test]
    fn an_event_type_has_at_most_256_bytes_and_a_reconnection_time_at_most_a_day() {
        let check = |event: Event| {
            Draft::new(Topic::from_static("a"), event).check(usize::MAX, Epoch::random())
        };
        let typed = |bytes: usize| {
            Event::new("x").with_type(tidings_proto::EventType::new("t".repeat(bytes)).unwrap())
        };
        assert_eq!(check(typed(256)), Ok(()));
        assert_eq!(check(typed(257)), Err(Refused::EventType { bytes: 257 }));
        let day = Duration::from_secs(86_400);
        assert_eq!(check(Event::new("x").with_retry(day)), Ok(()));
        for retry in [day + Duration::from_millis(1), Duration::from_millis(1 << 63)] {
            assert_eq!(check(Event::new("x").with_retry(retry)), Err(Refused::Retry));
        }
    }

    #[test]
    fn topics_are_distinct_at_least_one_and_at_most_100() {
        let topic = |n: usize| Topic::new(n.to_string()).unwrap();
        assert_eq!(Topics::new([]), None);
        assert_eq!(Topics::new([topic(1), topic(2), topic(1)]).unwrap().as_slice().len(), 2);
        assert!(Topics::new((0..100).map(topic)).is_some());
        assert_eq!(Topics::new((0..101).map(topic)), None);
    }
}
