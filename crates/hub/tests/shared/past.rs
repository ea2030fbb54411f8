//! A store that lost, changed, or never had what a hub has read.

use tidings_hub::journal::shared::{
    Decoded, SharedConfig, Stopped, VERSION, WINDOW, end_of, epoch,
};
use tidings_hub::journal::{Lost, NotCommitted, Outcome};
use tidings_hub::{Now, Sequence};

use crate::store::{GENERATION, Node, Sent, Store, later};

/// Publishes an event through a hub, which reads it back.
fn publish(node: &mut Node, store: &mut Store, data: &str) -> Outcome {
    let now = Now::read();
    node.submit(vec![Sent::new(data, None)], now);
    let group = node.next_group(now).unwrap().clone();
    let place = store.take(&group);
    node.log.acknowledged(group.number, place);
    while node.read_next(store).unwrap() {}
    node.outcomes().pop().unwrap().1
}

fn sequence(message: u64, place: u64) -> Sequence {
    Sequence::new(message << 14 | place).unwrap()
}

#[test]
fn an_answer_waits_until_the_hub_has_read_its_event() {
    let mut store = Store::default();
    let mut node = Node::open(&store, 1);
    let now = Now::read();
    node.submit(vec![Sent::new("a", None), Sent::new("b", None)], now);
    let group = node.next_group(now).unwrap().clone();
    node.log.acknowledged(group.number, store.take(&group));
    assert_eq!(node.outcomes().len(), 0);
    assert!(node.read_next(&store).unwrap());
    let outcomes: Vec<_> = node.outcomes().into_iter().map(|(_, outcome)| outcome).collect();
    // The first place says that they are one request.
    assert_eq!(outcomes, [1, 2].map(|place| Outcome::Committed(sequence(1, place))));
}

/// A request that did not fit was several messages, of which a crash could leave some.
#[test]
fn what_is_published_together_is_one_message_or_is_refused() {
    let mut store = Store::default();
    let mut node = Node::open(&store, 1);
    let now = Now::read();
    let too_large = Outcome::NotCommitted(NotCommitted::TooLarge);
    let mut most = 0;
    for events in 1.. {
        node.submit((0..events).map(|n| Sent::new(format!("{n}"), None)).collect(), now);
        if node.outcomes().iter().any(|(_, outcome)| *outcome == too_large) {
            assert!(node.next_group(now).is_none(), "nothing of it is sent");
            break;
        }
        most = events;
        let before = store.newest;
        node.send(&mut store, (true, true), now);
        while node.read_next(&store).unwrap() {}
        assert_eq!(store.newest, before + 1, "{events} events are one message");
        assert!(node.outcomes().iter().all(|(_, it)| matches!(it, Outcome::Committed(_))));
    }
    assert!((10..100).contains(&most), "{most} small events are about two kilobytes");
    // One that fits comes after those that wait, in a message of its own.
    node.submit(vec![Sent::new("x".repeat(100), None)], now);
    node.submit((0..most).map(|n| Sent::new(format!("{n}"), None)).collect(), now);
    let before = store.newest;
    node.send(&mut store, (true, true), now);
    node.send(&mut store, (true, true), now);
    while node.read_next(&store).unwrap() {}
    assert_eq!((store.newest, node.outcomes().len()), (before + 2, most + 1));
    assert!(!node.is_waiting());
}

#[test]
fn what_cannot_be_sent_is_refused_after_a_second_and_what_was_sent_is_unknown_after_five() {
    let mut node = Node::open(&Store::default(), 1);
    let now = Now::read();
    node.submit(vec![Sent::new("sent", None)], now);
    assert!(node.next_group(now).is_some());
    node.submit(vec![Sent::new("waits", None)], now);
    for (millis, expected) in [
        (999, None),
        (1_000, Some(Outcome::NotCommitted(NotCommitted::Unreachable))),
        (4_999, None),
        (5_000, Some(Outcome::Unknown)),
    ] {
        node.log.handle_timeout(later(now, millis).instant);
        let found = node.outcomes().pop().map(|(_, outcome)| outcome);
        assert_eq!(found, expected, "after {millis} ms");
    }
    // It is sent all the same, so that the next one is not before it.
    assert!(node.log.is_under_way(1));
    node.log.handle_timeout(later(now, 60_000).instant);
    assert!(!node.log.is_under_way(1));
}

