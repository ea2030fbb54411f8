//! An event as it was received, and the two things it can turn out to be.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidings_proto::{EventBuf, EventRef};

/// A received event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    buf: EventBuf,
    origin: Arc<str>,
}

impl Event {
    pub(crate) fn new(event: EventRef<'_>, origin: &Arc<str>) -> Self {
        Self { buf: event.to_buf(), origin: Arc::clone(origin) }
    }

    /// The type; `message` if the event named none.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.buf.event_type()
    }

    /// The data, its lines joined by LF.
    #[must_use]
    pub fn data(&self) -> &str {
        self.buf.data()
    }

    /// Takes the data out, without a copy.
    #[must_use]
    pub fn into_data(self) -> String {
        self.buf.into_data().into_string()
    }

    /// The ID this event itself came with, if it did.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.buf.id()
    }

    /// The last event ID as of this event: its own, or that of the latest before it that had one,
    /// also on an earlier connection. Empty if there was none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.buf.last_event_id()
    }

    /// The origin of the URL that the stream came from in the end, redirects followed: scheme,
    /// host and port, as in `https://example.org`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Reads the data as JSON.
    ///
    /// # Errors
    ///
    /// [`JsonError`] names the path in the document at which reading failed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tidings_client::{Event, JsonError};
    /// #[derive(serde::Deserialize)]
    /// struct Quote { symbol: String, cents: u64 }
    ///
    /// fn cents(event: &Event) -> Result<u64, JsonError> {
    ///     Ok(event.json::<Quote>()?.cents)
    /// }
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        let mut document = serde_json::Deserializer::from_str(self.data());
        let value = serde_path_to_error::deserialize(&mut document).map_err(|error| JsonError {
            path: error.path().to_string(),
            last_event_id: self.last_event_id().to_owned(),
            source: error.into_inner(),
        })?;
        // Text after the document is a mistake that `from_str` would report too.
        document.end().map_err(|source| JsonError {
            path: ".".to_owned(),
            last_event_id: self.last_event_id().to_owned(),
            source,
        })?;
        Ok(value)
    }
}

/// An event's data is not the JSON that was expected.
///
/// The event is read all the same: the next one can be asked for.
#[derive(Debug)]
pub struct JsonError {
    path: String,
    last_event_id: String,
    source: serde_json::Error,
}

impl JsonError {
    /// Where in the document it failed, as in `items[3].price`; `.` for the document itself.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last event ID as of the event, to find it again.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the event's data does not fit at {:?}", self.path)
    }
}

impl Error for JsonError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Events that this reader should have had and the hub no longer holds.
///
/// A Tidings hub tells it in the stream, as an event of type `gap`. What follows in the stream is
/// whole again from there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// The place that was asked for, cut to 256 bytes by the hub. `None` if none was.
    pub asked: Option<String>,
    /// The ID of the oldest event that the hub still holds, if it holds one.
    pub oldest: Option<String>,
    /// The place now.
    pub last_event_id: String,
}

impl Gap {
    /// Reads a `gap` event. Another server may mean something else by that type: an event without
    /// the hub's JSON is an event like any other.
    pub(crate) fn of(event: EventRef<'_>) -> Option<Self> {
        if event.event_type != "gap" {
            return None;
        }
        let told: GapData = serde_json::from_str(event.data).ok()?;
        let GapData { asked, oldest } = told;
        Some(Self { asked, oldest, last_event_id: event.last_event_id.to_owned() })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GapData {
    // Both keys must be there, though either may be null: that tells the hub's event from others.
    #[serde(deserialize_with = "Option::deserialize")]
    asked: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    oldest: Option<String>,
}

#[cfg(test)]
mod tests {
    use tidings_proto::{Decoder, Item};

    use super::*;

    fn read(text: &str) -> (Option<Gap>, Event) {
        let mut decoder = Decoder::new();
        match decoder.decode(&mut text.as_bytes()).expect("within limits") {
            Some(Item::Event(event)) => {
                (Gap::of(event), Event::new(event, &Arc::from("http://a.example")))
            }
            other => panic!("{other:?} is no event"),
        }
    }

    #[test]
    fn json_that_does_not_fit_names_the_path() {
        #[derive(Debug, Deserialize)]
        struct Order {
            #[expect(dead_code, reason = "only read")]
            items: Vec<Item>,
        }
        #[derive(Debug, Deserialize)]
        struct Item {
            #[expect(dead_code, reason = "only read")]
            price: u32,
        }
        let (_, event) = read("id: 7\ndata: {\"items\":[{\"price\":1},{\"price\":\"two\"}]}\n\n");
        let error = event.json::<Order>().expect_err("a string is no price");
        assert_eq!((error.path(), error.last_event_id()), ("items[1].price", "7"));
        assert!(error.source().is_some_and(|source| source.to_string().contains("\"two\"")));
    }

    #[test]
    fn text_after_the_document_is_an_error() {
        let (_, event) = read("data: 1 2\n\n");
        assert_eq!(event.json::<u32>().expect_err("two documents").path(), ".");
        let (_, event) = read("data: 12\n\n");
        assert_eq!(event.json::<u32>().expect("one document"), 12);
    }

    #[test]
    fn the_hubs_gap_is_told_from_another_servers_gap_event() {
        let gap = |text| read(text).0;
        let told = gap("event: gap\nid: b\ndata: {\"asked\":\"a\",\"oldest\":\"b\"}\n\n");
        let told = told.expect("the hub's own");
        assert_eq!((told.asked.as_deref(), told.oldest.as_deref()), (Some("a"), Some("b")));
        assert_eq!(told.last_event_id, "b");
        assert!(gap("event: gap\ndata: {\"asked\":\"a\",\"oldest\":null}\n\n").is_some());
        assert_eq!(gap("event: gap\ndata: {\"asked\":\"a\"}\n\n"), None);
        assert_eq!(gap("event: gap\ndata: {\"asked\":\"a\",\"oldest\":\"b\",\"x\":1}\n\n"), None);
        assert_eq!(gap("event: gap\ndata: mind it\n\n"), None);
        assert_eq!(gap("data: {\"asked\":\"a\",\"oldest\":\"b\"}\n\n"), None);
    }
}
