//! The clock of event sources and publishers.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The time for which the network is read after a deadline before time is judged. A process that was
/// paused past its deadline (a debugger, a frozen container) finds the bytes that arrived meanwhile
/// in its sockets, and its connections' tasks need a moment to read them.
pub(crate) const LAST_LOOK: Duration = Duration::from_millis(250);

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

/// Waits until time may be judged: `deadline` has passed, and after that the process has run for
/// [`LAST_LOOK`], so that bytes that arrived in time have been read.
///
/// A pause during the look makes it end late, which says nothing about the peer: the look is
/// repeated.
pub(crate) fn judge_at(timer: Arc<dyn Timer>, deadline: Instant) -> Sleep {
    Box::pin(async move {
        timer.wake_at(deadline).await;
        loop {
            let end = timer.now() + LAST_LOOK;
            timer.wake_at(end).await;
            if timer.now() < end + LAST_LOOK {
                return;
            }
        }
    })
}

impl<T: Timer + ?Sized> Timer for Arc<T> {
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

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::testing::SteppedTimer;

    fn is_over(judging: &mut Sleep) -> bool {
        judging.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn time_is_judged_after_a_look_that_was_not_itself_paused() {
        let timer = SteppedTimer::new();
        let second = Duration::from_secs(1);
        let mut judging = judge_at(Arc::new(timer.clone()), timer.now() + second);
        assert!(!is_over(&mut judging));
        timer.advance(second);
        assert!(!is_over(&mut judging), "the sockets have not been read since");
        // A pause in the middle of the look.
        timer.advance(second);
        assert!(!is_over(&mut judging), "nor after this pause");
        timer.advance(LAST_LOOK);
        assert!(is_over(&mut judging));
    }
}
