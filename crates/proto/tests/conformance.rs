//! Runs the cases of `conformance/`: every rule of the format, in every split.

#![allow(clippy::unwrap_used, reason = "a case that cannot be read must fail its test")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use support::{Seen, decode_cut, every_split, feed, reference};
use tidings_proto::{
    Decoder, Event, EventId, EventType, Limits, encode, encode_comment, encoded_len,
};

#[test]
fn every_case_decodes_as_expected_in_every_split() {
    let count = for_each_case("expected", |name, case| {
        let streams = streams(case);
        let expected = expected(case);
        let cut_all = streams.len() == 1;
        every_split(streams[0].len(), |cuts| {
            let (mut seen, mut decoder) = decode_cut(decoder(case), &streams[0], cuts);
            for stream in &streams[1..] {
                decoder.end_of_stream();
                // The later connections are cut alike, as far as they are long enough.
                let cuts: Vec<_> = cuts.iter().copied().filter(|cut| *cut < stream.len()).collect();
                let (more, after) = decode_cut(decoder, stream, &cuts);
                seen.extend(more);
                decoder = after;
            }
            decoder.end_of_stream();
            assert_eq!(seen, expected, "{name}, cut at {cuts:?}");
            if let Some(id) = case["last_event_id_at_end"].as_str() {
                assert_eq!(decoder.last_event_id(), id, "{name}, cut at {cuts:?}");
            }
        });
        if !cut_all {
            check_later_streams(name, case, &streams, &expected);
        }
    });
    assert!(count > 100, "only {count} cases were found");
}

/// Cuts the connections after the first everywhere too.
fn check_later_streams(name: &str, case: &Value, streams: &[Vec<u8>], expected: &[Seen]) {
    let longest = streams.iter().map(Vec::len).max().unwrap_or(0);
    every_split(longest, |cuts| {
        let mut decoder = decoder(case);
        let mut seen = Vec::new();
        for stream in streams {
            let mut from = 0;
            for &cut in cuts.iter().filter(|cut| **cut < stream.len()) {
                feed(&mut decoder, &stream[from..cut], &mut seen);
                from = cut;
            }
            feed(&mut decoder, &stream[from..], &mut seen);
            decoder.end_of_stream();
        }
        assert_eq!(seen, expected, "{name}, cut at {cuts:?}");
    });
}

#[test]
fn the_reference_decoder_agrees_with_every_case_without_limits() {
    for_each_case("expected", |name, case| {
        if case.get("limits").is_some() {
            return;
        }
        let streams = streams(case);
        let streams: Vec<_> = streams.iter().map(Vec::as_slice).collect();
        let seed = case["last_event_id"].as_str().unwrap_or_default();
        assert_eq!(reference::decode(&streams, seed.to_owned()), expected(case), "{name}");
    });
}

#[test]
fn every_case_encodes_as_expected_and_decodes_to_the_same_event() {
    let count = for_each_case("text", |name, case| {
        let event = event(&case["event"]);
        let mut text = Vec::new();
        encode(&event, &mut text);
        assert_eq!(String::from_utf8_lossy(&text), case["text"].as_str().unwrap(), "{name}");
        assert_eq!(encoded_len(&event), text.len(), "{name}");

        let mut expected: Vec<_> =
            event.retry().map(|time| Seen::RetryMillis(time.as_millis())).into_iter().collect();
        expected.push(Seen::Event {
            event_type: event.event_type().as_str().to_owned(),
            data: case["decoded"].as_str().unwrap_or(event.data()).to_owned(),
            last_event_id: event.id().map_or("", EventId::as_str).to_owned(),
            has_id: event.id().is_some(),
        });
        every_split(text.len(), |cuts| {
            let (seen, _) = decode_cut(Decoder::new(), &text, cuts);
            assert_eq!(seen, expected, "{name}, cut at {cuts:?}");
        });
    });
    assert!(count > 15, "only {count} cases were found");
}

#[test]
fn every_refused_value_is_an_error_that_says_where_and_writes_nothing() {
    let count = for_each_case("refuse", |name, case| {
        let value = case["value"].as_str().unwrap();
        let position = match case["refuse"].as_str().unwrap() {
            "id" => {
                let error = EventId::new(value).unwrap_err();
                assert_eq!(error.value(), value);
                error.position()
            }
            "type" => {
                let error = EventType::new(value).unwrap_err();
                assert_eq!(error.value(), value);
                error.position()
            }
            "comment" => {
                let mut out = Vec::new();
                let error = encode_comment(value, &mut out).unwrap_err();
                assert_eq!(out, b"", "{name}");
                error.position()
            }
            other => panic!("{name} refuses {other}"),
        };
        assert_eq!(Some(position as u64), case["position"].as_u64(), "{name}");
    });
    assert!(count > 10, "only {count} cases were found");
}

