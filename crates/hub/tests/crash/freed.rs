//! Events of a stream are gone once its time to live is over: in memory and on disk, after a restart, and once the
//! journal has been cleaned.

use std::time::Duration;

use tidings_hub::journal::DiskJournal;
use tidings_hub::journal::disk::check;
use tidings_hub::{
    Append, Draft, EndNotice, Event, Found, Hub, HubBuilder, HubConfig, Now, Start, StreamOptions,
    Topic, TopicFilter, View,
};

use crate::disk::SimulatedDisk;
use crate::hubs::with_followed;
use crate::support::{dumped_beside, for_seeds, small, topic};

const HOUR: Duration = Duration::from_secs(3600);
/// The streams of the tests: their readers are told the end, or not.
const STREAMS: [(&str, EndNotice); 2] =
    [("chat/told", EndNotice::Event), ("chat/silent", EndNotice::Close)];

/// The places around and in a stream.
struct Places {
    before: Start,
    inside: Start,
    last: Start,
    end: Start,
}

fn builder(now: Now) -> HubBuilder {
    let mut config = HubConfig::default();
    config.retention.bytes_max = 4 * 2048;
    Hub::builder().config(config).at(now)
}

fn on_disk<T>(disk: &SimulatedDisk, now: Now, act: impl AsyncFnOnce(&Hub) -> T) -> T {
    let journal = DiskJournal::with_storage(disk.clone(), small());
    with_followed(builder(now), journal, act)
}

fn begin() -> Option<StreamOptions> {
    let mut options = StreamOptions::default();
    options.ttl = HOUR;
    Some(options)
}

async fn fill(hub: &Hub, events: usize) {
    for _ in 0..events {
        let other = Draft::new(topic("other"), Event::new("x".repeat(200)));
        hub.publish(other).await.unwrap();
    }
}

async fn publish_streams(hub: &Hub) -> Vec<Places> {
    let mut all = Vec::new();
    for (name, notice) in STREAMS {
        let chat = topic(name);
        let draft = |data: &str| Draft::new(chat.clone(), Event::new(data));
        let first = hub.publish(Draft::new(topic("other"), Event::new("x"))).await.unwrap();
        let request = Append { begin: begin(), ..Append::default() };
        hub.append(chat.clone(), &request, vec![draft("a"), draft("b")]).await.unwrap();
        let inside = hub.publish(draft("c")).await.unwrap();
        let request = Append { end: Some(notice), ..Append::default() };
        let ended = hub.append(chat.clone(), &request, vec![draft("d")]).await.unwrap();
        let place = |id: &tidings_hub::EventId| Start::After(id.as_str().into());
        all.push(Places {
            before: place(&first.id()),
            inside: place(&inside.id()),
            last: place(&ended.published[0].id()),
            end: Start::from(ended.end.unwrap()),
        });
    }
    all
}

/// Lets the time to live of the streams pass.
async fn outlive(hub: &Hub, now: Now) {
    hub.tick(now + 2 * HOUR);
    // What was submitted by then is committed before this.
    fill(hub, 1).await;
    hub.tick(now + 2 * HOUR + Duration::from_secs(1));
}

/// Publishes what comes after the streams.
async fn publish_next(hub: &Hub) {
    for (name, _) in STREAMS {
        assert_eq!(hub.streams(&topic(name).into()), [], "{name}");
        hub.publish(Draft::new(topic(name), Event::new("next"))).await.unwrap();
    }
}

async fn read(hub: &Hub, view: View, start: Start) -> (Vec<String>, Vec<String>) {
    let mut subscriber = hub.subscribe(view.clone(), start.clone());
    let mut sent = Vec::new();
    while sent.last().is_none_or(|last| last != "next") {
        sent.push(match subscriber.next().await.unwrap() {
            Found::Gap(gap) => {
                assert!(matches!(&start, Start::After(id) if *gap.asked == **id), "{gap:?}");
                "gap".to_owned()
            }
            found => found.into_event().data().to_owned(),
        });
    }
    let page = hub.page(view, start, 100).await;
    let mut paged: Vec<_> = page.gap.iter().map(|_| "gap".to_owned()).collect();
    paged.extend(page.events.iter().map(|held| held.event.data().to_owned()));
    (sent, paged)
}

