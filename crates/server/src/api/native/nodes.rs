//! Lists the hubs of a cluster.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use crate::context::Context;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{JSON, no_store};
use crate::journal::ServedJournal;
use crate::node::NodeState;
use crate::phase::Phase;

/// The state of this hub.
pub(crate) fn node_state(context: &Context) -> NodeState {
    let journal = context.journal.as_ref();
    let lag = journal.and_then(ServedJournal::lag).unwrap_or_default();
    let state = match context.phase() {
        _ if context.is_opening => "opening",
        Phase::Draining | Phase::Closing => "draining",
        Phase::Serving if journal.is_some_and(ServedJournal::is_behind) => "behind",
        Phase::Serving => "ready",
    };
    NodeState {
        name: context.config.node.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        addresses: context.addresses.iter().map(ToString::to_string).collect(),
        state: state.to_owned(),
        epoch: context.hub.epoch().to_string(),
        last_event_id: context.hub.newest().to_string(),
        read: journal.and_then(ServedJournal::lag).map(|lag| lag.read),
        lag_events: lag.events,
        lag_ms: u64::try_from(lag.time.as_millis()).unwrap_or(u64::MAX),
        subscribers: context.hub.stats().subscribers,
    }
}

/// `GET /nodes`: lists the hubs, this one first.
pub(crate) fn list(context: &Context, request: &Request<'_>) -> Result<Response<Bytes>, Problem> {
    request.caller.access().may_manage_all()?;
    request.query(&[])?;
    context.tick();
    let mut own = json!(node_state(context));
    own["self"] = Value::Bool(true);
    let nodes: Vec<_> = std::iter::once(own).chain(peers(context)).collect();
    Ok(no_store(&JSON, json!({ "nodes": nodes }).to_string()))
}

#[cfg(feature = "nats")]
fn peers(context: &Context) -> impl Iterator<Item = Value> {
    let peers = context.cluster.as_ref().map(|cluster| cluster.peers());
    peers.unwrap_or_default().into_iter().map(peer)
}

#[cfg(not(feature = "nats"))]
fn peers(_: &Context) -> impl Iterator<Item = Value> {
    std::iter::empty()
}

/// Another hub, as it was heard last.
#[cfg(feature = "nats")]
fn peer((mut state, ago): (NodeState, std::time::Duration)) -> Value {
    /// A hub tells how it stands every second.
    const SILENT_AFTER: std::time::Duration = std::time::Duration::from_secs(5);
    if ago >= SILENT_AFTER {
        "silent".clone_into(&mut state.state);
    }
    let mut peer = json!(state);
    peer["heard_ms"] = json!(ago.as_millis() as u64);
    peer
}
