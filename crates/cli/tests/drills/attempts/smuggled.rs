//! Requests with another one behind them, in every shape that two programs in a row may read in two
//! ways.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::rest;
use crate::authority::Secured;
use crate::program::{Program, drill};

/// A request that hides behind another one.
const HIDDEN: &str =
    "POST /topics/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";

/// Headers that two programs in a row may read in two ways.
const AMBIGUOUS: [&str; 16] = [
    "Content-Length: 5\r\nContent-Length: 0",
    "Content-Length: 5, 0",
    "Content-Length: +5",
    "Content-Length: 0x5",
    "Content-Length: -1",
    "Content-Length: 5 5",
    "Content-Length : 5",
    "Content-Length: 99999999999999999999",
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding : chunked",
    "X: a\r\n folded: b\r\nTransfer-Encoding: gzip",
];

/// Bodies whose chunks two programs in a row may cut in two ways.
const CHUNKS: [&str; 7] = [
    "5;\nx\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "5\nhello\n0\n\n",
    "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "-1\r\nhello\r\n0\r\n\r\n",
    "5\r\nhelloworld\r\n0\r\n\r\n",
];

/// A program that is spoken to in clear text, or over TLS.
enum Wire {
    Clear(Program),
    Tls(Box<Secured>),
}

trait Bytes: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

impl Wire {
    async fn connect(&self) -> Box<dyn Bytes> {
        match self {
            Self::Clear(program) => Box::new(TcpStream::connect(program.address).await.unwrap()),
            Self::Tls(secured) => Box::new(secured.connect().await),
        }
    }

    /// Sends text on a new connection, and reads until the program closes it.
    async fn raw(&self, text: &str) -> String {
        let mut socket = self.connect().await;
        // It may be closed before all is sent.
        let _ = socket.write_all(text.as_bytes()).await;
        let _ = socket.shutdown().await;
        rest(socket).await
    }

    /// Asks for JSON, or for what there is instead; the whole answer.
    async fn ask(&self, target: &str) -> String {
        self.raw(&format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        ))
        .await
    }
}

#[test]
fn no_shape_of_a_request_smuggles_another_one() {
    drill(smuggle(Wire::Clear(Program::start(&[]))));
}

#[test]
fn no_shape_of_a_request_smuggles_another_one_over_tls() {
    drill(smuggle(Wire::Tls(Box::new(Secured::start()))));
}

async fn smuggle(wire: Wire) {
    for headers in AMBIGUOUS {
        for body in ["", "hello", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"] {
            let request = format!(
                "POST /topics/seen HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{body}{HIDDEN}"
            );
            let answer = wire.raw(&request).await;
            let answers = answer.matches("HTTP/1.1 ").count();
            assert!(answers <= 1, "{headers} {body:?}: {answer}");
            // Of both headers the coding counts, and the connection is closed (RFC 9112, section 6.3).
            let has_both = headers.contains("-Length: 5") && headers.ends_with("chunked")
                || headers.starts_with("Transfer-Encoding: chunked\r\nContent-Length");
            let is_whole = has_both && body.ends_with("0\r\n\r\n");
            let is_taken = answer.starts_with("HTTP/1.1 201");
            assert_eq!(is_taken, is_whole, "{headers} {body:?}: {answer}");
        }
    }
    for body in CHUNKS {
        let head = "POST /topics/seen HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked";
        let answer = wire.raw(&format!("{head}\r\n\r\n{body}{HIDDEN}")).await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{body:?}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 2"), "{body:?}: {answer}");
    }
    // Behind the request of a stream, whose connection serves no second one.
    let mut stream = wire.connect().await;
    let open = "GET /topics/seen HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(format!("{open}{HIDDEN}").as_bytes()).await.unwrap();
    while !wire.ask("/metrics").await.contains("\ntidings_streams 1\n") {}
    stream.write_all(HIDDEN.as_bytes()).await.unwrap();
    let answer = wire.ask("/topics/smuggled").await;
    assert!(answer.contains("\"events\":[]"), "{answer}");
}
