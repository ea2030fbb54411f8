//! An ephemeral consumer: its configuration, and its messages.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_core::Stream as _;
use serde_json::{Value, json};

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
