//! Readers on plain sockets, which behave as no HTTP client does, and readers beside them.

use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Running, Stream};

/// A reader on a plain socket.
pub(crate) struct RawReader {
    socket: TcpStream,
    text: Vec<u8>,
}

/// The request for a stream, as the shortest client would send it.
pub(crate) fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

impl RawReader {
    /// Sends bytes on a connection of its own.
    pub(crate) async fn send(server: &Running, bytes: impl AsRef<[u8]>) -> Self {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(bytes.as_ref()).await.unwrap();
        Self { socket, text: Vec::new() }
    }

    /// Asks for a stream and waits until it is open.
    pub(crate) async fn open(server: &Running, path: &str) -> Self {
        let mut reader = Self::send(server, request(path)).await;
        reader.text_with("retry: ").await;
        reader
    }

    /// Sends more bytes; those that the server refuses are lost.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.socket.write_all(bytes.as_ref()).await;
    }

    /// Says that it will send nothing more, and goes on reading.
    pub(crate) async fn half_close(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// Closes the connection so that its peer is told by a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits until the received text contains `part`; returns all of it.
    pub(crate) async fn text_with(&mut self, part: &str) -> String {
        loop {
            let text = self.text();
            if text.contains(part) {
                return text;
            }
            let read = self.socket.read_buf(&mut self.text).await.unwrap();
            assert!(read > 0, "the connection ended: {text:?}");
        }
    }

    /// Waits for the end, however it comes, and gives all that was received.
    pub(crate) async fn rest(mut self) -> String {
        // A reset is an end as well.
        let _ = self.socket.read_to_end(&mut self.text).await;
        self.text()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

/// Readers of the topic `news` that behave, beside one that does not.
pub(crate) struct Others {
    streams: Vec<Stream>,
    published: usize,
    seen: usize,
}

impl Others {
    /// How many they are.
    pub(crate) const COUNT: usize = 3;

    pub(crate) async fn join(server: &Running) -> Self {
        let mut streams = Vec::new();
        for _ in 0..Self::COUNT {
            streams.push(server.stream("/topics/news").await);
        }
        Self { streams, published: 0, seen: 0 }
    }

    /// Publishes an event of so many bytes to all readers.
    pub(crate) async fn publish(&mut self, server: &Running, bytes: usize) {
        self.published += 1;
        server.publish("news", &data(self.published, bytes)).await;
    }

    /// Expects each of them to be sent everything published since the last time, and nothing else.
    pub(crate) async fn lose_nothing(&mut self) {
        for stream in &mut self.streams {
            for number in self.seen + 1..=self.published {
                let event = stream.event().await;
                assert_eq!(event.event_type(), "message");
                assert_eq!(event.data(), data(number, event.data().len()));
            }
        }
        self.seen = self.published;
    }
}

/// Ends with the number of its event.
fn data(number: usize, bytes: usize) -> String {
    let number = number.to_string();
    ".".repeat(bytes.saturating_sub(number.len())) + &number
}

impl Running {
    /// The streams that have ended so far: the reasons, and how many for each.
    pub(crate) async fn departures(&self) -> Vec<(String, usize)> {
        let text = self.get("/metrics").answer().await.text();
        let counts = text.lines().filter_map(|line| {
            let (reason, count) =
                line.strip_prefix("tidings_streams_ended_total{reason=\"")?.split_once("\"} ")?;
            Some((reason.to_owned(), count.parse().unwrap()))
        });
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Waits until a stream has ended, and expects it to be the only one and counted so.
    pub(crate) async fn one_ends_as(&self, reason: &str) {
        let mut departures = Vec::new();
        while departures.is_empty() {
            departures = self.departures().await;
        }
        assert_eq!(departures, [(reason.to_owned(), 1)]);
    }
}
