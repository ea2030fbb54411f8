//! Why a stream has ended, and the hook that is called then.

use std::fmt;

/// The reason why a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEnd {
    /// The program closed it, or its source of events was over.
    Completed,
    /// It timed out, or reached its maximum age.
    TimedOut,
    /// The hub drains.
    Drained,
    /// Its reader lost events, and the stream has the shape that [ends](crate::GapShape::Close) then.
    EventsLost,
    /// The client closed it, or its connection broke.
    ClientClosed,
}

/// A hook that is called exactly once when a stream has ended.
///
/// The writer of the stream [runs](OnEnd::run) it. A hook that is dropped instead is called with
/// [`StreamEnd::ClientClosed`], so that no way out of a stream forgets it.
pub struct OnEnd(Option<Hook>);

type Hook = Box<dyn FnOnce(StreamEnd) + Send>;

impl OnEnd {
    /// A hook that calls `hook`.
    #[must_use]
    pub fn new(hook: impl FnOnce(StreamEnd) + Send + 'static) -> Self {
        Self(Some(Box::new(hook)))
    }

    /// Calls `hook` too, after the earlier ones.
    #[must_use]
    pub fn then(self, hook: impl FnOnce(StreamEnd) + Send + 'static) -> Self {
        Self::new(move |end| {
            self.run(end);
            hook(end);
        })
    }

    /// Calls the hook: the stream has ended.
    pub fn run(mut self, end: StreamEnd) {
        self.call(end);
    }

    fn call(&mut self, end: StreamEnd) {
        if let Some(hook) = self.0.take() {
            hook(end);
        }
    }
}

impl Drop for OnEnd {
    fn drop(&mut self) {
        self.call(StreamEnd::ClientClosed);
    }
}

impl fmt::Debug for OnEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnEnd")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use parking_lot::Mutex;

    #[test]
    fn every_hook_is_called_once_in_order_with_the_end_there_was() {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let hook = |name: &'static str| {
            let calls = Arc::clone(&calls);
            move |end| calls.lock().push((name, end))
        };
        OnEnd::new(hook("a")).then(hook("b")).run(StreamEnd::TimedOut);
        assert_eq!(*calls.lock(), [("a", StreamEnd::TimedOut), ("b", StreamEnd::TimedOut)]);
        calls.lock().clear();
        drop(OnEnd::new(hook("a")).then(hook("b")));
        assert_eq!(*calls.lock(), [("a", StreamEnd::ClientClosed), ("b", StreamEnd::ClientClosed)]);
    }
}
