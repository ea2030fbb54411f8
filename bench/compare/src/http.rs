//! HTTP/1.1 as far as these clients need it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The timeout of connecting, and of an answer's head.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A connection, and what was read of it.
pub struct Connection {
    socket: BufReader<TcpStream>,
}

/// The head of an answer, as far as it matters.
pub struct Head {
    pub status: u16,
    length: usize,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        socket.set_write_timeout(Some(ANSWER_MAX))?;
        Ok(Self { socket: BufReader::with_capacity(64 << 10, socket) })
    }

    /// Publishes, and returns the status.
    pub fn publish(&mut self, topic: &str, data: &str) -> io::Result<u16> {
        let length = data.len();
        let request = format!(
            "POST /topics/{topic} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{data}"
        );
        self.socket.get_mut().write_all(request.as_bytes())?;
        let head = self.head()?;
        io::copy(&mut (&mut self.socket).take(head.length as u64), &mut io::sink())?;
        Ok(head.status)
    }

    /// Requests an event stream, whose chunks [`chunk`](Self::chunk) reads.
    pub fn subscribe(&mut self, query: &str, last_event_id: &str) -> io::Result<Head> {
        let place = match last_event_id {
            "" => String::new(),
            id => format!("Last-Event-ID: {id}\r\n"),
        };
        let request = format!(
            "GET /events?{query} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\
             Cache-Control: no-cache\r\n{place}\r\n"
        );
        self.socket.get_mut().write_all(request.as_bytes())?;
        self.head()
    }

    pub fn text(&mut self, path: &str) -> io::Result<String> {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        self.socket.get_mut().write_all(request.as_bytes())?;
        let head = self.head()?;
        if head.status != 200 {
            return Err(io::Error::other(format!("{path} was answered by {}", head.status)));
        }
        let mut text = String::new();
        (&mut self.socket).take(head.length as u64).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Replaces the timeout of reads.
    pub fn read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket.get_ref().set_read_timeout(Some(timeout))
    }

    /// Reads the next chunk of a stream; `false` at its end.
    pub fn chunk(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        into.clear();
        let size = self.line()?;
        let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
        let read = (&mut self.socket).take(size as u64 + 2).read_to_end(into)?;
        if read != size + 2 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        into.truncate(size);
        Ok(size > 0)
    }

    fn head(&mut self) -> io::Result<Head> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status in '{first}'")))?;
        let mut length = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                Some(_) => {}
                None => return Ok(Head { status, length }),
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.socket.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
