use clap::Parser as _;

use super::*;
use crate::args::{Cli, Command};

/// Returns the mistakes of a command line that clap accepts.
#[track_caller]
fn mistakes(line: &str) -> String {
    let words = line.split_whitespace();
    let checked = match Cli::try_parse_from(["tidings"].into_iter().chain(words)) {
        Err(error) => panic!("{error}"),
        Ok(Cli { command: Command::Listen(args) }) => ListenConfig::check(&args).map(drop),
        Ok(Cli { command: Command::Publish(args) }) => PublishConfig::check(&args).map(drop),
        Ok(Cli { command: Command::Relay(args) }) => RelayConfig::check(&args).map(drop),
        Ok(_) => panic!("{line} is none of the tools"),
    };
    checked.err().map_or_else(String::new, |mistakes| mistakes.to_string())
}

fn listen_url(line: &str) -> String {
    let words = ["tidings", "listen"].into_iter().chain(line.split_whitespace());
    let Command::Listen(args) = Cli::parse_from(words).command else {
        panic!("listen was asked for")
    };
    let mut mistakes = Vec::new();
    let url = Checker { mistakes: &mut mistakes }.stream_url(&args);
    assert_eq!(mistakes, <[String; 0]>::default());
    url
}

#[test]
fn topics_and_patterns_make_the_url_of_one_stream() {
    assert_eq!(listen_url("http://a/topics/x"), "http://a/topics/x");
    assert_eq!(listen_url(":4000/topics/x"), "http://127.0.0.1:4000/topics/x");
    assert_eq!(listen_url("x/y"), "http://127.0.0.1:4000/events?topic=x%2Fy");
    assert_eq!(listen_url("x/* --hub :1"), "http://127.0.0.1:1/events?match=x%2F*");
    assert_eq!(listen_url("--topic x"), "http://127.0.0.1:4000/events?topic=x");
    assert_eq!(listen_url("http://a --topic x/ü"), "http://a/events?topic=x%2F%C3%BC");
    assert_eq!(
        listen_url("http://a/hub/ --topic x --match y/* --match **"),
        "http://a/hub/events?topic=x&match=y%2F*&match=**"
    );
}

#[test]
fn every_mistake_of_the_tools_is_told_at_once() {
    let told = mistakes(
        "listen http://a/topics/x --topic x -H name --attempts 0 --idle-timeout 5 --state /none/x",
    );
    assert_eq!(told.lines().count(), 4, "{told}");
    for part in ["hub itself", "--header", "--attempts 0", "--idle-timeout 5"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    let told = mistakes("publish hi --topic x --retry soon --idempotency-key ä --hub a");
    assert_eq!(told.lines().count(), 3, "{told}");
    for (line, part) in [
        ("listen", "is missing"),
        ("listen x --topic y", "hub itself"),
        ("listen :1/topics/x --hub :1", "must be a topic"),
        ("listen x --exec cat --on-failure never", "--on-failure never"),
        ("publish", "a topic is missing"),
        ("publish --lines", "a topic is missing"),
        ("publish a b --topic c", "the only other word is the data"),
        ("publish a b --lines", "cannot be given as well"),
        ("publish a b --ndjson /dev/null", "cannot be given as well"),
        ("relay :1/topics/a/b --to a/b --hub localhost:1", "come back for ever"),
        ("relay :1/events?match=** --to a/b --hub :1", "come back for ever"),
    ] {
        assert!(mistakes(line).contains(part), "{line}: {}", mistakes(line));
    }
    assert!(mistakes("relay :1/topics/a/c --to a/b --hub :1").is_empty());
    assert!(mistakes("relay a --to x").contains("absolute http or https URL"));
    assert!(mistakes("listen http://a/ --last-event-id earliest").is_empty());
    assert!(mistakes("publish --ndjson /none/x").contains("--ndjson /none/x"));
}

#[test]
fn the_first_word_is_the_topic_unless_a_flag_names_one() {
    for (line, topics, data) in [
        ("hello hi", vec!["hello"], Some("hi")),
        ("hello", vec!["hello"], None),
        ("hi --topic a --topic b", vec!["a", "b"], Some("hi")),
        ("--topic a", vec!["a"], None),
        ("hello --lines --type t", vec!["hello"], None),
        ("hello --ndjson -", vec!["hello"], None),
    ] {
        let words = ["tidings", "publish"].into_iter().chain(line.split_whitespace());
        let Command::Publish(args) = Cli::parse_from(words).command else {
            panic!("publish was asked for")
        };
        let mut mistakes = Vec::new();
        let found = Checker { mistakes: &mut mistakes }.topics_and_data(&args);
        assert_eq!(mistakes, <[String; 0]>::default());
        assert_eq!(
            (found.0, found.1.as_deref()),
            (topics.iter().map(|&s| s.into()).collect(), data)
        );
    }
}

#[test]
fn a_header_in_the_wrong_place_is_not_shown() {
    let told = mistakes("listen http://a/ -H Bearer-s3cret");
    assert!(!told.is_empty() && !told.contains("s3cret"), "{told}");
}

#[test]
fn one_events_parts_are_not_given_for_many() {
    for line in [
        "publish --ndjson f --event-stream g --topic x",
        "publish --ndjson f --lines",
        "publish --event-stream f --type t x",
        "publish x --lines --id 1",
        "publish a b c",
        "publish --ndjson f --id 1",
        "publish --event-stream f --topic x --idempotency-key k",
        "listen http://a/ --on-failure stop",
        "relay http://a/",
    ] {
        let words = ["tidings"].into_iter().chain(line.split_whitespace());
        assert!(Cli::try_parse_from(words).is_err(), "{line}");
    }
}
