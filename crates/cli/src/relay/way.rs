//! The way of an event from hub to hub, which keeps rings of relays from going round for ever.
//!
//! A hub names itself by the header `Tidings-Epoch` of a stream, and shows the way of each event as
//! a comment `via HOP, HOP, …` before the event's fields. A relay adds the hop that it reads from
//! and publishes with the header `Relay-Via`.

use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tidings_client::Signal;
use tidings_hub::Via;

/// A comma separates hops, and a slash the epoch from the topic.
const HOP: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The way to the events of the upstream.
#[derive(Debug)]
pub(super) struct Way {
    topic: String,
    /// The hop that events are read from, if the upstream is a hub.
    here: Option<String>,
    /// The hops that the next event came by.
    via: Vec<String>,
}

/// The verdict of an event's way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Onward {
    /// To publish it, with this header if there is a way to name.
    Publish(Option<HeaderValue>),
    /// Nothing: it was read here before.
    Loop,
    /// Nothing: it has passed as many relays as hubs let it.
    TooFar,
}

impl Way {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), here: None, via: Vec::new() }
    }

    /// Handles a signal of the upstream that comes before an event.
    pub(super) fn handle(&mut self, signal: &Signal) {
        match signal {
            Signal::Open(open) => self.open(&open.headers),
            Signal::Comment(text) => self.comment(text),
            _ => {}
        }
    }

    fn open(&mut self, headers: &HeaderMap) {
        let epoch = headers.get("tidings-epoch").and_then(|value| value.to_str().ok());
        self.here = epoch.map(|epoch| {
            let (epoch, topic) = (epoch.trim(), self.topic.as_str());
            format!("{}/{}", utf8_percent_encode(epoch, HOP), utf8_percent_encode(topic, HOP))
        });
        // The event that this way belonged to was cut off.
        self.via.clear();
    }

    fn comment(&mut self, text: &str) {
        let Some(hops) = text.strip_prefix("via ") else { return };
        let hops = hops.split(',').map(str::trim).filter(|hop| !hop.is_empty());
        // One more than the limit is enough to know that there are too many.
        self.via = hops.take(Via::HOPS_MAX + 1).map(str::to_owned).collect();
    }

    /// Returns what to do with the next event, which this way belongs to.
    pub(super) fn take(&mut self) -> Onward {
        let mut hops = std::mem::take(&mut self.via);
        if let Some(here) = &self.here {
            if hops.contains(here) {
                return Onward::Loop;
            }
            hops.push(here.clone());
        }
        let via = hops.join(", ");
        if hops.len() > Via::HOPS_MAX || via.len() > Via::BYTES_MAX {
            return Onward::TooFar;
        }
        if hops.is_empty() {
            return Onward::Publish(None);
        }
        // A hop that cannot be in a header is no hub's.
        Onward::Publish(HeaderValue::from_str(&via).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(topic: &str, epoch: Option<&'static str>) -> Way {
        let mut way = Way::new(topic);
        let mut headers = HeaderMap::new();
        headers.extend(epoch.map(|epoch| {
            (http::HeaderName::from_static("tidings-epoch"), HeaderValue::from_static(epoch))
        }));
        way.open(&headers);
        way
    }

    fn publish(via: &'static str) -> Onward {
        Onward::Publish(Some(HeaderValue::from_static(via)))
    }

    #[test]
    fn the_hop_that_is_read_from_follows_those_before_it() {
        let mut way = at("a/b, c", Some("e1"));
        assert_eq!(way.take(), publish("e1/a%2Fb%2C%20c"));
        way.comment("via e8/x, e9/y");
        assert_eq!(way.take(), publish("e8/x, e9/y, e1/a%2Fb%2C%20c"));
        // The way belongs to one event.
        assert_eq!(way.take(), publish("e1/a%2Fb%2C%20c"));
    }

    #[test]
    fn a_way_without_its_event_is_forgotten_with_the_connection() {
        let mut way = at("a", Some("e1"));
        way.comment("via e8/x");
        way.open(&HeaderMap::new());
        assert_eq!(way.take(), Onward::Publish(None));
    }

    #[test]
    fn an_upstream_that_is_no_hub_adds_nothing() {
        let mut way = at("feed", None);
        way.comment(" a comment");
        assert_eq!(way.take(), Onward::Publish(None));
        way.comment("via e8/x");
        assert_eq!(way.take(), publish("e8/x"));
    }

    #[test]
    fn an_event_that_was_here_before_goes_nowhere() {
        let mut way = at("a", Some("e1"));
        way.comment("via e1/a, e2/b");
        assert_eq!(way.take(), Onward::Loop);
        way.comment("via e1/other, e2/b");
        assert_eq!(way.take(), publish("e1/other, e2/b, e1/a"));
    }

    #[test]
    fn sixteen_hops_go_and_seventeen_do_not() {
        let via = |hops: usize| {
            let hops = (0..hops).map(|n| format!("e{}/x", n + 2)).collect::<Vec<_>>();
            format!("via {}", hops.join(", "))
        };
        let mut way = at("a", Some("e1"));
        way.comment(&via(15));
        assert!(matches!(way.take(), Onward::Publish(Some(_))));
        way.comment(&via(16));
        assert_eq!(way.take(), Onward::TooFar);
    }

    /// The relay's own limit was higher than the hub's, which refused what the relay sent.
    #[test]
    fn a_way_is_as_long_as_hubs_let_it_be_and_not_one_byte_longer() {
        let mut way = at("a", Some("e1"));
        let room = Via::BYTES_MAX - "e2/, e1/a".len();
        way.comment(&format!("via e2/{}", "x".repeat(room)));
        let Onward::Publish(Some(via)) = way.take() else { panic!("it has room") };
        let via = via.to_str().expect("hops are ASCII");
        assert_eq!(via.len(), Via::BYTES_MAX);
        assert!(Via::new(via).is_ok());
        way.comment(&format!("via e2/{}", "x".repeat(room + 1)));
        assert_eq!(way.take(), Onward::TooFar);
    }
}
