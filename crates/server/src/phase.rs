//! The phases of a server's life.

use tokio::sync::watch;

/// A phase of a server's life.
///
/// ```text
/// Serving ── signal ─▶ Draining ── streams over, or time ─▶ Closing ── connections over, or time
///                      accepts, but no streams              accepts nothing
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// All requests are answered.
    Serving,
    /// Streams are ended and new ones refused; other requests are answered, so that clients and
    /// load balancers learn of the drain.
    Draining,
    /// No connection is accepted; open ones end when they are idle.
    Closing,
}

/// Waits until the server no longer serves.
pub(crate) async fn draining(phase: &mut watch::Receiver<Phase>) {
    // Without a sender, the server is gone.
    let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
}

/// Waits for the last phase.
pub(crate) async fn closing(phase: &mut watch::Receiver<Phase>) {
    // Without a sender, the server is gone.
    let _ = phase.wait_for(|phase| *phase == Phase::Closing).await;
}
