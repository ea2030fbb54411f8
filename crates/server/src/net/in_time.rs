//! The time before a connection's first head, in which it may have other things to bring.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::time::sleep;

use crate::context::Context;
use crate::net::connections::ConnectionPermit;
use crate::phase::closing;

/// Waits for work that comes before the first head, within the time of a head; `None` if the time is
/// over, the connection has to give way, or the server ends.
pub(crate) async fn in_time<T>(
    context: &Context,
    permit: &ConnectionPermit,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    let mut late = pin!(sleep(context.config.head_timeout));
    let mut phases = context.phases();
    let mut closing = pin!(closing(&mut phases));
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        let is_over = late.as_mut().poll(cx).is_ready()
            || permit.activity().poll_cut(cx).is_ready()
            || closing.as_mut().poll(cx).is_ready();
        if is_over { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}
