//! An ephemeral consumer: its configuration, its messages, and their places.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_core::Stream as _;
use serde_json::{Value, json};
use tidings_hub::Time;

/// How often a consumer says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a server keeps a consumer that nobody listens to.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// The configuration of an ephemeral consumer.
pub(super) fn consumer(inbox: &str, more: &Value) -> Value {
    let mut config = json!({
        "deliver_subject": inbox,
        "ack_policy": "none",
        "max_deliver": 1,
        "replay_policy": "instant",
        "flow_control": true,
        "idle_heartbeat": HEARTBEAT.as_nanos() as u64,
        "inactive_threshold": FORGOTTEN_AFTER.as_nanos() as u64,
        "mem_storage": true,
        "num_replicas": 1,
    });
    if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
        config.extend(more.clone());
    }
    config
}

/// The next message of a subscription.
pub(super) async fn next(messages: &mut Subscriber) -> Option<Message> {
    let mut messages = Pin::new(messages);
    poll_fn(|cx| messages.as_mut().poll_next(cx)).await
}

/// The place of a message, as the subject of its acknowledgement tells it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream: u64,
    /// Its number among the messages of the consumer.
    pub(super) delivered: u64,
    pub(super) time: Time,
    /// The number of messages that follow.
    pub(super) pending: u64,
}

impl Place {
    /// Parses `$JS.ACK.stream.consumer.deliveries.place.delivered.nanoseconds.pending`; servers may put a
    /// domain and a hash of the account before the stream, and something at the end.
    pub(super) fn parse(reply: &str) -> Option<Self> {
        let rest = reply.strip_prefix("$JS.ACK.")?;
        let tokens: Vec<_> = rest.split('.').collect();
        let numbers = match tokens.len() {
            7 => &tokens[3..],
            9.. => &tokens[5..],
            _ => return None,
        };
        let number = |at: usize| numbers.get(at)?.parse::<u64>().ok();
        Some(Self {
            stream: number(0)?,
            delivered: number(1)?,
            time: Time::from_unix_millis(number(2)? / 1_000_000),
            pending: number(3)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_message_is_read_from_both_forms_of_its_reply() {
        let expected = Place {
            stream: 21,
            delivered: 3,
            time: Time::from_unix_millis(1_700_000_000_123),
            pending: 4,
        };
        let short = "$JS.ACK.TIDINGS.abc.1.21.3.1700000000123456789.4";
        let long = "$JS.ACK._.hash.TIDINGS.abc.1.21.3.1700000000123456789.4.token";
        assert_eq!(Place::parse(short), Some(Place { ..expected }));
        assert_eq!(Place::parse(long).as_ref(), Some(&expected));
        for other in ["", "_INBOX.1", "$JS.ACK.TIDINGS.abc.1.x.3.4.5", "$JS.ACK.a.b.1.2"] {
            assert_eq!(Place::parse(other), None, "{other:?}");
        }
    }
}
