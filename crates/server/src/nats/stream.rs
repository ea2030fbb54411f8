//! The stream: created or adopted, checked, and its past identified.

use std::time::Duration;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use serde_json::json;
use tidings_hub::Now;
use tidings_hub::journal::shared::{Decoded, SENT_FOR, SharedConfig, SharedLog, end_of, epoch};
use tidings_hub::journal::{Durability, Opened};
use tokio::time::{Instant, sleep, timeout};

use super::aging::Limits;
use super::api::{
    ANSWER_MAX, Api, Failure, STREAM_NOT_FOUND, StreamConfig, StreamInfo, WRONG_LAST_SEQUENCE,
};
use super::config::NatsConfig;
use super::consumer::{Place, consumer, next};

/// A stream as it was opened.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) subject: String,
    /// When it was created: with its name, that identifies it.
    pub(super) created: String,
    pub(super) generation: u64,
    /// The message before the oldest one, and the newest one.
    pub(super) oldest: u64,
    pub(super) tail: u64,
    pub(super) replicas: u64,
    pub(super) is_in_files: bool,
    pub(super) differences: Vec<String>,
    /// The limits by which it drops messages.
    pub(super) limits: Limits,
    /// The largest message that it takes, with its headers.
    message_bytes_max: usize,
}

/// Why a stream was not opened.
pub(super) enum NotOpened {
    /// Trying again may help.
    Away(Box<str>),
    /// Somebody must change something first.
    Refused(Box<str>),
}

impl From<Failure> for NotOpened {
    fn from(failure: Failure) -> Self {
        Self::Away(failure.text())
    }
}

/// The oldest server with everything that is needed: earlier ones lose messages when they are killed.
const SERVER_MIN: (u64, u64, u64) = (2, 10, 23);
/// The server recognizes repeated groups for so long.
const DUPLICATES_FOR: Duration = SENT_FOR.saturating_mul(2);
/// The largest message that is sent, whatever the server takes: it is sent whole, again if need be, and NATS advises
/// against larger ones.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// The room that NATS needs for the headers of a message.
const HEADERS_BYTES: usize = 512;
/// How long the newest message is waited for.
const NEWEST_MAX: Duration = Duration::from_secs(2);
/// Time between two looks for it, where a server did not have it yet.
const NEWEST_EVERY: Duration = Duration::from_millis(100);

/// Opens the stream, and creates it if it is not there. `after` is the generation whose past has changed.
pub(super) async fn open(
    api: &Api,
    config: &NatsConfig,
    after: Option<u64>,
) -> Result<Stream, NotOpened> {
    check_version(&api.client()?.server_info().version)?;
    let info = match api.stream_info(&config.stream).await {
        Err(Failure::Refused { code: STREAM_NOT_FOUND, .. }) => create(api, config).await?,
        info => info?,
    };
    let differences = differences(&info.config, config)?;
    let limits = Limits::of(&info);
    let mut stream = Stream {
        name: config.stream.clone(),
        subject: config.subject(),
        created: info.created,
        generation: 0,
        oldest: info.state.first_seq.saturating_sub(1),
        tail: info.state.last_seq,
        replicas: info.config.num_replicas,
        is_in_files: info.config.storage == "file",
        differences,
        limits,
        message_bytes_max: usize::try_from(info.config.max_msg_size)
            .ok()
            .filter(|max| *max > 0)
            .unwrap_or(usize::MAX),
    };
    let newest = match info.state.messages {
        0 => None,
        _ => newest_generation(api, &stream).await?,
    };
    match newest {
        Some(newest) if after.is_none_or(|after| newest > after) => {
            stream.generation = newest;
            // Its message may have come after the state was asked for, and is among those that were there.
            let info = api.stream_info(&config.stream).await?;
            stream.tail = info.state.last_seq.max(stream.tail);
        }
        // It is empty, or its past has changed: the events of the new one are not those of the old one.
        newest => {
            stream.generation =
                Now::read().time.unix_millis().max(newest.max(after).unwrap_or(0) + 1);
            mark(api, config, &mut stream).await?;
        }
    }
    Ok(stream)
}

