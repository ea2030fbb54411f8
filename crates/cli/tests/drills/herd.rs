//! Ten thousand subscribers reconnect at once, each with its own last event ID.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::program::{Program, drill, post};
use crate::reader::Reader;

const SUBSCRIBERS: usize = 10_000;
/// The number of events before the herd disconnects.
const BEFORE: usize = 20;
const MEANWHILE: usize = 30;
/// The streams they read: one topic, another, both, and everything.
const PATHS: [&str; 4] = ["/topics/a", "/topics/b", "/events?topic=a&topic=b", "/events?match=*"];

/// Returns the topic of an event.
fn topic(number: usize) -> &'static str {
    ["a", "b"][number % 2]
}

/// Returns the numbers of the events that are due to a subscriber.
fn due(path: &str, numbers: std::ops::Range<usize>) -> Vec<usize> {
    let wanted = |number: &usize| match path {
        "/topics/a" => topic(*number) == "a",
        "/topics/b" => topic(*number) == "b",
        _ => true,
    };
    numbers.filter(wanted).collect()
}

/// Publishes events by their numbers.
async fn publish(program: &Program, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let request = post(topic(number), &number.to_string());
        assert!(program.ask(&request).await.starts_with("HTTP/1.1 201 "));
    }
}

/// Reads exactly these events, in order.
async fn expect(reader: &mut Reader, numbers: &[usize]) {
    for number in numbers {
        let event = reader.next().await.expect("the stream goes on");
        assert_eq!((event.event_type(), event.data()), ("message", number.to_string().as_str()));
    }
}

/// Waits for all tasks and returns their results, in any order.
async fn all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        results.push(result.unwrap());
    }
    results
}

#[test]
fn ten_thousand_that_come_back_at_once_get_exactly_what_they_missed() {
    drill(async {
        let program = Program::start(&[]);
        // All subscribers connect at the start, and each disconnects at its own position.
        let opened = Arc::new(Barrier::new(SUBSCRIBERS + 1));
        let mut tasks = JoinSet::new();
        for n in 0..SUBSCRIBERS {
            let (address, opened) = (program.address, Arc::clone(&opened));
            tasks.spawn(async move {
                let path = PATHS[n % PATHS.len()];
                let mut reader = Reader::open(address, path, None).await.unwrap();
                assert_eq!(reader.status, 200);
                opened.wait().await;
                let due = due(path, 0..BEFORE);
                let read = 1 + n % due.len();
                expect(&mut reader, &due[..read]).await;
                (path, due[read - 1], reader.last_event_id)
            });
        }
        opened.wait().await;
        publish(&program, 0..BEFORE).await;
        let places = all(tasks).await;
        program.metric_is("tidings_streams", 0).await;
        publish(&program, BEFORE..BEFORE + MEANWHILE).await;

        let back = Arc::new(Barrier::new(SUBSCRIBERS + 1));
        let mut tasks = JoinSet::new();
        for (path, last, id) in places {
            let (address, back) = (program.address, Arc::clone(&back));
            tasks.spawn(async move {
                let mut reader = Reader::open(address, path, id).await.unwrap();
                assert_eq!(reader.status, 200);
                expect(&mut reader, &due(path, last + 1..BEFORE + MEANWHILE)).await;
                back.wait().await;
                // Events published now come next, so no event came twice.
                let live = BEFORE + MEANWHILE..BEFORE + MEANWHILE + 2;
                expect(&mut reader, &due(path, live)).await;
            });
        }
        back.wait().await;
        assert_eq!(program.metric("tidings_streams").await, SUBSCRIBERS as u64);
        publish(&program, BEFORE + MEANWHILE..BEFORE + MEANWHILE + 2).await;
        assert_eq!(all(tasks).await.len(), SUBSCRIBERS);
        assert_eq!(program.metric("tidings_gaps_total").await, 0);
        assert_eq!(program.metric("tidings_accept_failed_total").await, 0);
        program.metric_is("tidings_streams", 0).await;
    });
}
