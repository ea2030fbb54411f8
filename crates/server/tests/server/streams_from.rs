//! Where the readers of streams start, and what they are told of the events' indexes.

use http::StatusCode;

use crate::harness::{Running, start};
use crate::streams::{post, publish_answer, state_of};

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
