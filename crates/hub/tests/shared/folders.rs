//! Hubs with a copy of the store in a folder: after a restart they know of streams what the other hubs know.

use std::time::Duration;

use tidings_hub::journal::DiskConfig;
use tidings_hub::journal::shared::{CameBy, message_of};
use tidings_hub::{
    Append, Draft, EndNotice, Event, StreamOptions, StreamReason, StreamRefused, Topic,
};

use crate::cluster::{Cluster, Folder, TOPIC, begin, by, end, refused};
use crate::disk::SimulatedDisk;

const SEGMENT_BYTES: u64 = 4096;

/// A folder of so many segments.
fn folder(segments: u64) -> Folder {
    let config = DiskConfig::default()
        .with_segment_bytes(SEGMENT_BYTES)
        .with_bytes_max(segments * SEGMENT_BYTES);
    Folder { disk: SimulatedDisk::default(), config, memory_bytes: 2 * SEGMENT_BYTES as usize }
}

/// Publishes so many events to another topic, while time goes on.
fn fill(cluster: &mut Cluster, events: usize) {
    for _ in 0..events / 10 {
        for _ in 0..10 {
            let other = Draft::new(Topic::from_static("other"), Event::new("x".repeat(200)));
            let published = cluster.hub(0).publish(other);
            cluster.done(published).unwrap();
        }
        cluster.pass(Duration::from_secs(1));
    }
}

/// Opens the last node anew, when the store has its newest message alone.
fn restart(cluster: &mut Cluster, folder: &Folder) {
    drop(cluster.nodes.pop());
    let newest = cluster.store.newest;
    cluster.store.messages.retain(|place, _| *place == newest);
    cluster.open_in(folder);
}

/// Has a node tell the streams once more, for which it must know when they began, and forgets all messages before.
fn tell_and_forget(cluster: &mut Cluster, node: usize) {
    let aged = cluster.store.newest;
    cluster.nodes[node].log.tell_streams(aged, cluster.now);
    cluster.settle();
    assert_eq!(cluster.store.newest, aged + 1, "it is told");
    cluster.store.messages.retain(|place, _| *place > aged);
}

/// It listed no such stream, and took requests of producers that were fenced off: no hub knew better then.
#[test]
fn a_hub_that_was_told_of_a_stream_knows_it_after_a_restart() {
    let (mut cluster, folder) = (Cluster::new(1), folder(100));
    let owned = Append { begin: begin().begin, ..by("p", 3, 0) };
    let begun = cluster.append(0, &owned, &["0"]).unwrap();
    cluster.append(0, &by("p", 3, 1), &["1"]).unwrap();
    tell_and_forget(&mut cluster, 0);
    cluster.open_in(&folder);
    cluster.append(0, &by("p", 3, 2), &["2"]).unwrap();
    fill(&mut cluster, 10);
    let known = cluster.info().expect("it was told");
    assert_eq!((known.begin, known.events), (begun.begin.unwrap(), 3));

    restart(&mut cluster, &folder);
    assert_eq!(cluster.info(), Some(known));
    let stale = refused(StreamRefused::StaleEpoch { epoch: 3 });
    assert_eq!(cluster.append(1, &by("p", 2, 0), &["stale"]), stale);
    assert!(cluster.append(1, &by("p", 3, 2), &["2"]).unwrap().is_duplicate);
    cluster.append(1, &by("p", 3, 3), &["3"]).unwrap();
    let last = Append { end: Some(EndNotice::Event), ..by("p", 3, 4) };
    cluster.append(1, &last, &[]).unwrap();
    assert_eq!(cluster.end_reason(), Some((StreamReason::Done, 4)));

    restart(&mut cluster, &folder);
    assert_eq!(cluster.end_reason(), Some((StreamReason::Done, 4)));
    let late = cluster.hub(1).publish(Draft::new(TOPIC, Event::new("late")));
    assert_eq!(cluster.done(late), refused(StreamRefused::Ended));
    // Its readers are at its end.
    let place = cluster.info().unwrap().places.unwrap().1.sequence;
    assert!(cluster.hub(1).stream_end_at(&TOPIC.into(), place).is_some());
    cluster.append(1, &begin(), &["of the next one"]).unwrap();
    assert_eq!(cluster.info().unwrap().events, 1);
}

