//! Sending: a group after the other, each until the stream has it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use tidings_hub::Now;
use tidings_hub::journal::NotCommitted;
use tidings_hub::journal::shared::{Group, SharedLog};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::api::{Api, Failure, NO_RESOURCES, NO_STORAGE, STORE_FAILED, TOO_LARGE};
use super::status::Status;
use super::stream::Stream;

/// How long an acknowledgement is waited for before the group is sent again.
const ACKNOWLEDGEMENT_MAX: Duration = Duration::from_secs(1);
/// Time between two looks at a store that is away.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// How long a group that the stream cannot have is tried again: a leader may be about to be elected.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Sends groups for as long as the journal is open.
pub(super) async fn send((log, api, stream, status): (SharedLog, Api, Stream, Arc<Status>)) {
    loop {
        // While there is no connection, submissions wait where they can still be refused.
        while !api.is_connected() {
            sleep(RETRY_EVERY).await;
        }
        let group = poll_fn(|cx| log.poll_group(cx, Now::read().instant)).await;
        deliver(&log, &api, &stream, (group, &status)).await;
    }
}

/// Sends a group until it is known what became of it, or it is given up.
async fn deliver(log: &SharedLog, api: &Api, stream: &Stream, (group, status): (Group, &Status)) {
    let began = Instant::now();
    let Group { number, id, message, .. } = group;
    let message = Bytes::from(message);
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id.as_str());
    headers.insert("Nats-Expected-Stream", stream.name.as_str());
    // True once a try may have reached the stream: it is then for the follower to say.
    let mut may_be_there = false;
    while log.is_under_way(number) {
        status.sent.fetch_add(1, Ordering::Relaxed);
        let sent = (headers.clone(), message.clone());
        let failure = match api.publish(stream.subject.clone(), sent, ACKNOWLEDGEMENT_MAX).await {
            Ok(acknowledged) => return log.acknowledged(number, acknowledged.seq),
            Err(failure) => failure,
        };
        may_be_there |= matches!(failure, Failure::Silent | Failure::Unclear(_));
        if !may_be_there {
            let why = refusal(&failure);
            let is_final = !matches!(why, NotCommitted::Unreachable);
            if is_final || began.elapsed() >= WAIT_MAX {
                warn!(reason = &*failure.text(), "stream does not take events");
                return log.refused(number, why);
            }
        }
        sleep(RETRY_EVERY).await;
    }
}

fn refusal(failure: &Failure) -> NotCommitted {
    match failure {
        Failure::Refused { code: TOO_LARGE, .. } => NotCommitted::TooLarge,
        Failure::Refused { code: NO_RESOURCES | NO_STORAGE | STORE_FAILED, .. } => {
            NotCommitted::Full
        }
        _ => NotCommitted::Unreachable,
    }
}
