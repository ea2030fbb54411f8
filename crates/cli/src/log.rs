//! The log: lines on standard error, written by a thread of its own.
//!
//! A terminal that was stopped or a pipe that nobody reads blocks whoever writes to it. That is this
//! thread alone: the threads that serve hand their lines over, and a line that finds no room is
//! lost and counted.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::filter::LevelFilter;

/// The lines on their way to standard error. Clones share them.
#[derive(Clone)]
pub(crate) struct Log {
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
}

enum Line {
    Text(Vec<u8>),
    /// Everything before it has been written when its sender is dropped.
    Flush(std::sync::mpsc::Sender<()>),
}

/// The maximum number of lines that wait: some hundred kilobytes, and a burst of some milliseconds.
const LINES_MAX: usize = 4096;

impl Log {
    /// Starts the thread that writes, and sends everything that is logged to it.
    pub(crate) fn start(level: LevelFilter) -> io::Result<Self> {
        let log = Self::writing_to(io::stderr(), LINES_MAX)?;
        let maker = log.clone();
        tracing_subscriber::fmt()
            .with_writer(move || maker.clone())
            // Colors are for people. A file or a journal would be full of escape codes.
            .with_ansi(io::stderr().is_terminal())
            .with_max_level(level)
            .init();
        Ok(log)
    }

    fn writing_to(output: impl Write + Send + 'static, lines_max: usize) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(lines_max);
        thread::Builder::new().name("log".to_owned()).spawn(move || write(&waiting, output))?;
        Ok(Self { lines, lost: Arc::default() })
    }

    /// The number of lines that were lost.
    pub(crate) fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    /// Waits until the lines logged before are written, for a moment: nobody may be reading them.
    pub(crate) fn finish(&self) {
        const TIME_MAX: Duration = Duration::from_millis(500);
        const PAUSE: Duration = Duration::from_millis(5);
        let until = Instant::now() + TIME_MAX;
        let (flush, flushed) = channel();
        let mut line = Line::Flush(flush);
        while let Err(TrySendError::Full(unsent)) = self.lines.try_send(line) {
            if Instant::now() >= until {
                return;
            }
            thread::sleep(PAUSE);
            line = unsent;
        }
        // The sender is dropped once they are.
        let _ = flushed.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

impl Write for Log {
    /// Takes a line, which arrives whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.lines.try_send(Line::Text(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(lines: &Receiver<Line>, mut output: impl Write) {
    for line in lines {
        match line {
            // Standard error may be closed; there is no other place to say so.
            Line::Text(text) => drop(output.write_all(&text)),
            Line::Flush(flush) => drop(flush),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::Sender;

    use super::*;

    /// An output that accepts a write only when it is allowed to.
    struct Stopped(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn stopped(lines_max: usize) -> (Log, Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (go_on, waits) = channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let output = Stopped(waits, Arc::clone(&written));
        (Log::writing_to(output, lines_max).unwrap(), go_on, written)
    }

    /// With `--log debug` and a standard error that nobody read, the hub stood still.
    #[test]
    fn a_line_that_nobody_reads_is_lost_and_counted_and_blocks_nobody() {
        let (mut log, go_on, written) = stopped(2);
        // One line is being written, and two wait.
        let mut count = 0;
        while log.lost.load(Ordering::Relaxed) < 10 {
            log.write_all(format!("{count}\n").as_bytes()).unwrap();
            count += 1;
        }
        assert!((12..=13).contains(&count), "{count}");
        drop(go_on);
        log.finish();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("0\n1\n"), "{text}");
        assert_eq!(text.lines().count(), count - 10);
    }

    #[test]
    fn what_was_logged_is_written_before_the_end() {
        let (mut log, go_on, written) = stopped(LINES_MAX);
        drop(go_on);
        for _ in 0..100 {
            log.write_all(b"line\n").unwrap();
        }
        log.finish();
        assert_eq!(written.lock().unwrap().len(), 500);
    }
}
