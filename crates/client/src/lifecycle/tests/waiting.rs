//! The time of the next attempt.

use super::*;

/// The minimum and maximum of the waits that many seeds draw in one scenario.
fn delays(scenario: impl Fn(&mut Play) -> Option<Signal>) -> (Duration, Duration) {
    let delays: Vec<_> = (0..500)
        .map(|seed| {
            let mut play = seeded_play(seed, |_| ());
            let signal = scenario(&mut play);
            retrying(signal).delay
        })
        .collect();
    (*delays.iter().min().expect("drawn"), *delays.iter().max().expect("drawn"))
}

#[track_caller]
fn assert_between(range: (Duration, Duration), low: u64, high: u64) {
    assert!(ms(low) <= range.0 && range.1 <= ms(high), "{range:?} is not in {low}..={high} ms");
    let spread = range.1 - range.0;
    assert!(spread * 10 >= (ms(high) - ms(low)) * 8, "{range:?} is hardly jittered");
}

#[test]
fn c3_a_network_error_and_a_clean_end_reestablish() {
    let mut play = play(|_| ());
    play.open();
    let signal = play.break_off(transport::Stage::Body);
    assert!(matches!(play.wait(signal).cause, Cause::Transport(_)));
    play.open();
    let signal = play.end();
    assert!(matches!(play.wait(signal).cause, Cause::Ended));
    play.open();
}

#[test]
fn c4_the_wait_is_the_reconnection_time_that_retry_sets_at_once() {
    assert_between(
        delays(|play| {
            play.open();
            // The block of the `retry` line never ends.
            let signals = play.feed("data: a\n\nretry: 700\ndata: cut off");
            assert!(matches!(
                &signals[..],
                [Signal::Event(_), Signal::ReconnectionTime(time)] if *time == ms(700)
            ));
            play.end()
        }),
        700,
        900,
    );
}

#[test]
fn c4_a_retry_is_reported_if_it_changes_the_reconnection_time() {
    let mut play = play(|_| ());
    assert_eq!(play.lifecycle.reconnection_time(), ms(3_000));
    play.open();
    for (retry, reported) in [
        ("3000", None),
        ("700", Some(700)),
        ("700", None),
        ("+5", None),
        ("0", Some(0)),
        ("99999999999999999999", Some(3_600_000)),
        ("3600001", None),
    ] {
        let before = play.lifecycle.reconnection_time();
        let expected: Vec<_> = reported.map(ms).into_iter().collect();
        let told: Vec<_> = play
            .feed(format!("retry: {retry}\n"))
            .into_iter()
            .map(|signal| match signal {
                Signal::ReconnectionTime(time) => time,
                other => panic!("{retry}: {other:?}"),
            })
            .collect();
        assert_eq!(told, expected, "{retry}");
        assert_eq!(play.lifecycle.reconnection_time(), reported.map_or(before, ms), "{retry}");
    }
    play.lifecycle.close();
    closed(play.signal());
    assert_eq!(play.lifecycle.reconnection_time(), ms(3_600_000), "it outlives the stream");
}

#[test]
fn a_source_that_continues_another_waits_before_its_first_attempt() {
    let first_wait = |seed| {
        let mut play = seeded_play(seed, |plan| plan.backoff.reconnection_time = ms(500));
        play.lifecycle.wait_first(play.now);
        assert!(play.lifecycle.poll_attempt(play.now).is_none());
        let wait = play.lifecycle.poll_timeout().expect("a wait") - play.now;
        assert!(play.advance(wait).is_none(), "nothing went wrong, so nothing is reported");
        play.attempt();
        wait
    };
    for seed in 0..100 {
        assert!((ms(500)..=ms(700)).contains(&first_wait(seed)));
    }
}

#[test]
fn the_attempt_after_a_broken_connection_is_made_on_a_new_one() {
    let mut play = play(|_| ());
    let check = |play: &mut Play, signal: Option<Signal>, expected: Connection| {
        let cause = play.wait(signal).cause;
        let (attempt, _) = play.open();
        assert_eq!(attempt.connection, expected, "{cause}");
    };
    assert_eq!(play.open().0.connection, Connection::Any);
    let signal = play.end();
    check(&mut play, signal, Connection::Any);
    let signal = play.break_off(transport::Stage::Body);
    check(&mut play, signal, Connection::New);
    let signal = play.end();
    check(&mut play, signal, Connection::Any);
    let signal = play.advance(ms(300_000));
    check(&mut play, signal, Connection::New);
    play.lifecycle.restart();
    assert_eq!(play.open().0.connection, Connection::New);
    let signal = play.end();
    play.wait(signal);
    play.attempt();
    let signal = play.respond(503, &[]);
    check(&mut play, signal, Connection::Any);
}

#[test]
fn c4_without_retry_the_wait_is_three_seconds_and_a_little() {
    assert_between(
        delays(|play| {
            play.open();
            play.events("data: a\n\n");
            play.break_off(transport::Stage::Body)
        }),
        3_000,
        3_200,
    );
}

#[test]
fn t23_a_status_that_passes_is_tried_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let mut play = play(|_| ());
        play.attempt();
        let signal = play.respond(status, &[]);
        let retrying = play.wait(signal);
        assert!(matches!(retrying.cause, Cause::Status { .. }), "{status}: {retrying:?}");
        play.open();
    }
}

