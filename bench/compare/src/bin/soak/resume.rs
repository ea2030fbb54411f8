//! A publisher, and readers that come and go: each resumes by its last event ID and checks that it
//! misses nothing and sees nothing twice.

mod ledger;

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tidings_bench_compare::http::Connection;
use tidings_proto::{Decoder, Item};

use crate::tally::Tally;
use ledger::Ledger;

/// The topics whose events are numbered, and read again and again.
const TOPICS: u64 = 50;
/// The pause between two publishes.
const PACE: Duration = Duration::from_millis(2);
/// Every so many publishes one goes to a topic that gets no other.
const ONCE: u64 = 5;
/// The pause after a failed request, so that a hub that is away is not asked without end.
const PAUSE: Duration = Duration::from_millis(100);
/// A stream is read for less than this, and then left.
const STAY_MAX: Duration = Duration::from_secs(4);
/// Silence after which a reader leaves: it has to look at the clock now and then.
const SILENCE_MAX: Duration = Duration::from_millis(500);
/// A reader that stays away is away for less than this: other events evict those it left.
const AWAY_MAX: Duration = Duration::from_secs(20);

/// Queries of the readers: a topic, several, a pattern, both, and everything.
pub(crate) const VIEWS: [&str; 6] = [
    "topic=soak/1",
    "topic=soak/1&topic=soak/2&topic=soak/3&topic=soak/40&topic=soak/41&topic=soak/nothing",
    "match=soak/*",
    "match=soak/*&match=once/*",
    "topic=soak/7&match=once/**",
    "match=**",
];

/// The running clients.
pub(crate) struct Clients {
    threads: Vec<JoinHandle<Tally>>,
}

impl Clients {
    /// Starts all clients, which end soon after `until`.
    pub(crate) fn start(address: SocketAddr, until: Instant) -> Self {
        let mut threads = vec![thread::spawn(move || publish(address, until))];
        threads.extend(VIEWS.iter().zip(1..).map(|(view, seed)| {
            thread::spawn(move || Reader::new(address, view, seed).run(until))
        }));
        Self { threads }
    }

    pub(crate) fn join(self) -> Tally {
        let mut tally = Tally::default();
        for each in self.threads {
            match each.join() {
                Ok(counts) => tally.add(counts),
                Err(_) => tally.fault("the thread of a client panicked".to_owned()),
            }
        }
        tally
    }
}

/// Publishes numbered events of many sizes.
fn publish(address: SocketAddr, until: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut dice = Dice(0);
    let mut numbers = [0_u64; TOPICS as usize];
    let mut connection = None;
    let mut published = 0;
    while Instant::now() < until {
        let topic = published % TOPICS;
        let padding = ".".repeat(dice.below(2_000) as usize);
        let sent = match published % ONCE {
            0 => post(&mut connection, address, &format!("once/{published}"), &padding),
            _ => {
                let number = numbers[topic as usize];
                let data = format!("soak {topic} {number} {padding}");
                let sent = post(&mut connection, address, &format!("soak/{topic}"), &data);
                // A publish without an answer may have been taken: its number is not used again,
                // and readers would miss it if it was not.
                numbers[topic as usize] += 1;
                sent
            }
        };
        published += 1;
        match sent {
            Ok(201) => tally.work("events published by the clients", 1),
            Ok(status) => tally.fault(format!("publisher: status {status}")),
            Err(error) => {
                connection = None;
                tally.fault(format!("publisher: {error}"));
                thread::sleep(PAUSE);
            }
        }
        thread::sleep(PACE);
    }
    tally
}

fn post(
    connection: &mut Option<Connection>,
    address: SocketAddr,
    topic: &str,
    data: &str,
) -> io::Result<u16> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::open(address)?),
    };
    connection.publish(topic, data)
}

/// A reader of one view.
struct Reader {
    address: SocketAddr,
    view: &'static str,
    dice: Dice,
    last_event_id: String,
    ledger: Ledger,
    tally: Tally,
}

impl Reader {
    fn new(address: SocketAddr, view: &'static str, seed: u64) -> Self {
        Self {
            address,
            view,
            dice: Dice(seed),
            last_event_id: String::new(),
            ledger: Ledger::default(),
            tally: Tally::default(),
        }
    }

    fn run(mut self, until: Instant) -> Tally {
        while Instant::now() < until {
            match self.dice.below(20) {
                // Begins anew, with the next event.
                0 => {
                    self.last_event_id.clear();
                    self.ledger.forget();
                }
                1 => {
                    let away = AWAY_MAX.mul_f64(self.dice.share());
                    thread::sleep(away.min(until.saturating_duration_since(Instant::now())));
                }
                _ => {}
            }
            if let Err(error) = self.read() {
                self.tally.fault(format!("reader of {}: {error}", self.view));
                thread::sleep(PAUSE);
            }
        }
        self.tally.work("events read by resuming readers", self.ledger.read);
        self.tally.work("gaps told to resuming readers", self.ledger.gaps);
        self.tally.faults(format!("reader of {}: lost", self.view), self.ledger.lost);
        self.tally.faults(format!("reader of {}: doubled", self.view), self.ledger.doubled);
        self.tally
    }

    /// Opens a stream, reads it for a while and leaves it in its midst.
    fn read(&mut self) -> io::Result<()> {
        let mut connection = Connection::open(self.address)?;
        let head = connection.subscribe(self.view, &self.last_event_id)?;
        if head.status != 200 {
            return Err(io::Error::other(format!("status {}", head.status)));
        }
        self.tally.work("streams of resuming readers", 1);
        connection.read_timeout(SILENCE_MAX)?;
        let mut decoder = Decoder::new().with_last_event_id(self.last_event_id.as_str());
        let until = Instant::now() + STAY_MAX.mul_f64(self.dice.share());
        let mut chunk = Vec::new();
        while Instant::now() < until {
            match connection.chunk(&mut chunk) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if is_silence(&error) => break,
                Err(error) => return Err(error),
            }
            let mut input = &chunk[..];
            while let Some(item) = decoder.decode(&mut input).map_err(io::Error::other)? {
                if let Item::Event(event) = item {
                    self.ledger.event(event.event_type, event.data);
                }
            }
        }
        decoder.last_event_id().clone_into(&mut self.last_event_id);
        Ok(())
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Numbers that look random, the same in each run (a linear congruential generator with the
/// constants of Knuth's MMIX).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn share(&mut self) -> f64 {
        self.below(1_000) as f64 / 1_000.0
    }
}
