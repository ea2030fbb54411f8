//! The text of a publish.

use crate::check::data::Stamp;
use crate::check::ledger::Ledger;
use crate::http::request::Request;
use crate::topics::Topics;

/// How events are written into requests.
#[derive(Clone, Debug)]
pub(crate) enum PublishRequest {
    /// One event per request. Its data is the body.
    One(Request),
    /// Several events per request, as lines of JSON for `/events` of a hub.
    Batch(Request),
}

impl PublishRequest {
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        stamps: &[Stamp],
        topics: &Topics,
        ledger: &Ledger,
    ) {
        let shape = ledger.shape();
        match self {
            Self::One(request) => {
                for stamp in stamps {
                    request.write_before_body(out, topics.name(stamp.topic), shape.bytes());
                    shape.write(out, *stamp);
                }
            }
            Self::Batch(request) => {
                let name = |stamp: &Stamp| topics.name(stamp.topic);
                let line =
                    |stamp| LINE.iter().map(|part| part.len()).sum::<usize>() + name(stamp).len();
                let len = stamps.iter().map(|stamp| line(stamp) + shape.bytes()).sum();
                request.write_before_body(out, "", len);
                let [before, between, after] = LINE;
                for stamp in stamps {
                    out.extend_from_slice(before.as_bytes());
                    out.extend_from_slice(name(stamp).as_bytes());
                    out.extend_from_slice(between.as_bytes());
                    shape.write(out, *stamp);
                    out.extend_from_slice(after.as_bytes());
                }
            }
        }
    }
}

/// The text around a topic and data. Neither needs JSON escapes.
const LINE: [&str; 3] = ["{\"topic\":\"", "\",\"data\":\"", "\"}\n"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::data::Shape;
    use crate::check::ledger::Scope;
    use crate::http::target::Target;

    #[test]
    fn a_batch_is_lines_of_json_of_the_length_that_is_told() {
        let target = Target::parse("http://a/events").unwrap();
        let request = PublishRequest::Batch(Request::new("POST", &target, &[], &[]));
        let mut ledger = Ledger::new(Shape::new(1, 60), 2, Scope::Own);
        let stamps = [ledger.publish(0), ledger.publish(0)];
        let mut out = Vec::new();
        request.write(&mut out, &stamps, &Topics::new(255, 2), &ledger);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        let lines: Vec<serde_json::Value> =
            body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["topic"], "bench-000000ff-1");
        assert_eq!(lines[1]["data"].as_str().map(str::len), Some(60));
    }
}
