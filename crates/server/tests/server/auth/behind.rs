//! Readers with limited grants whose place is behind memory.

use serde_json::json;
use tidings_hub::journal::Submission;
use tidings_hub::{Draft, Event, Topic, Topics};

use super::{Guarded, guard};
use crate::harness::start_server_on;
use crate::journal::{append, journal, place};

/// A server on a journal with a past, of which memory has little.
async fn start() -> Guarded {
    let journal = journal(5);
    for n in 0..100 {
        let (names, is_private): (&[&str], _) = match n % 5 {
            0 => (&["users/7/a"], false),
            1 => (&["users/8/a"], false),
            2 => (&["users/7/a"], true),
            3 => (&["users/8/a", "users/7/b"], true),
            _ => (&["users/8/b", "users/9"], true),
        };
        let names = names.iter().map(|name| Topic::new(*name).unwrap());
        let draft = Draft::new(Topics::new(names).unwrap(), Event::new(n.to_string()));
        append(&journal, Submission::Event(draft.with_private(is_private)));
    }
    journal.feed();
    let mut control = None;
    let finish = |server: tidings_server::Server| {
        control = Some(server.control());
        server
    };
    let server = start_server_on(guard, Box::new(journal), finish).await;
    Guarded { server, control: control.unwrap() }
}

#[tokio::test]
async fn a_page_from_the_journal_has_only_what_its_reader_may_read_and_no_gap_for_the_rest() {
    let guarded = start().await;
    let token = guarded.token("alice", json!({"subscribe": ["users/7/*"]}));
    let expected: Vec<_> = (1..100).filter(|n| matches!(n % 5, 0 | 2 | 3)).collect();
    let get = |path: &str| guarded.get(path, &token).header("last-event-id", place(1));

    let mut stream = get("/events?match=users/**").stream().await;
    for number in &expected {
        let event = stream.event().await;
        assert_eq!((event.event_type(), event.data()), ("message", &*number.to_string()));
    }
    let mut http2 = crate::harness::Stream::new(get("/events?match=users/**").send_http2().await);
    for number in &expected {
        assert_eq!(http2.data().await, number.to_string());
    }
    let page = get("/events?match=users/**&limit=100").header("accept", "application/json");
    let page = page.answer().await.json();
    let data: Vec<_> = page["events"].as_array().unwrap().iter().map(|e| &e["data"]).collect();
    assert_eq!(
        data,
        expected
            .iter()
            .map(|n| json!(n.to_string()))
            .collect::<Vec<_>>()
            .iter()
            .collect::<Vec<_>>()
    );
    assert!(page["gap"].is_null(), "{page}");
    assert_eq!(guarded.server.hub.stats().gaps, 0);
    // A topic that the token does not name is refused before anything is read.
    assert_eq!(get("/topics/users/8/a").answer().await.status, 403);
}