/// Creates the stream with limits by which it cannot fill a disk.
async fn create(api: &Api, config: &NatsConfig) -> Result<StreamInfo, NotOpened> {
    let wanted = json!({
        "name": config.stream,
        "subjects": [config.subject()],
        "description": "Events of Tidings hubs",
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "num_replicas": config.replicas,
        "max_bytes": config.stream_bytes_max,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_age": 0,
        "max_consumers": -1,
        "duplicate_window": DUPLICATES_FOR.as_nanos() as u64,
        "deny_delete": true,
    });
    api.create_stream(&config.stream, &wanted).await.map_err(|failure| match failure {
        // Also when another hub has made it meanwhile with other limits: the next try adopts it.
        Failure::Refused { .. } => {
            NotOpened::Away(format!("the stream cannot be created: {}", failure.text()).into())
        }
        other => other.into(),
    })
}

/// Names what is not as it would have been created.
///
/// # Errors
///
/// If hubs cannot work with it.
fn differences(found: &StreamConfig, config: &NatsConfig) -> Result<Vec<String>, NotOpened> {
    let refused = |why: &str| {
        let name = &config.stream;
        Err(NotOpened::Refused(format!("the stream {name} cannot be used: {why}").into()))
    };
    if found.subjects != [config.subject()] {
        return refused(&format!("its subjects are not exactly {}", config.subject()));
    }
    if found.retention != "limits" {
        return refused(
            "its retention is not 'limits', so that messages are not kept for all hubs",
        );
    }
    if found.mirror.is_some() || found.sources.is_some() || found.subject_transform.is_some() {
        return refused("its messages come from other streams, or change on their way");
    }
    if found.sealed {
        return refused("it is sealed");
    }
    if found.duplicate_window < SENT_FOR.as_nanos() as u64 {
        return refused("its duplicate window is less than a minute");
    }
    let mut differences = Vec::new();
    let mut note = |is_different: bool, text: String| {
        if is_different {
            differences.push(text);
        }
    };
    note(
        found.storage != "file",
        "it is in memory: events are lost when its servers end".to_owned(),
    );
    note(
        found.num_replicas != u64::from(config.replicas),
        format!("replicas: {} instead of {}", found.num_replicas, config.replicas),
    );
    note(
        found.discard != "old",
        "when it is full, it refuses new events instead of dropping old ones".to_owned(),
    );
    note(found.max_bytes <= 0, "its size is unlimited".to_owned());
    note(
        found.max_age > 0,
        format!(
            "events are dropped after {} s, and revocations are forgotten if no hub runs for half of that",
            Duration::from_nanos(found.max_age).as_secs()
        ),
    );
    let messages = found.max_msgs.max(found.max_msgs_per_subject);
    note(messages > 0, format!("it has {messages} messages at most, of many events each"));
    note(found.max_msg_size > 0, format!("a message has {} bytes at most", found.max_msg_size));
    Ok(differences)
}

/// The generation of the newest message. `None` if that is no hub's.
async fn newest_generation(api: &Api, stream: &Stream) -> Result<Option<u64>, NotOpened> {
    let began = Instant::now();
    let newest = loop {
        let newest = newest_message(api, stream).await?;
        let place = newest.reply.as_deref().and_then(Place::parse).map_or(0, |place| place.stream);
        if place >= stream.tail {
            break newest;
        }
        // The consumer's server has not got what the leader has. Another one may be at another server.
        if began.elapsed() >= NEWEST_MAX {
            return Err(NotOpened::Away("a server of NATS is behind the stream's leader".into()));
        }
        sleep(NEWEST_EVERY).await;
    };
    match Decoded::of(&newest.payload) {
        Decoded::Message(message) => Ok(Some(message.generation())),
        Decoded::Newer(version) => Err(NotOpened::Refused(
            format!("the stream has messages of a newer program (format {version})").into(),
        )),
        // A follower that meets a newer generation has the stream opened again.
        _ => Ok(Some(0)),
    }
}

