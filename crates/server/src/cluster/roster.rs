//! The roster: the hubs that have been heard of, and which of them are gone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::node::NodeState;

/// A hub's word to the others, every second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Beat {
    /// The number by which its messages of the stream are known.
    pub(super) writer: u64,
    /// The newest message when it opened the stream. It has written none before; zero is not known.
    #[serde(default)]
    pub(super) opened_at: u64,
    /// Whether it ends now.
    #[serde(default)]
    pub(super) leaves: bool,
    pub(super) node: NodeState,
}

/// The other hubs, by the numbers of their writers.
#[derive(Debug, Default)]
pub(super) struct Roster {
    peers: HashMap<u64, Peer>,
    /// How many of its own beats this hub has heard since it has not heard everything.
    own_beats: u64,
    /// How many it has sent meanwhile.
    sent: u64,
}

#[derive(Debug)]
struct Peer {
    node: NodeState,
    opened_at: u64,
    heard: Instant,
    /// How many of its own beats this hub had heard then.
    own_beats: u64,
    leaves: bool,
}

/// A hub is gone after so many beats of others without one of its own. Counted by beats that this hub has sent
/// and heard again, so that a hub which hears nothing judges nobody.
const GONE_AFTER: u64 = 5;
/// A hub that has not heard so many of its own beats sends one in a while: it may not be allowed to.
const UNHEARD_MAX: u64 = 10;
const UNHEARD_EVERY: u64 = 60;
/// How long a hub that is gone is told of.
const TOLD_FOR: Duration = Duration::from_secs(60);
/// Hubs that are known at most.
const PEERS_MAX: usize = 256;

impl Roster {
    /// Notes this hub's own beat.
    pub(super) fn hear_own(&mut self) {
        self.own_beats += 1;
        self.sent = self.own_beats;
    }

    /// Counts a beat of this hub that is due, and returns whether to send it.
    pub(super) fn is_to_be_told(&mut self) -> bool {
        self.sent += 1;
        self.sent - self.own_beats.min(self.sent) <= UNHEARD_MAX
            || self.sent.is_multiple_of(UNHEARD_EVERY)
    }

    /// Begins to listen anew: what was said meanwhile is not known.
    pub(super) fn listen_anew(&mut self) {
        (self.own_beats, self.sent) = (0, 0);
        self.peers.values_mut().for_each(|peer| peer.own_beats = 0);
    }

    /// Notes a beat of another hub.
    pub(super) fn hear(&mut self, beat: Beat, now: Instant) {
        let Beat { writer, opened_at, leaves, node } = beat;
        self.peers.retain(|_, peer| now.saturating_duration_since(peer.heard) < TOLD_FOR);
        if self.peers.len() < PEERS_MAX || self.peers.contains_key(&writer) {
            let own_beats = self.own_beats;
            self.peers.insert(writer, Peer { node, opened_at, heard: now, own_beats, leaves });
        }
    }

    /// Returns whether others can be judged: whether this hub hears them.
    pub(super) fn can_judge(&self) -> bool {
        self.own_beats >= GONE_AFTER
    }

    /// Returns whether another hub is gone for all that is known.
    pub(super) fn is_gone(&self, writer: u64) -> bool {
        self.can_judge() && !self.peers.get(&writer).is_some_and(|peer| self.is_there(peer))
    }

    /// Returns whether all hubs are gone, for all that is known, that had opened the stream before a message.
    pub(super) fn are_gone_from_before(&self, message: u64) -> bool {
        let had_opened = |peer: &&Peer| peer.opened_at < message;
        self.can_judge() && !self.peers.values().filter(had_opened).any(|peer| self.is_there(peer))
    }

    fn is_there(&self, peer: &Peer) -> bool {
        !peer.leaves && self.own_beats - peer.own_beats < GONE_AFTER
    }

