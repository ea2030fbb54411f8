//! A server on a journal that refuses, and on one whose entries are behind memory.

use tidings_hub::journal::{Journal as _, NotCommitted, Submission};
use tidings_hub::{Cursor, Draft, Epoch, Event, Now, Sequence, Topic};
use tidings_testkit::stepped_journal::SteppedJournal;

use crate::harness::start_on;

/// A journal that reads at once, and with which a hub begins with so many of the newest entries.
pub(crate) fn journal(newest: u64) -> SteppedJournal {
    SteppedJournal::new(Epoch::new(7).unwrap(), 16).beginning_with(newest).reading_promptly()
}

/// Commits something before there is a server.
pub(crate) fn append(journal: &SteppedJournal, submission: Submission) {
    drop(journal.append(&mut std::iter::once(submission), Now::read()));
}

/// The ID of a place in the journal.
pub(crate) fn place(number: u64) -> String {
    let epoch = Epoch::new(7).unwrap();
    Cursor { epoch, sequence: Sequence::new(number).unwrap() }.to_string()
}

#[tokio::test]
async fn events_that_are_not_committed_are_refused_with_a_time_to_come_back() {
    let journal = journal(10);
    let server = start_on(|_| {}, Box::new(journal.clone())).await;
    let mut live = server.stream("/topics/a").await;
    for (why, status, kind, retry_after) in [
        (NotCommitted::Busy, 503, "journal-busy", "1"),
        (NotCommitted::Unreachable, 503, "journal-unreachable", "2"),
        (NotCommitted::Full, 507, "journal-full", "30"),
        (NotCommitted::Stopped, 503, "journal-stopped", "30"),
    ] {
        journal.refuse(Some(why));
        let one = server.post("/topics/a", "x");
        let json = server.post("/events", r#"[{"topic":"a","data":1},{"topic":"a","data":2}]"#);
        for ask in [one, json.content_type("application/json")] {
            let answer = ask.answer().await;
            assert_eq!(answer.header("retry-after"), retry_after, "{kind}");
            let detail = answer.problem(status, kind);
            assert!(detail.starts_with("nothing was published"), "{detail}");
        }
    }
    journal.refuse(None);
    server.publish("a", "committed").await;
    journal.feed();
    assert_eq!(live.data().await, "committed", "nothing else was delivered");
    assert_eq!(server.hub.stats().published, 1);
}

/// The close was found by the first stream alone, after it had been answered.
#[tokio::test]
async fn a_topic_that_was_closed_before_a_restart_is_204_also_behind_memory() {
    let journal = journal(5);
    append(&journal, event("a", "last"));
    append(&journal, Submission::Close(Topic::new("a").unwrap()));
    (0..50).for_each(|n| append(&journal, event("b", &n.to_string())));
    journal.feed();
    let server = start_on(|_| {}, Box::new(journal.clone())).await;
    let resume = |path: &str| server.get(path).header("last-event-id", place(1));
    let event_source = resume("/topics/a").header("accept", "text/event-stream");
    assert_eq!(event_source.answer().await.status, 204);
    resume("/topics/a").answer().await.problem(410, "stream-ended");
    let mut other = resume("/topics/b").stream().await;
    assert_eq!(other.data().await, "0");
}

fn event(topic: &str, data: &str) -> Submission {
    Submission::Event(Draft::new(Topic::new(topic).unwrap(), Event::new(data)))
}
