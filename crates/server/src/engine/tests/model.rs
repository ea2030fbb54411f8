//! The slots of a shard against the testkit's model, on random schedules.
//!
//! Sockets take few bytes or many and refuse the rest, taps overflow, clients leave in the midst of an
//! event and come back with the last event ID they had whole.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidings_hub::engine::Tap;
use tidings_hub::{Client, Start, View};
use tidings_testkit::model::{Expectation, Readers, Schedule, Text, repeat, run};
use tidings_testkit::waker::Flag;

use super::super::gathered::Framing;
use super::super::shard::{Shard, ShardConfig};
use super::super::slot::{Adopted, Subscription};
use super::super::socket::Socket;
use super::super::stream_spec::StreamSpec;

const HEAD: &[u8] = b"HEAD\r\n\r\n";

/// The bytes that a client has been sent, shared with the test.
#[derive(Debug)]
struct Line {
    framing: Framing,
    /// Bytes that the shard can no longer take back: an event of which a byte was taken is sent whole.
    stream: Vec<u8>,
    /// How many of them the client has taken.
    taken: usize,
    /// Bytes that the client takes before it refuses.
    room: usize,
    is_full: bool,
    has_left: bool,
    is_finished: bool,
    is_closed: bool,
}

impl Line {
    /// How many bytes are sent whole once the first of them is taken.
    fn unit(&self, bytes: &[u8]) -> usize {
        let head = if self.stream.is_empty() { HEAD.len() } else { 0 };
        let rest = &bytes[head..];
        let end = |separator: &[u8]| {
            let at = rest.windows(separator.len()).position(|window| window == separator);
            at.map(|at| at + separator.len())
        };
        match self.framing {
            Framing::Chunked => {
                let size = end(b"\r\n").unwrap();
                let text = std::str::from_utf8(&rest[..size - 2]).unwrap();
                head + size + usize::from_str_radix(text, 16).unwrap() + 2
            }
            // What no blank line ends is written alone.
            Framing::Close => head + end(b"\n\n").unwrap_or(rest.len()),
        }
    }
}

#[derive(Debug)]
struct ModelSocket(Rc<RefCell<Line>>);