#[test]
fn a_hub_whose_folder_drops_the_beginning_of_a_stream_knows_it_after_a_restart() {
    let (mut cluster, folder) = (Cluster::new(1), folder(16));
    cluster.open_in(&folder);
    let owned = Append { begin: begin().begin, ..by("p", 3, 0) };
    let begun = cluster.append(0, &owned, &["0"]).unwrap().begin.unwrap();
    for round in 0..3 {
        fill(&mut cluster, 400);
        let copy = cluster.nodes[1].copy.as_ref().unwrap();
        assert!(copy.oldest() > begun.sequence, "it is dropped");
        let known = cluster.info().unwrap();
        restart(&mut cluster, &folder);
        assert_eq!(cluster.info(), Some(known), "round {round}");
        assert_eq!(
            cluster.append(1, &by("p", 2, 0), &[]),
            refused(StreamRefused::StaleEpoch { epoch: 3 })
        );
        cluster.append(1, &by("p", 3, 1 + round), &["more"]).unwrap();
    }
    // Other hubs learn of it from this one.
    tell_and_forget(&mut cluster, 1);
    cluster.open();
    assert_eq!(cluster.info().unwrap().events, 4);
}

/// It thought that nobody was there, and ended the stream after the grace.
#[test]
fn a_hub_that_restarts_leaves_the_quiet_streams_of_others_alone() {
    let (mut cluster, folder) = (Cluster::new(1), folder(100));
    cluster.open_in(&folder);
    cluster.append(0, &begin(), &[]).unwrap();
    fill(&mut cluster, 200);
    restart(&mut cluster, &folder);
    cluster.pass(2 * StreamOptions::GRACE);
    assert_eq!(cluster.end_reason(), None);
    cluster.append(0, &end(), &["last"]).unwrap();
    assert_eq!(cluster.end_reason(), Some((StreamReason::Done, 1)));
}

#[test]
fn a_grace_that_runs_when_a_hub_restarts_is_counted_by_it() {
    let (mut cluster, folder) = (Cluster::new(1), folder(100));
    cluster.open_in(&folder);
    let begun = cluster.append(0, &begin(), &["0"]).unwrap();
    cluster.hub(0).leave_stream(&TOPIC, begun.stream.unwrap());
    fill(&mut cluster, 200);
    drop(cluster.nodes.remove(0));
    restart(&mut cluster, &folder);
    cluster.pass(StreamOptions::GRACE - Duration::from_secs(1));
    assert_eq!(cluster.end_reason(), None);
    cluster.pass(Duration::from_secs(1));
    assert_eq!(cluster.end_reason(), Some((StreamReason::Aborted, 1)));
}

#[test]
fn a_producer_that_goes_on_ends_the_grace_also_for_a_hub_that_restarts() {
    let (mut cluster, folder) = (Cluster::new(1), folder(100));
    cluster.open_in(&folder);
    let begun = cluster.append(0, &begin(), &["0"]).unwrap();
    cluster.hub(0).leave_stream(&TOPIC, begun.stream.unwrap());
    cluster.settle();
    let event = cluster.hub(0).publish(Draft::new(TOPIC, Event::new("1")));
    cluster.done(event).unwrap();
    fill(&mut cluster, 200);
    restart(&mut cluster, &folder);
    cluster.pass(2 * StreamOptions::GRACE);
    assert_eq!(cluster.end_reason(), None);
    assert_eq!(cluster.info().unwrap().events, 2);
}

#[test]
fn streams_are_left_when_no_hub_is_there_that_may_have_taken_their_newest_entries() {
    let (mut cluster, folder) = (Cluster::new(1), folder(100));
    cluster.open_in(&folder);
    let begun = cluster.append(0, &begin(), &["0"]).unwrap().begin.unwrap();
    fill(&mut cluster, 200);
    drop(cluster.nodes.remove(0));
    restart(&mut cluster, &folder);
    let (log, message) = (cluster.nodes[0].log.clone(), message_of(begun.sequence));
    assert!(log.opened_at() > message);
    log.leave_streams(|by| matches!(by, CameBy::Writer(_)), cluster.now);
    cluster.pass(2 * StreamOptions::GRACE);
    assert_eq!(cluster.end_reason(), None, "its hub may be there");
    log.leave_streams(|by| by == CameBy::HubBefore(message), cluster.now);
    cluster.settle();
    cluster.pass(StreamOptions::GRACE);
    assert_eq!(cluster.end_reason(), Some((StreamReason::Aborted, 1)));
}
