//! The headers of a request that publishes.

use http::{HeaderMap, HeaderValue};
use tidings_hub::{IdempotencyKey, InvalidVia, Producer, Via};

use super::marks::Marks;
use crate::auth::access::Access;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::Given;

/// The headers that describe the events of a request, found in one pass over all headers. A
/// malformed header is reported when it is read, because not every call reads each of them.
#[derive(Debug, Default)]
pub(super) struct PublishHeaders<'a> {
    is_any: bool,
    event_type: Given<&'a HeaderValue>,
    event_id: Given<&'a HeaderValue>,
    idempotency_key: Given<&'a HeaderValue>,
    relay_via: Given<&'a HeaderValue>,
    producer: [Given<&'a HeaderValue>; 3],
    is_coded: bool,
}

/// A header that is sent once or not at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Single<'a> {
    pub(super) name: &'static str,
    given: Given<&'a HeaderValue>,
}

impl<'a> PublishHeaders<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                EVENT_TYPE => found.event_type.add(value),
                EVENT_ID => found.event_id.add(value),
                RELAY_VIA => found.relay_via.add(value),
                IDEMPOTENCY_KEY => found.idempotency_key.add(value),
                PRODUCER_ID => found.producer[0].add(value),
                PRODUCER_EPOCH => found.producer[1].add(value),
                PRODUCER_SEQ => found.producer[2].add(value),
                CONTENT_ENCODING => {
                    found.is_coded |= !value.as_bytes().eq_ignore_ascii_case(b"identity");
                }
                _ => continue,
            }
            found.is_any = true;
        }
        found
    }

    /// Returns whether the request has none of these headers.
    pub(super) fn are_absent(&self) -> bool {
        !self.is_any
    }

    pub(super) fn event_type(&self) -> Single<'a> {
        Single { name: EVENT_TYPE, given: self.event_type }
    }

    pub(super) fn event_id(&self) -> Single<'a> {
        Single { name: EVENT_ID, given: self.event_id }
    }

    /// The producer's request that this is, if it says so.
    pub(super) fn producer(&self) -> Result<Option<Producer>, Problem> {
        let [id, epoch, seq] = self.producer;
        let id = Single { name: PRODUCER_ID, given: id };
        let epoch = Single { name: PRODUCER_EPOCH, given: epoch };
        let seq = Single { name: PRODUCER_SEQ, given: seq };
        match (id.text()?, epoch.number()?, seq.number()?) {
            (None, None, None) => Ok(None),
            (Some(text), Some(epoch), Some(seq)) => match Producer::new(text, epoch, seq) {
                Some(producer) => Ok(Some(producer)),
                None => Err(id.problem("it has 1 to 128 bytes and no control characters")),
            },
            _ => Err(id.problem("Producer-Id, Producer-Epoch and Producer-Seq are given together")),
        }
    }

    /// Refuses a producer of a request that may be about several topics.
    pub(super) fn refuse_producer(&self) -> Result<(), Problem> {
        let id = Single { name: PRODUCER_ID, given: self.producer[0] };
        match self.producer()? {
            None => Ok(()),
            Some(_) => Err(id.problem(
                "a producer owns one stream: send it an object alone, or pipe a body to its topic",
            )),
        }
    }

    /// The marks for all events of the request, whose sender has this access.
    pub(super) fn marks(&self, access: &Access) -> Result<Marks, Problem> {
        Ok(Marks { key: self.idempotency_key(access)?, via: self.via()?, private: false })
    }

    /// The hops that the events came by, if a relay publishes them.
    fn via(&self) -> Result<Option<Via>, Problem> {
        let header = Single { name: RELAY_VIA, given: self.relay_via };
        let Some(text) = header.text()? else { return Ok(None) };
        Via::new(text).map(Some).map_err(|error| match error {
            InvalidVia::TooLong => Problem::new(ProblemKind::RelayLoop, error.to_string()),
            _ => header.problem(&error.to_string()),
        })
    }

    /// The idempotency key: a request that repeats it publishes nothing.
    pub(super) fn idempotency_key(
        &self,
        access: &Access,
    ) -> Result<Option<IdempotencyKey>, Problem> {
        let header = Single { name: IDEMPOTENCY_KEY, given: self.idempotency_key };
        let Some(text) = header.text()? else { return Ok(None) };
        access.own_key(text).map(Some).map_err(|error| {
            Problem::new(ProblemKind::InvalidParameter, error.to_string())
                .with("header", IDEMPOTENCY_KEY)
        })
    }

    /// Refuses a compressed body, which would be published without being decompressed.
    pub(super) fn refuse_coding(&self) -> Result<(), Problem> {
        if self.is_coded {
            return Err(Problem::new(
                ProblemKind::UnsupportedContent,
                "bodies are taken as they are: send it without a Content-Encoding",
            ));
        }
        Ok(())
    }
}

