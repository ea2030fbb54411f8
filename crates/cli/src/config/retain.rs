//! Rules of retention, as flags and the configuration file write them.

use std::num::NonZeroUsize;
use std::str::FromStr;

use tidings_hub::{RetentionRule, TopicFilter, TopicLimits};
use toml::Spanned;
use toml::de::DeValue;

use super::section::{Parser, Section};
use super::units::{bytes, positive};

const NO_LIMIT: &str = "needs at least one of events, bytes, age, latest, conflate";
const LATEST_ALONE: &str = "latest keeps one event, so that only age can stand beside it";

/// Reads a rule such as `prices/*=latest` or `chat/**=events:100,age:7d`.
pub(super) fn rule(text: &str) -> Result<RetentionRule, String> {
    let written = || "must be PATTERN=RULES, such as 'chat/**=events:100,age:7d'".to_owned();
    // The filter may have such a sign, as addresses do; the rules have none.
    let (filter, rules) = text.rsplit_once('=').ok_or_else(written)?;
    let filter = TopicFilter::pattern(filter).map_err(|error| error.to_string())?;
    let mut limits = TopicLimits::default();
    let mut names = Vec::new();
    for rule in rules.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
        let (name, value) = rule.split_once(':').map_or((rule, None), |(n, v)| (n, Some(v)));
        if names.contains(&name) {
            return Err(format!("{name} is there twice"));
        }
        names.push(name);
        set(&mut limits, name, value)?;
    }
    check(&limits)?;
    Ok(RetentionRule::new(filter, limits))
}

fn set(limits: &mut TopicLimits, name: &str, value: Option<&str>) -> Result<(), String> {
    let of_value = |why: String| format!("{name}: {why}");
    match (name, value) {
        ("events", Some(value)) => limits.events_max = Some(count(value).map_err(of_value)?),
        ("bytes", Some(value)) => limits.bytes_max = Some(size(value).map_err(of_value)?),
        ("age", Some(value)) => limits.age_max = positive(value).map_err(of_value)?,
        ("latest", None) => limits.latest_only = true,
        ("conflate", None) => limits.conflate = true,
        _ => {
            return Err(format!(
                "'{name}' is no rule: there are events:N, bytes:SIZE, age:TIME, latest, conflate"
            ));
        }
    }
    Ok(())
}

/// Refuses limits that mean nothing.
fn check(limits: &TopicLimits) -> Result<(), String> {
    let TopicLimits { events_max, bytes_max, latest_only, conflate, .. } = limits;
    if *limits == TopicLimits::default() {
        return Err(NO_LIMIT.to_owned());
    }
    if *latest_only && (events_max.is_some() || bytes_max.is_some() || *conflate) {
        return Err(LATEST_ALONE.to_owned());
    }
    Ok(())
}

fn count(text: &str) -> Result<NonZeroUsize, String> {
    NonZeroUsize::from_str(text).map_err(|_| "must be a whole number of at least 1".to_owned())
}

fn size(text: &str) -> Result<NonZeroUsize, String> {
    NonZeroUsize::new(bytes(text)?).ok_or_else(|| "must be at least 1".to_owned())
}

/// Reads the table `retain` of an element of `[[topics]]`.
pub(super) fn table(
    parser: &mut Parser<'_>,
    value: &Spanned<DeValue<'_>>,
    filter: &TopicFilter,
) -> Option<RetentionRule> {
    let mut section = Section::new(parser, "topics.retain", value)?;
    let mut limits = TopicLimits::default();
    let names = ["events", "bytes", "age"];
    let is_given = names.map(|name| section.value(name).is_some());
    limits.events_max = section.amount("events", count);
    limits.bytes_max = section.amount("bytes", size);
    limits.age_max = section.text("age", positive).flatten();
    limits.latest_only = section.is_on("latest");
    limits.conflate = section.is_on("conflate");
    let is_read = is_given
        == [limits.events_max.is_some(), limits.bytes_max.is_some(), limits.age_max.is_some()];
    if is_read && let Err(why) = check(&limits) {
        section.fault(&why);
    }
    section.finish();
    Some(RetentionRule::new(filter.clone(), limits))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(events: usize) -> TopicLimits {
        TopicLimits::default().with_events_max(NonZeroUsize::new(events).unwrap())
    }

    #[test]
    fn a_rule_names_its_topics_and_their_limits() {
        let day = Duration::from_secs(24 * 60 * 60);
        let size = NonZeroUsize::new(1 << 30).unwrap();
        for (text, filter, expected) in [
            ("a=events:100", "a", limits(100)),
            ("chat/**=events:5,age:7d", "chat/**", limits(5).with_age_max(7 * day)),
            (
                "**=bytes:1GiB, conflate",
                "**",
                TopicLimits::default().with_bytes_max(size).conflated(),
            ),
            ("http://a/?b=c=latest", "http://a/?b=c", TopicLimits::default().latest_only()),
        ] {
            let expected = RetentionRule::new(TopicFilter::pattern(filter).unwrap(), expected);
            assert_eq!(rule(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_rule_that_means_nothing_is_refused_with_what_is_expected() {
        for (text, why) in [
            ("a", "must be PATTERN=RULES"),
            ("a=", "needs at least one of"),
            ("a=events", "'events' is no rule"),
            ("a=events:0", "events: must be a whole number"),
            ("a=bytes:0", "bytes: must be at least 1"),
            ("a=bytes:x", "bytes: must be a number of bytes"),
            ("a=age:5", "age: must be a time"),
            ("a=latest:1", "'latest' is no rule"),
            ("a=latest,events:2", "latest keeps one event"),
            ("a=latest,conflate", "latest keeps one event"),
            ("a=events:1,events:2", "events is there twice"),
            ("ot*=latest", "a wildcard stands"),
            ("=latest", "a topic"),
        ] {
            let mistake = rule(text).unwrap_err();
            assert!(mistake.contains(why), "{text}: {mistake}");
        }
    }
}
