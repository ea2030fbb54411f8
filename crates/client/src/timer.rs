//! The clock of event sources and publishers.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::{Instant, SystemTime};

/// A future that completes at a deadline.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The clock of an event source or a publisher.
///
/// The default is [`TokioTimer`]. Tests use a clock that they step themselves: `SteppedTimer`, with
/// the feature `testing`.
pub trait Timer: Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Instant;

    /// The wall-clock time. Used only for a `Retry-After` date from a server that sends no `Date`.
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Waits until `deadline`.
    fn wake_at(&self, deadline: Instant) -> Sleep;
}

impl<T: Timer + ?Sized> Timer for std::sync::Arc<T> {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn wall(&self) -> SystemTime {
        (**self).wall()
    }

    fn wake_at(&self, deadline: Instant) -> Sleep {
        (**self).wake_at(deadline)
    }
}

/// The clock of tokio's runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioTimer;

impl Timer for TokioTimer {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wake_at(&self, deadline: Instant) -> Sleep {
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}
