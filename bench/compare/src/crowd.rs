//! Many readers in a process of their own, beside what is measured.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::running::pinned;

/// This program as the readers, which read until its standard input ends.
///
/// They give way to the live readers on the core of the load, because the latency of these would else be the time
/// that they wait for them there, and not what the server makes them wait.
#[derive(Debug)]
pub struct Crowd {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Crowd {
    /// Starts this program with `--readers ADDRESS` on a core, by a command that lowers its priority, and waits for
    /// the line that says that all of them have asked.
    ///
    /// # Errors
    ///
    /// It does not start, or the readers fail.
    pub fn start(core: u32, lowered: &[&str], address: SocketAddr) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let mut command: Vec<_> = lowered.iter().map(OsString::from).collect();
        command.extend([own.into(), "--readers".into(), address.to_string().into()]);
        let mut command = pinned(core, &command);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut crowd = Self { process, output: BufReader::new(output) };
        match crowd.output.read_line(&mut String::new())? {
            0 => Err(io::Error::other("the readers have failed")),
            _ => Ok(crowd),
        }
    }

    /// Ends the readers; returns the line in which they say what they have read.
    ///
    /// # Errors
    ///
    /// They have failed.
    pub fn finish(mut self) -> io::Result<String> {
        drop(self.process.stdin.take());
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        self.process.wait()?;
        Ok(line)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // It has ended already unless the measurement has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits, in the process of the readers, until they are to end.
pub fn await_end(is_over: &AtomicBool) {
    // An input that cannot be read has ended as well.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    is_over.store(true, Ordering::Relaxed);
}
