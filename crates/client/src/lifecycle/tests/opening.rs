//! Requests, redirects, and responses that open a stream.

use super::*;
use crate::redirect::RedirectError;
use crate::signal::Refusal;
use crate::status::StatusPolicy;

#[test]
fn c1_a_get_that_asks_for_an_event_stream_and_no_cache() {
    let mut play = play(|_| ());
    let attempt = play.attempt();
    assert_eq!((attempt.hop.method.as_str(), attempt.hop.url.as_str()), ("GET", URL));
    assert_eq!(header(&attempt, "accept").as_deref(), Some("text/event-stream"));
    assert_eq!(header(&attempt, "cache-control").as_deref(), Some("no-cache"));
    assert_eq!(header(&attempt, "accept-encoding").as_deref(), Some("gzip, br, zstd"));
    assert_eq!(header(&attempt, "last-event-id"), None);
}

#[test]
fn c1_each_redirect_is_followed_within_the_attempt() {
    for status in [301, 302, 303, 307, 308] {
        let mut play = play(|_| ());
        play.attempt();
        assert!(play.respond(status, &[("location", "/moved")]).is_none());
        assert_eq!(play.lifecycle.state(), State::Connecting);
        let (attempt, open) = play.open();
        assert_eq!(attempt.hop.url.as_str(), "http://a.example/moved");
        assert_eq!(open.url, "http://a.example/moved");
    }
}

#[test]
fn c2_200_and_the_mime_essence_open() {
    for mime in ["text/event-stream", "TEXT/Event-Stream; charset=utf-8", " text/event-stream ;x"] {
        let mut play = play(|_| ());
        play.attempt();
        let signal = play.respond(200, &[("content-type", mime)]);
        assert!(matches!(signal, Some(Signal::Open(_))), "{mime:?}: {signal:?}");
        assert_eq!(play.lifecycle.state(), State::Open);
    }
}

#[test]
fn c2_anything_else_fails_for_good() {
    let standard = |plan: &mut Plan| plan.status_policy = StatusPolicy::standard();
    for status in [201, 202, 205, 206, 304, 400, 404, 500, 503] {
        let mut play = play(standard);
        play.attempt();
        assert!(play.respond(status, &[("content-type", "text/event-stream")]).is_none());
        assert!(matches!(closed(play.end()), Closed::Refused(_)), "{status}");
        play.assert_silent_for_good();
    }
}

#[test]
fn t24_another_mime_type_is_refused_with_its_name() {
    for (mime, named) in [
        (Some("text/html"), Some("text/html")),
        (Some("text/event-streams"), Some("text/event-streams")),
        (Some("application/json, text/event-stream"), Some("application/json, text/event-stream")),
        (Some(""), Some("")),
        (None, None),
    ] {
        let mut play = play(|_| ());
        play.attempt();
        let headers: Vec<_> = mime.iter().map(|mime| ("content-type", *mime)).collect();
        assert!(play.respond(200, &headers).is_none());
        assert!(play.feed("data: no event\n\n").is_empty());
        match closed(play.end()) {
            Closed::Refused(refused) => {
                assert_eq!(refused.reason, Refusal::ContentType(named.map(str::to_owned)));
                assert_eq!(&refused.body[..], b"data: no event\n\n");
            }
            other => panic!("{mime:?}: {other:?}"),
        }
    }
}

#[test]
fn t49_no_other_responses_body_is_read_as_events() {
    for status in [204, 205, 299, 404, 503] {
        let mut play = play(|plan| plan.status_policy = StatusPolicy::standard());
        play.attempt();
        let mut signals: Vec<_> =
            play.respond(status, &[("content-type", "text/event-stream")]).into_iter().collect();
        signals.extend(play.feed("id: 1\ndata: no event\n\n"));
        signals.extend(play.end());
        assert_eq!(signals.len(), 1, "{status}: {signals:?}");
        assert!(matches!(signals[0], Signal::Closed(_)), "{status}: {signals:?}");
        assert_eq!(play.lifecycle.last_event_id(), "", "{status}");
    }
}

#[test]
fn t25_a_loop_ends_after_twenty_redirects() {
    let mut play = play(|_| ());
    for _ in 0..20 {
        play.attempt();
        assert!(play.respond(302, &[("location", "?again")]).is_none());
    }
    play.attempt();
    let signal = play.respond(302, &[("location", "?again")]);
    assert!(matches!(closed(signal), Closed::Redirect(RedirectError::TooMany)));
    play.assert_silent_for_good();
}

