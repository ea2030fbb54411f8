//! A hub on a journal that answers first, feeds later, and reads when it is told to.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod driven;
mod line;
mod outrun;
mod seam;
mod superseded;