async fn check_freed(hub: &Hub, all: &[Places]) {
    for ((name, notice), places) in STREAMS.into_iter().zip(all) {
        let pattern = |text: &str| TopicFilter::pattern(text).unwrap();
        let views = [
            View::from(topic(name)),
            View::new([topic(name), topic("nothing")].map(TopicFilter::from)),
            View::from(pattern(&format!("*/{}", name.split_once('/').unwrap().1))),
        ];
        for view in views {
            let after_last: &[&str] =
                if notice == EndNotice::Event { &["gap", "next"] } else { &["next"] };
            let expected = [
                (&Start::Oldest, &["next"] as &[&str]),
                (&places.before, &["gap", "next"]),
                (&places.inside, &["gap", "next"]),
                (&places.last, after_last),
                (&places.end, &["next"]),
            ];
            for (at, (start, expected)) in expected.into_iter().enumerate() {
                let (sent, paged) = read(hub, view.clone(), start.clone()).await;
                assert_eq!(sent, expected, "{view:?} {at}");
                assert_eq!(paged, expected, "{view:?} {at}");
            }
            let latest = hub.page(view, Start::Tail, 5).await;
            assert_eq!((latest.events.len(), latest.gap), (1, None));
        }
    }
}

/// Returns whether the files still have an event of a stream that is not its last one.
fn is_on_disk(disk: &SimulatedDisk) -> bool {
    let entries = dumped_beside(disk);
    let data = |event: &Event| event.data() == "a" || event.data() == "c";
    entries.iter().any(|entry| {
        matches!(&entry.content, tidings_hub::journal::Content::Event(event) if data(event))
    })
}

#[test]
fn what_a_stream_held_is_freed_in_memory() {
    let now = Now::read();
    let hub = builder(now).build();
    smol::block_on(async {
        let places = publish_streams(&hub).await;
        outlive(&hub, now).await;
        publish_next(&hub).await;
        check_freed(&hub, &places).await;
    });
}

#[test]
fn what_a_stream_held_is_freed_on_disk_and_stays_so_after_a_restart() {
    let (disk, now) = (SimulatedDisk::default(), Now::read());
    let places = on_disk(&disk, now, async |hub| {
        let places = publish_streams(hub).await;
        outlive(hub, now).await;
        publish_next(hub).await;
        check_freed(hub, &places).await;
        places
    });
    // The clock was set back, and what was freed stays so.
    on_disk(&disk, now, async |hub| {
        check_freed(hub, &places).await;
        // Memory has none of it.
        fill(hub, 100).await;
        check_freed(hub, &places).await;
    });
    on_disk(&disk, now, async |hub| check_freed(hub, &places).await);
    assert_eq!(check(&disk).unwrap().damage, []);
}

#[test]
fn a_stream_whose_time_runs_out_while_the_hub_is_down_is_freed_when_it_is_back() {
    for filling in [0, 100] {
        let (disk, now) = (SimulatedDisk::default(), Now::read());
        let places = on_disk(&disk, now, async |hub| {
            let places = publish_streams(hub).await;
            fill(hub, filling).await;
            places
        });
        on_disk(&disk, now + 2 * HOUR, async |hub| {
            outlive(hub, now).await;
            publish_next(hub).await;
            check_freed(hub, &places).await;
        });
    }
}

/// Readers that are there are told as those that come.
#[test]
fn a_reader_that_stands_in_a_stream_is_told_when_that_is_freed() {
    let (disk, now) = (SimulatedDisk::default(), Now::read());
    on_disk(&disk, now, async |hub| {
        let places = publish_streams(hub).await;
        fill(hub, 100).await;
        let view = || View::from(TopicFilter::pattern("chat/*").unwrap());
        let mut readers = [
            hub.subscribe(topic("chat/told"), places[0].inside.clone()),
            hub.subscribe(view(), places[0].inside.clone()),
        ];
        for reader in &mut readers {
            assert_eq!(reader.next().await.unwrap().into_event().data(), "d");
        }
        let mut behind = [
            hub.subscribe(topic("chat/told"), places[0].before.clone()),
            hub.subscribe(view(), places[0].before.clone()),
        ];
        outlive(hub, now).await;
        publish_next(hub).await;
        for reader in &mut behind {
            assert!(matches!(reader.next().await, Some(Found::Gap(_))));
            assert_eq!(reader.next().await.unwrap().into_event().data(), "next");
        }
    });
}

/// Checks that all that is gone by then is one loss, wherever the reader meets it.
async fn check_told_once(hub: &Hub, all: &[Places]) {
    let chats = TopicFilter::pattern("chat/*").unwrap();
    let view = View::new([chats, topic("other").into()]);
    let mut reader = hub.subscribe(view.clone(), all[0].before.clone());
    let (mut gaps, mut next) = (0, 0);
    while next < STREAMS.len() {
        match reader.next().await.unwrap() {
            Found::Gap(_) => gaps += 1,
            found => next += usize::from(found.into_event().data() == "next"),
        }
    }
    assert_eq!(gaps, 1);
    // One that asks for what is held misses nothing.
    let mut reader = hub.subscribe(view, Start::Oldest);
    for _ in 0..3 {
        assert!(reader.next().await.unwrap().into_event().data().starts_with('x'));
    }
}

