//! How a stream ends, and what is called when it has.

use std::fmt;

/// How a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEnd {
    /// It was ended from our side: its topic's streams were ended, or its source is over.
    Completed,
    /// Its time was over.
    TimedOut,
    /// The hub is closing.
    Drained,
    /// The reader left, or its connection broke.
    Left,
}

/// What is to be called when a stream has ended: exactly once, however that comes about.
///
/// Whoever writes the stream [runs](OnEnd::run) it. Dropped without that, it is called with
/// [`StreamEnd::Left`], so that no way out of a stream forgets it.
pub struct OnEnd(Option<Hook>);

type Hook = Box<dyn FnOnce(StreamEnd) + Send>;

impl OnEnd {
    /// Calls `hook` at the end.
    #[must_use]
    pub fn new(hook: impl FnOnce(StreamEnd) + Send + 'static) -> Self {
        Self(Some(Box::new(hook)))
    }

    /// Calls `hook` too, after what is called already.
    #[must_use]
    pub fn then(self, hook: impl FnOnce(StreamEnd) + Send + 'static) -> Self {
        Self::new(move |end| {
            self.run(end);
            hook(end);
        })
    }

    /// Says that the stream has ended.
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
        self.call(StreamEnd::Left);
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
        assert_eq!(*calls.lock(), [("a", StreamEnd::Left), ("b", StreamEnd::Left)]);
    }
}