#[test]
fn a_group_whose_writer_was_away_for_too_long_is_passed_over_by_all() {
    let mut store = Store::default();
    let (mut paused, mut other) = (Node::open(&store, 1), Node::open(&store, 2));
    let now = Now::read();
    paused.submit(vec![Sent::new("late", None)], now);
    let late = paused.next_group(now).unwrap().clone();
    for _ in 0..=WINDOW {
        store.put(Vec::new());
    }
    store.take(&late);
    while other.read_next(&store).unwrap() {}
    while paused.read_next(&store).unwrap() {}
    assert_eq!((other.entries.len(), paused.entries.len()), (0, 0));
    let outcome = paused.outcomes().pop().unwrap().1;
    assert_eq!(outcome, Outcome::NotCommitted(NotCommitted::Unreachable));
}

#[test]
fn a_hub_that_has_read_what_the_store_has_lost_stops() {
    let mut store = Store::default();
    let (mut one, mut two) = (Node::open(&store, 1), Node::open(&store, 2));
    publish(&mut one, &mut store, "kept");
    while two.read_next(&store).unwrap() {}
    let before = store.clone();
    publish(&mut one, &mut store, "lost");
    // The store comes back without it, and goes on with another event in its place.
    store = before;
    publish(&mut two, &mut store, "other");
    let again = one.read(2, &store.messages[&2]);
    assert!(matches!(again, Err(Stopped::PastChanged { .. })), "{again:?}");
    one.submit(vec![Sent::new("after", None)], Now::read());
    let outcome = one.outcomes().pop().unwrap().1;
    assert_eq!(outcome, Outcome::NotCommitted(NotCommitted::Stopped));
}

/// It reads on after the place, so it does not see the other message.
#[test]
fn a_hub_that_reads_what_was_written_after_another_past_stops() {
    let mut store = Store::default();
    let (mut one, mut two) = (Node::open(&store, 1), Node::open(&store, 2));
    publish(&mut one, &mut store, "kept");
    let before = store.clone();
    publish(&mut one, &mut store, "lost");
    store = before;
    publish(&mut two, &mut store, "other");
    publish(&mut two, &mut store, "next");
    let read = one.read_next(&store);
    assert!(matches!(read, Err(Stopped::PastChanged { .. })), "{read:?}");
}

/// Every hub stopped at it again and again, in each new generation.
#[test]
fn a_hub_that_opens_a_changed_past_reads_it_as_it_is() {
    let mut store = Store::default();
    let mut one = Node::open(&store, 1);
    publish(&mut one, &mut store, "kept");
    let before = store.clone();
    publish(&mut one, &mut store, "lost");
    store = before;
    publish(&mut Node::open(&store, 2), &mut store, "other");
    // Its digest is of the message that was lost.
    let now = Now::read();
    one.submit(vec![Sent::new("after the lost one", None)], now);
    store.take(&one.next_group(now).unwrap().clone());
    let mut new = Node::open(&store, 3);
    while new.read_next(&store).unwrap() {}
    let texts: Vec<_> = new.texts().iter().map(|text| text.2).collect();
    assert_eq!(texts, ["kept", "other", "after the lost one"]);
}

#[test]
fn a_raised_generation_stops_the_hubs_of_the_old_one_and_passes_over_their_groups() {
    let mut store = Store::default();
    let mut old = Node::open(&store, 1);
    publish(&mut old, &mut store, "before");
    let mut config = SharedConfig::new(2, GENERATION + 1, (0, store.newest + 1));
    config.message_bytes_max = 2_000;
    let mut new = Node::with(config);
    while new.read_next(&store).unwrap() {}
    store.put(new.log.marker());
    while new.read_next(&store).unwrap() {}
    let now = Now::read();
    old.submit(vec![Sent::new("stale", None)], now);
    let stale = old.next_group(now).unwrap().clone();
    store.take(&stale);
    while new.read_next(&store).unwrap() {}
    assert_eq!(new.texts().len(), 1, "the stale one does not count");
    let stopped = old.read_next(&store).unwrap_err();
    assert!(
        matches!(stopped, Stopped::PastChanged { generation, .. } if generation == GENERATION + 1),
        "{stopped:?}"
    );
    assert_eq!(old.outcomes().pop().unwrap().1, Outcome::Unknown);
    // One that starts now comes to the same.
    let mut config = SharedConfig::new(3, GENERATION + 1, (0, store.newest));
    config.message_bytes_max = 2_000;
    let mut third = Node::with(config);
    while third.read_next(&store).unwrap() {}
    assert_eq!(third.texts(), new.texts());
    assert_ne!(epoch("a", GENERATION), epoch("a", GENERATION + 1));
}

#[test]
fn messages_that_are_gone_are_told_as_lost() {
    let mut store = Store::default();
    let (mut one, mut late) = (Node::open(&store, 1), Node::open(&store, 2));
    for data in ["1", "2", "3", "4"] {
        publish(&mut one, &mut store, data);
    }
    store.messages.remove(&2);
    store.messages.remove(&3);
    while late.read_next(&store).unwrap() {}
    assert_eq!(late.lost, [Lost::new(end_of(1).next(), end_of(3))]);
    assert_eq!(late.texts().iter().map(|text| text.2).collect::<Vec<_>>(), ["1", "4"]);
}

