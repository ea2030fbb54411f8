//! Tools for tests of programs that use this crate: a clock that a test steps, and a transport that
//! a test scripts.
//!
//! The event source under test decides, decodes and waits as in production. Only the network and
//! the clock belong to the test.
//!
//! ```
//! use std::time::Duration;
//! use tidings_client::testing::{Script, SteppedTimer};
//! use tidings_client::{EventSource, Signal};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let (timer, mut script) = (SteppedTimer::new(), Script::new());
//! let mut source = EventSource::get("http://localhost/topics/news")
//!     .transport(script.transport())
//!     .timer(timer.clone())
//!     .open()?;
//!
//! // The program under test runs beside the script.
//! let program = tokio::spawn(async move {
//!     let first = source.next_event().await;
//!     let second = source.next_event().await;
//!     (first, second)
//! });
//!
//! let mut stream = script.request().await.open();
//! stream.send("id: 1\ndata: a\n\n");
//! stream.end();
//!
//! // The source now waits for its reconnection time. This takes no time at all.
//! let wait = timer.armed_between(Duration::from_secs(3), Duration::from_secs(4)).await;
//! timer.advance(wait);
//!
//! let request = script.request().await;
//! assert_eq!(request.headers()["last-event-id"], "1");
//! request.open().send("data: b\n\n");
//!
//! let (first, second) = program.await?;
//! assert_eq!(first?.map(|event| event.into_data()).as_deref(), Some("a"));
//! assert_eq!(second?.map(|event| event.into_data()).as_deref(), Some("b"));
//! # Ok::<_, Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod script;
mod stepped;

pub use script::{Script, ScriptedRequest, ScriptedStream, ScriptedTransport};
pub use stepped::SteppedTimer;
