//! The clock of hyper's connections.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use crate::timer::{self, TokioTimer, judge_at};

/// A clock whose sleeps end only after the connection has had a moment to read.
///
/// hyper looks at the clock before it reads. After a pause of the process it would take a ping for
/// unanswered whose answer lies in the socket, and end all streams of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct PatientTimer;

impl Timer for PatientTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(PatientSleep(Mutex::new(judge_at(Arc::new(TokioTimer), deadline))))
    }

    fn now(&self) -> Instant {
        timer::Timer::now(&TokioTimer)
    }
}

/// The lock makes it `Sync`, as hyper wants it. Nothing ever contends for it.
struct PatientSleep(Mutex<timer::Sleep>);

impl Sleep for PatientSleep {}

impl Future for PatientSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        sleep.as_mut().poll(cx)
    }
}
