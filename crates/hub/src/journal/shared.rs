//! The parts of a journal that several hubs share, whatever stores its messages.
//!
//! A store orders messages and keeps them: a stream of NATS JetStream, for one. Every hub writes its
//! submissions to it in [groups](Group), one message each, and reads all messages back, its own among them.
//! The order of the messages in the store is the order of the events, so every hub that reads a message
//! comes to the same entries with the same sequences.
//!
//! [`SharedLog`] (`log`) is that without a transport: it does no I/O, and it is told the time. `queue` groups
//! submissions and answers publishers; `reading` turns messages into entries; `message` is the format;
//! `window` holds the latest messages, to recognize repetitions and another past; `feed` hands entries to
//! the hub. The code beside the transport takes groups from the log, sends them, and gives the log each
//! message of the store, in order, from the place that it names.
//!
//! # One answer for all
//!
//! A publisher is answered when its hub has read its group back, so an answer says what every hub comes to.
//! A group is sent again with the same identity while no acknowledgement comes, so a message may be in the
//! store twice: each writer numbers its groups, and a group that is not newer than the writer's last one is
//! passed over. Whether an event repeats one with the same idempotency key is decided by the writer for
//! what it had read when it made the group, and by every reader, from the same messages, for what came
//! between. A group whose writer had not read the latest [`WINDOW`] messages is passed over by all, so that
//! nobody needs to remember more than these.
//!
//! # Streams within topics
//!
//! A request to a topic's stream is decided by every reader where it stands among the messages, and what does not
//! belong to the stream there is no entry at any hub. A writer puts the state of the stream before it, as of what the
//! writer had read, so that a hub that starts late decides like the others.
//!
//! # Whole requests
//!
//! What is published together is in one message, which the store has or has not, so that no crash parts it. A request
//! that does not fit in a message is refused. The message says where several events are one request (`whole`), because
//! one of them that does not belong to its stream keeps the others out, too.
//!
//! # The past that changes
//!
//! A store may lose its newest messages, or be restored from a copy. Each message has a digest of messages
//! that its writer had read; a reader that has read others stops with [`Stopped::PastChanged`]. So does a
//! reader of a message of a newer [generation](Message::generation). The program then opens the journal
//! again, in a new epoch, so that readers are told of a gap.
//!
//! # A copy in a folder
//!
//! A hub with a folder copies what it reads to a [`DiskJournal`](crate::journal::DiskJournal), and follows that:
//! [`SharedLog::resume`] goes on after the newest message that is there. The messages before it, which decide on the next
//! ones, are read once more, and their digest tells whether the copy is of the same past (`copies`).

mod came_by;
mod copies;
mod feed;
mod log;
mod message;
mod opening;
mod place;
mod queue;
mod reading;
mod submitted;
mod whole;
mod window;

pub use self::came_by::CameBy;
pub use self::log::SharedLog;
pub use self::message::{Decoded, Message, VERSION};
pub use self::opening::{SharedConfig, Stopped, Stored};
pub use self::place::{ENTRIES_MAX, end_of, epoch, message_of};
pub use self::queue::{Group, SENT_FOR};
pub use self::window::WINDOW;
