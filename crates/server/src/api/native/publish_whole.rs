//! Publishes many events, all or none, and lets others have their turn.

use tidings_hub::journal::Durability;
use tidings_hub::{Draft, Hub, PublishError, Published};
use tokio::task::yield_now;

/// Events, and bytes of their data, that are published at once. Other publishers wait for so many.
const PORTION_EVENTS: usize = 256;
const PORTION_BYTES: usize = 64 * 1024;

/// Publishes events in order, or none of them if one is refused.
///
/// A journal that keeps events, or that other hubs read, commits them at once, so that a crash leaves all or none. In
/// memory they are checked first; then nothing can be refused, and they are committed in portions, between
/// which others publish.
pub(super) async fn publish_whole(
    hub: &Hub,
    drafts: Vec<Draft>,
) -> Result<Vec<Published>, PublishError> {
    let is_in_memory = hub.durability() == Durability::Process && !hub.is_shared();
    if drafts.len() <= PORTION_EVENTS || !is_in_memory {
        return hub.publish_all(drafts).await;
    }
    for (index, draft) in drafts.iter().enumerate() {
        hub.check(draft).map_err(|reason| PublishError::Refused { index, reason })?;
        if index % PORTION_EVENTS == 0 {
            yield_now().await;
        }
    }
    // A task of its own, which ends by itself within a moment: a publisher that hangs up meanwhile
    // leaves all of its events.
    let publishing = tokio::spawn(publish_in_portions(hub.clone(), drafts));
    publishing.await.unwrap_or(Err(PublishError::Unknown))
}

async fn publish_in_portions(hub: Hub, drafts: Vec<Draft>) -> Result<Vec<Published>, PublishError> {
    let mut published = Vec::with_capacity(drafts.len());
    let mut drafts = drafts.into_iter().peekable();
    while drafts.peek().is_some() {
        let (mut portion, mut bytes) = (Vec::new(), 0);
        while portion.len() < PORTION_EVENTS
            && bytes < PORTION_BYTES
            && let Some(draft) = drafts.next()
        {
            bytes += draft.event().data().len();
            portion.push(draft);
        }
        published.extend(hub.publish_all(portion).await?);
        yield_now().await;
    }
    Ok(published)
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use tidings_hub::{Event, Start, Topic};

    use super::*;

    const TOPIC: Topic = Topic::from_static("a");

    fn drafts(events: usize, bytes: usize) -> Vec<Draft> {
        let draft = |n| Draft::new(TOPIC, Event::new(format!("{n:>bytes$}")));
        (0..events).map(draft).collect()
    }

    async fn data(hub: &Hub) -> Vec<String> {
        let page = hub.page(TOPIC, Start::Oldest, usize::MAX).await;
        page.events.iter().map(|held| held.event.data().trim().to_owned()).collect()
    }

    /// Publishes, and counts the events that others publish meanwhile, one in each of their turns.
    async fn turns(events: usize, bytes: usize) -> usize {
        let hub = Hub::default();
        let publishing = publish_whole(&hub, drafts(events, bytes));
        let others = async {
            loop {
                drop(hub.publish(Draft::new(Topic::from_static("other"), Event::new("x"))));
                yield_now().await;
            }
        };
        let published = tokio::select! {
            published = publishing => published.unwrap(),
            () = others => unreachable!("they go on"),
        };
        assert_eq!(published.len(), events);
        let sequences = published.iter().map(|published| published.sequence);
        assert!(sequences.is_sorted());
        let numbers = (0..events).map(|n| n.to_string());
        assert_eq!(data(&hub).await, numbers.collect::<Vec<_>>());
        hub.stats().published as usize - events
    }

    /// The largest array was committed at once, and all publishers waited for it.
    #[tokio::test]
    async fn others_publish_between_the_portions_of_a_large_array() {
        let few = turns(PORTION_EVENTS, 1).await;
        assert!(few <= 1, "{few}");
        let many = turns(100 * PORTION_EVENTS, 1).await;
        assert!(many >= 100, "{many}");
        let large = turns(2 * PORTION_EVENTS, 10_000).await;
        assert!(large >= 2 * PORTION_EVENTS * 10_000 / PORTION_BYTES - 10, "{large}");
    }

    #[tokio::test]
    async fn one_that_is_refused_leaves_nothing() {
        let hub = Hub::default();
        let mut drafts = drafts(10 * PORTION_EVENTS, 1);
        let too_large = "x".repeat(hub.config().event_bytes_max + 1);
        drafts.push(Draft::new(TOPIC, Event::new(too_large)));
        let last = drafts.len() - 1;
        let refused = publish_whole(&hub, drafts).await.unwrap_err();
        assert!(matches!(refused, PublishError::Refused { index, .. } if index == last));
        assert_eq!(hub.stats().published, 0);
    }

    #[tokio::test]
    async fn a_publisher_that_leaves_in_the_middle_leaves_all_events() {
        let hub = Hub::default();
        let events = 10 * PORTION_EVENTS;
        {
            let mut publishing = pin!(publish_whole(&hub, drafts(events, 1)));
            while hub.stats().published == 0 {
                let polled = publishing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending());
                yield_now().await;
            }
        }
        while hub.stats().published < events as u64 {
            yield_now().await;
        }
        assert_eq!(data(&hub).await.len(), events);
    }
}