impl<'a> Single<'a> {
    /// Its text, if it is there.
    pub(super) fn text(self) -> Result<Option<&'a str>, Problem> {
        match self.given {
            Given::Never => Ok(None),
            Given::Once(value) => self.utf8(value).map(Some),
            Given::Repeatedly(_) => Err(self.problem("it is given twice")),
        }
    }

    fn number(self) -> Result<Option<u64>, Problem> {
        /// Numbers that JavaScript has.
        const MAX: u64 = (1 << 53) - 1;
        let Some(text) = self.text()? else { return Ok(None) };
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_number { text.parse().ok() } else { None };
        let number = number.filter(|number| *number <= MAX);
        number.map(Some).ok_or_else(|| self.problem("it is a whole number, digits only"))
    }

    fn utf8(self, value: &HeaderValue) -> Result<&str, Problem> {
        std::str::from_utf8(value.as_bytes()).map_err(|_| self.problem("it is not UTF-8"))
    }

    fn problem(self, why: &str) -> Problem {
        let detail = format!("the header {} cannot be used: {why}", self.name);
        Problem::new(ProblemKind::InvalidParameter, detail).with("header", self.name)
    }
}

const EVENT_TYPE: &str = "event-type";
const EVENT_ID: &str = "event-id";
const RELAY_VIA: &str = "relay-via";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const PRODUCER_ID: &str = "producer-id";
const PRODUCER_EPOCH: &str = "producer-epoch";
const PRODUCER_SEQ: &str = "producer-seq";
const CONTENT_ENCODING: &str = "content-encoding";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static [u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in pairs {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn each_header_is_found_under_its_name() {
        let headers = headers(&[
            ("host", b"a"),
            ("event-type", b"score"),
            ("event-id", "7-é".as_bytes()),
            ("idempotency-key", b"k"),
            ("content-encoding", b"Identity"),
        ]);
        let found = PublishHeaders::of(&headers);
        assert_eq!(found.event_type().text().unwrap(), Some("score"));
        assert_eq!(found.event_id().text().unwrap(), Some("7-é"));
        assert_eq!(
            found.idempotency_key(&Access::Open).unwrap(),
            Some(IdempotencyKey::new("k").unwrap())
        );
        assert!(found.refuse_coding().is_ok());
        for header in [
            EVENT_TYPE,
            EVENT_ID,
            RELAY_VIA,
            IDEMPOTENCY_KEY,
            PRODUCER_ID,
            PRODUCER_EPOCH,
            PRODUCER_SEQ,
            CONTENT_ENCODING,
        ] {
            assert!(
                !PublishHeaders::of(&self::headers(&[(header, b"x")])).are_absent(),
                "{header}"
            );
        }
    }

    #[test]
    fn what_is_not_sent_is_nothing() {
        let headers = headers(&[("event-types", b"x"), ("idempotency", b"x")]);
        let found = PublishHeaders::of(&headers);
        assert_eq!(found.event_type().text().unwrap(), None);
        assert_eq!(found.event_id().text().unwrap(), None);
        assert_eq!(found.idempotency_key(&Access::Open).unwrap(), None);
        assert!(found.refuse_coding().is_ok() && found.are_absent());
    }

    #[test]
    fn what_is_wrong_with_a_header_is_told_under_its_name() {
        let headers = headers(&[
            ("event-type", b"a"),
            ("event-type", b"a"),
            ("event-id", b"\xff"),
            ("idempotency-key", b""),
        ]);
        let found = PublishHeaders::of(&headers);
        let problems = [
            found.event_type().text().unwrap_err(),
            found.event_id().text().unwrap_err(),
            found.idempotency_key(&Access::Open).unwrap_err(),
        ];
        let names = ["event-type", "event-id", "idempotency-key"];
        for (problem, name) in problems.into_iter().zip(names) {
            assert_eq!(problem.kind(), ProblemKind::InvalidParameter);
            assert_eq!(problem.to_members()["header"], name);
        }
    }

    #[test]
    fn hops_are_read_refused_as_a_mistake_or_refused_as_a_loop() {
        let read = |value: &str| {
            let headers =
                HeaderMap::from_iter([(RELAY_VIA.parse().unwrap(), value.parse().unwrap())]);
            PublishHeaders::of(&headers).marks(&Access::Open).map(|marks| marks.via.unwrap())
        };
        assert_eq!(read("1/a,2/b").unwrap().as_str(), "1/a, 2/b");
        assert_eq!(read("a").unwrap_err().kind(), ProblemKind::InvalidParameter);
        let many = vec!["1/a"; Via::HOPS_MAX + 1].join(",");
        assert_eq!(read(&many).unwrap_err().kind(), ProblemKind::RelayLoop);
    }

    #[test]
    fn no_coding_hides_behind_identity() {
        for second in [&b"gzip"[..], b""] {
            let headers =
                headers(&[("content-encoding", b"identity"), ("content-encoding", second)]);
            let problem = PublishHeaders::of(&headers).refuse_coding().unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::UnsupportedContent);
        }
    }
}