#[test]
fn t23_retry_after_is_a_lower_bound_in_seconds_and_as_a_date() {
    let after = |value: &'static str| {
        delays(move |play| {
            play.attempt();
            play.respond(503, &[("retry-after", value)])
        })
    };
    assert_between(after("20"), 20_000, 21_000);
    assert_between(after("1"), 3_000, 4_000);
    assert_between(after("Sun, 06 Nov 1994 08:50:07 GMT"), 30_000, 31_000);
    assert_between(after("999999999999"), 3_600_000, 3_601_000);
    assert_between(after("nonsense"), 3_000, 4_000);
}

#[test]
fn t27_a_server_that_flaps_is_asked_less_and_less_often() {
    let flap = |times: u32| {
        delays(move |play| {
            let mut last = None;
            for n in 1..=times {
                play.open();
                last = play.end();
                if n < times {
                    play.wait(last.take());
                }
            }
            last
        })
    };
    assert_between(flap(1), 3_000, 4_000);
    assert_between(flap(2), 3_000, 5_000);
    assert_between(flap(4), 3_000, 11_000);
    assert_between(flap(12), 3_000, 33_000);
}

#[test]
fn t27_an_event_or_a_stable_minute_ends_the_damping() {
    let recovered = |recover: fn(&mut Play)| {
        delays(move |play| {
            for _ in 0..8 {
                play.open();
                let signal = play.end();
                play.wait(signal);
            }
            play.open();
            recover(play);
            play.end()
        })
    };
    assert_between(recovered(|play| drop(play.events("data: a\n\n"))), 3_000, 3_200);
    assert_between(recovered(|play| drop(play.advance(ms(60_000)))), 3_000, 3_200);
    // A moment less than a minute is no recovery, nor is any number of comments.
    let unstable: fn(&mut Play) = |play| {
        play.feed(":\n:\nretry: 3000\nid: 1\n\n");
        drop(play.advance(ms(59_999)));
    };
    assert_between(recovered(unstable), 3_000, 33_000);
}

#[test]
fn t27_the_number_of_the_attempt_counts_failures_in_a_row() {
    let mut play = play(|_| ());
    play.open();
    play.events("data: a\n\n");
    let mut signal = play.end();
    for attempt in 1..=4 {
        assert_eq!(play.wait(signal).attempt, attempt);
        play.attempt();
        signal = play.break_off(transport::Stage::Connect);
    }
}

#[test]
fn t28_silence_ends_the_stream_and_any_byte_breaks_it() {
    let mut play = play(|plan| plan.idle_timeout = Some(ms(45_000)));
    play.open();
    for bytes in ["data: a", "\n", ":", "\n", "x"] {
        assert!(play.advance(ms(44_999)).is_none());
        play.feed(bytes);
    }
    assert!(play.advance(ms(44_999)).is_none());
    let signal = play.advance(ms(1));
    assert!(matches!(play.wait(signal).cause, Cause::Idle(time) if time == ms(45_000)));
    play.open();
}

#[test]
fn t28_the_callers_own_time_is_no_silence() {
    let mut play = play(|plan| plan.idle_timeout = Some(ms(1_000)));
    play.open();
    play.now += ms(60_000);
    play.lifecycle.handle_listening(play.now);
    assert!(play.advance(ms(999)).is_none());
    assert!(play.advance(ms(1)).is_some());
}

#[test]
fn t28_without_an_idle_timeout_silence_may_last() {
    let mut play = play(|plan| plan.idle_timeout = None);
    play.open();
    assert_eq!(play.lifecycle.poll_timeout(), None);
    assert!(play.advance(Duration::from_secs(1_000_000)).is_none());
    assert_eq!(play.events("data: a\n\n"), ["a"]);
}

#[test]
fn t33_a_refused_connection_is_signalled_and_tried_again() {
    let mut play = play(|_| ());
    for attempt in 2..20 {
        play.attempt();
        let signal = play.break_off(transport::Stage::Connect);
        assert_eq!(play.wait(signal).attempt, attempt);
    }
}

#[test]
fn t33_a_budget_for_the_first_connection_ends_it() {
    let mut play = play(|plan| plan.first_attempts_max = NonZeroU32::new(2));
    play.attempt();
    let signal = play.break_off(transport::Stage::Connect);
    play.wait(signal);
    play.attempt();
    match closed(play.break_off(transport::Stage::Connect)) {
        Closed::Exhausted { attempts, last: Cause::Transport(_) } => assert_eq!(attempts.get(), 2),
        other => panic!("{other:?}"),
    }
    play.assert_silent_for_good();
}

#[test]
fn t33_the_first_budget_does_not_hold_once_the_stream_was_open() {
    let mut play = play(|plan| {
        plan.first_attempts_max = NonZeroU32::new(1);
        plan.attempts_max = NonZeroU32::new(3);
    });
    play.open();
    play.events("data: a\n\n");
    let mut signal = play.end();
    for _ in 0..2 {
        play.wait(signal);
        play.attempt();
        signal = play.break_off(transport::Stage::Connect);
    }
    play.wait(signal);
    play.attempt();
    assert!(matches!(
        closed(play.break_off(transport::Stage::Connect)),
        Closed::Exhausted { attempts, .. } if attempts.get() == 3
    ));
}

#[test]
fn no_response_in_time_counts_as_a_failure_over_all_hops_together() {
    let mut play = play(|plan| plan.response_timeout = ms(10_000));
    play.attempt();
    assert!(play.advance(ms(6_000)).is_none());
    assert!(play.respond(302, &[("location", "/slow")]).is_none());
    play.attempt();
    assert!(play.advance(ms(3_999)).is_none());
    let signal = play.advance(ms(1));
    assert!(matches!(play.wait(signal).cause, Cause::NoResponse(_)));
    assert_eq!(play.attempt().hop.url.as_str(), URL);
}
