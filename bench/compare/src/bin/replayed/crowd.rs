//! The readers that replay the answer, in a process of their own.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tidings_bench_compare::crowd::{Crowd, await_end};

use crate::{CORE, READERS, TOKEN_BYTES, TOKENS};

/// Starts them.
pub(crate) fn start(address: SocketAddr) -> io::Result<Crowd> {
    Crowd::start(CORE, &["chrt", "--idle", "0"], address)
}

/// Ends them; returns how many answers they have read to the end, and all bytes.
pub(crate) fn finish(crowd: Crowd) -> io::Result<(u64, u64)> {
    let line = crowd.finish()?;
    let mut numbers = line.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(answers)), Some(Ok(bytes))) if answers > 0 => Ok((answers, bytes)),
        _ => Err(io::Error::other("the readers have read no answer")),
    }
}

/// Replays the answer until the standard input ends, and prints how often, and how many bytes that were.
pub(crate) fn replay(address: SocketAddr) -> io::Result<()> {
    let is_over = AtomicBool::new(false);
    let (answers, bytes) = thread::scope(|scope| {
        scope.spawn(|| await_end(&is_over));
        let read = read_again_and_again(address, &is_over);
        if read.is_err() {
            // Its standard output ends, and its input need not.
            std::process::exit(1);
        }
        read
    })?;
    println!("{answers} {bytes}");
    Ok(())
}

fn read_again_and_again(address: SocketAddr, is_over: &AtomicBool) -> io::Result<(u64, u64)> {
    let mut poll = Poll::new()?;
    let open = |number: usize, poll: &Poll| {
        let mut socket = std::net::TcpStream::connect(address)?;
        socket.write_all(
            b"GET /topics/answer?from=begin HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
        )?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
        Ok::<_, io::Error>((socket, 0_usize))
    };
    let sockets = (0..READERS).map(|number| open(number, &poll));
    let mut sockets = sockets.collect::<io::Result<Vec<_>>>()?;
    println!("open");
    let (mut events, mut input) = (Events::with_capacity(READERS), vec![0; 256 * 1024]);
    let (mut answers, mut bytes) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let number = event.token().0;
            loop {
                let (socket, read) = &mut sockets[number];
                match socket.read(&mut input) {
                    Ok(0) if *read < TOKENS * TOKEN_BYTES => {
                        return Err(io::Error::other(format!("an answer had {read} bytes")));
                    }
                    Ok(0) => {
                        answers += 1;
                        sockets[number] = open(number, &poll)?;
                    }
                    Ok(more) => {
                        *read += more;
                        bytes += more as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok((answers, bytes))
}
