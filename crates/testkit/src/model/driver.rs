//! The driver of a hub on a journal that keeps its entries.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tidings_hub::journal::JournalError;
use tidings_hub::{Hub, HubConfig, Now};

use crate::stepped_journal::SteppedJournal;
use crate::waker::Flag;

/// The task that drives a hub, polled by the schedule.
pub(super) struct Driver {
    run: Pin<Box<dyn Future<Output = Result<(), JournalError>> + Send>>,
    flag: Arc<Flag>,
    waker: Waker,
}

/// Opens a hub on a journal whose reads go on at once.
pub(super) fn open(config: HubConfig, journal: &SteppedJournal, now: Now) -> (Hub, Driver) {
    let mut opening = pin!(Hub::builder().config(config).at(now).open(Box::new(journal.clone())));
    let hub = loop {
        match opening.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(opened) => break opened.unwrap(),
            Poll::Pending => assert!(journal.go_on(), "a hub opens, and nothing moves"),
        }
    };
    let driver = Driver::new(&hub);
    (hub, driver)
}

impl Driver {
    fn new(hub: &Hub) -> Self {
        let hub = hub.clone();
        let run = Box::pin(async move { hub.run().await });
        let (flag, waker) = Flag::new();
        waker.wake_by_ref();
        Self { run, flag, waker }
    }

    /// Lets the hub and its journal work until neither has anything to do; `false` if nothing was.
    pub(super) fn run(&mut self, journal: &SteppedJournal) -> bool {
        let mut has_moved = false;
        while journal.go_on() | self.flag.take() {
            has_moved = true;
            let polled = self.run.as_mut().poll(&mut Context::from_waker(&self.waker));
            assert!(matches!(polled, Poll::Pending), "the journal goes on");
        }
        has_moved
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}
