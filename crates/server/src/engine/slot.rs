//! A slot: one subscriber of a shard, with its socket and its cursor.

use tidings_hub::Client;
use tidings_hub::tap::Reader;

use super::gathered::Framing;

/// A stream whose socket has been taken over.
#[derive(Debug)]
pub(crate) struct Adopted<S, P> {
    pub(crate) socket: S,
    pub(crate) reader: Reader,
    pub(crate) client: Client,
    pub(crate) framing: Framing,
    /// The response's head, encoded.
    pub(crate) head: Vec<u8>,
    /// Bytes that its client sent after its request, thrown away already.
    pub(crate) discarded: u16,
    /// Given up when the stream has ended.
    pub(crate) place: P,
}

/// One subscriber of a shard.
#[derive(Debug)]
pub(super) struct Slot<S, P> {
    pub(super) socket: S,
    pub(super) reader: Reader,
    /// Bytes that must be written before anything else: the rest of an event that was cut, a head, an
    /// end. The one thing that belongs to a subscriber.
    pub(super) rest: Box<[u8]>,
    pub(super) client: Client,
    pub(super) framing: Framing,
    pub(super) state: State,
    /// Its place in its topic's list, or in the list of slots that read for themselves.
    pub(super) list_at: u32,
    /// It does not stand at the tail, or has a rest to write.
    pub(super) is_behind: bool,
    /// The socket has not refused anything since it was last writable.
    pub(super) is_writable: bool,
    /// It stands in the queue of those that read.
    pub(super) is_queued: bool,
    /// Bytes that its client sent after its request.
    pub(super) discarded: u16,
    /// When something was last written, in milliseconds of the shard's clock.
    pub(super) sent_at: u64,
    /// When the stream is over, likewise.
    pub(super) ends_at: u64,
    /// Given up with the slot.
    pub(super) _place: P,
}

/// What a slot is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It reads.
    Open,
    /// Its last bytes are in `rest`.
    Ending(Reason),
}

/// Why a slot was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// Its stream was ended by the hub.
    Completed,
    /// Its time was over.
    TimedOut,
    /// The server is ending.
    Drained,
    /// Its client left.
    Left,
    /// Its connection broke.
    Broken,
    /// It took nothing for too long.
    Stalled,
    /// It sent more after its request than is read.
    Talked,
}

impl Reason {
    pub(crate) const ALL: [Self; 7] = [
        Self::Completed,
        Self::TimedOut,
        Self::Drained,
        Self::Left,
        Self::Broken,
        Self::Stalled,
        Self::Talked,
    ];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::TimedOut => "timed-out",
            Self::Drained => "drained",
            Self::Left => "left",
            Self::Broken => "broken",
            Self::Stalled => "stalled",
            Self::Talked => "talked",
        }
    }
}
