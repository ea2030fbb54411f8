//! The hub by which an entry came, as far as another one knows.

/// The hub by which an entry came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameBy {
    /// The one with this [writer](super::SharedConfig::writer).
    Writer(u64),
    /// One that had [opened](super::SharedLog::opened_at) the store before this message, which has the entry. The
    /// entry was read from a copy, where writers are not named.
    HubBefore(u64),
}
