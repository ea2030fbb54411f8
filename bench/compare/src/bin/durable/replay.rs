//! Readers that read a topic from its beginning.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;

/// Reads so many events of the topic with each of several readers, and returns events per second, all
/// readers together.
pub(crate) fn replay(address: SocketAddr, readers: usize, events: u64) -> io::Result<f64> {
    let began = Instant::now();
    let reading: Vec<_> =
        (0..readers).map(|_| thread::spawn(move || read(address, events))).collect();
    let mut read = 0;
    for reader in reading {
        read += reader.join().map_err(|_| io::Error::other("a reader has failed"))??;
    }
    Ok(read as f64 / began.elapsed().as_secs_f64())
}

fn read(address: SocketAddr, events: u64) -> io::Result<u64> {
    /// The longest silence of a server that works.
    const SILENCE_MAX: Duration = Duration::from_secs(30);
    const FIELD: &[u8] = b"\ndata: ";
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(SILENCE_MAX))?;
    let request = "GET /topics/load HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: earliest\r\n\r\n";
    socket.write_all(request.as_bytes())?;
    let mut input = vec![0; 256 * 1024];
    // The end of a read may be a part of what is looked for.
    let (mut kept, mut read) = (0, 0);
    while read < events {
        let bytes = socket.read(&mut input[kept..])?;
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let filled = kept + bytes;
        let mut after = 0;
        for at in memmem::find_iter(&input[..filled], FIELD) {
            read += 1;
            after = at + FIELD.len();
        }
        let from = after.max(filled.saturating_sub(FIELD.len() - 1));
        input.copy_within(from..filled, 0);
        kept = filled - from;
    }
    Ok(read)
}
