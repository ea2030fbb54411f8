//! How each server takes events, and how it acknowledges them.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use memchr::memmem;

/// Size of the data of an event, all printable.
pub const DATA_BYTES: usize = 100;

/// A server's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Tidings,
    Redis,
    Nats,
}

impl Wire {
    /// Prepares a server for events.
    pub fn set_up(self, address: SocketAddr) -> io::Result<()> {
        if self != Self::Nats {
            return Ok(());
        }
        let stream = r#"{"name":"load","subjects":["load"],"storage":"file","retention":"limits","num_replicas":1}"#;
        let mut socket = TcpStream::connect(address)?;
        let mut text = self.greeting(0);
        let create =
            format!("PUB $JS.API.STREAM.CREATE.load _INBOX.0 {}\r\n{stream}\r\n", stream.len());
        text.extend_from_slice(create.as_bytes());
        socket.write_all(&text)?;
        let mut input = Vec::new();
        while self.acknowledged(&mut input)? == 0 {
            let mut bytes = [0; 4096];
            let read = socket.read(&mut bytes)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            input.extend_from_slice(&bytes[..read]);
        }
        Ok(())
    }

    /// Returns what a connection sends first.
    pub fn greeting(self, connection: usize) -> Vec<u8> {
        match self {
            Self::Tidings | Self::Redis => Vec::new(),
            Self::Nats => format!("CONNECT {{\"verbose\":false}}\r\nSUB _INBOX.{connection} 1\r\n")
                .into_bytes(),
        }
    }

    /// Returns the request that publishes a batch of events.
    pub fn request(self, connection: usize, batch: usize) -> Vec<u8> {
        let data = "0123456789".repeat(DATA_BYTES / 10);
        let text = match self {
            Self::Tidings if batch == 1 => format!(
                "POST /topics/load HTTP/1.1\r\nHost: localhost\r\nContent-Length: {DATA_BYTES}\r\n\r\n{data}"
            ),
            Self::Tidings => {
                let lines = format!("{{\"topic\":\"load\",\"data\":\"{data}\"}}\n").repeat(batch);
                format!(
                    "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
                     Content-Length: {}\r\n\r\n{lines}",
                    lines.len()
                )
            }
            Self::Redis => format!(
                "*5\r\n$4\r\nXADD\r\n$4\r\nload\r\n$1\r\n*\r\n$1\r\nd\r\n${DATA_BYTES}\r\n{data}\r\n"
            )
            .repeat(batch),
            Self::Nats => {
                format!("PUB load _INBOX.{connection} {DATA_BYTES}\r\n{data}\r\n").repeat(batch)
            }
        };
        text.into_bytes()
    }

    /// Takes whole answers from the input; returns the number of events that they acknowledge.
    pub fn acknowledged(self, input: &mut Vec<u8>) -> io::Result<usize> {
        let (mut events, mut taken) = (0, 0);
        while let Some((answer, bytes)) = self.answer(&input[taken..])? {
            events += answer;
            taken += bytes;
        }
        input.drain(..taken);
        Ok(events)
    }

    /// Reads one answer: its events and its size.
    fn answer(self, input: &[u8]) -> io::Result<Option<(usize, usize)>> {
        match self {
            Self::Tidings => http(input),
            Self::Redis => redis(input),
            Self::Nats => nats(input),
        }
    }
}

fn refused(answer: &[u8]) -> io::Error {
    io::Error::other(format!("refused: {}", String::from_utf8_lossy(answer).trim_end()))
}

fn http(input: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(end) = memmem::find(input, b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&input[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let whole = end + 4 + length.unwrap_or(0_usize);
    let Some(body) = input.get(end + 4..whole) else { return Ok(None) };
    if !head.starts_with("http/1.1 201 ") {
        return Err(refused(&input[..whole]));
    }
    // A single event is answered with its ID, many with their number.
    let many = memmem::find(body, b"\"committed\":").map(|at| {
        let digits = body[at + 12..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |number, digit| 10 * number + usize::from(digit - b'0'))
    });
    Ok(Some((many.unwrap_or(1), whole)))
}

fn redis(input: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(line) = memmem::find(input, b"\r\n") else { return Ok(None) };
    if input[0] != b'$' {
        return Err(refused(&input[..line]));
    }
    let Some(id) = memmem::find(&input[line + 2..], b"\r\n") else { return Ok(None) };
    Ok(Some((1, line + 2 + id + 2)))
}

fn nats(input: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(line) = memmem::find(input, b"\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&input[..line]).into_owned();
    match text.split(' ').collect::<Vec<_>>()[..] {
        ["MSG", _, _, length] => {
            let length: usize = length.parse().map_err(io::Error::other)?;
            let whole = line + 2 + length + 2;
            let Some(payload) = input.get(line + 2..whole) else { return Ok(None) };
            match memmem::find(payload, b"\"error\"") {
                Some(_) => Err(refused(payload)),
                None => Ok(Some((1, whole))),
            }
        }
        ["-ERR", ..] => Err(refused(&input[..line])),
        // INFO and PING.
        _ => Ok(Some((0, line + 2))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wire: Wire, answers: &str, events: usize) {
        for cut in 0..=answers.len() {
            let mut input = answers.as_bytes()[..cut].to_vec();
            let first = wire.acknowledged(&mut input).unwrap();
            input.extend_from_slice(&answers.as_bytes()[cut..]);
            let second = wire.acknowledged(&mut input).unwrap();
            assert_eq!((first + second, input.len()), (events, 0), "cut after byte {cut}");
        }
    }

    #[test]
    fn answers_are_counted_however_they_are_cut() {
        let one = "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nurn:1";
        let many =
            "HTTP/1.1 201 Created\r\ncontent-length: 25\r\n\r\n{\"committed\":12,\"ids\":[]}";
        check(Wire::Tidings, &[one, many, one].concat(), 14);
        check(Wire::Redis, "$3\r\n1-0\r\n$4\r\n12-3\r\n", 2);
        let info = "INFO {}\r\n";
        let message = "MSG _INBOX.1 1 16\r\n{\"seq\":1,\"x\":\"\"}\r\n";
        check(Wire::Nats, &[info, message, "PING\r\n", message].concat(), 2);
    }

    #[test]
    fn refusals_are_errors() {
        for (wire, answer) in [
            (Wire::Tidings, "HTTP/1.1 507 Insufficient Storage\r\ncontent-length: 0\r\n\r\n"),
            (Wire::Redis, "-MISCONF errors writing to the AOF file\r\n"),
            (Wire::Nats, "MSG _INBOX.1 1 12\r\n{\"error\":{}}\r\n"),
            (Wire::Nats, "-ERR 'Unknown Protocol Operation'\r\n"),
        ] {
            assert!(wire.acknowledged(&mut answer.as_bytes().to_vec()).is_err(), "{answer}");
        }
    }
}
