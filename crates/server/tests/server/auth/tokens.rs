//! Where a token may stand, who is believed, and what publishing needs.

use serde_json::json;
use tidings_server::{Origin, Others, ServerConfig};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{API_KEY, guard, start, start_with};
use crate::harness::{Stream, Whole};

#[tokio::test]
async fn without_a_token_nothing_is_published_and_only_what_is_public_is_read() {
    let guarded = start().await;
    let answer = guarded.server.post("/topics/orders/1", "x").answer().await;
    let detail = answer.problem(401, "token-missing");
    assert!(detail.contains("publishing to 'orders/1'"), "{detail}");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    assert_eq!(
        (&answer.json()["topic"], &answer.json()["right"]),
        (&json!("orders/1"), &json!("publish"))
    );
    for path in ["/topics/users/7", "/events?topic=open/1&topic=users/7", "/topics/open/closed"] {
        for accept in ["text/event-stream", "application/json"] {
            let answer = guarded.server.get(path).header("accept", accept).answer().await;
            assert!(answer.problem(401, "token-missing").contains("subscribing to '"), "{path}");
        }
        let over_http2 = guarded.server.get(path).send_http2().await;
        Whole::read(over_http2).await.problem(401, "token-missing");
    }
    for content_type in ["application/json", "application/x-ndjson", "text/plain"] {
        let ask = guarded.server.post("/events?topic=open/1&lines", "x").content_type(content_type);
        ask.answer().await.problem(401, "token-missing");
    }
    let mut stream = guarded.server.stream("/topics/open/1").await;
    guarded.publish(&["open/1"], "hello").await;
    assert_eq!(stream.data().await, "hello");
}

#[tokio::test]
async fn publishing_needs_the_right_for_each_topic_alone_and_within_a_batch() {
    let guarded = start().await;
    let token = guarded.token("p", json!({"publish": ["orders/**"]}));
    let post = |path: &str, body: &str| guarded.post(path, body, &token);
    assert_eq!(post("/topics/orders/1", "x").answer().await.status, 201);
    let answer = post("/topics/users/7", "x").answer().await;
    assert!(answer.problem(403, "not-granted").contains("publishing to 'users/7'"));
    // Public means that everyone may read, not that everyone may publish.
    post("/topics/open/1", "x").answer().await.problem(403, "not-granted");

    let both = r#"{"topics":["orders/1","users/7"],"data":"x"}"#;
    let json = post("/events", both).content_type("application/json");
    assert!(json.answer().await.problem(403, "not-granted").contains("'users/7'"));
    let array = r#"[{"topic":"orders/2","data":"x"},{"topic":"users/7","data":"x"}]"#;
    let answer = post("/events", array).content_type("application/json").answer().await;
    answer.problem(403, "not-granted");
    assert_eq!(answer.json()["index"], 1);
    assert!(guarded.server.held("orders/2").is_empty());

    let lines = "{\"topic\":\"orders/3\",\"data\":\"one\"}\n{\"topic\":\"users/7\",\"data\":\"two\"}\n\
                 {\"topic\":\"orders/3\",\"data\":\"three\"}\n";
    let answer = post("/events", lines).content_type("application/x-ndjson").answer().await;
    answer.problem(403, "not-granted");
    assert_eq!((&answer.json()["index"], &answer.json()["committed"]), (&json!(1), &json!(1)));
    assert_eq!(guarded.server.held("orders/3"), ["one"]);
    let stream = post("/events?topic=users/7", "data: x\n\n").content_type("text/event-stream");
    stream.answer().await.problem(403, "not-granted");
    assert!(guarded.server.held("users/7").is_empty());

    let reader = guarded.token("r", json!({"subscribe": ["**"]}));
    let ask = guarded.post("/events", both, &reader).content_type("application/json");
    ask.answer().await.problem(403, "not-granted");
}

