#![no_main]
//! Patterns match what a slow reference matches, and cover what they say.

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tidings_hub::{Topic, TopicFilter};

#[derive(Arbitrary, Debug)]
struct Input {
    pattern: Vec<Part>,
    other: Vec<Part>,
    name: Vec<Part>,
    text: String,
}

/// A segment. Few different ones, so that patterns match often.
#[derive(Arbitrary, Debug)]
enum Part {
    Any,
    Rest,
    Letter(u8),
    Text(String),
}

fn joined(parts: &[Part]) -> String {
    let segment = |part: &Part| match part {
        Part::Any => "*".to_owned(),
        Part::Rest => "**".to_owned(),
        Part::Letter(letter) => char::from(b'a' + letter % 3).to_string(),
        Part::Text(text) => text.clone(),
    };
    parts.iter().map(segment).collect::<Vec<_>>().join("/")
}

fn matches(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        (["**"], [_, ..]) => true,
        ([], []) => true,
        (["*", pattern @ ..], [_, name @ ..]) => matches(pattern, name),
        ([first, pattern @ ..], [found, name @ ..]) => first == found && matches(pattern, name),
        _ => false,
    }
}

fuzz_target!(|input: Input| {
    let _ = (TopicFilter::pattern(&input.text), Topic::new(input.text.as_str()));
    let (pattern, name) = (joined(&input.pattern), joined(&input.name));
    let Ok(filter) = TopicFilter::pattern(&pattern) else { return };
    assert_eq!(filter.as_str(), pattern);
    if Topic::new(name.as_str()).is_err() {
        return;
    }
    let expected = match filter {
        TopicFilter::Exact(_) => pattern == name,
        _ => {
            let segments = |text| str::split(text, '/').collect::<Vec<_>>();
            matches(&segments(&pattern), &segments(&name))
        }
    };
    assert_eq!(filter.matches(&name), expected, "{pattern} and {name}");
    let Ok(other) = TopicFilter::pattern(joined(&input.other)) else { return };
    if other.covers(&filter) && filter.matches(&name) {
        assert!(other.matches(&name), "{} covers {pattern}, which matches {name}", other.as_str());
    }
});
