//! Streams within a topic, begun and ended by JSON.

use http::StatusCode;
use serde_json::Value;

use crate::harness::{Running, Whole, start};
use crate::streams::state_of;

async fn send(server: &Running, body: &str) -> Whole {
    server.post("/events", body.to_owned()).content_type("application/json").answer().await
}

#[tokio::test]
async fn a_json_object_begins_and_ends_a_stream() {
    let server = start().await;
    let begun = send(&server, r#"{"topic":"c/1","begin":true}"#).await;
    assert_eq!((begun.status, &begun.json()["committed"]), (StatusCode::CREATED, &0.into()));
    assert!(!begun.header("stream-id").is_empty());
    assert_eq!(send(&server, r#"{"topic":"c/1","data":null}"#).await.status, StatusCode::CREATED);
    assert_eq!(
        send(&server, r#"{"topic":"c/1","data":"b","end":"close"}"#).await.status,
        StatusCode::CREATED
    );
    assert_eq!(state_of(&server, "c/1").await["state"], "done");
    assert_eq!(server.held("c/1"), ["null", "b"]);
    send(&server, r#"{"topic":"c/1","data":"b","end":"soon"}"#).await.problem(400, "invalid-event");
    send(&server, r#"{"topics":["c/1","c/2"],"begin":true}"#)
        .await
        .problem(400, "invalid-parameter");
}

const ANSWER: &str = r#"[{"topic":"c/1","begin":true,"data":"a"},{"topic":"c/1","data":"b"},{"topic":"c/1","end":true}]"#;

#[tokio::test]
async fn an_array_begins_a_stream_and_ends_it() {
    let server = start().await;
    let whole = send(&server, ANSWER).await;
    assert_eq!(whole.status, StatusCode::CREATED, "{}", whole.text());
    assert_eq!(whole.json()["committed"], 2);
    let state = state_of(&server, "c/1").await;
    assert_eq!((&state["state"], &state["events"]), (&"done".into(), &2.into()));
    assert_eq!(state["stream_id"], whole.header("stream-id"));
    let parts = [
        r#"[{"topic":"c/1","begin":true},{"topic":"c/1","data":"c"}]"#,
        r#"[{"topic":"c/1","data":"d"},{"topic":"c/1","data":"e","end":"close"}]"#,
    ];
    for part in parts {
        assert_eq!(send(&server, part).await.status, StatusCode::CREATED, "{part}");
    }
    let state = state_of(&server, "c/1").await;
    assert_eq!((&state["state"], &state["events"]), (&"done".into(), &3.into()));
    assert_eq!(server.held("c/1"), ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn an_array_that_is_no_request_to_one_stream_publishes_nothing() {
    let server = start().await;
    for (array, index) in [
        (r#"[{"topic":"c/1","data":"a"},{"topic":"c/1","begin":true}]"#, Some(1)),
        (r#"[{"topic":"c/1","begin":true,"end":true},{"topic":"c/1","data":"b"}]"#, Some(1)),
        (r#"[{"topic":"c/1","begin":true},{"topic":"c/2","data":"b"}]"#, None),
    ] {
        let refused = send(&server, array).await;
        refused.problem(400, "invalid-event");
        assert_eq!(refused.json().get("index").and_then(Value::as_i64), index, "{array}");
    }
    let event = r#"{"topic":"c/1","data":"x"}"#;
    let array = |events: usize| {
        let begin = r#"{"topic":"c/1","begin":true}"#;
        format!("[{begin},{}]", vec![event; events].join(","))
    };
    send(&server, &array(1001)).await.problem(413, "body-too-large");
    let ended = format!(r#"[{event},{{"topic":"c/1","end":true}}]"#);
    send(&server, &ended).await.problem(409, "ended");
    assert_eq!(server.held("c/1"), [""; 0]);
    assert_eq!(state_of(&server, "c/1").await["state"], "missing");
    assert_eq!(send(&server, &array(1000)).await.json()["committed"], 1000);
}

#[tokio::test]
async fn an_array_that_is_sent_again_is_answered_as_before() {
    let server = start().await;
    let ask = async |body: &str, key: &str| {
        let post = server.post("/events", body.to_owned()).content_type("application/json");
        post.header("idempotency-key", key).answer().await
    };
    let begin = r#"[{"topic":"c/1","begin":true,"data":"a"},{"topic":"c/1","data":"b"}]"#;
    let end =
        r#"[{"topic":"c/1","data":"c"},{"topic":"c/1","data":"d"},{"topic":"c/1","end":true}]"#;
    for (body, key) in [(begin, "begin"), (end, "end"), (ANSWER, "all")] {
        let first = ask(body, key).await;
        server.post("/topics/other", "between").answer().await;
        let again = ask(body, key).await;
        assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
        assert_eq!(first.json(), again.json(), "{key}");
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    assert_eq!(server.held("c/1"), ["a", "b", "c", "d", "a", "b"]);
}

#[tokio::test]
async fn a_producer_sends_arrays() {
    let server = start().await;
    let ask = async |body: &str, seq: &str| {
        let post = server.post("/events", body.to_owned()).content_type("application/json");
        let post = post.header("producer-id", "p").header("producer-epoch", "0");
        post.header("producer-seq", seq).answer().await.status.as_u16()
    };
    assert_eq!(ask(r#"[{"topic":"c/1","begin":true}]"#, "0").await, 201);
    let two = r#"[{"topic":"c/1","data":"a"},{"topic":"c/1","data":"b"}]"#;
    assert_eq!(ask(two, "1").await, 201);
    assert_eq!(ask(two, "1").await, 204);
    assert_eq!(ask(r#"[{"topic":"c/1","data":"a"},{"topic":"c/2","data":"b"}]"#, "2").await, 400);
    assert_eq!(ask("[]", "2").await, 400);
    assert_eq!(ask(r#"[{"topic":"c/1","data":"c"},{"topic":"c/1","end":true}]"#, "2").await, 201);
    assert_eq!(server.held("c/1"), ["a", "b", "c"]);
}
