//! A slot: one subscriber of a shard, with its socket and its cursor.
//!
//! It has two parts, in two slabs under the same number: a hot part that every delivery uses, so
//! small that a thousand of them stay in the processor's nearest cache, and a cold part.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tidings_hub::engine::{OnEnd, Pings, Reader, ReaderState};
use tidings_hub::{Client, GapShape, Sequence};

use super::gathered::{Cut, Framing, SharedEvent};
use super::reason::Reason;
use super::stream_spec::StreamSpec;
use super::subject::Subject;
use crate::auth::grant::Grant;
use crate::paged_slab::PagedSlab;
use crate::usage::Places;

/// A stream's right to be open.
pub(crate) trait Permit {
    /// The right of an ended stream's socket to stay until it is closed.
    type Lingering: fmt::Debug;

    /// Ends the stream, whose socket stays for a moment.
    fn linger(self) -> Self::Lingering;
}

impl Permit for () {
    type Lingering = ();

    fn linger(self) {}
}

/// A stream that has been subscribed and waits for its socket.
#[derive(Debug)]
pub(crate) struct Subscription<P> {
    pub(crate) reader: Reader,
    pub(crate) framing: Framing,
    pub(crate) spec: StreamSpec,
    /// Released when the stream has ended.
    pub(crate) permit: P,
}

/// A stream whose socket has been taken over.
#[derive(Debug)]
pub(crate) struct Adopted<S, P> {
    pub(crate) socket: S,
    /// The response's head, encoded.
    pub(crate) head: Vec<u8>,
    /// The number of bytes that its client sent after its request and that were discarded.
    pub(crate) discarded: u16,
    pub(crate) subscription: Subscription<P>,
}

/// Parts that only some streams have; the others pay for one pointer.
#[derive(Debug)]
pub(super) struct Extras {
    /// The subject that the stream belongs to beside its token's.
    subject: Option<Subject>,
    /// The grant of its token, which may name a subject.
    grant: Option<Arc<Grant>>,
    /// The hook to run when the stream has ended.
    on_end: Option<OnEnd>,
    /// The address of the client, if a proxy tells it.
    address: Option<SocketAddr>,
    /// Its places among those of its address and its subject.
    _places: Option<Places>,
    /// How its reader is told of a gap.
    gap: GapShape,
    /// The silences of a stream that has pings.
    pings: Option<Pings>,
}

impl Extras {
    /// `None` if there is nothing to keep.
    pub(super) fn new(
        subject: Option<Subject>,
        grant: Option<Arc<Grant>>,
        on_end: Option<OnEnd>,
        (address, places): (Option<SocketAddr>, Option<Places>),
        (gap, pings): (GapShape, Option<Pings>),
    ) -> Option<Box<Self>> {
        let is_plain = address.is_none() && places.is_none() && on_end.is_none();
        let is_usual = gap == GapShape::default() && pings.is_none();
        let is_empty = is_plain && is_usual && subject.is_none() && grant.is_none();
        let extras = Self { subject, grant, on_end, address, _places: places, gap, pings };
        (!is_empty).then(|| Box::new(extras))
    }

    fn subjects(&self) -> [Option<&Subject>; 2] {
        let of_token = self.grant.as_ref().and_then(|grant| grant.subject.as_ref());
        [self.subject.as_ref(), of_token]
    }

    pub(super) fn into_on_end(self) -> Option<OnEnd> {
        self.on_end
    }
}

/// Tenths of a second of the shard's clock: thirteen years of them fit.
pub(super) type Tick = u32;

/// Whether a socket accepts bytes, as far as the shard knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It has accepted everything since it was last writable.
    Some,
    /// It has refused some bytes.
    None,
    /// It refused bytes a stall timeout ago and is tried once more. After a pause of the whole process
    /// this tells clients that have read everything meanwhile from those that accept nothing.
    Trial,
}

/// Where a slot's cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// At the tail, with nothing left to write.
    Tail,
    /// Behind: it is not at the tail or has a rest to write, and waits for its socket or for the journal.
    Behind,
    /// Behind, and in the queue of the slots that read.
    Queued,
}

/// The events that a slot is sent only as far as its grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// None: the grant allows everything.
    Nothing,
    /// Private ones: a stream of exact topics is only open if its grant allows the topics.
    Private,
    /// All: patterns may be wider than the grant.
    All,
}

impl Checked {
    pub(super) fn of(reader: &ReaderState) -> Self {
        match (reader.is_limited(), reader.groups()) {
            (false, _) => Self::Nothing,
            (true, []) => Self::Private,
            (true, _) => Self::All,
        }
    }
}

