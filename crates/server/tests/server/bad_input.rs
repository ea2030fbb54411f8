//! Every bad input is told clearly, and nothing of it is published.

use http::Method;
use serde_json::json;

use crate::harness::{Ask, Running, start, start_with};

/// Expects that a request is refused with a problem of this name and these words in its sentence,
/// and that nothing was published.
async fn check(server: &Running, ask: Ask, status: u16, name: &str, words: &[&str]) {
    let answer = ask.answer().await;
    let detail = answer.problem(status, name);
    for word in words {
        assert!(detail.contains(word), "{word:?} is not in {detail:?}");
    }
    assert_eq!(server.hub.stats().published, 0);
}

#[tokio::test]
async fn cr_lf_and_nul_in_an_id_or_type_are_refused() {
    let server = start().await;
    for (encoded, escaped) in [("%0D", "\\r"), ("%0A", "\\n"), ("%00", "\\u0000")] {
        let ask = server.post(&format!("/topics/a?id=a{encoded}b"), "x");
        check(&server, ask, 400, "invalid-event", &["event ID", "byte 1"]).await;
        let ask = server.post(&format!("/topics/a?type=a{encoded}b"), "x");
        check(&server, ask, 400, "invalid-event", &["event type", "byte 1"]).await;
        for member in ["id", "type"] {
            let event = format!(r#"{{"topic":"a","data":1,"{member}":"a{escaped}b"}}"#);
            let ask = server.post("/events", event.clone()).content_type("application/json");
            check(&server, ask, 400, "invalid-event", &["byte 1"]).await;
            let ask = server.post("/events", event).content_type("application/x-ndjson");
            check(&server, ask, 400, "invalid-event", &["byte 1"]).await;
        }
    }
}

#[tokio::test]
async fn an_id_that_would_not_come_back_is_refused() {
    let server = start().await;
    let topic = tidings_hub::Topic::new("a").unwrap();
    let own = server.hub.page(topic, <_>::default(), 1).await.place;
    let long = "x".repeat(129);
    for (id, word) in [
        ("", "at least one"),
        (&*long, "128 bytes"),
        ("%20a", "blank"),
        ("a%09b", "control"),
        ("earliest", "earliest"),
        ("%237", "#"),
        (&own.to_string(), "own history"),
    ] {
        let ask = server.post(&format!("/topics/a?id={id}"), "x");
        check(&server, ask, 400, "invalid-event", &[word]).await;
    }
}

#[tokio::test]
async fn a_long_type_and_a_reconnection_time_above_a_day_are_refused_wherever_they_enter() {
    let server = start().await;
    let long = "t".repeat(257);
    let (millis, words) = (86_400_001, ["at most a day"]);
    for (name, value, words) in [
        ("type", json!(long), ["at most 256 bytes"]),
        ("retry", json!(millis), words),
        ("retry", json!(1_u64 << 63), words),
    ] {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let ask = server.post(&format!("/topics/a?{name}={text}"), "x");
        check(&server, ask, 400, "invalid-event", &words).await;
        let event = json!({ "topic": "a", "data": "x", name: value }).to_string();
        for content_type in ["application/json", "application/x-ndjson"] {
            let ask = server.post("/events", event.clone()).content_type(content_type);
            check(&server, ask, 400, "invalid-event", &words).await;
        }
    }
    // In an event stream, a reconnection time is for the connection it came on, and is not published.
    let ask = server.post("/events?topic=a", format!("event: {long}\ndata: x\n\n"));
    let ask = ask.content_type("text/event-stream");
    check(&server, ask, 400, "invalid-event", &["at most 256 bytes"]).await;
}

#[tokio::test]
async fn an_event_over_the_limit_is_refused_and_one_at_it_is_not() {
    let server = start_with(|_, hub| hub.event_bytes_max = 1000).await;
    let large = || "x".repeat(994);
    let words = ["at most 1000 bytes"];
    let over = "x".repeat(1001);
    check(&server, server.post("/topics/a", over.clone()), 413, "event-too-large", &words).await;
    let typed = server.post("/topics/a?type=seven_b", large());
    check(&server, typed, 413, "event-too-large", &words).await;
    let event = json!({ "topic": "a", "data": over }).to_string();
    for content_type in ["application/json", "application/x-ndjson"] {
        let ask = server.post("/events", event.clone()).content_type(content_type);
        check(&server, ask, 413, "event-too-large", &words).await;
    }
    let ask = server.post("/events?topic=a", format!("data: {over}\n\n"));
    let ask = ask.content_type("text/event-stream");
    check(&server, ask, 413, "event-too-large", &words).await;

    let answer = server.post("/topics/a?type=six_bs", large()).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[tokio::test]
async fn a_large_body_is_told_so_even_to_a_client_that_writes_before_it_reads() {
    let server = start().await;
    for (path, bytes, words) in [
        ("/topics/a", 4 << 20, ["event-too-large", "1048576"]),
        ("/events", (8 << 20) + 1, ["body-too-large", "8388608"]),
    ] {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {bytes}\r\n\r\n"
        );
        request.extend(std::iter::repeat_n(' ', bytes));
        // All of it is written, then the answer is read: a reset in between would fail either.
        let answer = server.raw(request).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(words.iter().all(|word| answer.contains(word)), "{answer}");
    }
    assert_eq!(server.hub.stats().published, 0);
}

#[tokio::test]
async fn a_text_that_is_no_topic_is_refused() {
    let server = start().await;
    let long = "x".repeat(2000);
    for (topic, words) in [
        ("a%0Ab", &["control or format", "U+000A"][..]),
        ("%E2%80%8B", &["U+200B"]),
        (&*long, &["1024 bytes", "2000"]),
        ("", &["at least one"]),
    ] {
        let stream = server.get(&format!("/events?topic={topic}"));
        check(&server, stream, 400, "invalid-topic", words).await;
        let ask = server.post(&format!("/events?topic={topic}"), "data: 1\n\n");
        let ask = ask.content_type("text/event-stream");
        check(&server, ask, 400, "invalid-topic", words).await;
    }
    let ask = server.post(&format!("/topics/{long}"), "x");
    check(&server, ask, 400, "invalid-topic", &["1024 bytes"]).await;
    let event = json!({ "topic": "a\u{7}", "data": 1 }).to_string();
    let ask = server.post("/events", event).content_type("application/json");
    check(&server, ask, 400, "invalid-topic", &["U+0007"]).await;
}

#[tokio::test]
async fn a_wildcard_inside_a_segment_is_refused() {
    let server = start().await;
    let ask = server.get("/events?match=ot*");
    check(&server, ask, 400, "invalid-pattern", &["whole segment", "ot*"]).await;
    let ask = server.get("/events?match=a/**/b");
    check(&server, ask, 400, "invalid-pattern", &["comes last"]).await;
    for method in [Method::GET, Method::POST] {
        let ask = server.request(method, "/topics/ot*");
        check(&server, ask, 400, "unclean-path", &["/events?match="]).await;
    }
}

#[tokio::test]
async fn an_unclean_path_names_the_call_to_use() {
    let server = start().await;
    for path in ["a//b", "a//", "a/../b", "a/./b", "a%2Fb", "%2e%2e", "a%00", "%ff", "%zz"] {
        for method in [Method::GET, Method::POST] {
            let ask = server.request(method, &format!("/topics/{path}"));
            check(&server, ask, 400, "unclean-path", &["/events?topic=", "POST /events"]).await;
        }
    }
}

#[tokio::test]
async fn broken_json_is_told_by_line_and_column() {
    let server = start().await;
    let good = r#"{"topic":"a","data":1}"#;
    let array = format!("[{good},\n{good},\n{{\"topic\":\"a\" \"data\":1}}]");
    let ask = server.post("/events", array).content_type("application/json");
    let answer = ask.answer().await;
    assert!(answer.problem(400, "invalid-json").contains("line 3 column 14"));
    assert_eq!((&answer.json()["line"], &answer.json()["column"]), (&json!(3), &json!(14)));

    // Right as JSON, wrong as an event: told by its place as well, and all or nothing.
    let array = format!("[{good},\n{good},\n{{\"topic\":\"a\"}}]");
    let ask = server.post("/events", array).content_type("application/json");
    let answer = ask.answer().await;
    assert!(answer.problem(400, "invalid-json").contains("data"));
    assert_eq!((&answer.json()["line"], &answer.json()["index"]), (&json!(3), &json!(2)));

    let unknown = r#"{"topic":"a","data":1,"evnt":"b"}"#;
    let ask = server.post("/events", unknown).content_type("application/json");
    check(&server, ask, 400, "invalid-json", &["evnt"]).await;
    for body in ["", "1", "\"a\"", "[1]", "{} {}"] {
        let ask = server.post("/events", body).content_type("application/json");
        check(&server, ask, 400, "invalid-json", &[]).await;
    }
}

#[tokio::test]
async fn an_array_with_one_event_against_the_rules_is_refused_whole() {
    let server = start().await;
    let array = r#"[{"topic":"a","data":1},{"topic":"a","data":2,"id":"earliest"}]"#;
    let ask = server.post("/events", array).content_type("application/json");
    let answer = ask.answer().await;
    answer.problem(400, "invalid-event");
    assert_eq!(answer.json()["index"], 1);
    assert_eq!(server.hub.stats().published, 0);
}

#[tokio::test]
async fn a_reconnection_time_that_is_no_number_is_refused() {
    let server = start().await;
    for retry in ["-1", "%2B5", "", "1e3", "2.5", "99999999999999999999"] {
        let ask = server.post(&format!("/topics/a?retry={retry}"), "x");
        check(&server, ask, 400, "invalid-parameter", &["'retry'", "milliseconds"]).await;
    }
    let event = r#"{"topic":"a","data":1,"retry":-1}"#;
    let ask = server.post("/events", event).content_type("application/json");
    check(&server, ask, 400, "invalid-json", &["-1"]).await;
}

#[tokio::test]
async fn an_unknown_query_parameter_is_named_with_the_nearest_one() {
    let server = start().await;
    for (ask, words) in [
        (server.get("/topics/a?last_evnt_id=7"), ["'last_evnt_id'", "'last_event_id'"]),
        (server.get("/topics/a?lasteventid=7"), ["'lasteventid'", "'lastEventI"]),
        (server.get("/events?topics=a"), ["'topics'", "'topic'"]),
        (server.post("/topics/a?tpye=x", "x"), ["'tpye'", "'type'"]),
        (server.get("/topics/a?lastid=7"), ["'lastid'", "last_event_id"]),
        (server.get("/topics/a?topic=b"), ["'topic'", "last_event_id"]),
        (server.get("/topics/a?limit=5"), ["'limit'", "Accept: application/json"]),
        (server.get("/healthz?verbose=1"), ["'verbose'", "takes none"]),
    ] {
        check(&server, ask, 400, "unknown-parameter", &words).await;
    }
    let ask = server.get("/topics/a?token=secret");
    check(&server, ask, 400, "tokens-not-configured", &["no token in the query"]).await;
    let ask = server.get("/topics/a?last_event_id=1&lastEventId=2");
    check(&server, ask, 400, "invalid-parameter", &["lastEventId"]).await;
    let ask = server.post("/topics/a?type=a&type=b", "x");
    check(&server, ask, 400, "invalid-parameter", &["twice"]).await;
    let ask = server.post("/topics/a?type=a", "x").header("event-type", "b");
    check(&server, ask, 400, "invalid-parameter", &["event-type"]).await;
}

#[tokio::test]
async fn events_without_anything_to_listen_to_names_both_ways() {
    let server = start().await;
    let ask = server.get("/events");
    check(&server, ask, 400, "missing-parameter", &["topic=", "match="]).await;
    let ask = server.post("/events", "data: 1\n\n").content_type("text/event-stream");
    check(&server, ask, 400, "missing-parameter", &["?topic="]).await;
    let ask = server.request(Method::DELETE, "/subscribers");
    check(&server, ask, 400, "missing-parameter", &["topic=", "subject="]).await;
}

#[tokio::test]
async fn a_wrong_method_names_the_right_ones() {
    let server = start().await;
    for (method, path, allow) in [
        (Method::PUT, "/topics/a", "GET, HEAD, OPTIONS, POST"),
        (Method::DELETE, "/events", "GET, HEAD, OPTIONS, POST"),
        (Method::PATCH, "/events", "GET, HEAD, OPTIONS, POST"),
        (Method::POST, "/topics", "GET, HEAD, OPTIONS"),
        (Method::POST, "/", "GET, HEAD, OPTIONS"),
        (Method::POST, "/subscribers", "DELETE, GET, HEAD, OPTIONS"),
        (Method::TRACE, "/healthz", "GET, HEAD, OPTIONS"),
    ] {
        let answer = server.request(method.clone(), path).answer().await;
        let detail = answer.problem(405, "method-not-allowed");
        assert!(detail.contains(method.as_str()) && detail.contains(allow), "{detail}");
        assert_eq!(answer.header("allow"), allow);
    }
}

#[tokio::test]
async fn an_unknown_content_type_names_those_that_are_taken() {
    let server = start().await;
    let taken = ["application/json", "application/x-ndjson", "text/event-stream", "text/plain"];
    let event = r#"{"topic":"a","data":1}"#;
    for content_type in ["application/x-www-form-urlencoded", "text/html", "application/xml", ""] {
        let ask = server.post("/events", event).content_type(content_type);
        check(&server, ask, 415, "unsupported-content", &taken).await;
    }
    check(&server, server.post("/events", event), 415, "unsupported-content", &taken).await;
    for path in ["/topics/a", "/events"] {
        let ask = server.post(path, "x").content_type("application/json");
        let ask = ask.header("content-encoding", "gzip");
        check(&server, ask, 415, "unsupported-content", &["Content-Encoding"]).await;
    }
}

#[tokio::test]
async fn data_that_is_not_utf_8_is_told_by_its_byte() {
    let server = start().await;
    let ask = server.post("/topics/a", &b"abc\xffd"[..]);
    check(&server, ask, 400, "not-utf-8", &["byte 3"]).await;
    let event = &b"{\"topic\":\"a\",\"data\":\"\xc3\"}"[..];
    for content_type in ["application/json", "application/x-ndjson"] {
        let ask = server.post("/events", event).content_type(content_type);
        check(&server, ask, 400, "not-utf-8", &["byte 21"]).await;
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_acceptable() {
    let server = start().await;
    let ask = server.get("/topics/a").header("accept", "text/html");
    check(&server, ask, 406, "not-acceptable", &["text/event-stream", "application/json"]).await;
}

#[tokio::test]
async fn a_bad_idempotency_key_is_refused() {
    let server = start().await;
    for key in [&b""[..], &[b'x'; 257], "a\u{200b}".as_bytes(), b"\xff"] {
        for path in ["/topics/a", "/events"] {
            let ask = server.post(path, r#"{"topic":"a","data":1}"#);
            let ask = ask.content_type("application/json").header("idempotency-key", key);
            check(&server, ask, 400, "invalid-parameter", &["key"]).await;
        }
    }
}

#[tokio::test]
async fn nothing_is_at_other_paths() {
    let server = start().await;
    for path in ["/topic/a", "/eventss", "/assets/none.css", "/assets/../Cargo.toml", "//"] {
        let ask = server.get(path);
        check(&server, ask, 404, "not-found", &["/topics/{topic}"]).await;
    }
}

/// Such a body was taken for plain text after its chunks were joined.
#[tokio::test]
async fn a_transfer_coding_that_is_not_read_is_501() {
    let server = start().await;
    for codings in ["gzip, chunked", "GZIP,chunked", "gzip\r\nTransfer-Encoding: chunked"] {
        let answer = server
            .raw(format!(
                "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 Transfer-Encoding: {codings}\r\n\r\n1\r\nx\r\n0\r\n\r\n"
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
        assert!(answer.contains("/problems/unsupported-transfer-coding"), "{answer}");
    }
    assert!(server.held("a").is_empty());
}

#[tokio::test]
async fn a_length_beyond_any_number_is_413_without_its_body() {
    let server = start().await;
    for length in ["9223372036854775809", "18446744073709551615", "99999999999999999999999"] {
        let answer = server
            .raw(format!(
                "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[tokio::test]
async fn a_bare_cr_before_a_request_line_is_400() {
    let server = start().await;
    for start in ["\r", "\r\n\r", "\r\r\n"] {
        let answer = server.raw(format!("{start}GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

/// A browser with `https://` in its address bar waited for 15 s.
#[tokio::test]
async fn tls_is_answered_in_clear_text_and_closed() {
    let server = start().await;
    // The beginning of a ClientHello, of which more would come.
    let answer = server.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("without TLS"), "{answer}");
}