#[tokio::test]
async fn an_idempotency_key_is_its_subjects_own() {
    let guarded = start().await;
    let rights = json!({"publish": ["**"]});
    let (alice, bob) =
        (guarded.token("alice", rights.clone()), guarded.token("bob", rights.clone()));
    let nobody = guarded.token_with(json!({"tidings": rights}));
    let publish = async |token: &str, data: &str| {
        let ask = guarded.post("/topics/a", data, token).header("idempotency-key", "k");
        let answer = ask.answer().await;
        assert_eq!(answer.status, 201);
        answer.text().to_owned()
    };
    let of_alice = publish(&alice, "of alice").await;
    assert_ne!(publish(&bob, "of bob").await, of_alice);
    publish(&nobody, "of nobody").await;
    publish(API_KEY, "of the backend").await;
    assert_eq!(publish(&alice, "of alice").await, of_alice);
    // A new token of the same subject is the same publisher, be it for many events.
    let again = guarded.token("alice", json!({"publish": ["a"]}));
    let many = guarded.post("/events?topic=a&lines", "of alice", &again);
    let many = many.header("idempotency-key", "k").answer().await.json();
    assert_eq!(many["ids"], json!([of_alice]));
    let data = ["of alice", "of bob", "of nobody", "of the backend"];
    assert_eq!(guarded.server.held("a"), data);
}

#[tokio::test]
async fn a_token_stands_in_the_header_the_query_or_the_cookie() {
    let guarded = start().await;
    let token = guarded.token("alice", json!({"subscribe": ["users/7/*"]}));
    let cookie = format!("a=b; tidings={token}");
    let query = format!("/topics/users/7/a?token={token}");
    let of_query = || guarded.server.get(&query);
    let of_cookie = || guarded.server.get("/topics/users/7/a").header("cookie", &cookie);
    let of_header = || guarded.get("/topics/users/7/a", &token);
    for ask in [of_query(), of_cookie(), of_header()] {
        assert!(ask.stream().await.text_with("retry: ").await.starts_with(":\n"));
    }
    for ask in [of_query(), of_cookie(), of_header()] {
        Stream::new(ask.send_http2().await).text_with("retry: ").await;
    }
    // The header counts, even where another place has a better token.
    let answer = guarded.get(&query, "nonsense").answer().await;
    assert!(answer.problem(401, "token-refused").contains("neither a JSON Web Token"));
    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    let twice = guarded.server.get(&format!("{query}&token={token}")).answer().await;
    twice.problem(400, "invalid-parameter");
    // A token is in no answer.
    let redirect =
        guarded.server.get(&format!("/topics/users/7/?x=1&token={token}")).answer().await;
    assert_eq!((redirect.status.as_u16(), redirect.header("location")), (308, "../7?x=1"));
    let unknown = guarded.server.get(&format!("/topics/users/7/a?lastid=1&token={token}"));
    let unknown = unknown.answer().await;
    unknown.problem(400, "unknown-parameter");
    assert!(!unknown.text().contains(&token));

    let guarded = start_with(|config| {
        let auth = config.auth.as_mut().unwrap();
        (auth.in_query, auth.cookie) = (false, None);
    })
    .await;
    guarded.server.get(&query).answer().await.problem(400, "tokens-not-configured");
    let ask = guarded.server.get("/topics/users/7/a").header("cookie", &cookie);
    ask.answer().await.problem(401, "token-missing");
}

#[tokio::test]
async fn a_cookie_changes_something_only_with_an_origin_and_reads_for_no_stranger() {
    let guarded = start_with(|config| {
        config.origins.listed = vec![Origin::parse("https://app.example").unwrap()];
        config.origins.others = Others::Read;
    })
    .await;
    let rights = json!({"publish": ["**"], "subscribe": ["**"], "manage": ["**"]});
    let token = guarded.token("alice", rights);
    let cookie = format!("tidings={token}");
    let post = || guarded.server.post("/topics/a", "x").header("cookie", &cookie);
    let detail = post().answer().await.problem(403, "foreign-site");
    assert!(detail.contains("needs an Origin"), "{detail}");
    post().header("origin", "https://evil.example").answer().await.problem(403, "foreign-origin");
    post().header("origin", "null").answer().await.problem(403, "foreign-origin");
    for origin in ["https://app.example".to_owned(), format!("http://{}", guarded.server.address)] {
        assert_eq!(post().header("origin", origin).answer().await.status, 201);
    }
    let get = |path: &str| guarded.server.get(path).header("cookie", &cookie);
    let foreign = get("/topics/a").header("origin", "https://evil.example").answer().await;
    foreign.problem(401, "token-missing");
    assert_eq!(foreign.header("access-control-allow-origin"), "*");
    let json = |ask: crate::harness::Ask| ask.header("accept", "application/json");
    assert_eq!(json(get("/topics/a")).answer().await.status, 200);
    let own = json(get("/topics/a")).header("origin", "https://app.example").answer().await;
    assert_eq!(own.status, 200);
    // A cookie without an Origin is not enough to list subscribers, as it is not enough to publish.
    get("/subscribers").answer().await.problem(403, "foreign-site");
}

