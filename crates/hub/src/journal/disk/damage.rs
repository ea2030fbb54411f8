//! Reports of damage and loss.

use std::fmt;

pub use crate::journal::Lost;

/// A damaged part of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file's name.
    pub file: String,
    /// The first damaged byte.
    pub at: u64,
    /// The damaged part.
    pub what: Damaged,
    /// The entries that are lost, if any.
    pub lost: Option<Lost>,
}

/// The part of a journal that is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damaged {
    /// The head of the journal. It is written again with a new epoch, so clients that resume are told of
    /// a gap.
    Head,
    /// A segment's header. It is written again: the file's name and the head have the same information.
    Header,
    /// Records that were synced, and may have been acknowledged.
    Records,
    /// Records of the last write, before sound records of the same write. A loss of power during the
    /// write causes this, and then they were never acknowledged. Later damage looks the same.
    Unsynced,
    /// A segment's footer. The index is computed again from the records.
    Footer,
    /// A segment's file, which is missing.
    Missing,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, what, lost } = self;
        match what {
            Damaged::Missing => write!(f, "{file} is missing: ")?,
            _ => write!(f, "{file}, byte {at}: {what} damaged, ")?,
        }
        match lost {
            None => f.write_str("nothing is lost"),
            Some(lost) if lost.first == lost.last => write!(f, "entry {} is lost", lost.first),
            Some(lost) => write!(f, "entries {} to {} are lost", lost.first, lost.last),
        }
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "the journal's head is",
            Self::Header => "the segment's header is",
            Self::Records => "records are",
            Self::Unsynced => "records of the last write are",
            Self::Footer => "the segment's footer is",
            Self::Missing => "the file is",
        })
    }
}
