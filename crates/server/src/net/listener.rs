//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
#[cfg(unix)]
use tokio::io::Interest;
use tokio::net::TcpListener;
use tokio::select;
use tokio::task::{JoinError, JoinSet, spawn, yield_now};
use tokio::time::{Instant, sleep};
use tracing::{debug, error, warn};

use crate::net::connection::{Door, Next, serve};
use crate::net::connections::Connections;
use crate::phase::closing;
use crate::router::Router;

/// A source of connections.
pub(crate) trait Accept: Send {
    /// Waits for the next one.
    ///
    /// Dropping the future loses no connection.
    fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send;
}

/// A listener whose connections are not registered with the runtime until they must be waited for.
#[cfg(unix)]
pub(crate) type Listener = tokio::io::unix::AsyncFd<mio::net::TcpListener>;

/// Converts a listener of the runtime.
#[cfg(unix)]
#[expect(
    deprecated,
    reason = "its successor is unsafe to call: a listener could close its descriptor early, and this one does not"
)]
pub(crate) fn bare(listener: TcpListener) -> io::Result<Listener> {
    Listener::new(mio::net::TcpListener::from_std(listener.into_std()?))
}

#[cfg(unix)]
impl Accept for Listener {
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.async_io(Interest::READABLE, mio::net::TcpListener::accept).await
    }
}

/// The runtime's listener, on platforms without another way to wait for one.
#[cfg(not(unix))]
pub(crate) type Listener = TcpListener;

#[cfg(not(unix))]
pub(crate) fn bare(listener: TcpListener) -> io::Result<Listener> {
    Ok(listener)
}

#[cfg(not(unix))]
impl Accept for TcpListener {
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.accept().await?;
        Ok((TcpStream::from_std(socket.into_std()?), peer))
    }
}

/// Connections that are accepted before others have their turn. When thousands of clients come back at once, a
/// request on an open connection waits for the first requests of these, some hundred microseconds, and not of all.
const ACCEPTED_IN_A_TURN: usize = 8;

