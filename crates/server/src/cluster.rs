//! The other hubs of a stream: which there are, what they have, and what they are asked.
//!
//! Every hub tells the others once a second how it stands; `roster` notes that, and `peers.rs` is the conversation. A list of all hubs is asked for over
//! the same connection, and those that do not answer within a second are named. None of that is kept: what must not be
//! lost is in the stream.

mod roster;

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use tidings_hub::Hub;
use tidings_hub::journal::shared::CameBy;
use tokio::sync::Semaphore;
use tokio::time::{timeout, timeout_at};

use self::roster::{Beat, Roster};
use crate::nats::NatsJournal;
use crate::nats::bus::{Bus, NotSaid, Said};
use crate::node::NodeState;

/// The other hubs of this one's stream.
pub(crate) struct Cluster {
    journal: NatsJournal,
    /// The epoch of the hub: places of others count in it only if they have the same one.
    epoch: String,
    roster: Mutex<Roster>,
    /// Lists of all hubs that are gathered at a time.
    gathering: Semaphore,
}

/// The answers to a question.
pub(crate) struct Gathered {
    /// The names of hubs, and what they answered.
    pub(crate) answers: Vec<(String, Value)>,
    /// The names of hubs that did not answer.
    pub(crate) silent: Vec<String>,
}

/// How long answers are waited for.
const ANSWERS_MAX: Duration = Duration::from_secs(1);
/// Questions that are asked at a time.
const QUESTIONS_MAX: usize = 8;

impl Cluster {
    pub(crate) fn new(journal: NatsJournal, hub: &Hub) -> Self {
        let gathering = Semaphore::new(QUESTIONS_MAX);
        Self { journal, epoch: hub.epoch().to_string(), roster: Mutex::default(), gathering }
    }

    /// The number by which this hub's questions are known.
    pub(crate) fn number(&self) -> u64 {
        self.journal.writer()
    }

    /// The other hubs, and how long ago each was heard.
    pub(crate) fn peers(&self) -> Vec<(NodeState, Duration)> {
        self.roster.lock().nodes(Instant::now())
    }

    /// Asks the other hubs. Those that are known and do not answer in time are named.
    pub(crate) async fn gather(&self, question: Vec<u8>) -> Gathered {
        let deadline = tokio::time::Instant::now() + ANSWERS_MAX;
        let mut silent: Vec<_> = self.peers().into_iter().map(|(node, _)| node.name).collect();
        let mut answers = Vec::new();
        let asked = async {
            let _permit = self.gathering.acquire().await.map_err(|_| NotSaid)?;
            let bus = self.journal.bus().ok_or(NotSaid)?;
            let mut hearing = bus.ask(question).await?;
            // Another hub may have come that is not known yet; it is not waited for.
            while !silent.is_empty() {
                let Some(said) = hearing.next().await else { break };
                let Ok(mut told) = serde_json::from_slice::<Value>(&said.bytes) else { continue };
                let Some(name) = told["node"].as_str().map(str::to_owned) else { continue };
                silent.retain(|other| *other != name);
                answers.push((name, told["answer"].take()));
            }
            Ok::<_, NotSaid>(())
        };
        // Without NATS, or after the time, those that are left are silent.
        let _ = timeout_at(deadline, asked).await;
        answers.sort_by(|(one, _), (other, _)| one.cmp(other));
        Gathered { answers, silent }
    }

    /// The connection to the others; `None` before there is one.
    pub(crate) fn bus(&self) -> Option<Bus> {
        self.journal.bus()
    }

    /// Tells the others how this hub stands, and the journal which of them are gone.
    pub(crate) async fn tell(&self, bus: &Bus, node: NodeState) {
        if !self.roster.lock().is_to_be_told() {
            return;
        }
        let beat = self.beat(node, false);
        // Told again in a second.
        let _ = bus.tell(serde_json::to_vec(&beat).unwrap_or_default()).await;
        let roster = self.roster.lock();
        if roster.can_judge() {
            let own = self.number();
            self.journal.leave_streams(|by| match by {
                CameBy::Writer(writer) => writer != own && roster.is_gone(writer),
                CameBy::HubBefore(message) => roster.are_gone_from_before(message),
            });
        }
    }

    fn beat(&self, node: NodeState, leaves: bool) -> Beat {
        Beat { writer: self.number(), opened_at: self.journal.opened_at(), leaves, node }
    }

    /// Tells the others that this hub ends.
    pub(crate) async fn leave(&self, node: NodeState) {
        let Some(bus) = self.journal.bus() else { return };
        let beat = self.beat(node, true);
        let beat = serde_json::to_vec(&beat).unwrap_or_default();
        let _ = timeout(ANSWERS_MAX, bus.tell_last(beat)).await;
    }

    /// Begins to hear the others, from now on.
    pub(crate) fn listen_anew(&self) {
        self.roster.lock().listen_anew();
    }

    /// Hears what a hub tells, which may be this one.
    pub(crate) fn hear(&self, said: &Said) {
        let Ok(beat) = serde_json::from_slice::<Beat>(&said.bytes) else { return };
        let mut roster = self.roster.lock();
        if beat.writer == self.number() {
            return roster.hear_own();
        }
        if beat.node.epoch == self.epoch {
            self.journal.note_newest(beat.node.read.unwrap_or(0));
        }
        roster.hear(beat, Instant::now());
    }
}
