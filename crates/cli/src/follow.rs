//! An event source that keeps its last event ID in a file.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_core::Stream as _;
use serde::Deserialize;
use tidings_client::{Closed, EventSource, Signal};

use crate::state_file::{StateError, StateFile};

/// An event source, and the file that keeps its last event ID.
pub(crate) struct Follower {
    source: EventSource,
    state: Option<StateFile>,
}

impl Follower {
    pub(crate) fn new(source: EventSource, state: Option<StateFile>) -> Self {
        Self { source, state }
    }

    /// Waits for the next signal. All earlier signals must have been handled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Signal>, StateError> {
        let Self { source, state } = self;
        poll_fn(|cx| match Pin::new(&mut *source).poll_next(cx) {
            Poll::Ready(signal) => Poll::Ready(Ok(signal)),
            Poll::Pending => {
                // Everything received has been handled, so the source's own last event ID can be
                // saved. It is ahead of the last event's if the server sent an ID without an event.
                let kept =
                    state.as_mut().map_or(Ok(()), |state| state.save(source.last_event_id()));
                match kept {
                    Ok(()) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error)),
                }
            }
        })
        .await
    }

    /// Advances to the last event ID of `signal`, which has been handled, and saves it.
    pub(crate) fn save(&mut self, signal: &Signal) -> Result<(), StateError> {
        self.advance(signal);
        self.flush()
    }

    /// Advances to the last event ID of `signal`. It is saved with the next write, at the latest
    /// when nothing more has arrived.
    pub(crate) fn advance(&mut self, signal: &Signal) {
        let last_event_id = match signal {
            Signal::Event(event) => event.last_event_id(),
            Signal::Gap(gap) => &gap.last_event_id,
            Signal::End(end) => &end.last_event_id,
            _ => return,
        };
        if let Some(state) = &mut self.state {
            state.advance(last_event_id);
        }
    }

    /// Saves what is not saved yet.
    pub(crate) fn flush(&mut self) -> Result<(), StateError> {
        self.state.as_mut().map_or(Ok(()), StateFile::flush)
    }

    /// Saves that the next event is being published under `key`.
    pub(crate) fn announce(&mut self, key: &str) -> Result<(), StateError> {
        self.state.as_mut().map_or(Ok(()), |state| state.announce(key))
    }

    /// Returns the key that the previous run was publishing under when it ended.
    pub(crate) fn publishing(&self) -> Option<&str> {
        self.state.as_ref().and_then(StateFile::publishing)
    }

    /// Ends the stream: the next signal is the last.
    pub(crate) fn close(&mut self) {
        self.source.close();
    }
}

/// The stream ended with a failure.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) Closed);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&explained(&self.0))
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Describes why a stream ended, with the server's own explanation if it refused.
pub(crate) fn explained(closed: &Closed) -> String {
    let explanation = match closed {
        Closed::Refused(refused) => explanation(&refused.body),
        _ => None,
    };
    match explanation {
        Some(explanation) => format!("{closed}: {explanation}"),
        None => closed.to_string(),
    }
}

/// Returns the server's explanation of a refusal if it is meant for people: the detail of a problem
/// document, or a line of text.
fn explanation(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    /// A sentence or two. Longer text is a page.
    const CHARS_MAX: usize = 300;

    let text = std::str::from_utf8(body).ok()?;
    let problem: Option<Problem> = serde_json::from_str(text).ok();
    let text = problem.map_or_else(|| text.trim().to_owned(), |problem| problem.detail);
    let is_for_people = !text.is_empty()
        && text.chars().count() <= CHARS_MAX
        && !text.starts_with(['<', '{'])
        && !text.contains(char::is_control);
    is_for_people.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::explanation;

    #[test]
    fn what_a_server_says_to_people_is_shown_and_no_page_of_code() {
        let told = |body: &str| explanation(body.as_bytes());
        assert_eq!(
            told("{\"title\":\"t\",\"detail\":\"no such topic\"}").unwrap(),
            "no such topic"
        );
        assert_eq!(told("try later\n").unwrap(), "try later");
        let long = "x".repeat(301);
        for body in ["", " \n", "<!doctype html>", "{\"a\":1}", "a\u{1b}[31m", "a\nb", &long] {
            assert_eq!(told(body), None, "{body}");
        }
        assert_eq!(explanation(&[0xFF]), None);
    }
}
