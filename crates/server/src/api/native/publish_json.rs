//! Publishes a JSON object or array: all or nothing.

use bytes::Bytes;
use http::Response;
use serde_json::value::RawValue;
use tidings_hub::{Draft, PublishError};

use super::json_event::{TextPosition, draft, invalid_json};
use super::publish_headers::PublishHeaders;
use super::report::Report;
use crate::context::Context;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Request, utf8};
use crate::http::respond::accept_events;

/// `POST /events` with `application/json`.
pub(super) async fn events(
    context: &Context,
    request: &mut Request<'_>,
    headers: &PublishHeaders<'_>,
) -> Result<Response<Bytes>, Problem> {
    request.query(&[])?;
    let key = headers.idempotency_key()?;
    let bytes =
        request.body.whole(context.config.json_bytes_max, ProblemKind::BodyTooLarge).await?;
    let text = utf8(&bytes)?;
    let mut drafts = drafts(text)?;
    if let Some(key) = key {
        drafts = (0..).zip(drafts).map(|(i, d)| d.with_idempotency_key(key.at(i))).collect();
    }
    accept_events(context)?;
    context.tick();
    let committed = context.hub.publish_all(drafts).await;
    let published = committed.map_err(|error| match error {
        PublishError::Refused { index, .. } => Problem::from(error).with("index", index),
        _ => Problem::from(error),
    })?;
    let mut report = Report::default();
    report.count(published);
    Ok(report.into_response())
}

fn drafts(text: &str) -> Result<Vec<Draft>, Problem> {
    if !text.trim_ascii_start().starts_with('[') {
        return Ok(vec![draft(text, TextPosition::default())?]);
    }
    // The syntax of the whole text is checked first, so that a mistake is reported by its line and
    // column in the whole text.
    let values: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| invalid_json(&error, TextPosition::default()))?;
    let drafts = values.iter().enumerate().map(|(index, value)| {
        let position = TextPosition::of(value.get(), text);
        draft(value.get(), position)
            .map_err(|problem| problem.with("index", index).or_with("line", position.line()))
    });
    drafts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_syntax_is_told_by_line_and_column_of_the_whole() {
        let text = "[\n{\"topic\":\"a\",\"data\":1},\n{\"topic\":\"a\" \"data\":2}\n]";
        let members = drafts(text).unwrap_err().to_members();
        assert_eq!(members["line"], 3);
        assert_eq!(members["column"], 14);
    }

    #[test]
    fn a_wrong_event_is_told_by_index_and_line() {
        let text = "[\n{\"topic\":\"a\",\"data\":1},\n\n  {\"topic\":\"\",\"data\":2}\n]";
        let members = drafts(text).unwrap_err().to_members();
        assert_eq!((&members["index"], &members["line"]), (&1.into(), &4.into()));
    }

    #[test]
    fn what_cannot_be_read_in_an_event_of_several_lines_is_told_by_its_own_line() {
        let text = "[\n{\"topic\":\"a\",\"data\":1},\n{\"topic\":\"a\",\n\"tpye\":2}\n]";
        let problem = drafts(text).unwrap_err();
        let members = problem.to_members();
        assert_eq!((&members["index"], &members["line"]), (&1.into(), &4.into()));
        assert!(problem.detail().contains("at line 4 column 6"), "{}", problem.detail());
    }

    #[test]
    fn an_object_is_one_event_and_an_array_any_number() {
        assert_eq!(drafts(" {\"topic\":\"a\",\"data\":1}\n").unwrap().len(), 1);
        assert_eq!(drafts("\n[]").unwrap().len(), 0);
        let two = "[{\"topic\":\"a\",\"data\":1},{\"topic\":\"b\",\"data\":[2]}]";
        assert_eq!(drafts(two).unwrap().len(), 2);
    }
}