#[test]
fn every_rule_has_a_case() {
    let mut rules: BTreeSet<_> = files().iter().map(|(_, file)| rule(file).to_owned()).collect();
    let tests = fs::read_to_string(crate_root().join("src/decode/tests.rs")).unwrap();
    let named = tests.lines().filter_map(|line| line.strip_prefix("fn "));
    rules
        .extend(named.filter_map(|name| name.split_once('_')).map(|(rule, _)| rule.to_uppercase()));
    let wanted = (1..=13).map(|n| format!("P{n}"));
    let wanted = wanted.chain((1..=17).chain(40..=41).map(|n| format!("T{n}")));
    let missing: Vec<_> = wanted.filter(|rule| !rules.contains(rule)).collect();
    assert_eq!(missing, [""; 0], "these rules have no case");
}

#[test]
fn every_file_is_named_after_its_rule_and_holds_no_name_twice() {
    for (path, file) in files() {
        assert_eq!(path.file_stem().unwrap().to_str(), Some(rule(&file)));
        let mut names = BTreeSet::new();
        for case in file["cases"].as_array().unwrap() {
            assert!(names.insert(case["name"].as_str().unwrap()), "{case} in {}", path.display());
        }
    }
}

/// Calls `check` with each case that has `key`, and counts them.
fn for_each_case(key: &str, mut check: impl FnMut(&str, &Value)) -> usize {
    let mut count = 0;
    for (_, file) in files() {
        for case in file["cases"].as_array().unwrap() {
            if case.get(key).is_some() {
                count += 1;
                check(&format!("{} {}", rule(&file), case["name"].as_str().unwrap()), case);
            }
        }
    }
    count
}

fn files() -> Vec<(PathBuf, Value)> {
    let folder = crate_root().join("../../conformance");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|name| name == "json"));
    paths
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let file = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, file)
        })
        .collect()
}

fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rule(file: &Value) -> &str {
    file["rule"].as_str().unwrap()
}

fn decoder(case: &Value) -> Decoder {
    let mut limits = Limits::default();
    if let Some(bytes) = case["limits"]["event_bytes_max"].as_u64() {
        limits = limits.with_event_bytes_max(bytes as usize);
    }
    if let Some(bytes) = case["limits"]["comment_bytes_max"].as_u64() {
        limits = limits.with_comment_bytes_max(bytes as usize);
    }
    let seed = case["last_event_id"].as_str().unwrap_or_default();
    Decoder::with_limits(limits).with_last_event_id(seed)
}

fn streams(case: &Value) -> Vec<Vec<u8>> {
    match case.get("streams") {
        Some(streams) => streams.as_array().unwrap().iter().map(bytes).collect(),
        None => vec![bytes(&case["stream"])],
    }
}

fn bytes(part: &Value) -> Vec<u8> {
    match part {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Array(parts) => parts.iter().flat_map(bytes).collect(),
        _ => match (part["hex"].as_str(), part["repeat"].as_str()) {
            (Some(hex), None) => {
                hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
            }
            (None, Some(text)) => text.repeat(part["times"].as_u64().unwrap() as usize).into(),
            _ => panic!("{part} is not a part of a stream"),
        },
    }
}

fn expected(case: &Value) -> Vec<Seen> {
    case["expected"].as_array().unwrap().iter().map(seen).collect()
}

fn seen(item: &Value) -> Seen {
    let (kind, value) = item.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "event" => {
            let text = |key: &str| value[key].as_str().map(str::to_owned);
            Seen::Event {
                event_type: text("type").unwrap_or_else(|| "message".to_owned()),
                data: text("data").unwrap(),
                last_event_id: text("id").or_else(|| text("last_event_id")).unwrap_or_default(),
                has_id: value.get("id").is_some(),
            }
        }
        "comment" => Seen::Comment(value.as_str().unwrap().to_owned()),
        "retry" => Seen::RetryMillis(value.as_u64().unwrap().into()),
        "id" => Seen::Id(value.as_str().unwrap().to_owned()),
        "limit_exceeded" => Seen::LimitExceeded(value.as_u64().unwrap() as usize),
        other => panic!("{other} is not an item"),
    }
}

fn event(value: &Value) -> Event {
    let mut event = Event::new(value["data"].as_str().unwrap());
    if let Some(event_type) = value["type"].as_str() {
        event = event.with_type(EventType::new(event_type).unwrap());
    }
    if let Some(id) = value["id"].as_str() {
        event = event.with_id(EventId::new(id).unwrap());
    }
    if let Some(millis) = value["retry"].as_u64() {
        event = event.with_retry(Duration::from_millis(millis));
    }
    event
}
