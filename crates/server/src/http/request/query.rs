//! Query parameters: unknown ones are refused, and each has one meaning.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::http::problem::{Problem, ProblemKind};
use crate::work;

/// The parameters of a query, decoded once.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads a query as forms write it: `name=value&…`, with `+` for a space.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let Some(query) = query else { return Ok(Self::default()) };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok::<_, Problem>((decode(name)?, decode(value)?))
        });
        Ok(Self { pairs: pairs.collect::<Result<_, _>>()? })
    }

    /// Returns whether it has no parameters.
    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Refuses every unknown parameter: a misspelled one would silently have no effect, and a
    /// reader would lose its place.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        self.refuse(known, |name| !known.contains(&name))
    }

    /// Refuses the parameters of a stream that resemble one of ours and are not among `known`. All
    /// others are ignored: browsers' scripts and proxies add some to make requests unique, polyfills
    /// add their own, and an EventSource that is refused never comes back.
    pub(crate) fn only_for_stream(&self, known: &[&str]) -> Result<(), Problem> {
        let ours = || known.iter().chain(&STREAM_PARAMETERS);
        self.refuse(known, |name| {
            let is_ours = || name == TOKEN || ours().any(|ours| resembles(name, ours));
            !known.contains(&name) && is_ours()
        })
    }

    /// Refuses the first parameter whose name is wrong.
    fn refuse(&self, known: &[&str], is_wrong: impl Fn(&str) -> bool) -> Result<(), Problem> {
        let wrong = self.pairs.iter().find(|(name, _)| is_wrong(name));
        let Some((name, _)) = wrong else { return Ok(()) };
        if name == TOKEN {
            return Err(no_token_in_query());
        }
        let shown = &name[..name.floor_char_boundary(NAME_SHOWN_BYTES_MAX)];
        let hint = match nearest(shown, known) {
            Some(nearest) => format!("did you mean '{nearest}'?"),
            None if known.is_empty() => "it takes none".to_owned(),
            None => format!("it takes {}", known.join(", ")),
        };
        let detail = format!("this call has no query parameter '{shown}': {hint}");
        Err(Problem::new(ProblemKind::UnknownParameter, detail).with("parameter", shown))
    }

    /// All parameters, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a parameter that may be given once.
    ///
    /// # Errors
    ///
    /// A [`Problem`] if it is given more than once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut values = self.all(name);
        let value = values.next();
        match values.next() {
            Some(_) => Err(Problem::invalid_parameter(name, "it is given twice")),
            None => Ok(value),
        }
    }

    /// A parameter that is on or off: off if it is not given, and on if it is given without a value.
    ///
    /// # Errors
    ///
    /// A [`Problem`] if it has another value than `true` and `false`, or is given more than once.
    pub fn is_on(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(_) => {
                let why = format!("it has no value, as in '?{name}', or is true or false");
                Err(Problem::invalid_parameter(name, &why))
            }
        }
    }

    /// The values of a parameter that may be given several times.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.pairs.iter().filter(move |(found, _)| found == name);
        pairs.map(|(_, value)| value.as_str())
    }
}

/// The problem of a token in the query of a server that takes none there.
pub(crate) fn no_token_in_query() -> Problem {
    let detail = "this server takes no token in the query: leave 'token' out, or let the \
                  configuration of [auth] have query = true";
    Problem::new(ProblemKind::TokensNotConfigured, detail)
}

/// Decodes one side of a pair.
fn decode(text: &str) -> Result<String, Problem> {
    let spaced = match text.contains('+') {
        true => Cow::Owned(text.replace('+', " ")),
        false => Cow::Borrowed(text),
    };
    percent_decode(&spaced).map(Cow::into_owned).map_err(|why| {
        let detail = format!("the query cannot be read: {why}");
        Problem::new(ProblemKind::InvalidParameter, detail)
    })
}

/// Decodes `%XX`, once. Unlike browsers, which keep malformed text, it refuses it, because its
/// meaning is unknown.
pub(crate) fn percent_decode(text: &str) -> Result<Cow<'_, str>, String> {
    work::looked_at(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        if !rest.as_bytes().iter().take(2).all(u8::is_ascii_hexdigit) || rest.len() < 2 {
            return Err("a % is not followed by two hexadecimal digits".to_owned());
        }
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map_err(|error| format!("it is not UTF-8 at its byte {}", error.valid_up_to()))
}