/// The hot part: everything that a delivery uses.
#[derive(Debug)]
pub(super) struct Hot<S> {
    /// Its cursor: everything up to here has been written, or begun.
    pub(super) after: Sequence,
    pub(super) socket: S,
    /// When something was last written.
    pub(super) sent_at: Tick,
    pub(super) framing: Framing,
    pub(super) standing: Standing,
    /// Whether the socket accepts bytes.
    pub(super) room: Room,
    pub(super) checked: Checked,
}

/// The cold part: used when a slot reads from history, when its grant is asked, and by the pass every
/// few seconds.
#[derive(Debug)]
pub(super) struct Cold<P> {
    pub(super) reader: ReaderState,
    /// Bytes that must be written before anything else.
    pub(super) rest: Option<Box<Rest>>,
    pub(super) extras: Option<Box<Extras>>,
    /// Released with the slot, or with its socket.
    pub(super) permit: P,
    /// Its place in its topic's list, or its number among the slots with several topics or patterns.
    pub(super) list_at: u32,
    /// When the stream began.
    pub(super) since: Tick,
    /// When the stream is over; [`Tick::MAX`] is never.
    pub(super) ends_at: Tick,
    /// Bytes that its client sent after its request.
    pub(super) discarded: u16,
    pub(super) client: Client,
    /// The reason of its end, once its last bytes are in `rest`.
    pub(super) ending: Option<Reason>,
}

/// Bytes that must be written to one subscriber before anything else.
#[derive(Debug)]
pub(super) enum Rest {
    /// Bytes that belong to the subscriber: the rest of a small event that was cut, a head, an end.
    Own { bytes: Vec<u8>, written: usize },
    /// The rest of a large event that was cut, which all subscribers share with history; and the
    /// end of the stream, once that has begun.
    Shared { event: SharedEvent, written: usize, end: Vec<u8> },
}

impl Rest {
    /// The bytes that a subscriber holds at most, as a part of those that it makes live on: a shared
    /// block stays even if history lets go of it, so the rest must be a large part of it.
    const SHARED_PART_MIN: usize = 4;

    pub(super) fn own(bytes: Vec<u8>) -> Self {
        Self::Own { bytes, written: 0 }
    }

    /// The rest of an event that was cut; `None` if it was not.
    pub(super) fn of(cut: &Cut<'_>) -> Option<Self> {
        if cut.rest.is_empty() {
            return None;
        }
        let shared = cut.large.filter(|event| {
            cut.rest.len().saturating_mul(Self::SHARED_PART_MIN) >= event.block.bytes()
        });
        Some(match shared {
            Some(event) => {
                let written = event.bytes().len() - cut.rest.len();
                Self::Shared { event: event.clone(), written, end: Vec::new() }
            }
            None => Self::own(cut.rest.to_vec()),
        })
    }

    /// The large event that it is the rest of, which its block keeps in memory.
    pub(super) fn shared_event(&self) -> Option<&SharedEvent> {
        match self {
            Self::Own { .. } => None,
            Self::Shared { event, .. } => Some(event),
        }
    }

    /// The bytes to write next; empty if everything is written.
    pub(super) fn unwritten(&self) -> &[u8] {
        match self {
            Self::Own { bytes, written } => &bytes[*written..],
            Self::Shared { event, written, end } => match event.bytes().get(*written..) {
                Some([]) | None => end,
                Some(rest) => rest,
            },
        }
    }

    /// Moves on by bytes that were [written](Rest::unwritten).
    pub(super) fn advance(&mut self, by: usize) {
        match self {
            Self::Own { written, .. } => *written += by,
            Self::Shared { event, written, end } => {
                *written += by;
                // Nothing is left of the event: its block is not needed any longer.
                if *written == event.bytes().len() {
                    *self = Self::own(std::mem::take(end));
                }
            }
        }
    }

    /// Adds bytes at its end.
    pub(super) fn extend(&mut self, more: &[u8]) {
        match self {
            Self::Own { bytes, .. } => bytes.extend_from_slice(more),
            Self::Shared { end, .. } => end.extend_from_slice(more),
        }
    }
}

impl<S> Hot<S> {
    /// Returns whether it is not at the tail or has a rest to write.
    pub(super) fn is_behind(&self) -> bool {
        self.standing != Standing::Tail
    }

    /// Returns whether nothing is to be written before an event comes, or, for a slot that is behind, before
    /// the journal has read on, which may take long.
    pub(super) fn is_waiting(&self) -> bool {
        match self.standing {
            Standing::Tail => true,
            Standing::Behind => self.is_writable(),
            Standing::Queued => false,
        }
    }

    /// Returns whether the socket may accept bytes.
    pub(super) fn is_writable(&self) -> bool {
        self.room != Room::None
    }
}

