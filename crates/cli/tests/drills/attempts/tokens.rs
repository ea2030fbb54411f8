//! Forged tokens, and what lies beyond the rights of a good one.

use std::fs;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tokio::net::TcpListener;

use super::{Guarded, almighty, claims, get, key_path, signed, status, token};
use crate::program::{drill, post};
use crate::reader::Reader;

/// Tokens that must not be believed.
fn forged(listener: &str) -> Vec<String> {
    let good = token(&json!({}));
    let mut parts = good.split('.');
    let [header, payload, signature] = [(); 3].map(|()| parts.next().unwrap());
    let named = |id: &str| Header { kid: Some(id.to_owned()), ..Header::default() };
    // The public key as a secret: everyone knows it.
    let public = fs::read(key_path("rsa.pub.pem")).unwrap();
    let confused = |header: &Header| {
        encode(header, &claims(&json!({})), &EncodingKey::from_secret(&public)).unwrap()
    };
    let private = EncodingKey::from_rsa_pem(&fs::read(key_path("rsa.pem")).unwrap()).unwrap();
    let of_rsa =
        |algorithm| encode(&Header::new(algorithm), &claims(&json!({})), &private).unwrap();
    let mut all = vec![
        confused(&Header::default()),
        confused(&named("rs")),
        of_rsa(Algorithm::RS512),
        of_rsa(Algorithm::PS256),
        signed(&named("rs"), &json!({})),
        signed(&named("../../etc/passwd"), &json!({})),
        signed(&named("hs' OR '1'='1"), &json!({})),
        signed(&named(listener), &json!({})),
        signed(&Header { crit: Some(vec!["exp".to_owned()]), ..Header::default() }, &json!({})),
        token(&json!({"exp": "now-1"})),
        token(&json!({"exp": null})),
        token(&json!({"exp": "tomorrow"})),
        token(&json!({"nbf": "now+60"})),
        token(&json!({"aud": "other"})),
        token(&json!({"aud": null})),
        token(&json!({"tidings": {"subscribe": ["us*"]}})),
        token(&json!({"long": "x".repeat(8 * 1024)})),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
    ];
    // {"alg":"none"}, in three spellings.
    for none in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIn0", "eyJhbGciOiJOT05FIn0"] {
        all.push(format!("{none}.{payload}."));
        all.push(format!("{none}.{payload}.{signature}"));
    }
    let mut random = fastrand::Rng::with_seed(7);
    all.extend((0..100).map(|_| {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..random.usize(1..9) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(b'!'..=b'~');
        }
        String::from_utf8(bytes).unwrap()
    }));
    all
}

#[test]
fn forged_tokens_are_401_and_none_is_shown_or_logged() {
    drill(async {
        let guarded = Guarded::start("forged");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let elsewhere = format!("http://{}/keys", listener.local_addr().unwrap());
        let all = forged(&elsewhere);
        for token in &all {
            for target in ["/topics/users/7/a", "/topics/public/a"] {
                let answer = guarded.with(token, &get(target)).await;
                assert_eq!(status(&answer), "401", "{token}: {answer}");
                assert!(answer.contains("\r\nwww-authenticate: Bearer"), "{answer}");
                assert!(!answer.contains(token), "{answer}");
            }
        }
        for token in &all[..20] {
            let answer =
                guarded.program.ask(&get(&format!("/topics/users/7/a?token={token}"))).await;
            assert!(["400", "401"].contains(&status(&answer)), "{token}: {answer}");
            assert!(!answer.contains(token), "{answer}");
        }
        // A key that a token brings along or points to is not followed, and does not spoil a good token.
        let pointing = Header {
            jku: Some(elsewhere.clone()),
            x5u: Some(elsewhere),
            x5c: Some(vec!["AAAA".to_owned()]),
            ..Header::default()
        };
        let good = signed(&pointing, &json!({}));
        assert_eq!(status(&guarded.with(&good, &get("/topics/users/7/a")).await), "200");
        let nobody = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(listener.poll_accept(cx).is_pending())
        });
        assert!(nobody.await, "somebody has followed a token");
        let log = guarded.log();
        assert!(log.contains("answered"), "{log}");
        for token in all.iter().chain([&good]) {
            let (_, signature) = token.rsplit_once('.').unwrap_or(("", token));
            assert!(signature.len() < 20 || !log.contains(signature), "{token} is in the log");
        }
    });
}