/// Accepts and serves connections until the server closes, then waits for the open ones.
///
/// # Cancel safety
///
/// Dropping the future closes the listener and every connection it accepted.
pub(crate) async fn listen(
    (listener, door): (impl Accept, Door),
    router: Arc<Router>,
    open: Arc<Connections>,
) {
    /// The pause after a shortage of descriptors or memory, in which connections can end. An
    /// immediate retry would fail again and take processor time from them.
    const PAUSE: Duration = Duration::from_millis(100);
    let mut connections = JoinSet::new();
    let mut accepted_in_turn = 0;
    let mut shortage = Shortage::default();
    let mut phases = router.context.phases();
    loop {
        select! {
            () = closing(&mut phases) => break,
            Some(ended) = connections.join_next() => go_on(&mut connections, ended),
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    debug!(%peer, "connection accepted");
                    let permit = open.enter();
                    connections.spawn(serve(socket, (peer, door), Arc::clone(&router), permit));
                    accepted_in_turn += 1;
                    if accepted_in_turn == ACCEPTED_IN_A_TURN {
                        accepted_in_turn = 0;
                        // A task of its own, since connections that end wake this one too early. It fails only when
                        // the runtime ends.
                        drop(spawn(yield_now()).await);
                    }
                }
                // The connection failed; the listener still works.
                Err(error) if is_about_connection(&error) => {}
                Err(error) => {
                    shortage.warn(&error);
                    router.context.metrics.accept_failed();
                    // Closes connections that were quiet during the pause.
                    let evicted = open.give_way(PAUSE);
                    router.context.metrics.connections_evicted(evicted);
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        go_on(&mut connections, ended);
    }
}

/// The rest of a connection's life, which its task leaves to another one.
type Served = Option<Next>;

/// Starts the task of what the task of a connection has left.
fn go_on(connections: &mut JoinSet<Served>, ended: Result<Served, JoinError>) {
    match ended {
        Ok(None) => {}
        Ok(Some(Next::Stream(stream))) => {
            connections.spawn(async {
                stream.run().await;
                None
            });
        }
        Ok(Some(Next::Requests(requests))) => {
            connections.spawn(async {
                requests.await;
                None
            });
        }
        Err(error) if error.is_panic() => {
            error!(error = &error as &dyn std::error::Error, "connection panicked");
        }
        Err(_) => {}
    }
}

/// The warnings about a shortage, which lasts as long as its cause does.
#[derive(Debug, Default)]
struct Shortage {
    warned_at: Option<Instant>,
    /// The number of failures since the last warning.
    failures: u64,
}

impl Shortage {
    /// Warns, at most once a minute.
    fn warn(&mut self, error: &io::Error) -> bool {
        const INTERVAL: Duration = Duration::from_secs(60);
        self.failures += 1;
        if self.warned_at.is_some_and(|at| at.elapsed() < INTERVAL) {
            return false;
        }
        self.warned_at = Some(Instant::now());
        let failures = std::mem::take(&mut self.failures);
        warn!(error = error as &dyn std::error::Error, failures, "connection not accepted");
        true
    }
}

fn is_about_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use parking_lot::Mutex;
    use tidings_hub::Hub;
    use tokio::sync::watch;
    use tokio::time::Instant;

    use super::*;
    use crate::config::ServerConfig;
    use crate::context::Context;
    use crate::engine::Engine;
    use crate::live::Control;
    use crate::phase::Phase;

    /// Fails as configured, records when, and then waits forever.
    struct Failing {
        errors: Mutex<VecDeque<io::ErrorKind>>,
        tried: Arc<Mutex<Vec<Instant>>>,
        done: watch::Sender<Phase>,
    }

    impl Accept for Failing {
        async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
            self.tried.lock().push(Instant::now());
            let error = self.errors.lock().pop_front();
            match error {
                Some(kind) => Err(kind.into()),
                None => {
                    self.done.send_replace(Phase::Closing);
                    std::future::pending().await
                }
            }
        }
    }

    fn router(phases: watch::Receiver<Phase>) -> Arc<Router> {
        let hub = Hub::default();
        let config = ServerConfig::default();
        let engine = Engine::start(&hub, &config).unwrap();
        let control = Control::new(&config);
        let context = Context::new(config, control, hub, Arc::new(engine), phases);
        Arc::new(Router::new(context, None))
    }

    /// How long the listener paused after each of these errors.
    async fn pauses(errors: &[io::ErrorKind]) -> Vec<Duration> {
        let (done, phases) = watch::channel(Phase::Serving);
        let router = router(phases);
        let tried = Arc::default();
        let errors = Mutex::new(errors.iter().copied().collect());
        let failing = Failing { errors, tried: Arc::clone(&tried), done };
        listen((failing, Door::Clear), router, Connections::new(1)).await;
        let tried = tried.lock();
        tried.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// Has always another connection, until there were enough.
    struct Crowd {
        accepted: Arc<AtomicUsize>,
        done: watch::Sender<Phase>,
    }

    impl Crowd {
        const SIZE: usize = 100;
    }

    impl Accept for Crowd {
        async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
            if self.accepted.fetch_add(1, Ordering::Relaxed) == Self::SIZE {
                self.done.send_replace(Phase::Closing);
                return std::future::pending().await;
            }
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            let client = std::net::TcpStream::connect(listener.local_addr()?)?;
            drop(client);
            let (socket, peer) = listener.accept()?;
            socket.set_nonblocking(true)?;
            Ok((TcpStream::from_std(socket), peer))
        }
    }

    #[tokio::test]
    async fn a_crowd_that_connects_leaves_others_their_turns() {
        let (done, phases) = watch::channel(Phase::Serving);
        let router = router(phases);
        let accepted = Arc::new(AtomicUsize::new(0));
        let crowd = Crowd { accepted: Arc::clone(&accepted), done };
        let listening = spawn(listen((crowd, Door::Clear), router, Connections::new(1)));
        let mut seen = 0;
        while !listening.is_finished() {
            let now = accepted.load(Ordering::Relaxed);
            assert!(now - seen <= ACCEPTED_IN_A_TURN + 1, "{} connections", now - seen);
            seen = now;
            yield_now().await;
        }
        assert!(accepted.load(Ordering::Relaxed) > Crowd::SIZE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shortage_is_warned_of_once_a_minute() {
        let (mut shortage, error) = (Shortage::default(), io::ErrorKind::Other.into());
        let mut warned_after = Vec::new();
        for tenth in 0..1300 {
            if shortage.warn(&error) {
                warned_after.push(tenth);
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(warned_after, [0, 600, 1200]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shortage_is_waited_out_and_a_lost_connection_is_not() {
        use io::ErrorKind::{ConnectionAborted, Other, OutOfMemory};
        let pauses = pauses(&[Other, ConnectionAborted, OutOfMemory]).await;
        let pause = Duration::from_millis(100);
        assert_eq!(pauses, [pause, Duration::ZERO, pause]);
    }
}
