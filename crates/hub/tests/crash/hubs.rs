//! Hubs on journals, and requests to the streams of their topics.

use tidings_hub::journal::DiskJournal;
use tidings_hub::{
    Append, Draft, Event, Hub, HubBuilder, Producer, PublishError, StreamInfo, Topic, TopicFilter,
};

/// Opens a hub on a journal, which it follows while something is done with it.
pub(crate) fn with_followed<T>(
    builder: HubBuilder,
    journal: DiskJournal,
    act: impl AsyncFnOnce(&Hub) -> T,
) -> T {
    smol::block_on(async {
        let hub = builder.open(Box::new(journal)).await.unwrap();
        let run = async {
            hub.run().await.unwrap();
            unreachable!("a hub is followed until it is dropped")
        };
        smol::future::or(act(&hub), run).await
    })
}

/// A request of the producer "p".
pub(crate) fn request(epoch: u64, seq: u64) -> Append {
    Append { producer: Producer::new("p", epoch, seq), ..Append::default() }
}

/// Publishes an event to the stream of a topic.
pub(crate) async fn append(
    hub: &Hub,
    topic: &Topic,
    request: Append,
    data: &str,
) -> Result<(), PublishError> {
    let draft = Draft::new(topic.clone(), Event::new(data));
    hub.append(topic.clone(), &request, vec![draft]).await.map(drop)
}

/// The stream of a topic.
pub(crate) fn stream(hub: &Hub, topic: &Topic) -> StreamInfo {
    hub.streams(&TopicFilter::from(topic.clone())).pop().unwrap()
}
