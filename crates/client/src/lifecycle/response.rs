//! Interprets a response's head (HTML standard, 9.2.2, "if response's status is…").

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, response};

use crate::content_encoding::{Progress, UnknownEncoding, Unpacker};
use crate::credentials::Occasion;
use crate::plan::{CredentialsPlan, Resend};
use crate::redirect::{Carried, Hop};
use crate::retry_after::retry_after;
use crate::signal::{Cause, Closed, Open, Refusal, RefusedResponse, Signal};
use crate::status::Verdict;

use super::{Connecting, Due, Lifecycle, Phase, Reading, Refusing};

/// The maximum wait for a refusal's explanation, which usually comes together with the head. A server
/// may leave the body open, and the refusal is news to the caller.
pub(crate) const REFUSED_BODY_TIME_MAX: Duration = Duration::from_secs(1);

impl Lifecycle {
    /// Handles the head of the response to the last attempt. `wall` is used for a `Retry-After`
    /// date if the response has no `Date`.
    pub(crate) fn handle_response(
        &mut self,
        head: response::Parts,
        now: Instant,
        wall: SystemTime,
    ) {
        let Phase::Connecting(connecting) = &self.phase else { return };
        let hop = connecting.hop.clone();
        let deadline = connecting.deadline;
        let occasion = connecting.occasion;
        match head.status {
            StatusCode::OK => self.open_or_refuse(&hop, head, now),
            StatusCode::NO_CONTENT => {
                let closed = self.end.take().map_or(Closed::NoContent, Closed::Ended);
                self.fail(closed);
            }
            StatusCode::GONE if let Some(end) = self.end.take() => self.fail(Closed::Ended(end)),
            status if Hop::is_redirect(status) => match hop.follow(status, &head.headers) {
                Ok(hop) => {
                    self.go_on(Connecting { hop, occasion, deadline });
                }
                Err(error) => self.fail(Closed::Redirect(error)),
            },
            StatusCode::UNAUTHORIZED if self.may_refresh(&hop, occasion) => {
                let occasion = Occasion::Unauthorized;
                self.go_on(Connecting { hop, occasion, deadline });
            }
            status => match self.plan.status_policy.verdict(status) {
                // `Refused` tells the caller more than `NotResent` would.
                Verdict::Retry if self.plan.resend == Resend::Allowed => {
                    let retry_after = retry_after(&head.headers, wall);
                    self.reestablish(Cause::Status { status, retry_after }, retry_after, now);
                }
                Verdict::Retry | Verdict::Fail => self.start_refusing(Refusal::Status, head, now),
            },
        }
    }

    /// Sends a further request within the same attempt.
    fn go_on(&mut self, connecting: Connecting) {
        self.phase = Phase::Due(Due::Hop(Box::new(connecting)));
    }

    /// Returns whether a 401 leads to new credentials: once, if the request may carry them.
    fn may_refresh(&self, hop: &Hop, occasion: Occasion) -> bool {
        self.plan.credentials == CredentialsPlan::PerAttempt
            && hop.credentials == Carried::Yes
            && occasion == Occasion::Attempt
    }

    fn open_or_refuse(&mut self, hop: &Hop, head: response::Parts, now: Instant) {
        if let Err(mime) = is_event_stream(&head.headers) {
            self.start_refusing(Refusal::ContentType(mime), head, now);
            return;
        }
        let unpacker = match Unpacker::of(&head.headers) {
            Ok(unpacker) => unpacker,
            Err(UnknownEncoding(name)) => {
                self.start_refusing(Refusal::ContentEncoding(name), head, now);
                return;
            }
        };
        self.ever_opened = true;
        self.end = None;
        self.phase = Phase::Open(Reading {
            url: hop.url.clone(),
            origin: Arc::from(hop.url.origin().ascii_serialization()),
            opened: now,
            silent_since: now,
            delivered: false,
            unpacker,
            text: Vec::new(),
            unread: 0,
            progress: Progress::Drained,
        });
        self.signals.push_back(Signal::Open(Open {
            status: head.status,
            headers: head.headers,
            url: hop.url.to_string(),
            resumption: self.resumption.clone(),
        }));
    }

    fn start_refusing(&mut self, reason: Refusal, head: response::Parts, now: Instant) {
        let unpacker = Unpacker::of(&head.headers).unwrap_or_else(|_| Unpacker::identity());
        let refused = RefusedResponse {
            reason,
            status: head.status,
            headers: head.headers,
            body: bytes::Bytes::new(),
        };
        self.phase = Phase::Refusing(Refusing {
            refused: Box::new(refused),
            body: Vec::new(),
            unpacker,
            deadline: now + REFUSED_BODY_TIME_MAX,
        });
    }
}

/// Checks that the essence of the content type is `text/event-stream`; if not, returns the header.
fn is_event_stream(headers: &HeaderMap) -> Result<(), Option<String>> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Err(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence.eq_ignore_ascii_case("text/event-stream") {
        true => Ok(()),
        false => Err(Some(text.into_owned())),
    }
}