impl<P> Cold<P> {
    /// The subjects that the stream belongs to: its own, and its token's.
    pub(super) fn subjects(&self) -> [Option<&Subject>; 2] {
        self.extras.as_ref().map_or_else(Default::default, |extras| extras.subjects())
    }

    /// The address of the client, if a proxy tells it.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.extras.as_ref()?.address
    }

    /// How its reader is told of a gap.
    pub(super) fn gap(&self) -> GapShape {
        self.extras.as_ref().map_or_else(GapShape::default, |extras| extras.gap)
    }

    /// The silences of a stream that has pings.
    pub(super) fn pings(&mut self) -> Option<&mut Pings> {
        self.extras.as_mut()?.pings.as_mut()
    }

    /// Puts bytes before everything else. The slot must have no rest.
    pub(super) fn put_first(&mut self, bytes: Vec<u8>) {
        self.rest = Some(Box::new(Rest::own(bytes)));
    }
}

/// The cold part of a slot, looked up only when it is asked for: most deliveries do without it, and a
/// look alone would bring it from memory into the processor's cache.
#[derive(Debug)]
pub(super) struct ColdPart<'a, P> {
    slab: &'a mut PagedSlab<Cold<P>>,
    key: usize,
}

impl<P> ColdPart<'_, P> {
    pub(super) fn get(&mut self) -> &mut Cold<P> {
        &mut self.slab[self.key]
    }
}

/// The slots of a shard by their numbers, which are reused.
#[derive(Debug)]
pub(super) struct Slots<S, P> {
    hot: PagedSlab<Hot<S>>,
    cold: PagedSlab<Cold<P>>,
}

impl<S, P> Slots<S, P> {
    pub(super) fn new() -> Self {
        Self { hot: PagedSlab::default(), cold: PagedSlab::default() }
    }

    /// The number of the next slot.
    pub(super) fn next_key(&self) -> usize {
        self.hot.vacant_key()
    }

    pub(super) fn insert(&mut self, hot: Hot<S>, cold: Cold<P>) -> usize {
        let key = self.hot.insert(hot);
        let cold_key = self.cold.insert(cold);
        debug_assert_eq!(key, cold_key, "both slabs are filled and emptied in the same order");
        key
    }

    pub(super) fn remove(&mut self, key: usize) -> Option<(Hot<S>, Cold<P>)> {
        Some((self.hot.try_remove(key)?, self.cold.try_remove(key)?))
    }

    pub(super) fn hot(&mut self, key: usize) -> Option<&mut Hot<S>> {
        self.hot.get_mut(key)
    }

    /// Both parts of a slot.
    pub(super) fn get(&mut self, key: usize) -> Option<(&mut Hot<S>, &mut Cold<P>)> {
        Some((self.hot.get_mut(key)?, self.cold.get_mut(key)?))
    }

    /// Both parts of a slot, to look at.
    pub(super) fn see(&self, key: usize) -> Option<(&Hot<S>, &Cold<P>)> {
        Some((self.hot.get(key)?, self.cold.get(key)?))
    }

    /// Both parts of a slot that exists.
    ///
    /// # Panics
    ///
    /// If the slot does not exist.
    pub(super) fn both(&mut self, key: usize) -> (&mut Hot<S>, &mut Cold<P>) {
        (&mut self.hot[key], &mut self.cold[key])
    }

    /// The hot part of a slot that exists, and the way to its cold part.
    ///
    /// # Panics
    ///
    /// If the slot does not exist.
    pub(super) fn hot_first(&mut self, key: usize) -> (&mut Hot<S>, ColdPart<'_, P>) {
        (&mut self.hot[key], ColdPart { slab: &mut self.cold, key })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.hot.len()
    }

    /// Numbers are below this.
    pub(super) fn bound(&self) -> usize {
        self.hot.bound()
    }

    pub(super) fn iter_hot(&mut self) -> impl Iterator<Item = (usize, &mut Hot<S>)> {
        self.hot.iter_mut()
    }

    pub(super) fn iter_cold(&mut self) -> impl Iterator<Item = &mut Cold<P>> {
        self.cold.iter_mut().map(|(_, cold)| cold)
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Cold<P>> {
        drop(self.hot.drain());
        self.cold.drain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::StreamPermit;

    /// An entry of a slab.
    #[expect(dead_code, reason = "only its size matters")]
    enum Entry<T> {
        Vacant(usize),
        Occupied(T),
    }

    #[test]
    fn an_idle_subscriber_costs_its_shard_104_bytes() {
        // A socket of mio's has a check of its own in debug builds; in others a connection is this.
        type ShardSocket = (std::net::TcpStream, u16);
        assert_eq!(size_of::<Entry<Hot<ShardSocket>>>(), 24);
        assert_eq!(size_of::<Entry<Cold<StreamPermit>>>(), 80);
    }
}
