//! Lines of JSON that begin and end streams within topics.

use http::StatusCode;

use crate::harness::start;
use crate::streams::{end_of, state_of};

#[tokio::test]
async fn lines_of_json_begin_and_end_streams_in_their_order() {
    let server = start().await;
    let send = |body: String| server.post("/events", body).content_type("application/x-ndjson");
    let event = |topic: &str, rest: &str| format!("{{\"topic\":\"{topic}\",{rest}}}\n");
    let first = event("c/1", r#""data":"a","begin":true"#) + &event("c/2", r#""begin":true"#);
    let mut reader = server.stream("/topics/c/1").await;
    let body = first + &event("c/1", r#""data":"b""#) + &event("c/1", r#""data":"c","end":true"#);
    let answer = send(body).answer().await;
    assert_eq!((answer.status, &answer.json()["committed"]), (StatusCode::CREATED, &3.into()));
    for data in ["a", "b", "c"] {
        assert_eq!(reader.data().await, data);
    }
    assert!(end_of(&mut reader).await.starts_with(r#"{"reason":"done","events":3"#));
    let open = state_of(&server, "c/2").await;
    assert_eq!(open["state"], "streaming");
    assert_eq!(answer.header("stream-id"), open["stream_id"]);
    // Marks alone are something that was published.
    let marks = send(event("c/2", r#""end":"close""#)).answer().await;
    assert_eq!((marks.status, &marks.json()["committed"]), (StatusCode::CREATED, &0.into()));
    // A refusal ends the request, and what was before it stays.
    let body =
        event("c/3", r#""data":"x""#) + &event("c/2", r#""data":"y","begin":true,"end":true"#);
    let body = body + &event("c/2", r#""end":true"#) + &event("c/3", r#""data":"late""#);
    let refused = send(body).answer().await;
    assert_eq!((&refused.json()["committed"], &refused.json()["index"]), (&2.into(), &2.into()));
    refused.problem(409, "ended");
    assert_eq!((server.held("c/3"), server.held("c/2")), (vec!["x".into()], vec!["y".into()]));
    let body = event("c/3", r#""data":"z""#) + &event("c/2", r#""data":"late""#);
    let refused = send(body + &event("c/3", r#""data":"after""#)).answer().await;
    assert_eq!((&refused.json()["committed"], &refused.json()["index"]), (&1.into(), &1.into()));
    refused.problem(409, "ended");
    assert_eq!(server.held("c/3"), ["x", "z"]);
    let several = send("{\"topics\":[\"c/1\",\"c/2\"],\"begin\":true}\n".to_owned());
    several.answer().await.problem(400, "invalid-parameter");
    let owned = send(event("c/1", r#""begin":true"#)).header("producer-id", "p");
    let owned = owned.header("producer-epoch", "0").header("producer-seq", "0");
    owned.answer().await.problem(400, "invalid-parameter");
}

#[tokio::test]
async fn lines_of_json_that_are_sent_again_with_their_key_go_on() {
    let server = start().await;
    let send = |body: &'static str| {
        let sent = server.post("/events", body).content_type("application/x-ndjson");
        sent.header("idempotency-key", "k").answer()
    };
    let some = "{\"topic\":\"c/1\",\"begin\":true}\n{\"topic\":\"c/1\",\"data\":\"a\"}\n";
    let all = "{\"topic\":\"c/1\",\"begin\":true}\n{\"topic\":\"c/1\",\"data\":\"a\"}\n\
               {\"topic\":\"c/1\",\"data\":\"b\"}\n{\"topic\":\"c/1\",\"end\":true}\n";
    let once = send(some).await;
    let again = send(all).await;
    assert_eq!((once.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(again.header("stream-id"), once.header("stream-id"));
    assert_eq!(server.held("c/1"), ["a", "b"]);
    assert_eq!(state_of(&server, "c/1").await["state"], "done");
}
