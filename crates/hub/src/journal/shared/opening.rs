//! The configuration of a log, the messages that it is given, and the reasons that it stops for.

use std::fmt;

use super::message::VERSION;
use crate::journal::CopiedTo;
use crate::time::Time;

/// The limits of a [`SharedLog`](super::SharedLog).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SharedConfig {
    /// Identifies this writer among all that have ever written to the store: random.
    pub writer: u64,
    /// Which past of the store this hub has opened.
    pub generation: u64,
    /// The newest message when the journal was opened. Up to there messages of all older generations count.
    pub tail: u64,
    /// The message before the oldest one that the store has.
    pub oldest: u64,
    /// The end of the newest message that the hub's own copy has, if it has one. [`SharedLog::resume`] sets it.
    ///
    /// [`SharedLog::resume`]: super::SharedLog::resume
    pub(super) copied: Option<CopiedTo>,
    /// Maximum size of a message. What is published together must fit in one.
    pub message_bytes_max: usize,
    /// Maximum size of the submissions that wait to be written.
    pub queue_bytes_max: usize,
}

impl SharedConfig {
    /// The configuration of a writer that has opened a generation of a store which has the messages after
    /// `oldest` up to `tail`.
    #[must_use]
    pub fn new(writer: u64, generation: u64, (oldest, tail): (u64, u64)) -> Self {
        Self {
            writer,
            generation,
            tail,
            oldest,
            copied: None,
            message_bytes_max: 512 * 1024,
            queue_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// A message as the store gave it.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Its place in the store, from 1.
    pub place: u64,
    /// When the store took it.
    pub time: Time,
    /// The bytes that were written.
    pub bytes: &'a [u8],
}

/// Why a log reads no further.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// The store's messages are not the ones that this hub, or another one, has read. Open the journal again,
    /// with at least this generation.
    PastChanged {
        /// The evidence: one clause.
        why: &'static str,
        /// The newest generation that is known.
        generation: u64,
    },
    /// A message is of a newer version of the program, which this one cannot read.
    Newer {
        /// The place of the message.
        place: u64,
        /// The version of its format.
        version: u8,
    },
    /// The code beside the transport has given up.
    Failed(Box<str>),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PastChanged { why, .. } => write!(f, "the past of the store has changed: {why}"),
            Self::Newer { place, version } => write!(
                f,
                "message {place} was written by a newer program (format {version}, this one reads \
                 {VERSION})"
            ),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Stopped {}