#[test]
fn nobody_publishes_beyond_the_right_alone_or_within_a_batch() {
    drill(async {
        let guarded = Guarded::start("beyond");
        let mine = token(&json!({}));
        assert_eq!(status(&guarded.with(&mine, &post("orders/1", "mine")).await), "201");
        let answer = guarded.with(&mine, &post("users/7/a", "x")).await;
        assert!(status(&answer) == "403" && answer.contains("users/7/a"), "{answer}");
        let many = |content_type: &str, body: &str| {
            let length = body.len();
            format!(
                "POST /events HTTP/1.1\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        };
        let (allowed, denied) =
            (r#"{"topic":"orders/2","data":"x"}"#, r#"{"topic":"users/7/a","data":"x"}"#);
        let array = many("application/json", &format!("[{allowed},{denied}]"));
        assert_eq!(status(&guarded.with(&mine, &array).await), "403");
        let both = many("application/json", r#"{"topics":["orders/2","users/7/a"],"data":"x"}"#);
        assert_eq!(status(&guarded.with(&mine, &both).await), "403");
        let lines = many("application/x-ndjson", &format!("{denied}\n{allowed}\n"));
        assert_eq!(status(&guarded.with(&mine, &lines).await), "403");
        assert_eq!(status(&guarded.program.ask(&post("public/a", "x")).await), "401");
        let (held, _) = guarded.read(&almighty(), "/events?match=**&after=earliest").await;
        assert_eq!(held, ["mine"]);
    });
}

#[test]
fn a_pattern_reads_what_the_grant_covers_live_replayed_as_json_and_by_a_gap() {
    drill(async {
        let guarded = Guarded::start("covers");
        let (mine, all) = (token(&json!({})), almighty());
        let live = format!("/events?match=**&token={mine}");
        let mut live = Reader::open(guarded.program.address, &live, None).await.unwrap();
        for (topic, data) in [
            ("users/8/a", "hidden"),
            ("public/a", "public"),
            ("users/7/a", "mine"),
            ("secret", "hidden"),
        ] {
            assert_eq!(status(&guarded.with(&all, &post(topic, data)).await), "201");
        }
        let private = guarded.with(&all, &post("public/a?private", "private")).await;
        assert_eq!(status(&private), "201");
        guarded.with(&all, &post("users/7/b", "last")).await;
        let mine_only = ["public", "mine", "last"];
        for expected in mine_only {
            assert_eq!(live.next().await.unwrap().data(), expected);
        }
        let target = format!("/events?match=**&token={mine}");
        let earliest = Some("earliest".to_owned());
        let mut replay = Reader::open(guarded.program.address, &target, earliest).await.unwrap();
        for expected in mine_only {
            assert_eq!(replay.next().await.unwrap().data(), expected);
        }
        let (data, _) = guarded.read(&mine, "/events?match=**&after=earliest").await;
        assert_eq!(data, mine_only);
        // A gap names the oldest event that this reader may read.
        let (data, json) = guarded.read(&mine, "/events?match=**&after=nowhere").await;
        assert_eq!(data, mine_only);
        assert_eq!(json["gap"]["oldest"], json["events"][0]["id"]);
        assert_eq!(status(&guarded.with(&mine, &get("/topics/users/8/a")).await), "403");
    });
}

#[test]
fn a_cookie_alone_changes_nothing_and_a_strange_host_is_refused() {
    drill(async {
        let guarded = Guarded::start("cookie");
        let own = format!("http://localhost:{}", guarded.program.address.port());
        let cookie = format!("\r\nCookie: tidings={}\r\n", almighty());
        let send = async |more: &str| {
            let more = format!("{cookie}{more}");
            let answer = guarded.program.ask(&post("a", "x").replacen("\r\n", &more, 1)).await;
            status(&answer).to_owned()
        };
        assert_eq!(send("").await, "403");
        assert_eq!(send("Origin: http://evil.example\r\n").await, "403");
        assert_eq!(send("Origin: null\r\n").await, "403");
        assert_eq!(send("Sec-Fetch-Site: cross-site\r\n").await, "403");
        assert_eq!(send(&format!("Sec-Fetch-Site: cross-site\r\nOrigin: {own}\r\n")).await, "403");
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example"] {
            let request = format!("GET http://{host}/topics/public/a HTTP/1.1\r\n\r\n");
            assert_eq!(status(&guarded.program.ask(&request).await), "421", "{host}");
        }
        assert!(guarded.read(&almighty(), "/topics/a").await.0.is_empty());
    });
}
