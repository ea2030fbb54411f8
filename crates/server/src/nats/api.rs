//! The requests of JetStream that the journal makes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::client::{Request, RequestErrorKind};
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, HeaderMap, ServerAddr};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::auth::{sentence, with_auth};
use super::config::NatsConfig;
use super::leader::Leadership;

/// A connection to NATS, which reconnects by itself once it has been made. Clones share it.
#[derive(Clone)]
pub(super) struct Api {
    options: ConnectOptions,
    servers: Arc<[ServerAddr]>,
    client: Arc<OnceLock<Client>>,
    leadership: Arc<Mutex<Leadership>>,
}

/// How long an answer is waited for.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Time between two requests of which one was answered by a server without a leader.
const ASKED_EVERY: Duration = Duration::from_millis(100);
/// A connection whose server does not answer is given up after two of these.
const PING_EVERY: Duration = Duration::from_secs(2);

/// Why a request was not answered as it should.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no connection.
    Away,
    /// There was no answer in time: it may have been done.
    Silent,
    /// Nobody takes such requests now.
    NobodyThere,
    /// The answer is that of a server which sees no leader of the stream: it may be of a past state.
    Leaderless,
    /// JetStream's own error.
    Refused { code: u64, description: Box<str> },
    /// The answer cannot be understood.
    Unclear(Box<str>),
}

impl Failure {
    pub(super) fn text(&self) -> Box<str> {
        match self {
            Self::Away => "there is no connection to NATS".into(),
            Self::Silent => "JetStream does not answer".into(),
            Self::NobodyThere => "no server with JetStream is there".into(),
            Self::Leaderless => "the server of NATS sees no leader of the stream".into(),
            Self::Refused { code, description } => {
                format!("JetStream refuses: {description} ({code})").into()
            }
            Self::Unclear(why) => why.clone(),
        }
    }
}

/// The state and the configuration of a stream.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct StreamInfo {
    pub(super) config: StreamConfig,
    pub(super) created: String,
    pub(super) state: StreamState,
    /// Absent where servers form no cluster.
    #[serde(default)]
    pub(super) cluster: Option<Cluster>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Cluster {
    #[serde(default)]
    leader: String,
    /// The other servers of the stream.
    #[serde(default)]
    replicas: Vec<Value>,
}

impl StreamInfo {
    /// Returns whether the server that has answered sees a leader of the stream, or needs none.
    fn has_leader(&self) -> bool {
        self.cluster.as_ref().is_none_or(|cluster| !cluster.leader.is_empty())
    }

    /// The leader that has answered, if another server could lead the stream as well.
    pub(super) fn leader_of_several(&self) -> Option<&str> {
        let cluster = self.cluster.as_ref().filter(|cluster| !cluster.replicas.is_empty())?;
        Some(&cluster.leader)
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct StreamConfig {
    #[serde(default)]
    pub(super) subjects: Vec<String>,
    pub(super) retention: String,
    pub(super) storage: String,
    #[serde(default)]
    pub(super) discard: String,
    pub(super) num_replicas: u64,
    #[serde(default)]
    pub(super) max_age: u64,
    #[serde(default)]
    pub(super) max_bytes: i64,
    #[serde(default)]
    pub(super) max_msgs: i64,
    #[serde(default)]
    pub(super) max_msgs_per_subject: i64,
    #[serde(default)]
    pub(super) max_msg_size: i64,
    #[serde(default)]
    pub(super) duplicate_window: u64,
    #[serde(default)]
    pub(super) mirror: Option<Value>,
    #[serde(default)]
    pub(super) sources: Option<Value>,
    #[serde(default)]
    pub(super) subject_transform: Option<Value>,
    #[serde(default)]
    pub(super) sealed: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct StreamState {
    pub(super) messages: u64,
    #[serde(default)]
    pub(super) bytes: u64,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
}

/// The acknowledgement of a message.
#[derive(Debug, Deserialize)]
pub(super) struct Acknowledged {
    pub(super) seq: u64,
}

#[derive(Deserialize)]
struct Refusal {
    error: Option<RefusalError>,
}

#[derive(Deserialize)]
struct RefusalError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: Box<str>,
}

impl Api {
    /// # Errors
    ///
    /// If the credentials or the addresses cannot be used.
    pub(super) fn new(config: &NatsConfig) -> std::io::Result<Self> {
        let servers = config.servers.iter().map(|server| server.parse());
        let servers: Vec<ServerAddr> = servers.collect::<Result<_, _>>()?;
        let options = with_auth(ConnectOptions::new(), config, &servers)?
            .name("tidings")
            .ping_interval(PING_EVERY)
            .connection_timeout(ANSWER_MAX)
            .request_timeout(Some(ANSWER_MAX))
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis((attempts as u64 * 100).min(1_000))
            })
            .event_callback(|event| async move {
                match event {
                    async_nats::Event::Connected => info!("connected to NATS"),
                    async_nats::Event::Disconnected => warn!("connection to NATS lost"),
                    async_nats::Event::ServerError(error) => warn!(%error, "NATS reports an error"),
                    _ => {}
                }
            });
        let (client, leadership) = Default::default();
        Ok(Self { options, servers: servers.into(), client, leadership })
    }

