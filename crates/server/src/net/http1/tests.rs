//! Connections that send request after request.

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use mio::net::TcpStream as BareStream;
use tidings_hub::Hub;
use tokio::sync::watch;

use super::*;
use crate::config::ServerConfig;
use crate::context::Context;
use crate::engine::Engine;
use crate::http::respond::ShardStream;
use crate::live::Control;
use crate::net::connection::{self, Door, Next};
use crate::net::connections::Connections;
use crate::phase::Phase;

/// A connection of a server, and its client.
struct Wire {
    hub: Hub,
    router: Router,
    permit: ConnectionPermit,
    _phase: watch::Sender<Phase>,
    socket: TcpStream,
    client: TcpStream,
}

impl Wire {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        socket.set_nonblocking(true).unwrap();
        let (phase, phases) = watch::channel(Phase::Serving);
        let (hub, config) = (Hub::default(), ServerConfig::default());
        let engine = Engine::start(&hub, &config).unwrap();
        let control = Control::new(&config);
        let context = Context::new(config, control, hub.clone(), engine.into(), phases);
        let (router, permit) = (Router::new(context, None), Connections::new(1).enter());
        Self { hub, router, permit, _phase: phase, socket, client }
    }
}

/// Sends all the requests at once, and returns the largest number of them that one poll of their
/// connection answered.
async fn answered_in_one_poll(requests: u64, request: &str) -> u64 {
    let Wire { hub, router, permit, _phase, socket, mut client } = Wire::new();
    let peer = socket.peer_addr().unwrap();
    client.write_all(request.repeat(requests as usize).as_bytes()).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut most = 0;
    let reader = std::thread::spawn(move || client.read_to_end(&mut Vec::new()));
    let mut serving = pin!(serve::<Box<ShardStream>>(
        BufferedSocket::new(BareStream::from_std(socket)),
        Caller::new(peer),
        &router,
        &permit
    ));
    poll_fn(|cx| {
        let before = hub.stats().published;
        let polled = serving.as_mut().poll(cx);
        most = most.max(hub.stats().published - before);
        polled.map(drop)
    })
    .await;
    assert_eq!(hub.stats().published, requests);
    reader.join().unwrap().unwrap();
    most
}

/// Two clients that pipelined took whole workers for as long as they sent, and publishes of all
/// others waited for 20 to 30 ms.
#[tokio::test]
async fn a_client_that_pipelines_lets_others_have_turns() {
    let request = "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    let most = answered_in_one_poll(1000, request).await;
    assert_eq!(most, u64::from(ConnectionTurn::REQUESTS_MAX));
}

/// The answer came after two seconds, in which the body was waited for. Time stands still here,
/// because the runtime is never idle.
#[tokio::test(start_paused = true)]
async fn what_the_head_refuses_is_answered_before_the_body_comes() {
    for (head, rest) in [
        ("POST /topics/a HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 100", "x"),
        ("POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000", "x"),
        ("POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999", ""),
        ("POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked", "5\r\nx"),
        ("GET /topics/ot* HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5", ""),
    ] {
        let Wire { router, permit, _phase, socket, mut client, .. } = Wire::new();
        let (peer, began) = (socket.peer_addr().unwrap(), Instant::now());
        let (router, permit) = (std::sync::Arc::new(router), permit);
        client.write_all(format!("{head}\r\n\r\n{rest}").as_bytes()).unwrap();
        client.set_nonblocking(true).unwrap();
        let socket = BareStream::from_std(socket);
        let mut serving = pin!(async {
            match connection::serve(socket, (peer, Door::Clear), router, permit).await {
                Some(Next::Requests(requests)) => requests.await,
                Some(Next::Stream(_)) | None => {}
            }
        });
        let mut answer = [0; 12];
        while client.read(&mut answer).is_err() {
            let _ = std::future::poll_fn(|cx| Poll::Ready(serving.as_mut().poll(cx))).await;
            tokio::task::yield_now().await;
        }
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{head}");
        assert_eq!(began.elapsed(), std::time::Duration::ZERO);
    }
}

/// It grew to three times as much with each way of publishing, and every connection is made of it, if only to
/// open a stream.
#[tokio::test]
async fn a_connection_takes_at_most_4_kb() {
    let Wire { router, permit, _phase, socket, client: _client, .. } = Wire::new();
    let caller = Caller::new(socket.peer_addr().unwrap());
    let socket = BufferedSocket::new(BareStream::from_std(socket));
    let serving = serve::<Box<ShardStream>>(socket, caller, &router, &permit);
    assert!(size_of_val(&serving) <= 4096, "{}", size_of_val(&serving));
}
