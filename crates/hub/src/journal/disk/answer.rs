//! A one-time answer from another thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// The sender. Dropping it without an answer completes the receiver with `None`.
pub(in crate::journal) struct Giver<T> {
    shared: Arc<Mutex<State<T>>>,
}

/// The receiver: a future of the answer, or of `None` if the sender was dropped.
pub(in crate::journal) struct Answer<T> {
    shared: Arc<Mutex<State<T>>>,
}

struct State<T> {
    answer: Option<T>,
    is_over: bool,
    waker: Option<Waker>,
}

pub(in crate::journal) fn answer<T>() -> (Giver<T>, Answer<T>) {
    let shared = Arc::new(Mutex::new(State { answer: None, is_over: false, waker: None }));
    (Giver { shared: Arc::clone(&shared) }, Answer { shared })
}

impl<T> Giver<T> {
    pub(in crate::journal) fn give(self, answer: T) {
        self.shared.lock().answer = Some(answer);
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.shared.lock();
            state.is_over = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Answer<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.shared.lock();
        if state.is_over {
            return Poll::Ready(state.answer.take());
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}
