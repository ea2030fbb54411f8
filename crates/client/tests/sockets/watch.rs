//! Runs an event source in a task beside a test, which sees its signals and steps its clock.

use std::time::Duration;

use tidings_client::testing::SteppedTimer;
use tidings_client::{Builder, Closed, EventSource, Open, Retrying, Signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) struct Watch {
    signals: mpsc::Receiver<Signal>,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<EventSource>,
    pub(crate) timer: SteppedTimer,
}

#[derive(Debug)]
pub(crate) enum Order {
    Close,
    Restart,
    Stop,
}

/// Opens the source that `builder` describes, and runs it.
pub(crate) fn watch(builder: Builder) -> Watch {
    let timer = SteppedTimer::new();
    let mut source = builder.timer(timer.clone()).seed(1).open().expect("a good description");
    // One signal at a time: a source reads on only when its owner polls it.
    let (report, signals) = mpsc::channel(1);
    let (orders, mut given) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        loop {
            tokio::select! {
                signal = source.next() => {
                    let Some(signal) = signal else { return source };
                    if report.send(signal).await.is_err() {
                        return source;
                    }
                }
                order = given.recv() => match order {
                    Some(Order::Close) => source.close(),
                    Some(Order::Restart) => source.restart(),
                    Some(Order::Stop) | None => return source,
                },
            }
        }
    });
    Watch { signals, orders, task, timer }
}

impl Watch {
    pub(crate) async fn signal(&mut self) -> Signal {
        self.signals.recv().await.expect("another signal")
    }

    pub(crate) async fn order(&self, order: Order) {
        self.orders.send(order).await.expect("the source is there");
    }

    pub(crate) async fn open(&mut self) -> Open {
        match self.signal().await {
            Signal::Open(open) => open,
            other => panic!("{other:?} instead of an open stream"),
        }
    }

    /// The data of the next event.
    pub(crate) async fn event(&mut self) -> String {
        match self.signal().await {
            Signal::Event(event) => event.into_data(),
            other => panic!("{other:?} instead of an event"),
        }
    }

    pub(crate) async fn retrying(&mut self) -> Retrying {
        match self.signal().await {
            Signal::Retrying(retrying) => retrying,
            other => panic!("{other:?} instead of another attempt"),
        }
    }

    pub(crate) async fn closed(&mut self) -> Closed {
        match self.signal().await {
            Signal::Closed(closed) => closed,
            other => panic!("{other:?} instead of the end"),
        }
    }

    /// Waits for the announcement of another attempt, then steps to a moment before it, then to it.
    pub(crate) async fn wait(&mut self) -> Retrying {
        let retrying = self.retrying().await;
        self.timer.armed(retrying.delay).await;
        let moment = Duration::from_nanos(1);
        self.timer.advance(retrying.delay - moment);
        // Still asleep: the attempt must not be made early.
        assert_eq!(self.timer.next_wake(), Some(moment));
        self.timer.advance(moment);
        retrying
    }

    /// Steps over the moment in which the network is read before a deadline that has passed counts.
    pub(crate) async fn look(&self) {
        let look = Duration::from_millis(250);
        self.timer.armed(look).await;
        self.timer.advance(look);
    }

    /// Returns the source after its last signal.
    pub(crate) async fn finished(mut self) -> EventSource {
        assert!(self.signals.recv().await.is_none(), "nothing follows the end");
        self.task.await.expect("the source does not panic")
    }

    /// Returns the source in its current state.
    pub(crate) async fn stop(self) -> EventSource {
        self.order(Order::Stop).await;
        drop(self.signals);
        self.task.await.expect("the source does not panic")
    }
}
