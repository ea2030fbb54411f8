//! Reads the shape that a request asks of its stream.

use std::time::Duration;

use tidings_hub::{GapShape, StreamShape};

use super::page::time;
use crate::http::answer::StreamAnswer;
use crate::http::problem::Problem;
use crate::http::request::Query;
use crate::http::respond::{STREAM_GAP, gap_value};

/// The query parameters of a stream's shape.
pub(super) const PARAMETERS: [&str; 2] = ["gap", "ping"];

/// Shorter intervals would be sent in vain: silences are looked for about twice a second.
const PING_MIN: Duration = Duration::from_secs(1);
const PING_MAX: Duration = Duration::from_secs(3600);

/// The shape of a stream, as its request or the configuration has it.
#[derive(Debug)]
pub(super) struct AskedShape {
    /// `None` is the usual way.
    gap: Option<GapShape>,
    ping: Option<Duration>,
}

/// Reads the shape; `configured` says how its reader is told of a gap if the request does not.
pub(super) fn asked(
    query: &Query,
    configured: impl FnOnce() -> Option<GapShape>,
) -> Result<AskedShape, Problem> {
    let gap = match query.one("gap")? {
        None => configured(),
        Some("event") => Some(GapShape::Event),
        Some("close") => Some(GapShape::Close),
        Some(_) => {
            let why =
                "it is 'event' (a gap is an event of that type) or 'close' (a gap ends the stream)";
            return Err(Problem::invalid_parameter("gap", why));
        }
    };
    let ping = query.one("ping")?.map(ping).transpose()?;
    Ok(AskedShape { gap, ping })
}

impl AskedShape {
    /// Gives a stream the shape. The header names it if it is not the usual one.
    pub(super) fn apply(&self, stream: &mut StreamAnswer) {
        stream.spec.shape = StreamShape::new(self.gap.unwrap_or_default(), self.ping);
        if let Some(gap) = self.gap {
            stream.head.insert(STREAM_GAP, gap_value(gap));
        }
    }
}

fn ping(text: &str) -> Result<Duration, Problem> {
    let ping = time(text).filter(|ping| (PING_MIN..=PING_MAX).contains(ping));
    ping.ok_or_else(|| {
        Problem::invalid_parameter(
            "ping",
            "it is a time from 1 second to 3600, as in 10s or 1500ms",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_has_its_bounds() {
        for (text, seconds) in [("1", 1), ("10s", 10), ("3600s", 3600), ("1000ms", 1)] {
            assert_eq!(ping(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for text in ["", "0", "999ms", "3601", "3600001ms", "1m", "-1"] {
            assert!(ping(text).is_err(), "{text:?}");
        }
    }
}
