//! Submissions, as the queue sees them.

use std::slice::from_ref;

use super::message;
use crate::draft::IdempotencyKey;
use crate::journal::Submission;
use crate::streams::{Ask, StreamMark};
use crate::time::Time;
use crate::topic::Topic;

/// Returns whether a submission is a request to a stream, to which all others of its request belong.
pub(super) fn is_append(submission: &Submission) -> bool {
    matches!(submission, Submission::Stream(_, StreamMark::Ask(ask)) if matches!(**ask, Ask::Append(..)))
}

/// Returns whether an event is published together with the others of its request, or not at all.
pub(super) fn is_together(submission: &Submission) -> bool {
    matches!(submission, Submission::Event(draft) if !draft.is_apart)
}

/// The topics whose streams a submission is about.
pub(super) fn topics_of(submission: &Submission) -> &[Topic] {
    match submission {
        Submission::Event(draft) => draft.topics.as_slice(),
        Submission::Stream(topic, _) => from_ref(topic),
        Submission::Close(_) => &[],
    }
}

/// Returns whether a submission is to be a repetition.
pub(super) fn is_repeat(submission: &Submission) -> bool {
    matches!(submission, Submission::Event(draft) if draft.is_repeat)
}

/// The idempotency key of a submission.
pub(super) fn key_of(submission: &Submission) -> Option<&IdempotencyKey> {
    match submission {
        Submission::Event(draft) => draft.idempotency.as_ref(),
        Submission::Close(_) | Submission::Stream(..) => None,
    }
}

/// The size that the record of a submission has at most.
pub(super) fn bytes_max_of(submission: &Submission) -> usize {
    /// The header, the kind, the flags, and numbers of at most ten bytes.
    const FIXED: usize = 80;
    /// The length of a text.
    const LENGTH: usize = 5;
    match submission {
        Submission::Event(draft) => {
            let event = &draft.event;
            let topics = draft.topics.as_slice().iter();
            let topics: usize = topics.map(|topic| topic.as_str().len() + LENGTH).sum();
            let id = event.id().map_or(0, |id| id.as_str().len());
            let key = draft.idempotency.as_ref().map_or(0, |key| key.text().len());
            let via = draft.via.as_ref().map_or(0, |via| via.as_str().len());
            FIXED + topics + id + event.event_type().as_str().len() + key + via + event.data().len()
        }
        Submission::Close(topic) => FIXED + topic.as_str().len(),
        Submission::Stream(..) => {
            let mut record = Vec::new();
            message::put_record(&mut record, 0, Time::default(), submission);
            FIXED + record.len()
        }
    }
}