#[tokio::test]
async fn a_token_that_is_not_believed_is_401_whatever_it_is_for() {
    let guarded = start().await;
    let now = guarded.server.hub.time().unix_millis() as f64 / 1000.0;
    let expired = guarded.token_with(json!({"exp": now - 0.001}));
    let early = guarded.token_with(json!({"nbf": now + 0.001}));
    let endless = guarded.token_with(json!({"exp": null}));
    let forged = guarded.token_with(json!({})).replace('.', ".e");
    let long = "x".repeat(8 * 1024 + 1);
    for (token, why) in [
        (&expired, "expired at"),
        (&early, "not valid before"),
        (&endless, "'exp' is missing"),
        (&forged, "the token is refused"),
        (&long, "more than 8192 bytes"),
    ] {
        for path in ["/topics/open/1", "/topics/users/7", "/topics", "/metrics"] {
            let answer = guarded.get(path, token).answer().await;
            let detail = answer.problem(401, "token-refused");
            assert!(detail.contains(why), "{path}: {detail}");
        }
        // Probes and pages ask for no token.
        for path in ["/healthz", "/readyz", "/", "/assets/page.mjs"] {
            assert_eq!(guarded.get(path, token).answer().await.status, 200, "{path}");
        }
    }
    // Of 100 malformed tokens none is believed, and none harms the next.
    for n in 0..100_usize {
        let token: String = (0..n).map(|i| char::from(b'!' + ((i * 7 + n) % 90) as u8)).collect();
        let answer = guarded.get("/topics/users/7", &format!("x{token}")).answer().await;
        assert_eq!(answer.status, 401, "{token}");
    }
    assert_eq!(guarded.post("/topics/a", "x", API_KEY).answer().await.status, 201);
}

/// Publishes to `a` on a connection that stays open; returns the status.
async fn publish_on(connection: &mut BufReader<TcpStream>, token: &str) -> u16 {
    let head =
        format!("POST /topics/a HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}");
    let request = format!("{head}\r\ncontent-length: 1\r\n\r\nx");
    connection.write_all(request.as_bytes()).await.unwrap();
    let (mut status, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        assert_ne!(connection.read_line(&mut line).await.unwrap(), 0, "the connection was closed");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        match status {
            None => status = Some(line[9..12].parse().unwrap()),
            Some(status) if line == "\r\n" => {
                connection.read_exact(&mut vec![0; length]).await.unwrap();
                return status;
            }
            Some(_) => {}
        }
    }
}

#[tokio::test]
async fn a_token_that_a_connection_has_sent_before_is_judged_like_any_other() {
    let guarded = start().await;
    let rights = json!({"publish": ["a"]});
    let [alice, carol] = ["alice", "carol"].map(|name| guarded.token(name, rights.clone()));
    let bob = guarded.token("bob", json!({"publish": ["b"]}));
    let mut connection = BufReader::new(TcpStream::connect(guarded.server.address).await.unwrap());
    let mut twice = async |token: &str| {
        [publish_on(&mut connection, token).await, publish_on(&mut connection, token).await]
    };
    assert_eq!(twice(&alice).await, [201, 201]);
    assert_eq!(twice(&bob).await, [403, 403]);
    assert_eq!(twice(&alice[..alice.len() - 1]).await, [401, 401]);
    assert_eq!(twice(API_KEY).await, [201, 201]);
    assert_eq!(twice(&alice).await, [201, 201]);

    let manager = guarded.token("manager", json!({"manage": ["**"]}));
    guarded.tick(1.0);
    let answer = guarded.delete("/subscribers?subject=alice", &manager).answer().await;
    assert_eq!(answer.status, 204);
    assert_eq!(twice(&alice).await, [401, 401], "revoked");

    assert_eq!(twice(&carol).await, [201, 201]);
    guarded.tick(120.0);
    assert_eq!(twice(&carol).await, [401, 401], "expired");

    let dave = guarded.token("dave", rights.clone());
    assert_eq!(twice(&dave).await, [201, 201]);
    let mut config = ServerConfig::default();
    guard(&mut config);
    config.auth.as_mut().unwrap().keys.clear();
    guarded.control.reload(&config);
    assert_eq!(twice(&dave).await, [401, 401], "without its key");
    assert_eq!(twice(API_KEY).await, [201, 201]);
}