/// The newest message, as the server of some consumer has it.
async fn newest_message(api: &Api, stream: &Stream) -> Result<Message, NotOpened> {
    let client = api.client()?;
    let inbox = client.new_inbox();
    let subscribed = client.subscribe(inbox.clone()).await;
    let mut messages = subscribed.map_err(|error| NotOpened::Away(error.to_string().into()))?;
    let config = consumer(&inbox, &json!({ "deliver_policy": "last" }));
    api.create_consumer(&stream.name, &config).await?;
    let newest = timeout(NEWEST_MAX, async {
        loop {
            let message = next(&mut messages).await?;
            // A heartbeat may come first.
            if message.status.is_none() {
                return Some(message);
            }
        }
    });
    let away = || NotOpened::Away("the newest message of the stream does not come".into());
    newest.await.ok().flatten().ok_or_else(away)
}

/// Writes a message of the new generation, unless another hub has written something meanwhile.
async fn mark(api: &Api, config: &NatsConfig, stream: &mut Stream) -> Result<(), NotOpened> {
    let writer = fastrand::u64(..);
    let log =
        SharedLog::new(SharedConfig::new(writer, stream.generation, (stream.tail, stream.tail)));
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Stream", stream.name.as_str());
    headers.insert("Nats-Expected-Last-Sequence", stream.tail.to_string());
    let marker = (headers, Bytes::from(log.marker()));
    match api.publish(config.subject(), marker, ANSWER_MAX).await {
        Ok(acknowledged) => {
            stream.tail = acknowledged.seq;
            Ok(())
        }
        Err(Failure::Refused { code: WRONG_LAST_SEQUENCE, .. }) => {
            Err(NotOpened::Away("another hub opens the stream at the same time".into()))
        }
        Err(failure) => Err(failure.into()),
    }
}

/// # Errors
///
/// If the server is too old.
fn check_version(version: &str) -> Result<(), NotOpened> {
    let (major, minor, patch) = SERVER_MIN;
    let numbers = version.split(['.', '-']).map(|number| number.parse::<u64>().unwrap_or(0));
    let numbers: Vec<_> = numbers.chain([0; 3]).take(3).collect();
    if numbers.as_slice() < &[major, minor, patch][..] {
        let why = format!(
            "the NATS server has version {version}; {major}.{minor}.{patch} is the oldest that is \
             supported"
        );
        return Err(NotOpened::Refused(why.into()));
    }
    Ok(())
}

impl Stream {
    pub(super) fn opened(&self) -> Opened {
        let identity = format!("{}\n{}", self.name, self.created);
        let epoch = epoch(&identity, self.generation);
        // It is not known whether the servers sync each message: what they do by default is said.
        let durability = match (self.is_in_files, self.replicas) {
            (_, 2..) => Durability::Replicated,
            (true, _) => Durability::Stored,
            (false, _) => Durability::Process,
        };
        Opened::new(epoch, end_of(self.oldest), end_of(self.tail), durability)
    }

    pub(super) fn log_config(&self, api: &Api) -> SharedConfig {
        let mut config =
            SharedConfig::new(fastrand::u64(1..), self.generation, (self.oldest, self.tail));
        let taken = api.client().map_or(0, |client| client.max_payload());
        let taken = taken.min(self.message_bytes_max);
        config.message_bytes_max = taken.saturating_sub(HEADERS_BYTES).min(MESSAGE_BYTES_MAX);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused_with_a_sentence() {
        for version in ["2.10.23", "2.10.24", "2.11.0-RC.1", "2.15.1", "3.0.0"] {
            assert!(check_version(version).is_ok(), "{version}");
        }
        for version in ["2.10.22", "2.9.99", "1.0.0", ""] {
            assert!(matches!(check_version(version), Err(NotOpened::Refused(_))), "{version}");
        }
    }
}
