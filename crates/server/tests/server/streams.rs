//! Streams within a topic: they begin, end, and tell their readers.

use std::time::Duration;

use http::StatusCode;

use tokio::io::AsyncReadExt as _;

use crate::harness::{Running, Stream, Whole, send_chunk, start, start_with};

async fn post(server: &Running, path: &str, body: &str) -> Whole {
    let answer = server.post(path, body.to_owned()).answer().await;
    assert_eq!(answer.status, StatusCode::CREATED, "{path} {}", answer.text());
    answer
}

/// Publishes an answer of two events, which begins with the first and ends with the second.
async fn publish_answer(server: &Running, end: &str) {
    post(server, "/topics/c/1?begin", "a").await;
    post(server, &format!("/topics/c/1?{end}"), "b").await;
}

#[tokio::test]
async fn an_end_is_the_last_event_and_then_the_response_ends() {
    let server = start().await;
    let mut http_1 = server.stream("/topics/c/1").await;
    let mut http_2 = Stream::new(server.get("/topics/c/1").send_http2().await);
    let begun = post(&server, "/topics/c/1?begin", "").await;
    assert_eq!(begun.header("stream-id"), begun.text());
    post(&server, "/topics/c/1", "a").await;
    post(&server, "/topics/c/1?end", "b").await;
    let mut late = server.stream("/topics/c/1?last_event_id=earliest").await;
    for stream in [&mut http_1, &mut http_2, &mut late] {
        assert_eq!(stream.data().await, "a");
        assert_eq!(stream.data().await, "b");
        let end = stream.event().await;
        assert_eq!(end.event_type(), "end");
        assert_eq!(end.data(), r#"{"reason":"done","events":2,"topic":"c/1"}"#);
        while stream.read().await {}
        assert!(!stream.has_event());
    }
}

#[tokio::test]
async fn a_silent_end_sends_nothing_but_what_was_published() {
    let server = start().await;
    let mut live = server.stream("/topics/c/1").await;
    let mut live_2 = Stream::new(server.get("/topics/c/1").send_http2().await);
    publish_answer(&server, "end=close").await;
    for stream in [&mut live, &mut live_2] {
        assert_eq!(stream.data().await, "a");
        assert_eq!(stream.data().await, "b");
        while stream.read().await {}
        assert!(!stream.has_event());
    }
}

#[tokio::test]
async fn whoever_has_been_sent_all_of_it_is_told_by_the_status() {
    let server = start().await;
    post(&server, "/topics/c/1?begin", "a").await;
    let last = post(&server, "/topics/c/1", "b").await.text();
    let end = post(&server, "/topics/c/1?end", "").await.text();
    let back = |place: &str| server.get("/topics/c/1").header("last-event-id", place);
    // At the last event, the end is still to be told.
    let mut told = back(&last).stream().await;
    assert_eq!(told.event().await.event_type(), "end");
    let event_source = back(&end).header("accept", "text/event-stream").answer().await;
    assert_eq!(event_source.status, StatusCode::NO_CONTENT);
    let accept = "text/html, text/event-stream";
    back(&end).header("accept", accept).answer().await.problem(410, "stream-ended");
    let of_http_2 = back(&end).header("accept", accept).send_http2().await;
    Whole::read(of_http_2).await.problem(410, "stream-ended");
    // Without a place it waits for the next one, and a place is no end once there is one.
    let mut next = server.stream("/topics/c/1").await;
    post(&server, "/topics/c/1?begin", "c").await;
    assert_eq!(next.data().await, "c");
    assert_eq!(back(&end).stream().await.data().await, "c");
}

#[tokio::test]
async fn at_the_last_event_of_a_silent_end_nothing_is_left() {
    let server = start().await;
    post(&server, "/topics/c/1?begin", "a").await;
    let last = post(&server, "/topics/c/1?end=close", "b").await.text();
    let back = server.get("/topics/c/1").header("last-event-id", last);
    back.header("accept", "*/*").answer().await.problem(410, "stream-ended");
}

#[tokio::test]
async fn readers_of_several_topics_are_told_the_end_and_go_on() {
    let server = start().await;
    let mut several = server.stream("/events?match=c/**&topic=other").await;
    publish_answer(&server, "end").await;
    server.publish("other", "o").await;
    assert_eq!(several.data().await, "a");
    assert_eq!(several.data().await, "b");
    assert_eq!(several.event().await.event_type(), "end");
    assert_eq!(several.data().await, "o");
}

#[tokio::test]
async fn after_an_end_a_stream_must_begin_anew() {
    let server = start().await;
    server.post("/topics/c/1?end", "").answer().await.problem(409, "ended");
    publish_answer(&server, "end").await;
    for path in ["/topics/c/1", "/topics/c/1?end"] {
        server.post(path, "late").answer().await.problem(409, "ended");
    }
    let json = server.post("/events", r#"{"topic":"c/1","data":"late"}"#);
    json.content_type("application/json").answer().await.problem(409, "ended");
    assert_eq!(server.held("c/1"), ["a", "b"]);
    // Other topics are as they were.
    server.publish("c/2", "x").await;
    post(&server, "/topics/c/1?begin&end", "again").await;
    assert_eq!(server.held("c/1"), ["a", "b", "again"]);
}

#[tokio::test]
async fn a_beginning_aborts_the_stream_before_it() {
    let server = start().await;
    let mut live = server.stream("/topics/c/1").await;
    post(&server, "/topics/c/1?begin", "a").await;
    post(&server, "/topics/c/1?begin", "b").await;
    assert_eq!(live.data().await, "a");
    assert_eq!(live.event().await.data(), r#"{"reason":"aborted","events":1,"topic":"c/1"}"#);
    while live.read().await {}
}

#[tokio::test]
async fn a_successor_takes_over_and_the_late_append_is_refused() {
    let server = start().await;
    let send = |path: &str, data: &str, id: &str, epoch: u64, seq: u64| {
        let ask = server.post(path, data.to_owned()).header("producer-id", id);
        let ask = ask.header("producer-epoch", epoch.to_string());
        ask.header("producer-seq", seq.to_string()).answer()
    };
    assert_eq!(send("/topics/c/1?begin", "a", "p", 0, 0).await.status, 201);
    assert_eq!(send("/topics/c/1?begin", "a", "p", 0, 0).await.status, 204);
    server.post("/topics/c/1", "x").answer().await.problem(409, "streaming");
    server.post("/topics/c/1?begin", "x").answer().await.problem(409, "streaming");
    let missing = send("/topics/c/1", "c", "p", 0, 2).await;
    assert_eq!(missing.json()["expected"], 1);
    missing.problem(409, "missing-sequence");
    assert_eq!(send("/topics/c/1", "b", "p", 0, 1).await.status, 201);
    assert_eq!(send("/topics/c/1", "c", "q", 1, 0).await.status, 201);
    send("/topics/c/1", "late", "p", 0, 2).await.problem(403, "stale-epoch");
    assert_eq!(send("/topics/c/1?end", "", "q", 1, 1).await.status, 201);
    assert_eq!(server.held("c/1"), ["a", "b", "c"]);
    let some = server.post("/topics/c/1", "x").header("producer-id", "p").answer().await;
    some.problem(400, "invalid-parameter");
}

#[tokio::test]
async fn the_state_of_streams_is_listed() {
    let server = start().await;
    publish_answer(&server, "end").await;
    post(&server, "/topics/c/2?begin", "").await;
    let answer = server.get("/streams?topic=c/1&topic=c/2&topic=c/3").answer().await;
    let json = answer.json();
    let streams = json["streams"].as_array().unwrap();
    let states: Vec<_> = streams.iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["done", "streaming", "missing"]);
    assert_eq!(streams[0]["events"], 2);
    assert!(streams[0]["began"].is_u64() && streams[0]["ended"].is_u64());
    assert!(streams[1].get("ended").is_none());
    assert!(streams.iter().all(|it| it["readers"] == 0));
    let one = server.get("/streams?match=c/**&limit=1").answer().await.json();
    assert_eq!((one["streams"].as_array().unwrap().len(), &one["next"]), (1, &"c/1".into()));
    let rest = server.get("/streams?match=c/**&after=c/1").answer().await.json();
    assert_eq!(rest["streams"][0]["topic"], "c/2");
    server.get("/streams").answer().await.problem(400, "missing-parameter");
}

#[tokio::test]
async fn the_readers_of_a_stream_are_counted() {
    let server = start().await;
    let _alone = server.stream("/topics/c/1").await;
    let _several = server.get("/events?topic=c/1&topic=c/2").send_http2().await;
    let _pattern = server.stream("/events?match=c/**").await;
    for state in ["missing", "streaming"] {
        let list = server.get("/streams?topic=c/1&topic=c/2").answer().await.json();
        assert_eq!(
            (&list["streams"][0]["state"], &list["streams"][0]["readers"]),
            (&state.into(), &2.into())
        );
        assert_eq!(list["streams"][1]["readers"], 1);
        server.post("/topics/c/1?begin", "a").answer().await;
    }
}

#[tokio::test]
async fn a_beginning_and_an_end_that_are_sent_again_with_their_key_are_answered_as_before() {
    let server = start().await;
    let send = |path: &'static str, data: &'static str, key: &'static str| {
        server.post(path, data).header("idempotency-key", key).answer()
    };
    for (path, data, key) in [
        ("/topics/c/1?begin", "a", "first"),
        ("/topics/c/1?end", "", "last"),
        ("/topics/c/2?begin&end", "x", "whole"),
    ] {
        let once = send(path, data, key).await;
        let again = send(path, data, key).await;
        assert_eq!((once.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
        assert_eq!(again.text(), once.text());
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    assert_eq!(server.held("c/1"), ["a"]);
    assert_eq!(server.held("c/2"), ["x"]);
    send("/topics/c/1?end", "", "another").await.problem(409, "ended");
}

#[tokio::test]
async fn json_has_the_index_of_each_event_within_its_stream() {
    let server = start().await;
    server.publish("c/1", "of no stream").await;
    publish_answer(&server, "end").await;
    publish_answer(&server, "end").await;
    let path = "/events?match=c/**&last_event_id=earliest";
    let page = server.get(path).header("accept", "application/json").answer().await.json();
    let events = page["events"].as_array().unwrap();
    let indexes: Vec<_> = events.iter().map(|event| event["index"].as_u64()).collect();
    assert_eq!(indexes, [None, Some(0), Some(1), Some(0), Some(1)]);
}

/// The answer of a body that ended its stream was lost: sent again, it was refused.
#[tokio::test]
async fn a_body_that_is_sent_again_after_the_end_is_answered_as_before() {
    let server = start().await;
    let lines = "{\"topic\":\"c/2\",\"begin\":true}\n{\"topic\":\"c/2\",\"data\":1}\n\
                 {\"topic\":\"other\",\"data\":2}\n{\"topic\":\"c/2\",\"data\":3,\"end\":true}\n";
    let piped = "data: a\n\ndata: b\n\n";
    for (path, content_type, body) in [
        ("/events?topic=c/1&begin&end", "text/event-stream", piped),
        ("/events", "application/x-ndjson", lines),
    ] {
        let send = |body: String, key: &str| {
            let ask = server.post(path, body).content_type(content_type);
            ask.header("idempotency-key", key).answer()
        };
        let once = send(body.to_owned(), content_type).await;
        let again = send(body.to_owned(), content_type).await;
        assert_eq!((once.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
        assert_eq!(
            (again.text(), again.header("stream-id")),
            (once.text(), once.header("stream-id"))
        );
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    assert_eq!(server.held("c/1"), ["a", "b"]);
    assert_eq!(
        (server.held("c/2"), server.held("other")),
        (vec!["1".into(), "3".into()], vec!["2".into()])
    );
    // What was not in the first body does not belong to the ended stream.
    let path = "/events?topic=c/1&begin&end";
    let more = server.post(path, format!("{piped}data: c\n\n")).content_type("text/event-stream");
    more.header("idempotency-key", "text/event-stream").answer().await.problem(409, "ended");
    let other = format!("{lines}{{\"topic\":\"c/2\",\"data\":4}}\n");
    let more = server.post("/events", other).content_type("application/x-ndjson");
    let more = more.header("idempotency-key", "application/x-ndjson").answer().await;
    assert_eq!(more.json()["committed"], 3);
    more.problem(409, "ended");
    assert_eq!(server.held("c/1"), ["a", "b"]);
}

#[tokio::test]
async fn events_of_a_body_that_is_sent_again_count_once() {
    let server = start().await;
    let send = |body: &'static str| {
        let path = "/events?topic=c/1&begin";
        let ask = server.post(path, body).content_type("text/event-stream");
        ask.header("idempotency-key", "k").answer()
    };
    send("data: a\n\ndata: b\n\n").await;
    assert_eq!(send("data: a\n\ndata: b\n\ndata: c\n\n").await.json()["committed"], 3);
    post(&server, "/topics/c/1?end", "").await;
    assert_eq!(state_of(&server, "c/1").await["events"], 3);
}

/// The end of a stream as a reader is told it.
pub(crate) async fn end_of(stream: &mut Stream) -> String {
    let end = stream.event().await;
    assert_eq!(end.event_type(), "end");
    while stream.read().await {}
    end.data().to_owned()
}

pub(crate) async fn state_of(server: &Running, topic: &str) -> serde_json::Value {
    let list = server.get(&format!("/streams?topic={topic}")).answer().await.json();
    list["streams"][0].clone()
}

#[tokio::test]
async fn a_piped_body_begins_a_stream_and_ends_it() {
    let server = start().await;
    for (topic, content_type, body) in
        [("c/1", "text/event-stream", "data: a\n\ndata: b\n\n"), ("c/2", "text/plain", "a\nb\n")]
    {
        let mut reader = server.stream(&format!("/topics/{topic}")).await;
        let piped = server.post(&format!("/events?topic={topic}&begin&end"), body);
        let answer = piped.content_type(content_type).answer().await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(answer.json()["committed"], 2);
        let state = state_of(&server, topic).await;
        assert_eq!(
            (&state["state"], &state["stream_id"]),
            (&"done".into(), &answer.header("stream-id").into())
        );
        assert_eq!((reader.data().await, reader.data().await), ("a".into(), "b".into()));
        assert!(end_of(&mut reader).await.starts_with(r#"{"reason":"done","events":2"#));
    }
    let several = server.post("/events?topic=c/1&topic=c/2&begin", "data: a\n\n");
    several.content_type("text/event-stream").answer().await.problem(400, "invalid-parameter");
    let none = server.post("/events?topic=c/1&end", "data: late\n\n");
    none.content_type("text/event-stream").answer().await.problem(409, "ended");
    assert_eq!(server.held("c/1"), ["a", "b"]);
}

#[tokio::test]
async fn a_json_object_begins_and_ends_a_stream() {
    let server = start().await;
    let send =
        |body: &'static str| server.post("/events", body).content_type("application/json").answer();
    let begun = send(r#"{"topic":"c/1","begin":true}"#).await;
    assert_eq!((begun.status, &begun.json()["committed"]), (StatusCode::CREATED, &0.into()));
    assert!(!begun.header("stream-id").is_empty());
    assert_eq!(send(r#"{"topic":"c/1","data":null}"#).await.status, StatusCode::CREATED);
    assert_eq!(
        send(r#"{"topic":"c/1","data":"b","end":"close"}"#).await.status,
        StatusCode::CREATED
    );
    assert_eq!(state_of(&server, "c/1").await["state"], "done");
    assert_eq!(server.held("c/1"), ["null", "b"]);
    send(r#"{"topic":"c/1","data":"b","end":"soon"}"#).await.problem(400, "invalid-event");
    send(r#"{"topics":["c/1","c/2"],"begin":true}"#).await.problem(400, "invalid-parameter");
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_the_stream_open_for_the_grace() {
    let server = start().await;
    let mut reader = server.stream("/topics/c/1").await;
    let path = "/events?topic=c/1&begin&end&grace=200ms";
    let body = server.stalled(path, "text/event-stream", "data: a\n\n").await;
    assert_eq!(reader.data().await, "a");
    drop(body);
    // The server notices that by itself; then the time goes on.
    for seconds in 1.. {
        server.tick(Duration::from_secs(seconds));
        if state_of(&server, "c/1").await["state"] == "aborted" {
            break;
        }
    }
    assert!(end_of(&mut reader).await.starts_with(r#"{"reason":"aborted","events":1"#));
}

/// A model thinks for minutes; after one its server was given up, and the stream aborted.
#[tokio::test]
async fn a_piped_body_may_be_silent_for_longer_than_others() {
    let server = start_with(|config, _| config.body_timeout = Duration::from_millis(500)).await;
    let path = "/events?topic=c/1&begin&end";
    let mut piped = server.stalled(path, "text/event-stream", "data: a\n\n").await;
    let path = "/events?topic=other";
    let mut other = server.stalled(path, "text/event-stream", "data: a\n\n").await;
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    send_chunk(&mut piped, "data: b\n\n").await;
    send_chunk(&mut piped, "").await;
    let mut status = [0; 12];
    piped.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 201");
    assert_eq!(state_of(&server, "c/1").await["state"], "done");
}

#[tokio::test]
async fn a_reader_stops_a_piped_body_whose_409_is_the_answer_of_its_producer() {
    let server = start().await;
    for path in ["/events?topic=c/1&begin&end", "/events?topic=c/1&begin&end&private"] {
        let mut reader = server.stream("/topics/c/1").await;
        let mut body = server.stalled(path, "text/event-stream", "data: a\n\n").await;
        assert_eq!(reader.data().await, "a");
        let stopped = server.post("/streams/stop?topic=c/1", "").answer().await;
        assert_eq!(
            (stopped.status, &stopped.json()["state"]),
            (StatusCode::ACCEPTED, &"streaming".into())
        );
        let mut answer = String::new();
        while !answer.contains("/problems/stopped") {
            // The client is still sending.
            send_chunk(&mut body, "data: b\n\n").await;
            let mut bytes = [0; 4096];
            let read = body.read(&mut bytes).await.unwrap();
            assert_ne!(read, 0, "{answer}");
            answer.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
        assert!(end_of(&mut reader).await.starts_with(r#"{"reason":"stopped","events":1"#));
    }
}

#[tokio::test]
async fn a_stopped_producer_learns_it_by_its_next_publish_and_by_waiting() {
    let server = start().await;
    let begun = post(&server, "/topics/c/1?begin", "a").await;
    let id = begun.header("stream-id").to_owned();
    let ask = || server.get("/streams/stop?topic=c/1").answer();
    assert_eq!(ask().await.status, StatusCode::NO_CONTENT);
    let waiting = server.get("/streams/stop?topic=c/1&wait=30s").answer();
    let stop = async {
        for _ in 0..2 {
            let stopped =
                server.post(&format!("/streams/stop?topic=c/1&stream={id}"), "").answer().await;
            assert_eq!(stopped.status, StatusCode::ACCEPTED);
        }
    };
    let (waited, ()) = tokio::join!(waiting, stop);
    assert_eq!((waited.status, &waited.json()["stopping"]), (StatusCode::OK, &true.into()));
    assert_eq!(ask().await.status, StatusCode::OK);
    server.post("/topics/c/1", "b").answer().await.problem(409, "stopped");
    post(&server, "/topics/c/1?end", "").await;
    assert_eq!(state_of(&server, "c/1").await["state"], "stopped");
    assert_eq!(server.held("c/1"), ["a"]);
    // A late stop hits no newer stream.
    post(&server, "/topics/c/1?begin", "c").await;
    let late = server.post(&format!("/streams/stop?topic=c/1&stream={id}"), "").answer().await;
    assert_eq!((late.status, &late.json()["state"]), (StatusCode::ACCEPTED, &"streaming".into()));
    assert_eq!(ask().await.status, StatusCode::NO_CONTENT);
    post(&server, "/topics/c/1", "d").await;
    let missing = server.post("/streams/stop?topic=c/2", "").answer().await;
    assert_eq!(
        (missing.status, &missing.json()["state"]),
        (StatusCode::ACCEPTED, &"missing".into())
    );
    server.post("/streams/stop", "").answer().await.problem(400, "missing-parameter");
    server
        .post("/streams/stop?topic=c/1&stream=x", "")
        .answer()
        .await
        .problem(400, "invalid-parameter");
}

#[tokio::test]
async fn a_stream_that_was_stopped_and_is_not_ended_ends_after_the_grace() {
    let server = start().await;
    post(&server, "/topics/c/1?begin&grace=5s", "a").await;
    server.post("/streams/stop?topic=c/1", "").answer().await;
    server.tick(Duration::from_secs(4));
    assert_eq!(state_of(&server, "c/1").await["state"], "streaming");
    server.tick(Duration::from_secs(6));
    assert_eq!(state_of(&server, "c/1").await["state"], "stopped");
}

async fn publish_tokens(server: &Running, tokens: &[&str]) -> String {
    let begun = post(server, "/topics/c/1?begin", "").await;
    for token in tokens {
        post(server, "/topics/c/1", token).await;
    }
    begun.header("stream-id").to_owned()
}

/// The data of the events that a reader is sent until its response ends.
async fn told(server: &Running, query: &str) -> Vec<String> {
    let mut stream = server.stream(&format!("/topics/c/1?{query}")).await;
    let mut found = Vec::new();
    loop {
        let event = stream.event().await;
        if event.event_type() == "end" {
            return found;
        }
        found.push(event.data().to_owned());
    }
}

#[tokio::test]
async fn a_reader_starts_with_the_stream_or_at_an_index_in_it() {
    let server = start().await;
    let none = |query: &str| server.get(&format!("/topics/c/1?{query}"));
    assert_eq!(none("from=active").answer().await.status, StatusCode::NO_CONTENT);
    let mut waiting = server.stream("/topics/c/1?from=begin").await;
    let first = publish_tokens(&server, &["x", "y"]).await;
    assert_eq!(waiting.data().await, "x");
    // Aborted by the next one.
    let second = publish_tokens(&server, &["a", "b", "c"]).await;
    let mut active = none("from=active").stream().await;
    for data in ["a", "b", "c"] {
        assert_eq!(active.data().await, data);
    }
    post(&server, "/topics/c/1?end", "d").await;
    for (query, data) in [
        ("from=begin", "abcd"),
        ("start_index=0", "abcd"),
        ("start_index=2", "cd"),
        ("from=begin&start_index=-1", "d"),
        ("start_index=-50", "abcd"),
        (&format!("stream={second}"), "abcd"),
        (&format!("stream={first}"), "xy"),
        (&format!("stream={first}&start_index=1"), "y"),
        (&format!("stream={first}&start_index=-2"), "xy"),
    ] {
        assert_eq!(told(&server, query).await.concat(), data, "{query}");
    }
    assert_eq!(none("from=active").answer().await.status, StatusCode::NO_CONTENT);
    // A place goes before them.
    let last = state_of(&server, "c/1").await["last_place"].as_str().unwrap().to_owned();
    let back = format!("from=begin&start_index=1&last_event_id={last}");
    assert_eq!(told(&server, &back).await.concat(), "");
    for query in ["from=x", "start_index=x", "stream=x"] {
        none(query).answer().await.problem(400, "invalid-parameter");
    }
    let several = server.get("/events?topic=c/1&topic=c/2&from=begin").answer().await;
    several.problem(400, "invalid-parameter");
    let unknown = none(&format!("stream={last}&start_index=1")).answer().await;
    unknown.problem(410, "stream-ended");
}

#[tokio::test]
async fn the_head_tells_how_the_stream_stands() {
    let server = start().await;
    let open = async |path: &str| {
        let http_1 = server.get(path).send().await;
        let http_2 = server.get(path).send_http2().await;
        let told = |response: &http::Response<_>| {
            let header =
                |name| response.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
            [header("stream-id"), header("stream-state"), header("stream-tail-index")]
        };
        assert_eq!(told(&http_1), told(&http_2));
        told(&http_1)
    };
    assert_eq!(open("/topics/c/1").await, [None, None, None]);
    let id = Some(publish_tokens(&server, &[]).await);
    let head =
        |state: &str, index: &str| [id.clone(), Some(state.to_owned()), Some(index.to_owned())];
    assert_eq!(open("/topics/c/1").await, head("streaming", "-1"));
    post(&server, "/topics/c/1?end", "a").await;
    assert_eq!(open("/topics/c/1?from=begin").await, head("done", "0"));
    assert_eq!(open("/events?topic=c/1&topic=c/2").await, [None, None, None]);
}

#[tokio::test]
async fn json_has_the_end_and_does_not_wait_for_more() {
    let server = start().await;
    let ask = |query: &str| {
        let path = format!("/topics/c/1?{query}");
        server.get(&path).header("accept", "application/json").answer()
    };
    publish_tokens(&server, &["a", "b"]).await;
    let page = ask("from=begin&limit=1").await.json();
    assert_eq!((&page["events"][0]["data"], page.get("end")), (&"a".into(), None));
    let place = page["last_event_id"].as_str().unwrap().to_owned();
    post(&server, "/topics/c/1?end=close", "").await;
    let page = ask(&format!("after={place}")).await.json();
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    assert_eq!(page["end"], serde_json::json!({"reason": "done", "events": 2}));
    let place = page["last_event_id"].as_str().unwrap().to_owned();
    let page = ask(&format!("after={place}&wait=55s")).await.json();
    assert_eq!((&page["events"], &page["end"]["reason"]), (&serde_json::json!([]), &"done".into()));
}