    /// Connects, unless that was done before.
    pub(super) async fn connect(&self) -> Result<(), Box<str>> {
        if self.client.get().is_some() {
            return Ok(());
        }
        let client = self.options.clone().connect(&*self.servers).await;
        let client = client.map_err(|error| sentence(&error))?;
        // Another one has connected meanwhile; either will do.
        let _ = self.client.set(client);
        Ok(())
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client().is_ok_and(|client| client.connection_state() == State::Connected)
    }

    pub(super) fn client(&self) -> Result<&Client, Failure> {
        self.client.get().ok_or(Failure::Away)
    }

    /// Sends a request, and reads its answer.
    async fn ask(
        &self,
        subject: String,
        (headers, payload): (HeaderMap, Bytes),
        wait: Duration,
    ) -> Result<Bytes, Failure> {
        if !self.is_connected() {
            return Err(Failure::Away);
        }
        let mut request = Request::new().payload(payload).timeout(Some(wait));
        if !headers.is_empty() {
            request = request.headers(headers);
        }
        let answer = self.client()?.send_request(subject, request).await;
        let answer = answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => Failure::NobodyThere,
            RequestErrorKind::MaxPayloadExceeded => Failure::Refused {
                code: TOO_LARGE,
                description: "the message is larger than the server takes".into(),
            },
            _ => Failure::Silent,
        })?;
        if let Ok(Refusal { error: Some(error) }) = serde_json::from_slice(&answer.payload) {
            let RefusalError { err_code: code, description } = error;
            return Err(Failure::Refused { code, description });
        }
        Ok(answer.payload)
    }

    async fn request<T: for<'a> Deserialize<'a>>(
        &self,
        subject: String,
        body: &Value,
    ) -> Result<T, Failure> {
        let payload = Bytes::from(body.to_string());
        let answer = self.ask(subject, (HeaderMap::new(), payload), ANSWER_MAX).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            Failure::Unclear(format!("an answer of JetStream cannot be read: {error}").into())
        })
    }

    /// Asks for the state of a stream, as its leader has it. Servers without a leader may be faster to answer than the
    /// leader, so it is asked for until the leader was, or time is over.
    pub(super) async fn stream_info(&self, stream: &str) -> Result<StreamInfo, Failure> {
        let began = Instant::now();
        loop {
            let asked = self.request(format!("$JS.API.STREAM.INFO.{stream}"), &json!({})).await;
            let info: StreamInfo = asked?;
            let has_leader = info.has_leader();
            let is_due = self.leadership.lock().handle(has_leader, Instant::now());
            if has_leader {
                return Ok(info);
            }
            if is_due {
                warn!("NATS server sees no leader of the stream; turning to another one");
                // Subscriptions move along. It fails only when the client has ended.
                let _ = self.client()?.force_reconnect().await;
            }
            if began.elapsed() >= ANSWER_MAX {
                return Err(Failure::Leaderless);
            }
            sleep(ASKED_EVERY).await;
        }
    }

    /// Asks the leader of a stream to leave that to another server.
    pub(super) async fn step_down(&self, stream: &str) -> Result<(), Failure> {
        let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.{stream}");
        self.request::<Value>(subject, &json!({})).await.map(drop)
    }

    pub(super) async fn create_stream(
        &self,
        stream: &str,
        config: &Value,
    ) -> Result<StreamInfo, Failure> {
        self.request(format!("$JS.API.STREAM.CREATE.{stream}"), config).await
    }

    /// Makes a consumer that hands messages to an inbox until it is left alone.
    pub(super) async fn create_consumer(
        &self,
        stream: &str,
        config: &Value,
    ) -> Result<Value, Failure> {
        let body = json!({ "stream_name": stream, "config": config });
        self.request(format!("$JS.API.CONSUMER.CREATE.{stream}"), &body).await
    }

    /// Sends a message to the stream.
    pub(super) async fn publish(
        &self,
        subject: String,
        (headers, message): (HeaderMap, Bytes),
        wait: Duration,
    ) -> Result<Acknowledged, Failure> {
        let answer = self.ask(subject, (headers, message), wait).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            Failure::Unclear(format!("an acknowledgement cannot be read: {error}").into())
        })
    }
}

/// JetStream's numbers of errors.
pub(super) const STREAM_NOT_FOUND: u64 = 10_059;
pub(super) const WRONG_LAST_SEQUENCE: u64 = 10_071;
pub(super) const TOO_LARGE: u64 = 10_054;
pub(super) const NO_RESOURCES: u64 = 10_023;
pub(super) const NO_STORAGE: u64 = 10_047;
pub(super) const STORE_FAILED: u64 = 10_077;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_a_cluster_names_the_leader_that_it_sees() {
        let info = |cluster: &str| {
            let text = format!(
                r#"{{"config": {{"retention": "limits", "storage": "file", "num_replicas": 3}},
                "created": "", "state": {{"messages": 0, "first_seq": 1, "last_seq": 0}}{cluster}}}"#
            );
            serde_json::from_str::<StreamInfo>(&text).unwrap()
        };
        assert!(info("").has_leader(), "one alone needs none");
        assert!(info(r#", "cluster": {"name": "c", "leader": "a"}"#).has_leader());
        let others = r#""replicas": [{"name": "a", "current": true}]"#;
        assert!(!info(&format!(r#", "cluster": {{"name": "c", {others}}}"#)).has_leader());
        assert!(
            !info(&format!(r#", "cluster": {{"name": "c", "leader": "", {others}}}"#)).has_leader()
        );
    }
}
