//! Events and changes of the connection, as text for a terminal.

use std::io::{self, Write as _};

use tidings_client::{End, Event, Gap, Open, Resumption, Retrying};

use crate::config::{Color, Interactive};
use crate::message::{self, harmless, message, name};

const CYAN: &str = "\x1b[36m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Prints a message on standard error, dim if there are colors.
pub(crate) fn tell_in(text: &str, color: Color) {
    let line = format!("tidings: {}", message(text));
    let _ = writeln!(io::stderr(), "{}", dim(&line, color));
}

/// Decides which changes of the connection are reported.
#[derive(Debug)]
pub(crate) struct ConnectionReport {
    interactive: Interactive,
    is_away: bool,
}

impl ConnectionReport {
    pub(crate) fn new(interactive: Interactive) -> Self {
        Self { interactive, is_away: false }
    }

    /// Returns what to say of a stream that opened: something if a person watches, or if a failure
    /// was reported before.
    pub(crate) fn open(&mut self, open: &Open) -> Option<String> {
        let was_away = std::mem::take(&mut self.is_away);
        (was_away || self.interactive == Interactive::Yes).then(|| opened(open))
    }

    /// Returns what to say of an attempt to come: something if a person watches, or if an attempt
    /// failed. That a good stream has ended is no failure.
    pub(crate) fn retrying(&mut self, retrying: &Retrying) -> Option<String> {
        let failed = retrying.attempt > 1;
        self.is_away |= failed;
        (failed || self.interactive == Interactive::Yes).then(|| message::retrying(retrying))
    }
}

/// Formats an event: type, data, and last event ID. Further lines of data are indented.
pub(crate) fn event(event: &Event, color: Color) -> String {
    layout(event.event_type(), event.data(), event.last_event_id(), color)
}

fn layout(event_type: &str, data: &str, id: &str, color: Color) -> String {
    let event_type = paint(&name(event_type), CYAN, color);
    let data = harmless(data).replace('\n', "\n    ");
    match id {
        "" => format!("{event_type}  {data}\n"),
        id => format!("{event_type}  {data}  {}\n", dim(&name(id), color)),
    }
}

fn opened(open: &Open) -> String {
    match &open.resumption {
        Resumption::After(id) => format!("open: {}, resumed after event {id}", open.url),
        Resumption::Unsendable(id) => {
            format!("open: {}, not resumed: the ID {id:?} cannot be sent in a header", open.url)
        }
        Resumption::Fresh => format!("open: {}", open.url),
    }
}

pub(crate) fn gap(gap: &Gap) -> String {
    let asked = gap.asked.as_deref().unwrap_or("the beginning");
    match &gap.oldest {
        Some(oldest) => {
            format!("gap: events after {asked} are missing; the oldest still held is {oldest}")
        }
        None => format!("gap: events after {asked} are missing, and none are held"),
    }
}

pub(crate) fn end(end: &End) -> String {
    match &end.topic {
        Some(topic) => format!("end of {}: {}, {} events", name(topic), end.reason, end.events),
        None => format!("end: {}, {} events", end.reason, end.events),
    }
}

fn dim(text: &str, color: Color) -> String {
    paint(text, DIM, color)
}

fn paint(text: &str, paint: &str, color: Color) -> String {
    match color {
        Color::Yes => format!("{paint}{text}{PLAIN}"),
        Color::No => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_more_data_is_set_in() {
        assert_eq!(layout("news", "a\nb", "7", Color::No), "news  a\n    b  7\n");
        assert_eq!(layout("news", "a", "", Color::No), "news  a\n");
        let painted = layout("news", "a", "7", Color::Yes);
        assert_eq!(painted, "\x1b[36mnews\x1b[0m  a  \x1b[2m7\x1b[0m\n");
    }

    #[test]
    fn a_stream_cannot_control_the_terminal() {
        let shown = layout("\u{1b}]0;t\u{7}", "\u{1b}[2J\r\u{9b}1m\t.", "\u{1b}c", Color::No);
        assert!(shown.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{shown:?}");
        assert!(shown.contains("[2J"), "{shown:?}");
    }
}