    /// The other hubs by their names, and how long ago each was heard. One that has left is not among them.
    pub(super) fn nodes(&self, now: Instant) -> Vec<(NodeState, Duration)> {
        let mut nodes: Vec<_> = self
            .peers
            .values()
            .filter(|peer| !peer.leaves)
            .map(|peer| (peer.node.clone(), now.saturating_duration_since(peer.heard)))
            .filter(|(_, ago)| *ago < TOLD_FOR)
            .collect();
        nodes.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(writer: u64, leaves: bool) -> Beat {
        let node = NodeState { name: format!("node {writer}"), ..NodeState::default() };
        Beat { writer, opened_at: writer.saturating_mul(100), leaves, node }
    }

    #[test]
    fn a_hub_that_is_silent_while_others_are_heard_is_gone() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        roster.hear(beat(1, false), now);
        assert!(!roster.is_gone(1) && !roster.is_gone(2), "nothing is heard yet");
        (0..GONE_AFTER).for_each(|_| roster.hear_own());
        assert!(roster.is_gone(1) && roster.is_gone(2));
        roster.hear(beat(1, false), now);
        assert!(!roster.is_gone(1));
        (1..GONE_AFTER).for_each(|_| roster.hear_own());
        assert!(!roster.is_gone(1));
        roster.hear_own();
        assert!(roster.is_gone(1));
        roster.listen_anew();
        assert!(!roster.is_gone(1));
    }

    #[test]
    fn a_hub_that_leaves_is_gone_at_once_and_one_that_is_silent_is_told_of_for_a_while() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        (0..GONE_AFTER).for_each(|_| roster.hear_own());
        roster.hear(beat(1, false), now);
        roster.hear(beat(2, false), now);
        roster.hear(beat(1, true), now);
        assert!(roster.is_gone(1) && !roster.is_gone(2));
        let names = |now| {
            let nodes = roster.nodes(now).into_iter();
            nodes.map(|(node, _)| node.name).collect::<Vec<_>>()
        };
        assert_eq!(names(now), ["node 2"]);
        assert_eq!(names(now + TOLD_FOR - Duration::from_millis(1)), ["node 2"]);
        assert!(names(now + TOLD_FOR).is_empty());
    }

    #[test]
    fn no_hub_is_gone_for_a_message_before_which_one_that_is_there_had_opened_the_stream() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        assert!(!roster.are_gone_from_before(1), "nothing is heard yet");
        (0..GONE_AFTER).for_each(|_| roster.hear_own());
        assert!(roster.are_gone_from_before(101), "there is no other one");
        roster.hear(beat(1, false), now);
        roster.hear(beat(2, false), now);
        assert!(roster.are_gone_from_before(100) && !roster.are_gone_from_before(101));
        roster.hear(beat(1, true), now);
        assert!(roster.are_gone_from_before(200) && !roster.are_gone_from_before(201));
        // An earlier program does not say when it opened the stream.
        let said = serde_json::to_value(beat(3, false)).unwrap();
        let mut said = said.as_object().unwrap().clone();
        said.remove("opened_at");
        roster.hear(serde_json::from_value(said.into()).unwrap(), now);
        assert!(!roster.are_gone_from_before(1));
    }

    #[test]
    fn a_hub_that_does_not_hear_itself_tells_little() {
        let mut roster = Roster::default();
        let told = (0..120).filter(|_| roster.is_to_be_told()).count();
        assert_eq!(told as u64, UNHEARD_MAX + 2);
        roster.hear_own();
        assert!(roster.is_to_be_told());
    }

    #[test]
    fn the_number_of_hubs_is_bounded() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        (0..2 * PEERS_MAX as u64).for_each(|writer| roster.hear(beat(writer, false), now));
        assert_eq!(roster.nodes(now).len(), PEERS_MAX);
        roster.hear(beat(u64::MAX, false), now + TOLD_FOR);
        assert_eq!(roster.nodes(now + TOLD_FOR).len(), 1);
    }
}
