//! The formats that a client accepts and sends.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::work;

/// A format in which events can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    EventStream,
    Json,
}

impl Format {
    /// Chooses by the header `Accept` (RFC 9110, section 12.5.1); `None` if neither format is
    /// accepted.
    ///
    /// The greater weight decides; then the more exact range, so that `application/json, */*` means
    /// JSON; then the stream wins, because it is the main purpose of the paths.
    pub(crate) fn accepted(headers: &HeaderMap) -> Option<Self> {
        // The values that EventSource and curl send.
        if let Some(b"text/event-stream" | b"*/*") = only(headers) {
            return Some(Self::EventStream);
        }
        let ranges: Vec<_> = headers.get_all(ACCEPT).iter().flat_map(ranges).collect();
        if ranges.is_empty() {
            return Some(Self::EventStream);
        }
        let stream = weigh(&ranges, "text", "event-stream");
        let json = weigh(&ranges, "application", "json");
        match (stream.weight, json.weight) {
            (0, 0) => None,
            (_, 0) => Some(Self::EventStream),
            _ if json > stream => Some(Self::Json),
            _ => Some(Self::EventStream),
        }
    }
}

/// A format of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricsFormat {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's text, version 0.0.4.
    Classic,
}

impl MetricsFormat {
    /// OpenMetrics for clients that prefer it, as Prometheus does; the classic format, which every tool
    /// reads, for all others.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let ranges: Vec<_> = headers.get_all(ACCEPT).iter().flat_map(ranges).collect();
        let open = weigh(&ranges, "application", "openmetrics-text");
        match open > weigh(&ranges, "text", "plain") {
            true => Self::OpenMetrics,
            false => Self::Classic,
        }
    }
}

/// The header, if it is there once.
fn only(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(ACCEPT).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value.as_bytes())
}

/// How much a format is wanted: by weight, then by the exactness of its range.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    /// In thousandths.
    weight: u16,
    exactness: u8,
}

struct Range {
    main: String,
    sub: String,
    weight: u16,
}

fn ranges(value: &HeaderValue) -> Vec<Range> {
    let text = value.to_str().unwrap_or_default();
    work::looked_at(text.len());
    text.split(',').filter_map(range).collect()
}

fn range(text: &str) -> Option<Range> {
    let mut parts = text.split(';').map(str::trim);
    let (main, sub) = parts.next()?.split_once('/')?;
    let weight = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().unwrap_or(0.0))
    });
    let weight = (weight.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u16;
    Some(Range { main: main.to_ascii_lowercase(), sub: sub.to_ascii_lowercase(), weight })
}

/// The most exact range decides.
fn weigh(ranges: &[Range], main: &str, sub: &str) -> Wanted {
    work::looked_at(ranges.len());
    let wanted = |range: &Range| {
        let exactness = match (range.main.as_str(), range.sub.as_str()) {
            (a, b) if a == main && b == sub => 2,
            (a, "*") if a == main => 1,
            ("*", "*") => 0,
            _ => return None,
        };
        Some(Wanted { weight: range.weight, exactness })
    };
    ranges.iter().filter_map(wanted).max_by_key(|wanted| wanted.exactness).unwrap_or_default()
}

/// The content type without its parameters, in lower case; `None` if there is none.
pub(crate) fn essence(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    Some(essence.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, format: Option<Format>) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        assert_eq!(Format::accepted(&headers), format, "{accept}");
    }

    /// The header has the size of the largest head, in one line or in many.
    #[test]
    fn the_largest_header_is_looked_at_in_proportion_to_its_size() {
        const BYTES: usize = 32 * 1024;
        let looked = |bytes: usize, lines: usize| {
            let mut headers = HeaderMap::new();
            for _ in 0..lines {
                let line = "a/b,".repeat(bytes / lines / 4);
                headers.append(ACCEPT, line.parse().unwrap());
            }
            work::of(|| {
                assert_eq!(Format::accepted(&headers), None);
                assert_eq!(MetricsFormat::accepted(&headers), MetricsFormat::Classic);
            })
        };
        for lines in [1, 1000] {
            let (half, whole) = (looked(BYTES / 2, lines), looked(BYTES, lines));
            assert!(whole <= 4 * BYTES && whole <= 2 * half + 4 * lines, "{whole} after {half}");
        }
    }

    #[test]
    fn a_client_that_says_nothing_gets_a_stream() {
        assert_eq!(Format::accepted(&HeaderMap::new()), Some(Format::EventStream));
        check("*/*", Some(Format::EventStream));
        check("text/*", Some(Format::EventStream));
    }

    #[test]
    fn what_is_named_is_sent() {
        check("text/event-stream", Some(Format::EventStream));
        check("Text/Event-Stream;charset=utf-8", Some(Format::EventStream));
        check("application/json", Some(Format::Json));
        check("application/*", Some(Format::Json));
        check("text/html,application/xhtml+xml,*/*;q=0.8", Some(Format::EventStream));
    }

    #[test]
    fn what_is_named_exactly_wins_over_what_is_included() {
        check("application/json, text/plain, */*", Some(Format::Json));
        check("application/json, text/event-stream", Some(Format::EventStream));
        check("text/event-stream;q=0, */*", Some(Format::Json));
    }

    #[test]
    fn the_greater_weight_wins() {
        check("application/json;q=0.9, text/event-stream;q=0.5", Some(Format::Json));
        check("application/json;q=0.5, text/event-stream; Q = 0.9", Some(Format::EventStream));
    }

    #[test]
    fn what_accepts_neither_is_told_so() {
        check("text/html", None);
        check("image/png, application/xml", None);
        check("text/event-stream;q=0, application/json;q=0", None);
        check("nonsense, text/html", None);
    }

    #[test]
    fn metrics_are_open_metrics_for_those_that_prefer_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, format) in [
            (prometheus, MetricsFormat::OpenMetrics),
            ("application/openmetrics-text", MetricsFormat::OpenMetrics),
            ("text/plain, application/openmetrics-text;q=0.5", MetricsFormat::Classic),
            ("text/plain;version=0.0.4", MetricsFormat::Classic),
            ("*/*", MetricsFormat::Classic),
            ("text/html", MetricsFormat::Classic),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(MetricsFormat::accepted(&headers), format, "{accept}");
        }
        assert_eq!(MetricsFormat::accepted(&HeaderMap::new()), MetricsFormat::Classic);
    }
}
