//! The bus: what hubs tell and ask each other, beside the stream. Nothing on it is kept.

use async_nats::{Client, Message, Subscriber};
use bytes::Bytes;

use super::api::Api;
use super::consumer::next;

/// The subjects of the hubs of one stream. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Bus {
    api: Api,
    client: Client,
    subject: String,
}

/// A message that is not of the stream.
pub(crate) struct Said {
    pub(crate) bytes: Bytes,
    /// Where it is to be answered.
    pub(crate) reply: Option<Box<str>>,
}

/// The messages of a subject.
pub(crate) struct Hearing(Subscriber);

/// NATS is away, or refuses.
#[derive(Debug)]
pub(crate) struct NotSaid;

impl Bus {
    pub(super) fn new(api: &Api, subject: String) -> Option<Self> {
        let client = api.client().ok()?.clone();
        Some(Self { api: api.clone(), client, subject })
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.api.is_connected()
    }

    /// Tells all hubs something.
    pub(crate) async fn tell(&self, bytes: Vec<u8>) -> Result<(), NotSaid> {
        self.say(format!("{}.nodes", self.subject), bytes).await
    }

    /// Tells all hubs something, and waits until it is on its way.
    pub(crate) async fn tell_last(&self, bytes: Vec<u8>) -> Result<(), NotSaid> {
        self.tell(bytes).await?;
        self.client.flush().await.map_err(|_| NotSaid)
    }

    /// Hears what hubs tell, this one among them.
    pub(crate) async fn told(&self) -> Result<Hearing, NotSaid> {
        self.hear(format!("{}.nodes", self.subject)).await
    }

    /// Hears what hubs ask, this one among them.
    pub(crate) async fn asked(&self) -> Result<Hearing, NotSaid> {
        self.hear(format!("{}.ask", self.subject)).await
    }

    /// Asks all hubs, and hears their answers.
    pub(crate) async fn ask(&self, bytes: Vec<u8>) -> Result<Hearing, NotSaid> {
        let inbox = self.client.new_inbox();
        let answers = self.hear(inbox.clone()).await?;
        let subject = format!("{}.ask", self.subject);
        let asked = self.client.publish_with_reply(subject, inbox, bytes.into()).await;
        asked.map_err(|_| NotSaid)?;
        Ok(answers)
    }

    /// Answers a hub.
    pub(crate) async fn answer(&self, reply: &str, bytes: Vec<u8>) -> Result<(), NotSaid> {
        self.say(reply.to_owned(), bytes).await
    }

    /// The largest answer.
    pub(crate) fn bytes_max(&self) -> usize {
        /// The room that NATS needs, and an entry of a list that is begun.
        const SPARE: usize = 256 * 1024;
        self.client.max_payload().saturating_sub(SPARE).max(SPARE / 4)
    }

    async fn say(&self, subject: String, bytes: Vec<u8>) -> Result<(), NotSaid> {
        if !self.is_connected() {
            return Err(NotSaid);
        }
        self.client.publish(subject, bytes.into()).await.map_err(|_| NotSaid)
    }

    async fn hear(&self, subject: String) -> Result<Hearing, NotSaid> {
        if !self.is_connected() {
            return Err(NotSaid);
        }
        self.client.subscribe(subject).await.map(Hearing).map_err(|_| NotSaid)
    }
}

impl Hearing {
    /// The next message; `None` once there is no connection any more.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        let Message { payload, reply, .. } = next(&mut self.0).await?;
        Some(Said { bytes: payload, reply: reply.map(|reply| reply.as_str().into()) })
    }
}