#[test]
fn the_loss_of_several_streams_is_told_once() {
    for filling in [0, 100] {
        let (disk, now) = (SimulatedDisk::default(), Now::read());
        let places = on_disk(&disk, now, async |hub| {
            let places = publish_streams(hub).await;
            fill(hub, filling).await;
            outlive(hub, now).await;
            publish_next(hub).await;
            check_told_once(hub, &places).await;
            places
        });
        on_disk(&disk, now, async |hub| check_told_once(hub, &places).await);
    }
}

#[test]
fn a_stream_that_is_freed_later_is_another_loss() {
    let (disk, now) = (SimulatedDisk::default(), Now::read());
    on_disk(&disk, now, async |hub| {
        let places = publish_streams(hub).await;
        let later = topic("chat/later");
        let mut options = StreamOptions::default();
        options.ttl = 4 * HOUR;
        let request = Append { begin: Some(options), ..Append::default() };
        let drafts = ["e", "f"].map(|data| Draft::new(later.clone(), Event::new(data)));
        hub.append(later.clone(), &request, drafts.to_vec()).await.unwrap();
        let end = Append { end: Some(EndNotice::Event), ..Append::default() };
        hub.append(later.clone(), &end, Vec::new()).await.unwrap();
        fill(hub, 100).await;
        outlive(hub, now).await;
        let view = View::from(TopicFilter::pattern("chat/*").unwrap());
        let mut reader = hub.subscribe(view, places[0].before.clone());
        assert!(matches!(reader.next().await, Some(Found::Gap(_))));
        assert_eq!(reader.next().await.unwrap().into_event().data(), "e");
        outlive(hub, now + 4 * HOUR).await;
        publish_next(hub).await;
        assert!(matches!(reader.next().await, Some(Found::Gap(_))));
        for _ in STREAMS {
            assert_eq!(reader.next().await.unwrap().into_event().data(), "next");
        }
    });
}

#[test]
fn cleaning_gives_back_the_room_of_freed_streams_and_readers_are_still_told() {
    for_seeds(1, |random| {
        let (disk, now) = (SimulatedDisk::default(), Now::read());
        let (places, freed) = on_disk(&disk, now, async |hub| {
            let places = publish_streams(hub).await;
            // A long stream, so that most of the segments is freed.
            let long = topic("chat/long");
            let request = Append { begin: begin(), ..Append::default() };
            hub.append(long.clone(), &request, Vec::new()).await.unwrap();
            for _ in 0..100 {
                hub.publish(Draft::new(long.clone(), Event::new("y".repeat(200)))).await.unwrap();
            }
            let end = Append { end: Some(EndNotice::Event), ..Append::default() };
            hub.append(long.clone(), &end, Vec::new()).await.unwrap();
            outlive(hub, now).await;
            publish_next(hub).await;
            let freed = disk.done();
            let mut filled = 0;
            while is_on_disk(&disk) {
                fill(hub, 20).await;
                filled += 20;
                assert!(filled < 100_000, "it is never cleaned");
            }
            check_freed(hub, &places).await;
            (places, freed)
        });
        on_disk(&disk, now, async |hub| check_freed(hub, &places).await);
        let checked = check(&disk).unwrap();
        assert_eq!((checked.damage, checked.torn_bytes), (vec![], 0));
        for _ in 0..20 {
            let crashed = disk.crash(random.usize(freed..=disk.done()), random);
            on_disk(&crashed, now, async |hub| check_freed(hub, &places).await);
        }
    });
}

#[test]
fn a_stream_that_begins_after_another_one_was_freed_is_whole() {
    let (disk, now) = (SimulatedDisk::default(), Now::read());
    let chat = topic("chat/told");
    let read_all = async |hub: &Hub, chat: &Topic| {
        let page = hub.page(chat.clone(), Start::Oldest, 100).await;
        assert_eq!(page.gap, None);
        page.events.iter().map(|held| held.event.data().to_owned()).collect::<Vec<_>>()
    };
    on_disk(&disk, now, async |hub| {
        publish_streams(hub).await;
        hub.tick(now + 2 * HOUR);
        // The mark that frees the stream is under way.
        let request = Append { begin: begin(), ..Append::default() };
        let draft = Draft::new(chat.clone(), Event::new("e"));
        hub.append(chat.clone(), &request, vec![draft]).await.unwrap();
        hub.tick(now + 2 * HOUR + Duration::from_secs(1));
        hub.publish(Draft::new(chat.clone(), Event::new("f"))).await.unwrap();
        assert_eq!(read_all(hub, &chat).await, ["e", "f"]);
        assert_eq!(hub.streams(&chat.clone().into())[0].events, 2);
    });
    on_disk(&disk, now + 2 * HOUR, async |hub| {
        assert_eq!(read_all(hub, &chat).await, ["e", "f"]);
        fill(hub, 100).await;
        assert_eq!(read_all(hub, &chat).await, ["e", "f"]);
        assert_eq!(hub.streams(&chat.clone().into())[0].events, 2);
    });
}
