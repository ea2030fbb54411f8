//! The phases of a server's life.

use tokio::sync::watch;

/// Where a server stands between its start and its end.
///
/// ```text
/// Serving ── signal ─▶ Draining ── streams over, or time ─▶ Closing ── connections over, or time
///                      accepts, but no streams              accepts nothing
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everything is answered.
    Serving,
    /// Streams are ended and new ones refused; everything else is answered, so that whoever asks is
    /// told where this server stands.
    Draining,
    /// No connection is accepted; those there are end when they are idle.
    Closing,
}

/// Waits for the last phase.
pub(crate) async fn closing(phase: &mut watch::Receiver<Phase>) {
    // A sender that is gone has taken the server with it.
    let _ = phase.wait_for(|phase| *phase == Phase::Closing).await;
}
