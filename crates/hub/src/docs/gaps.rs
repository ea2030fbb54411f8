//! Gaps: a subscriber that lost events is told.
//!
//! A subscriber is told of a [`Gap`](crate::Gap) in two cases only:
//!
//! - an event that it would have been sent was evicted before it read it;
//! - the place that it asks for cannot be found. It then gets everything held for its view.
//!
//! It is no gap that other topics' events were evicted, or that the event of its last event ID is no longer
//! held: this reader has lost nothing.
//!
//! In a stream the gap is an event of type `gap` with an ID of its own and JSON data: `asked` is the place
//! that the client asked for, and `oldest` the oldest event held, or `null`. A page listens for it and loads
//! its state again:
//!
//! ```js
//! source.addEventListener('gap', () => location.reload());
//! ```
//!
//! A journal that keeps its entries drops the oldest ones at some point. Their topics are not remembered,
//! so a place before them is a gap for every view that has later events in the journal.
//!
//! A hub in memory loses its history when its process ends, so every reader that comes back to the next
//! process is told of a gap.