#[test]
fn t25_a_redirect_without_a_location_is_an_error() {
    for headers in [&[][..], &[("location", "")]] {
        let mut play = play(|_| ());
        play.attempt();
        let signal = play.respond(307, headers);
        assert!(matches!(closed(signal), Closed::Redirect(RedirectError::NoLocation)));
    }
}

#[test]
fn t25_secrets_stay_behind_and_a_reconnection_goes_to_the_original_url() {
    let mut play = play(|plan| {
        plan.headers.extend(headers(&[("authorization", "Bearer t"), ("x-trace", "1")]));
        plan.last_event_id = "7".to_owned();
    });
    assert_eq!(header(&play.attempt(), "authorization").as_deref(), Some("Bearer t"));
    play.respond(302, &[("location", "http://b.example/x")]);
    let (attempt, _) = play.open();
    assert_eq!(header(&attempt, "authorization"), None);
    assert_eq!(header(&attempt, "x-trace").as_deref(), Some("1"));
    assert_eq!(header(&attempt, "last-event-id").as_deref(), Some("7"));

    let signal = play.end();
    play.wait(signal);
    let attempt = play.attempt();
    assert_eq!(attempt.hop.url.as_str(), URL);
    assert_eq!(header(&attempt, "authorization").as_deref(), Some("Bearer t"));
}

#[test]
fn t32_credentials_are_asked_for_per_attempt_and_renewed_once_on_401() {
    let mut play = play(|plan| plan.credentials = CredentialsPlan::PerAttempt);
    assert_eq!(play.attempt().credentials, Some(Occasion::Attempt));
    assert!(play.respond(401, &[]).is_none());
    let (attempt, _) = play.open();
    assert_eq!(attempt.credentials, Some(Occasion::Unauthorized));
    let signal = play.end();
    play.wait(signal);
    // The next attempt may renew the credentials again.
    assert_eq!(play.attempt().credentials, Some(Occasion::Attempt));
    assert!(play.respond(401, &[]).is_none());
    assert_eq!(play.attempt().credentials, Some(Occasion::Unauthorized));
    assert!(play.respond(401, &[]).is_none());
    match closed(play.end()) {
        Closed::Refused(refused) => assert_eq!(refused.status, 401),
        other => panic!("{other:?}"),
    }
}

#[test]
fn t32_a_401_without_credentials_to_renew_is_final() {
    let mut play = play(|_| ());
    play.attempt();
    assert!(play.respond(401, &[]).is_none());
    assert!(matches!(closed(play.end()), Closed::Refused(_)));
}

#[test]
fn t32_credentials_do_not_follow_to_another_origin() {
    let mut play = play(|plan| plan.credentials = CredentialsPlan::PerAttempt);
    play.attempt();
    play.respond(307, &[("location", "https://b.example/")]);
    assert_eq!(play.attempt().credentials, None);
    // A 401 of another origin does not renew them either.
    assert!(play.respond(401, &[]).is_none());
    assert!(matches!(closed(play.end()), Closed::Refused(_)));
}

#[test]
fn an_encoding_that_was_not_asked_for_is_refused() {
    let mut play = play(|plan| plan.encoding = EncodingPlan::Identity);
    assert_eq!(header(&play.attempt(), "accept-encoding"), None);
    let head = [("content-type", "text/event-stream"), ("content-encoding", "compress")];
    assert!(play.respond(200, &head).is_none());
    match closed(play.end()) {
        Closed::Refused(refused) => {
            assert_eq!(refused.reason, Refusal::ContentEncoding("compress".to_owned()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_shows_the_beginning_of_its_explanation() {
    let mut play = play(|_| ());
    play.attempt();
    assert!(play.respond(403, &[("content-type", "text/plain")]).is_none());
    let signals = play.feed("x".repeat(9_000));
    match closed(signals.into_iter().next()) {
        Closed::Refused(refused) => assert_eq!(refused.body.len(), 8 << 10),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_does_not_wait_for_ever_for_its_explanation() {
    let mut play = play(|_| ());
    play.attempt();
    assert!(play.respond(403, &[]).is_none());
    assert!(play.feed("go a").is_empty());
    // A second is enough for a body that usually comes together with the head.
    match closed(play.advance(Duration::from_secs(1))) {
        Closed::Refused(refused) => assert_eq!(&refused.body[..], b"go a"),
        other => panic!("{other:?}"),
    }
}
