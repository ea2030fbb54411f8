//! Events and what happens to the connection, for people at a terminal.

use tidings_client::{Event, Gap, Open, Resumption, Retrying};

use crate::config::Colour;
use crate::sentence;

const CYAN: &str = "\x1b[36m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// An event: type, data, and the last event ID; further lines of data are set in.
pub(crate) fn event(event: &Event, colour: Colour) -> String {
    layout(event.event_type(), event.data(), event.last_event_id(), colour)
}

fn layout(event_type: &str, data: &str, id: &str, colour: Colour) -> String {
    let event_type = paint(&harmless(event_type), CYAN, colour);
    let data = harmless(data).replace('\n', "\n    ");
    match id {
        "" => format!("{event_type}  {data}\n"),
        id => format!("{event_type}  {data}  {}\n", dim(&harmless(id), colour)),
    }
}

pub(crate) fn open(open: &Open) -> String {
    match &open.resumption {
        Resumption::After(id) => format!("open: {}, after the event {id}", open.url),
        Resumption::Unsendable(id) => {
            format!("open: {}, and not after the event {id:?}: no header can carry it", open.url)
        }
        Resumption::Fresh => format!("open: {}", open.url),
    }
}

pub(crate) fn retrying(retrying: &Retrying) -> String {
    let seconds = retrying.delay.as_secs_f64();
    format!("{}; trying again in {seconds:.1} s", sentence(&retrying.cause))
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

/// Keeps a stream from controlling the terminal: nothing of it but line ends and tabs may be a
/// control character.
pub(crate) fn harmless(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(harmless).collect()
}

pub(crate) fn dim(text: &str, colour: Colour) -> String {
    paint(text, DIM, colour)
}

fn paint(text: &str, paint: &str, colour: Colour) -> String {
    match colour {
        Colour::Yes => format!("{paint}{text}{PLAIN}"),
        Colour::No => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_more_data_is_set_in() {
        assert_eq!(layout("news", "a\nb", "7", Colour::No), "news  a\n    b  7\n");
        assert_eq!(layout("news", "a", "", Colour::No), "news  a\n");
        let painted = layout("news", "a", "7", Colour::Yes);
        assert_eq!(painted, "\x1b[36mnews\x1b[0m  a  \x1b[2m7\x1b[0m\n");
    }

    #[test]
    fn a_stream_cannot_control_the_terminal() {
        let shown = layout("\u{1b}]0;t\u{7}", "\u{1b}[2J\r\u{9b}1m\t.", "\u{1b}c", Colour::No);
        assert!(shown.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{shown:?}");
        assert!(shown.contains("[2J"), "{shown:?}");
    }
}
