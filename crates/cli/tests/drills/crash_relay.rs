//! A relay with a state file, while either hub or the relay itself is killed again and again.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::crash::{crash_drill, pass, rounds};
use crate::folder::{Scratch, dumped};
use crate::program::{Program, lasting_address, tidings};
use crate::publisher::{Acknowledged, publish};
use crate::reader::Reader;

/// A running `tidings relay`, which ends with the drill.
struct Relay(Child);

impl Relay {
    /// Starts to relay the topic of the publisher, from the beginning on.
    fn start(upstream: &Program, hub: &Program, state: &str) -> Self {
        let upstream = format!("http://{}/topics/t0", upstream.address);
        let hub = format!("http://{}", hub.address);
        let mut relay = tidings();
        relay.args(["relay", &upstream, "--to", "copy", "--hub", &hub, "--state", state]);
        relay.args(["--last-event-id", "earliest"]);
        Self(relay.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Waits until a topic has this many events, and reads them.
async fn copied(hub: &Program, events: usize) -> Vec<String> {
    let earliest = Some("earliest".to_owned());
    let mut reader = Reader::open(hub.address, "/topics/copy", earliest).await.unwrap();
    let mut data = Vec::new();
    while data.len() < events {
        let event = reader.next().await.unwrap();
        assert_eq!(event.event_type(), "message");
        data.push(event.data().to_owned());
    }
    data
}

#[test]
fn a_relay_with_a_state_file_loses_and_doubles_nothing_across_sigkill_of_either_hub() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    crash_drill(async {
        let mut random = fastrand::Rng::with_seed(seed);
        let scratch = Scratch::new();
        let (here, there) = (scratch.path("upstream"), scratch.path("hub"));
        let state = scratch.path("state");
        let args = |folder| ["--data", folder, "--retry", "20ms"];
        let start = |folder| Program::start_at(lasting_address(), &args(folder));
        let (mut upstream, mut hub) = (start(&here), start(&there));
        let mut relay = Relay::start(&upstream, &hub, &state);
        let acknowledged = Acknowledged::new(upstream.address, 1, 0);
        let mut publishers = JoinSet::new();
        publishers.spawn(publish(Arc::clone(&acknowledged), 0, 3, random.fork()));
        for round in 0..rounds() {
            acknowledged.more(random.u64(1..40)).await;
            pass(&mut random, Duration::from_millis(20)).await;
            if round % 4 == 3 {
                drop(relay);
                relay = Relay::start(&upstream, &hub, &state);
                continue;
            }
            let (program, folder) = match random.bool() {
                true => (&mut upstream, &here),
                false => (&mut hub, &there),
            };
            let address = program.address;
            program.kill();
            *program = Program::start_at(address, &args(folder));
        }
        acknowledged.end();
        publishers.join_next().await.unwrap().unwrap();
        let published = acknowledged.of(0).len();
        let expected: Vec<_> = (0..published).map(|number| format!("0 {number}")).collect();
        assert_eq!(copied(&hub, published).await, expected);
        drop(relay);
        upstream.stop();
        hub.stop();
        let copy: Vec<_> = dumped(&there)["copy"].iter().map(|(data, _)| data.clone()).collect();
        assert_eq!(copy, expected);
    });
}
