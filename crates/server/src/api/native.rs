//! The native HTTP API: text to calls of the hub, and back.

mod event_parts;
mod ingest;
mod json_array;
mod json_event;
mod json_events;
mod json_subscribers;
mod json_text;
mod lines;
mod marks;
mod ndjson;
mod open_streams;
mod page;
mod paging;
pub(super) mod publish;
mod publish_headers;
mod publish_json;
pub(super) mod publish_many;
mod publish_whole;
mod query_topics;
mod relay;
mod report;
mod shape;
pub(super) mod stream;
pub(super) mod subscribers;
mod text_lines;
pub(super) mod topics;
