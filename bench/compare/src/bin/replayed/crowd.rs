//! The readers that replay the answer, in a process of their own.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tidings_bench_compare::running::pinned;

use crate::{CORE, READERS, TOKEN_BYTES, TOKENS};

/// This program as the readers, which read until its standard input ends.
pub(crate) struct Crowd {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Crowd {
    /// Starts them, and waits until all of them have asked.
    pub(crate) fn start(address: SocketAddr) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let mut command: Vec<OsString> = ["chrt", "--idle", "0"].map(OsString::from).to_vec();
        command.extend([own.into(), "--readers".into(), address.to_string().into()]);
        let mut command = pinned(CORE, &command);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut crowd = Self { process, output: BufReader::new(output) };
        match crowd.output.read_line(&mut String::new())? {
            0 => Err(io::Error::other("the readers have failed")),
            _ => Ok(crowd),
        }
    }

    /// Ends the readers; returns how many answers they have read to the end, and all bytes.
    pub(crate) fn finish(mut self) -> io::Result<(u64, u64)> {
        drop(self.process.stdin.take());
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        self.process.wait()?;
        let mut numbers = line.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(answers)), Some(Ok(bytes))) if answers > 0 => Ok((answers, bytes)),
            _ => Err(io::Error::other("the readers have read no answer")),
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // It has ended already unless the measurement has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Replays the answer until the standard input ends, and prints how often, and how many bytes that were.
pub(crate) fn replay(address: SocketAddr) -> io::Result<()> {
    let is_over = AtomicBool::new(false);
    let (answers, bytes) = thread::scope(|scope| {
        scope.spawn(|| {
            // An input that cannot be read has ended as well.
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            is_over.store(true, Ordering::Relaxed);
        });
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
