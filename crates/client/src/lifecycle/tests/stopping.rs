//! The ends of a source, and requests that are never sent twice.

use super::*;

#[test]
fn c5_the_ready_state_is_0_then_1_then_2() {
    let mut play = play(|_| ());
    assert_eq!(play.lifecycle.state().ready_state(), 0);
    play.attempt();
    assert_eq!(play.lifecycle.state().ready_state(), 0);
    play.respond(200, &[("content-type", "text/event-stream")]);
    assert_eq!(play.lifecycle.state().ready_state(), 1);
    retrying(play.end());
    assert_eq!(play.lifecycle.state().ready_state(), 0);
    play.lifecycle.close();
    assert_eq!(play.lifecycle.state().ready_state(), 2);
}

#[test]
fn c5_nothing_is_delivered_once_closed() {
    let mut play = play(|_| ());
    play.open();
    let mut input = &b"data: a\n\ndata: b\n\n"[..];
    play.lifecycle.handle_bytes(&mut input, play.now);
    // The first event has not been taken when the caller closes.
    play.lifecycle.close();
    assert!(matches!(closed(play.signal()), Closed::ByCaller));
    play.assert_silent_for_good();
}

#[test]
fn c5_an_events_origin_is_the_final_urls() {
    let mut play = play(|_| ());
    play.attempt();
    play.respond(307, &[("location", "https://B.example:8443/x/y")]);
    play.open();
    match play.feed("data: a\n\n").remove(0) {
        Signal::Event(event) => assert_eq!(event.origin(), "https://b.example:8443"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn c4_closing_during_the_wait_cancels_it() {
    let mut play = play(|_| ());
    play.open();
    retrying(play.end());
    play.lifecycle.close();
    assert!(matches!(closed(play.signal()), Closed::ByCaller));
    play.assert_silent_for_good();
}

#[test]
fn t26_closing_while_connecting_while_reading_and_while_waiting_ends_it() {
    let connecting: fn(&mut Play) = |play| drop(play.attempt());
    let reading: fn(&mut Play) = |play| {
        play.open();
        play.feed("data: half");
    };
    let waiting: fn(&mut Play) = |play| {
        play.attempt();
        retrying(play.break_off(transport::Stage::Connect));
    };
    let refusing: fn(&mut Play) = |play| {
        play.attempt();
        play.respond(403, &[]);
    };
    for to_stage in [|_: &mut Play| (), connecting, reading, waiting, refusing] {
        let mut play = play(|_| ());
        to_stage(&mut play);
        play.lifecycle.close();
        assert!(!play.lifecycle.wants_exchange());
        assert!(matches!(closed(play.signal()), Closed::ByCaller));
        play.lifecycle.close();
        assert!(play.signal().is_none(), "closing twice is closing once");
        play.assert_silent_for_good();
    }
}

#[test]
fn t22_a_204_stops_for_good_first_or_later() {
    let mut first = play(|_| ());
    first.attempt();
    assert!(matches!(closed(first.respond(204, &[])), Closed::NoContent));
    first.assert_silent_for_good();

    let mut later = play(|_| ());
    later.open();
    let signal = later.end();
    later.wait(signal);
    later.attempt();
    let closed = closed(later.respond(204, &[("content-type", "text/event-stream")]));
    assert!(matches!(closed, Closed::NoContent) && !closed.is_failure());
    later.assert_silent_for_good();
}

fn post(plan: &mut Plan) {
    plan.method = Method::POST;
    plan.resend = Resend::Forbidden;
}

#[test]
fn t32_a_post_that_may_have_arrived_is_not_sent_again() {
    let mut broken = play(post);
    broken.open();
    assert!(matches!(
        closed(broken.break_off(transport::Stage::Body)),
        Closed::NotResent(Cause::Transport(_))
    ));
    broken.assert_silent_for_good();

    let mut unanswered = play(post);
    unanswered.attempt();
    assert!(matches!(
        closed(unanswered.break_off(transport::Stage::Request)),
        Closed::NotResent(Cause::Transport(_))
    ));

    let mut refused = play(post);
    refused.attempt();
    assert!(refused.respond(503, &[("retry-after", "1")]).is_none());
    assert!(matches!(closed(refused.end()), Closed::Refused(refused) if refused.status == 503));
}

#[test]
fn t32_a_post_that_cannot_have_arrived_is_tried_again() {
    let mut play = play(post);
    play.attempt();
    let signal = play.break_off(transport::Stage::Connect);
    play.wait(signal);
    play.open();
}

#[test]
fn t32_a_post_is_sent_again_when_the_caller_allows_it() {
    let mut play = play(|plan| {
        post(plan);
        plan.resend = Resend::Allowed;
    });
    play.open();
    let signal = play.end();
    play.wait(signal);
    let attempt = play.attempt();
    assert_eq!((attempt.hop.method, attempt.hop.body), (Method::POST, Carried::Yes));
}

fn until(data: &str) -> impl FnOnce(&mut Plan) {
    let until = Some(data.to_owned());
    move |plan| {
        post(plan);
        plan.mode = Mode::Once { until };
    }
}

#[test]
fn one_shot_the_named_data_is_the_end_and_no_event() {
    let mut play = play(until("[DONE]"));
    play.open();
    let signals = play.feed("data: a\n\ndata: [DONE]\n\ndata: late\n\n");
    assert!(matches!(&signals[..], [Signal::Event(_), Signal::Closed(Closed::Complete)]));
    play.assert_silent_for_good();
}

#[test]
fn one_shot_an_end_before_the_named_data_is_incomplete() {
    let mut play = play(until("[DONE]"));
    play.open();
    assert_eq!(play.events("data: a\n\n"), ["a"]);
    let closed = closed(play.end());
    assert!(matches!(closed, Closed::Incomplete(Cause::Ended)) && closed.is_failure());
}

#[test]
fn one_shot_the_end_of_the_response_is_the_end() {
    let once = |plan: &mut Plan| plan.mode = Mode::Once { until: None };
    let mut ended = play(once);
    ended.open();
    assert_eq!(ended.events("data: a\n\n"), ["a"]);
    assert!(matches!(closed(ended.end()), Closed::Complete));
    ended.assert_silent_for_good();

    let mut broken = play(once);
    broken.open();
    assert!(matches!(
        closed(broken.break_off(transport::Stage::Body)),
        Closed::Incomplete(Cause::Transport(_))
    ));
}
