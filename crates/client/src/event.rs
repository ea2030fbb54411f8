//! Received events, their JSON, and the hub's gap events.

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

    /// The type; `message` if the event has no other.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.buf.event_type()
    }

    /// The data, its lines joined by LF.
    #[must_use]
    pub fn data(&self) -> &str {
        self.buf.data()
    }

    /// Returns the data without copying it.
    #[must_use]
    pub fn into_data(self) -> String {
        self.buf.into_data().into_string()
    }

    /// The event's own ID, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.buf.id()
    }

    /// The last event ID as of this event: its own ID, or the ID of the latest earlier event that
    /// had one, even on an earlier connection. Empty if there was none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.buf.last_event_id()
    }

    /// The origin of the URL that the stream came from, after all redirects: scheme, host and
    /// port, as in `https://example.org`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Deserializes the data from JSON.
    ///
    /// # Errors
    ///
    /// [`JsonError`] names the path in the document at which deserializing failed.
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
        // `from_str` would also report text after the document.
        document.end().map_err(|source| JsonError {
            path: ".".to_owned(),
            last_event_id: self.last_event_id().to_owned(),
            source,
        })?;
        Ok(value)
    }
}

/// An event's data is not the expected JSON.
///
/// The event has been consumed: the caller may go on to the next one.
#[derive(Debug)]
pub struct JsonError {
    path: String,
    last_event_id: String,
    source: serde_json::Error,
}

impl JsonError {
    /// The path at which the data does not fit, as in `items[3].price`; `.` for the document.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last event ID as of the event, which helps to find the event again.
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
/// A Tidings hub reports a gap in the stream, as an event of type `gap`. The stream after it is
/// complete again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// The last event ID that the request sent, cut to 256 bytes by the hub, if it sent one.
    pub asked: Option<String>,
    /// The ID of the oldest event that the hub still holds, if any.
    pub oldest: Option<String>,
    /// The last event ID as of the gap.
    pub last_event_id: String,
}

impl Gap {
    /// Reads a `gap` event. Another server may use that type for something else, so an event
    /// without the hub's JSON is an ordinary event.
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
    // Both keys are required, though either may be null: this tells the hub's event from others.
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