#[test]
fn damage_is_told_and_what_is_not_a_hubs_is_passed_over() {
    let mut store = Store::default();
    let (mut one, mut two) = (Node::open(&store, 1), Node::open(&store, 2));
    publish(&mut one, &mut store, "damaged");
    store.put(b"TdgX whatever".to_vec());
    let message = store.messages.get_mut(&1).unwrap();
    let at = message.len() - 1;
    message[at] ^= 1;
    while two.read_next(&store).unwrap() {}
    assert_eq!(two.lost, [Lost::new(end_of(0).next(), end_of(1))]);
    assert_eq!((two.log.passed_over(), two.entries.len()), (2, 0));
}

#[test]
fn a_message_of_a_newer_program_stops_the_hub() {
    let mut store = Store::default();
    let mut node = Node::open(&store, 1);
    let mut newer = node.log.marker();
    newer[4] = VERSION + 1;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&newer[..8]);
    hasher.update(&newer[12..]);
    newer[8..12].copy_from_slice(&hasher.finalize().to_le_bytes());
    assert!(matches!(Decoded::of(&newer), Decoded::Newer(2)));
    store.put(newer);
    let stopped = node.read_next(&store).unwrap_err();
    assert_eq!(
        stopped.to_string(),
        "message 1 was written by a newer program (format 2, this one reads 1)"
    );
}

/// The checksum of a message, or that of a record at a place in it.
fn seal(bytes: &mut [u8], record: Option<u64>) {
    let (at, sum) = match record {
        None => {
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&bytes[..8]);
            hasher.update(&bytes[12..]);
            (8, hasher.finalize())
        }
        Some(place) => {
            let mut salt = crc32fast::Hasher::new();
            salt.update(b"tidings message ");
            salt.update(&0_u64.to_le_bytes());
            let mut hasher = crc32fast::Hasher::new_with_initial(salt.finalize());
            hasher.update(&place.to_le_bytes());
            hasher.update(&bytes[4..]);
            (0, hasher.finalize())
        }
    };
    bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}

/// A message of three events, of which a newer program has changed the body of the second one.
fn changed(change: impl Fn(&mut [u8])) -> Vec<u8> {
    const RECORDS_AT: usize = 64;
    let mut writer = Node::open(&Store::default(), 9);
    let now = Now::read();
    for data in ["one", "two", "three"] {
        writer.submit(vec![Sent::new(data, None)], now);
    }
    let mut message = writer.next_group(now).unwrap().message.clone();
    let len =
        |at: usize| 8 + u32::from_le_bytes(*message[at + 4..].first_chunk().unwrap()) as usize;
    let second = RECORDS_AT + len(RECORDS_AT);
    let range = second..second + len(second);
    change(&mut message[range.clone()][8..]);
    seal(&mut message[range], Some(1));
    seal(&mut message, None);
    message
}

#[test]
fn a_record_of_a_newer_kind_has_its_place_and_the_others_count() {
    let mut store = Store::default();
    let mut node = Node::open(&store, 1);
    store.put(changed(|body| body[0] = 77));
    while node.read_next(&store).unwrap() {}
    let found: Vec<_> = node.texts().iter().map(|text| (text.0, text.2)).collect();
    assert_eq!(found, [(sequence(1, 0), "one"), (sequence(1, 2), "three")]);
    assert_eq!(node.lost, [], "it was nothing that this program has");
    assert!(matches!(publish(&mut node, &mut store, "next"), Outcome::Committed(_)));
}

#[test]
fn a_known_record_with_more_in_it_stops_the_hub_instead_of_being_misread() {
    let mut store = Store::default();
    let mut node = Node::open(&store, 1);
    // A flag that only a newer program knows.
    store.put(changed(|body| body[1] |= 1 << 7));
    let stopped = node.read_next(&store).unwrap_err();
    assert!(matches!(stopped, Stopped::Newer { place: 1, .. }), "{stopped:?}");
    assert_eq!(node.entries.len(), 0);
}

#[test]
fn a_header_with_more_fields_is_read_by_those_that_are_known() {
    let mut store = Store::default();
    let mut node = Node::open(&store, 1);
    let mut longer = changed(|_| ());
    longer[5] += 4;
    longer.splice(64..64, *b"more");
    seal(&mut longer, None);
    store.put(longer);
    while node.read_next(&store).unwrap() {}
    assert_eq!(node.texts().iter().map(|text| text.2).collect::<Vec<_>>(), ["one", "two", "three"]);
}