impl Socket for ModelSocket {
    /// Takes a byte at least, so that whatever is offered first is decided then.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut line = self.0.borrow_mut();
        if line.is_full {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = bytes.len().min(line.room.max(1));
        line.room = line.room.saturating_sub(taken);
        line.is_full = taken < bytes.len();
        let begun = &line.stream[line.taken..];
        let ahead = begun.len().min(bytes.len());
        assert_eq!(begun[..ahead], bytes[..ahead], "what was begun goes on otherwise");
        while line.stream.len() < line.taken + taken {
            let fresh = &bytes[line.stream.len() - line.taken..];
            let unit = line.unit(fresh);
            line.stream.extend_from_slice(&fresh[..unit]);
        }
        line.taken += taken;
        Ok(taken)
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        if self.0.borrow().has_left { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn finish(&mut self) {
        self.0.borrow_mut().is_finished = true;
    }
}

impl Drop for ModelSocket {
    fn drop(&mut self) {
        self.0.borrow_mut().is_closed = true;
    }
}

/// Takes the framing off a stream, however it is cut.
#[derive(Debug)]
struct Unframed {
    framing: Framing,
    at: usize,
    size: String,
    /// Bytes of the chunk that are still to come, its line end among them.
    left: usize,
}

impl Unframed {
    fn new(framing: Framing) -> Self {
        Self { framing, at: 0, size: String::new(), left: 0 }
    }

    /// The text among the bytes of `stream` that were not looked at before.
    fn next(&mut self, stream: &[u8]) -> Vec<u8> {
        let from = std::mem::replace(&mut self.at, stream.len());
        let body = stream.get(from.max(HEAD.len())..).unwrap_or_default();
        if self.framing == Framing::Close {
            return body.to_vec();
        }
        let mut text = Vec::new();
        for &byte in body {
            if self.left > 0 {
                if self.left > 2 {
                    text.push(byte);
                }
                self.left -= 1;
                continue;
            }
            self.size.push(char::from(byte));
            if let Some(size) = self.size.strip_suffix("\r\n") {
                self.left = usize::from_str_radix(size, 16).unwrap() + 2;
                self.size.clear();
            }
        }
        text
    }
}

struct SlotReader {
    key: usize,
    line: Rc<RefCell<Line>>,
    text: Text,
    sent: Unframed,
    taken: Unframed,
}

impl SlotReader {
    /// Returns whether the shard has the slot: a stream that has ended or was cut off is gone from it.
    fn is_open(&self) -> bool {
        let line = self.line.borrow();
        !line.is_finished && !line.is_closed
    }

    /// Checks what was sent since the last time, and lets the client have what it has taken of it.
    fn check(&mut self, schedule: &mut Schedule) {
        let line = self.line.borrow();
        let text = self.sent.next(&line.stream);
        self.text.send(&text, &schedule.reference, &mut schedule.counts);
        self.text.take(self.taken.next(&line.stream[..line.taken]).len());
        self.text.expected.stand(&schedule.reference, !line.is_full);
        if line.is_finished && !self.text.expected.ended {
            assert_eq!(line.taken, line.stream.len(), "finished before its end");
            self.text.expected.end_seen(&schedule.reference);
            schedule.counts.add("ends", 1);
        }
    }
}

struct ShardReaders {
    tap: Arc<Tap>,
    shard: Shard<ModelSocket, ()>,
    slots: Vec<SlotReader>,
    woken: Arc<Flag>,
    /// All slots whose sockets are not full stood at the tail after the last turn.
    is_settled: bool,
}

impl Readers for ShardReaders {
    const HAVE_STREAMS: bool = true;

    fn new(schedule: &mut Schedule) -> Self {
        let (woken, waker) = Flag::new();
        let tap = Arc::new(Tap::open(&schedule.hub, schedule.rng.usize(1..20), waker));
        let config = ShardConfig {
            heartbeat_interval: schedule.hub.config().heartbeat_interval,
            stream_age_max: None,
            stall_timeout: Duration::from_secs(3600),
            reconnection_time: schedule.hub.config().reconnection_time,
        };
        let shard = Shard::new(config, Arc::clone(&tap));
        Self { tap, shard, slots: Vec::new(), woken, is_settled: true }
    }

    fn step(&mut self, schedule: &mut Schedule) {
        match schedule.rng.u32(0..44) {
            0..10 => self.add(schedule),
            10..26 => self.turn(schedule),
            26..38 => self.make_room(schedule),
            38..42 => self.leave(schedule),
            _ => {
                self.tap.overflow();
                schedule.counts.add("dropped taps", 1);
            }
        }
    }

    fn check_woken(&mut self, schedule: &mut Schedule) {
        let waits = |slot: &SlotReader| slot.is_open() && !slot.line.borrow().is_full;
        let has_more = |slot: &SlotReader| slot.text.expected.has_more(&schedule.reference);
        if self.woken.take() {
            self.is_settled = false;
        }
        let asleep = self.is_settled && self.slots.iter().any(|slot| waits(slot) && has_more(slot));
        assert!(!asleep, "a shard asleep at an event");
    }

    fn finish(mut self, schedule: &mut Schedule) {
        for slot in &self.slots {
            open(&mut self.shard, slot, usize::MAX / 2);
        }
        // The first turn may find the tap overflowed; after the second all stand at the tail.
        for _ in 0..2 {
            self.settle(schedule);
        }
        for slot in &self.slots {
            assert_eq!(slot.line.borrow().taken, slot.line.borrow().stream.len(), "a rest is left");
            slot.text.expected.at_tail(&schedule.reference);
        }
    }
}

impl ShardReaders {
    fn add(&mut self, schedule: &mut Schedule) {
        let (start, view, expected) = schedule.open();
        let framing = if schedule.rng.bool() { Framing::Chunked } else { Framing::Close };
        let client = if schedule.rng.bool() { Client::EventSource } else { Client::Other };
        let line = Line {
            framing,
            stream: Vec::new(),
            taken: 0,
            room: schedule.rng.usize(0..2_000),
            is_full: false,
            has_left: false,
            is_finished: false,
            is_closed: false,
        };
        self.adopt(line, client, (start, &view, expected));
        schedule.drive();
        // As a shard's thread does: what the stream begins with is true now.
        self.settle(schedule);
    }

    fn adopt(
        &mut self,
        line: Line,
        client: Client,
        (start, view, expected): (Start, &View, Expectation),
    ) {
        let framing = line.framing;
        let line = Rc::new(RefCell::new(line));
        let key = self.shard.add(Adopted {
            socket: ModelSocket(Rc::clone(&line)),
            head: HEAD.to_vec(),
            discarded: 0,
            subscription: Subscription {
                reader: self.tap.subscribe(view, start),
                framing,
                spec: StreamSpec { client, ..StreamSpec::default() },
                permit: (),
            },
        });
        let (sent, taken) = (Unframed::new(framing), Unframed::new(framing));
        self.slots.push(SlotReader { key, line, text: Text::new(expected), sent, taken });
    }

    /// Lets the shard work, in portions.
    fn turn(&mut self, schedule: &mut Schedule) {
        if schedule.keeps_everything() {
            self.portion(schedule);
            self.check(schedule);
        } else {
            // A gap waits for nothing: what it tells would be another thing after the next eviction.
            self.settle(schedule);
        }
    }

    fn settle(&mut self, schedule: &mut Schedule) {
        loop {
            while self.portion(schedule) {}
            if !(schedule.drive() && self.woken.take()) {
                break;
            }
        }
        self.woken.take();
        self.is_settled = true;
        self.check(schedule);
    }

    /// Does some writes; `true` if there is more to do.
    fn portion(&mut self, schedule: &mut Schedule) -> bool {
        self.is_settled = false;
        for slot in self.slots.iter_mut().filter(|slot| !slot.line.borrow().is_full) {
            slot.text.expected.look(&schedule.reference);
        }
        self.shard.set_now(schedule.hub.uptime());
        self.shard.turn(schedule.rng.usize(1..20))
    }

    fn check(&mut self, schedule: &mut Schedule) {
        self.slots.iter_mut().for_each(|slot| slot.check(schedule));
        // One whose client took nothing while its stream ended is cut off.
        let (open, gone): (Vec<_>, _) =
            self.slots.drain(..).partition(|slot| slot.is_open() || slot.line.borrow().is_finished);
        self.slots = open;
        schedule.left.extend(gone.into_iter().filter_map(|slot| slot.text.leave()));
    }

    /// Some sockets take bytes again, a few or many.
    fn make_room(&mut self, schedule: &mut Schedule) {
        for slot in &self.slots {
            if schedule.rng.bool() {
                open(&mut self.shard, slot, schedule.rng.usize(1..2_000));
                self.is_settled = false;
            }
        }
    }

    /// A client leaves, wherever it is.
    fn leave(&mut self, schedule: &mut Schedule) {
        if self.slots.is_empty() {
            return;
        }
        let slot = self.slots.swap_remove(schedule.rng.usize(0..self.slots.len()));
        if slot.is_open() {
            slot.line.borrow_mut().has_left = true;
            self.shard.handle_readable(slot.key);
            assert!(slot.line.borrow().is_closed, "its client has left");
            let is_cut = slot.text.is_within_an_event();
            schedule.counts.add("streams cut in an event", u64::from(is_cut));
            schedule.left.extend(slot.text.leave());
        }
    }
}

/// Gives a socket room, and says so if it was full.
fn open(shard: &mut Shard<ModelSocket, ()>, slot: &SlotReader, room: usize) {
    let mut line = slot.line.borrow_mut();
    line.room += room;
    let was_full = std::mem::take(&mut line.is_full);
    drop(line);
    if was_full && slot.is_open() {
        shard.handle_writable(slot.key);
    }
}

#[test]
fn t42_no_slot_is_sent_anything_lost_doubled_or_told_falsely_on_any_schedule() {
    run::<ShardReaders>(200, &["dropped taps", "places without an event"]);
}

/// A slot at the tail was sent all events of a run from the tap, of which the limit of their topic left few.
#[test]
fn schedules_with_more_events_in_a_run_than_a_topic_keeps_pass() {
    repeat::<ShardReaders>(&[1123]);
}

/// A slot had read to the tail, and was then told of losses again, since its socket had refused what was read.
#[test]
fn schedules_with_slots_that_read_again_what_was_refused_pass() {
    repeat::<ShardReaders>(&[351]);
}