/// Returns whether a name looks like a misspelling of one of ours.
///
/// Case, `_` and `-` do not count. A name resembles ours if it is the same but for an edit, or a quarter
/// of its letters in a long one; or if it is at least half of our name with letters left out, as in
/// `lastid`. A name of less than four letters is too short to tell.
fn resembles(name: &str, ours: &str) -> bool {
    const LETTERS_MIN: usize = 4;
    let plain = |name: &str| -> Vec<char> {
        let letters = name.chars().filter(|c| !matches!(c, '_' | '-'));
        letters.take(NAME_SHOWN_BYTES_MAX).map(|c| c.to_ascii_lowercase()).collect()
    };
    let (name, ours) = (plain(name), plain(ours));
    if name == ours {
        return true;
    }
    let edits_max = if ours.len() < 8 { 1 } else { 1 + ours.len() / 4 };
    name.len() >= LETTERS_MIN && (edits(&name, &ours) <= edits_max || is_shortened(&name, &ours))
}

/// Returns whether a name is another one with at most half of its letters left out.
fn is_shortened(name: &[char], whole: &[char]) -> bool {
    let mut letters = whole.iter();
    name.len() * 2 >= whole.len() && name.iter().all(|c| letters.any(|letter| letter == c))
}

/// The known name that the client most likely meant.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = |name: &str| name.to_lowercase().chars().collect::<Vec<_>>();
    let distance = |known: &str| edits(&lower(name), &lower(known));
    let (distance, nearest) = known.iter().map(|&known| (distance(known), known)).min()?;
    (distance <= 1 + nearest.len() / 4).then_some(nearest)
}

/// The edit distance: the number of characters to insert, remove, replace, or swap with their neighbor.
fn edits(from: &[char], to: &[char]) -> usize {
    work::looked_at(from.len() * to.len());
    let mut rows = [vec![0; to.len() + 1], (0..=to.len()).collect(), vec![0; to.len() + 1]];
    for (at, &c) in from.iter().enumerate() {
        let [before, above, row] = &mut rows;
        row[0] = at + 1;
        for (index, &wanted) in to.iter().enumerate() {
            let replaced = above[index] + usize::from(c != wanted);
            row[index + 1] = replaced.min(above[index + 1] + 1).min(row[index] + 1);
            let is_swapped = at > 0 && index > 0 && c == to[index - 1] && from[at - 1] == wanted;
            if is_swapped {
                row[index + 1] = row[index + 1].min(before[index - 1] + 1);
            }
        }
        rows.rotate_left(1);
    }
    rows[1][to.len()]
}

/// The parameters of streams. One of another call of ours would silently have no effect either.
const STREAM_PARAMETERS: [&str; 5] =
    ["topic", "match", "last_event_id", "lastEventId", "lastEventID"];
