//! Reads the stream of one connection, from the bytes of its body to the ledger.

use tidings_proto::{Decoder, Item};

use crate::check::causes::Cause;
use crate::check::ledger::{Ledger, Position};
use crate::http::body::{Body, Piece};
use crate::subscribe::recent::RecentEvents;

/// A stream, and how much of it has been read.
#[derive(Debug)]
pub(crate) struct Reading {
    body: Body,
    decoder: Decoder,
    pub(crate) position: Position,
    /// Whether the decoder has just dispatched an event and holds no part of the next.
    is_between: bool,
}

impl Reading {
    /// Stands before the first byte of a stream whose framing is not known yet.
    pub(crate) fn new(position: Position) -> Self {
        Self { body: Body::until_close(), decoder: Decoder::new(), position, is_between: false }
    }

    /// Sets the framing of the body.
    pub(crate) fn frame(&mut self, body: Body) {
        self.body = body;
    }

    /// Returns whether the stream is complete if the connection is closed at this point.
    pub(crate) fn may_end(&self) -> bool {
        self.body.may_end()
    }

    /// Reads a part of the body that arrived at `now`.
    ///
    /// # Errors
    ///
    /// Nothing more can be read: the body has ended or is malformed.
    #[inline]
    pub(crate) fn read(
        &mut self,
        mut input: &[u8],
        recent: &mut RecentEvents,
        ledger: &mut Ledger,
        now: u64,
    ) -> Result<(), Cause> {
        loop {
            let mut piece = match self.body.next(&mut input) {
                Ok(Piece::Data(piece)) => piece,
                Ok(Piece::More) => return Ok(()),
                Ok(Piece::End) => return Err(Cause::Ended),
                Err(_) => return Err(Cause::BadChunk),
            };
            while !piece.is_empty() {
                if self.is_between
                    && let Some(stamp) =
                        recent.strip(self.position.topic(), self.position.next(), &mut piece)
                {
                    ledger.deliver_known(&mut self.position, stamp, now);
                    continue;
                }
                self.decode(&mut piece, recent, ledger, now)?;
            }
        }
    }

    /// Decodes one item, or all of `piece` if no item ends in it.
    fn decode(
        &mut self,
        piece: &mut &[u8],
        recent: &mut RecentEvents,
        ledger: &mut Ledger,
        now: u64,
    ) -> Result<(), Cause> {
        let whole = *piece;
        let was_between = std::mem::take(&mut self.is_between);
        let item = self.decoder.decode(piece).map_err(|_| Cause::EventTooLarge)?;
        let Some(Item::Event(event)) = item else { return Ok(()) };
        self.is_between = true;
        let came = ledger.deliver(&mut self.position, event.event_type, event.data, now);
        if let Some(stamp) = came.filter(|_| was_between) {
            recent.keep(stamp, &whole[..whole.len() - piece.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::data::Shape;
    use crate::check::faults::Faults;
    use crate::check::ledger::Scope;

    /// Makes events as stream text, with various other fields, comments and line ends.
    fn events(ledger: &mut Ledger, count: usize) -> Vec<String> {
        let event = |number: usize| {
            let stamp = ledger.publish(0);
            let mut data = Vec::new();
            ledger.shape().write(&mut data, stamp);
            let data = String::from_utf8(data).unwrap();
            match number % 5 {
                0 => format!("id: {number}\ndata: {data}\n\n"),
                1 => format!("data:{data}\r\n\r\n"),
                2 => format!(": x\ndata: {data}\n\n:\n"),
                3 => format!("retry: 5\rdata: {data}\r\r"),
                _ => format!("data: {data}\nid\nevent: message\n\n"),
            }
        };
        (0..count).map(event).collect()
    }

    fn chunked(pieces: &[impl AsRef<str>]) -> Vec<u8> {
        let chunk = |piece: &str| format!("{:x}\r\n{piece}\r\n", piece.len());
        pieces.iter().map(|piece| chunk(piece.as_ref())).collect::<String>().into_bytes()
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(Shape::new(7, 100), 1, Scope::Own);
        (0..2).for_each(|_| ledger.join(0));
        ledger
    }

    /// Two subscribers, of which the second receives what the first has received.
    struct Pair {
        ledger: Ledger,
        recent: RecentEvents,
        readings: [Reading; 2],
    }

    impl Pair {
        fn new(ledger: Ledger, framing: Body) -> Self {
            let reading = || {
                let mut reading = Reading::new(Position::new(0, 0));
                reading.frame(framing);
                reading
            };
            Self { ledger, recent: RecentEvents::new(), readings: [reading(), reading()] }
        }

        fn read(&mut self, subscriber: usize, input: &[u8]) -> Result<(), Cause> {
            self.readings[subscriber].read(input, &mut self.recent, &mut self.ledger, 1)
        }
    }

    #[test]
    fn every_event_is_delivered_at_every_cut_whatever_was_read_before() {
        for framing in [Body::chunked(), Body::until_close()] {
            let text = |events: &[String]| match framing == Body::chunked() {
                true => chunked(events),
                false => events.concat().into_bytes(),
            };
            let len = text(&events(&mut ledger(), 12)).len();
            for cut in 0..=len {
                let mut ledger = ledger();
                let text = text(&events(&mut ledger, 12));
                let mut pair = Pair::new(ledger, framing);
                pair.read(0, &text).unwrap();
                assert_eq!(pair.ledger.delivered(), 12);
                pair.read(1, &text[..cut]).unwrap();
                pair.read(1, &text[cut..]).unwrap();
                assert_eq!(pair.ledger.delivered(), 24, "cut after byte {cut}");
                assert_eq!(pair.ledger.faults(), Faults::default());
                assert_eq!(pair.ledger.under_way(), 0);
            }
        }
    }

    #[test]
    fn what_differs_from_what_another_was_sent_is_looked_at() {
        let mut ledger = ledger();
        let events = events(&mut ledger, 12);
        let mut altered = events.clone();
        altered[10] = altered[10].replace("tidings:0", "tidings:1");
        altered.swap(5, 6);
        altered.push(events[0].clone());
        let mut pair = Pair::new(ledger, Body::chunked());
        pair.read(0, &chunked(&events)).unwrap();
        pair.read(1, &chunked(&altered)).unwrap();
        pair.ledger.give_up();
        let expected =
            Faults { lost: 1, doubled: 1, out_of_order: 1, corrupt: 1, ..Faults::default() };
        assert_eq!(pair.ledger.faults(), expected);
    }

    #[test]
    fn the_end_of_a_stream_is_told_from_a_break() {
        let mut pair = Pair::new(ledger(), Body::chunked());
        assert!(matches!(pair.read(0, b"0\r\n\r\n"), Err(Cause::Ended)));
        assert!(pair.readings[0].may_end());
        assert!(matches!(pair.read(1, b"no\r\n"), Err(Cause::BadChunk)));
        assert!(!pair.readings[1].may_end());
    }
}
