//! The progress line on standard error.

use std::io::{self, Write as _};
use std::time::Duration;

use crate::config::ProgressStyle;
use crate::measure::clock::{nanos, seconds};
use crate::words::grouped;

/// Shows the progress of a run.
#[derive(Debug)]
pub(crate) struct Progress {
    style: ProgressStyle,
    shown: u64,
    /// The count when progress was last shown, for the rate.
    before: u64,
    /// The length of the line on the terminal.
    width: usize,
}

impl ProgressStyle {
    /// The interval at which progress is shown.
    fn interval(self) -> u64 {
        match self {
            Self::None => u64::MAX,
            Self::Terminal => nanos(Duration::from_millis(200)),
            Self::Lines => nanos(Duration::from_secs(1)),
        }
    }
}

impl Progress {
    pub(crate) fn new(style: ProgressStyle) -> Self {
        Self { style, shown: 0, before: 0, width: 0 }
    }

    /// Restarts the count.
    pub(crate) fn begin(&mut self) {
        self.before = 0;
    }

    /// Returns whether progress should be shown again.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now.saturating_sub(self.shown) >= self.style.interval()
    }

    /// Shows that `done` of `all` are done.
    pub(crate) fn show(&mut self, what: &str, done: u64, all: u64, now: u64) {
        let rate = done.saturating_sub(self.before) as f64 / seconds(now - self.shown);
        (self.shown, self.before) = (now, done);
        let line = match all {
            0 => format!("{what}: {}", grouped(done)),
            _ => {
                format!("{what}: {} of {}, {}/s", grouped(done), grouped(all), grouped(rate as u64))
            }
        };
        self.write(&line);
    }

    /// Clears the line.
    pub(crate) fn end(&mut self) {
        if self.width > 0 {
            self.write("");
        }
    }

    /// Standard error may be closed, which is no reason to stop.
    fn write(&mut self, line: &str) {
        let text = self.text(line);
        let mut out = io::stderr().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Returns the text that writes `line` over the previous line, or below it.
    fn text(&mut self, line: &str) -> String {
        match (self.style, line) {
            (ProgressStyle::None, _) => String::new(),
            (ProgressStyle::Lines, line) => format!("{line}\n"),
            (ProgressStyle::Terminal, line) => {
                let over = self.width.saturating_sub(line.len());
                self.width = line.len();
                let back = if line.is_empty() { "\r" } else { "" };
                format!("\r{line}{}{back}", " ".repeat(over))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_on_a_terminal_covers_the_one_before() {
        let mut progress = Progress::new(ProgressStyle::Terminal);
        assert_eq!(progress.text("streams: 10"), "\rstreams: 10");
        assert_eq!(progress.text("events: 1"), "\revents: 1  ");
        assert_eq!(progress.text("events: 10"), "\revents: 10");
        assert_eq!(progress.text(""), "\r          \r");
        assert_eq!(progress.width, 0);
        assert_eq!(Progress::new(ProgressStyle::Lines).text("events: 1"), "events: 1\n");
        assert_eq!(Progress::new(ProgressStyle::None).text("events: 1"), "");
    }

    #[test]
    fn progress_is_shown_not_too_often_and_never_unasked() {
        let second = nanos(Duration::from_secs(1));
        for (style, due) in [(ProgressStyle::Terminal, second / 5), (ProgressStyle::Lines, second)]
        {
            assert!(!Progress::new(style).is_due(due - 1) && Progress::new(style).is_due(due));
        }
        assert!(!Progress::new(ProgressStyle::None).is_due(u64::MAX - 1));
    }
}