/// The parameter for tokens, which are planned.
const TOKEN: &str = "token";
/// The maximum length of a foreign name in an answer, and in the comparison with known names.
const NAME_SHOWN_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_value_can_be_spelled(value in any::<String>()) {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let query = Query::parse(Some(&format!("a=1&x={encoded}&b=2"))).unwrap();
            prop_assert_eq!(query.one("x").unwrap(), Some(&*value));
        }

        #[test]
        fn whatever_is_asked_is_read_or_refused(text in "[a-c%&=+0-9é]{0,24}") {
            if let Ok(query) = Query::parse(Some(&text)) {
                let _ = query.only(&["abc", "a"]);
                prop_assert!(query.pairs.len() <= 1 + text.matches('&').count());
            }
        }
    }

    fn query(text: &str) -> Query {
        Query::parse(Some(text)).unwrap()
    }

    #[test]
    fn parameters_are_decoded_once() {
        let query = query("topic=a%2525&topic=b+c&match=%2a&empty&&x=1=2");
        assert_eq!(query.all("topic").collect::<Vec<_>>(), ["a%25", "b c"]);
        assert_eq!(query.one("match").unwrap(), Some("*"));
        assert_eq!(query.one("empty").unwrap(), Some(""));
        assert_eq!(query.one("x").unwrap(), Some("1=2"));
        assert_eq!(query.one("y").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for text in ["a=%", "a=%4", "a=%ff", "%zz=1"] {
            let problem = Query::parse(Some(text)).unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::InvalidParameter, "{text}");
        }
    }

    #[test]
    fn one_value_is_not_two() {
        assert!(query("id=1&id=2").one("id").is_err());
        assert!(query("id=1&id=1").one("id").is_err());
    }

    #[test]
    fn a_switch_is_on_off_or_a_mistake() {
        for (text, is_on) in [
            ("", Some(false)),
            ("private", Some(true)),
            ("private=", Some(true)),
            ("private=true", Some(true)),
            ("private=false", Some(false)),
            ("private=1", None),
            ("private=TRUE", None),
            ("private&private", None),
        ] {
            assert_eq!(query(text).is_on("private").ok(), is_on, "{text:?}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_one_that_was_meant() {
        let known = ["last_event_id", "lastEventId", "limit"];
        for (text, meant) in [
            ("last_evnt_id=1", "last_event_id"),
            ("LASTEVENTID=1", "lastEventId"),
            ("limt=2", "limit"),
        ] {
            let problem = query(text).only(&known).unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::UnknownParameter);
            assert!(problem.detail().contains(&format!("'{meant}'")), "{}", problem.detail());
        }
        let problem = query("zzz=1").only(&known).unwrap_err();
        assert!(problem.detail().contains("last_event_id, lastEventId, limit"));
        assert!(query("zzz=1").only(&[]).is_err());
        assert!(query("limit=1").only(&known).is_ok());
    }

    #[test]
    fn a_token_is_refused_as_not_configured() {
        let problem = query("token=x").only(&["topic"]).unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::TokensNotConfigured);
    }

    #[test]
    fn a_stream_ignores_what_resembles_no_parameter_of_ours() {
        let known = ["topic", "match", "last_event_id", "lastEventId", "lastEventID"];
        for name in [
            "_",
            "t",
            "v",
            "ts",
            "cb",
            "id",
            "padding",
            "timestamp",
            "time",
            "rnd",
            "random",
            "nocache",
            "cache",
            "cachebuster",
            "since",
            "path",
            "hash",
            "client",
            "clientId",
            "utm_source",
            "%D1%82%D0%B5%D0%BC%D0%B0",
        ] {
            let given = query(&format!("topic=a&{name}=1"));
            assert!(given.only_for_stream(&known).is_ok(), "{name}");
            assert!(given.only(&known).is_err(), "{name}");
        }
    }

    #[test]
    fn a_stream_refuses_what_looks_like_a_misspelling_of_ours() {
        let known = ["last_event_id", "lastEventId", "lastEventID"];
        for name in [
            "lastid",
            "last-event-id",
            "Last-Event-ID",
            "LASTEVENTID",
            "lasteventid",
            "last_evnt_id",
            "lastEventIds",
            "eventid",
            "last_event",
            "topics",
            "topci",
            "Topic",
            "topic",
            "matches",
            "matchs",
            "match",
            "mtach",
            "token",
        ] {
            let problem = query(&format!("_=1&{name}=1")).only_for_stream(&known);
            // `matches` is two edits away from `match`, and a word of its own.
            assert_eq!(problem.is_err(), name != "matches", "{name}");
        }
    }

    #[test]
    fn the_longest_query_is_looked_at_in_linear_time() {
        let looked = |bytes: usize| {
            let text = "topicality=1&".repeat(bytes / 13);
            work::of(|| drop(query(&text).only_for_stream(&STREAM_PARAMETERS)))
        };
        // Twice the largest head.
        let (once, twice) = (looked(32 * 1024), looked(64 * 1024));
        assert!(once > 32 * 1024 && twice <= 2 * once + once / 100, "{once}, {twice}");
    }

    #[test]
    fn edits_are_counted() {
        for (from, to, count) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("topci", "topic", 1),
        ] {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(edits(&letters(from), &letters(to)), count, "{from}, {to}");
        }
    }
}
