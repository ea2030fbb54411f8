//! Driving: what moves a hub's time on, by any executor's timer.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_core::Stream;

use crate::hub::Hub;
use crate::journal::JournalError;
use crate::time::Now;

impl Hub {
    /// Moves the hub's time on by the machine's clocks whenever `ticks` yields something, and follows
    /// the journal. For any executor: give it to a task of yours.
    ///
    /// The ticks should come some times a second; what they yield does not matter. The future is done
    /// when the ticks are over. It is the one task a hub needs, and holds the hub as a clone does.
    ///
    /// If the journal cannot go on, that is logged once, and the hub's time goes on: streams stay open, and
    /// the events that are held can be read.
    ///
    /// # Errors
    ///
    /// [`JournalError`], when the ticks are over, if the journal could not go on. A hub in memory has no
    /// such error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the hub's time: a hub in memory still delivers events, but heartbeats,
    /// time-outs and ages wait for the next [`Hub::tick`]. Nothing is lost.
    ///
    /// # Examples
    ///
    /// On smol, whose timers are streams:
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidings_hub::{Hub, HubConfig};
    ///
    /// let hub = Hub::default();
    /// let ticks = smol::Timer::interval(Duration::from_millis(250));
    /// let driver = smol::spawn(hub.drive_with(ticks));
    /// # drop(driver);
    /// ```
    pub fn drive_with<S: Stream + Send>(
        &self,
        ticks: S,
    ) -> impl Future<Output = Result<(), JournalError>> + Send + use<S> {
        let hub = self.clone();
        async move {
            let mut ticks = pin!(ticks);
            let mut run = pin!(hub.run());
            let mut failed = None;
            poll_fn(|cx| {
                match ticks.as_mut().poll_next(cx) {
                    Poll::Ready(Some(_)) => {
                        hub.tick(Now::read());
                        // The ticks have kept no waker: they are asked again, others first.
                        cx.waker().wake_by_ref();
                    }
                    Poll::Ready(None) => return Poll::Ready(failed.take().map_or(Ok(()), Err)),
                    Poll::Pending => {}
                }
                if failed.is_some() {
                    hub.poll_reads(cx);
                } else if let Poll::Ready(Err(error)) = run.as_mut().poll(cx) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "journal cannot be followed"
                    );
                    failed = Some(error);
                }
                Poll::Pending
            })
            .await
        }
    }
}

#[cfg(feature = "tokio")]
mod tokio_timer {
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use futures_core::Stream;
    use tokio::time::{Interval, MissedTickBehavior};

    use crate::hub::Hub;
    use crate::journal::JournalError;

    /// Often enough that a heartbeat or a time-out is late by no more than anybody notices.
    const TICK_INTERVAL: Duration = Duration::from_millis(250);

    struct Ticks(Interval);

    impl Stream for Ticks {
        type Item = ();

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
            self.0.poll_tick(cx).map(|_| Some(()))
        }
    }

    impl Hub {
        /// [`Hub::drive_with`] on tokio's timer, four ticks a second: the one task a hub needs.
        ///
        /// It runs until it is dropped or aborted, and holds the hub as a clone does.
        ///
        /// # Errors
        ///
        /// As [`Hub::drive_with`]; these ticks are never over.
        ///
        /// # Panics
        ///
        /// If it is polled outside a tokio runtime that has its timer enabled.
        ///
        /// # Cancel safety
        ///
        /// As [`Hub::drive_with`]: dropping the future stops the hub's time, and loses nothing.
        ///
        /// # Examples
        ///
        /// ```
        /// # use tidings_hub::{Hub, HubConfig};
        /// #[tokio::main(flavor = "current_thread")]
        /// async fn main() {
        ///     let hub = Hub::default();
        ///     let driver = tokio::spawn(hub.drive());
        ///     // … serve …
        ///     driver.abort();
        /// }
        /// ```
        pub fn drive(&self) -> impl Future<Output = Result<(), JournalError>> + Send + use<> {
            let hub = self.clone();
            async move {
                let mut interval = tokio::time::interval(TICK_INTERVAL);
                // A tick says what time it is, so that ticks missed need no making up for.
                interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
                hub.drive_with(Ticks(interval)).await
            }
        }
    }
}
