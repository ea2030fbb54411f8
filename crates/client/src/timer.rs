//! Where time comes from.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::{Instant, SystemTime};

/// A future that is ready once its time has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The clock an event source or a publisher goes by.
///
/// [`TokioTimer`] is the one in use unless the builder is given another. Tests give one that they
/// step themselves: `SteppedTimer`, with the feature `testing`.
pub trait Timer: Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Instant;

    /// What a calendar says: only read for a `Retry-After` date from a server that does not say
    /// what time it is itself.
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

/// Time as tokio's runtime keeps it.
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
