//! The topics of a body that does not name any.

use tidings_hub::Topics;

use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Query, topic};

/// The name of the parameter that makes all events of a request private.
pub(super) const PRIVATE: &str = "private";

/// Reads the topics that the query names; `why` says why there must be one.
pub(super) fn query_topics(query: &Query, why: &str) -> Result<Topics, Problem> {
    let topics = query.all("topic").map(topic).collect::<Result<Vec<_>, _>>()?;
    if topics.is_empty() {
        let detail = format!("{why}: add ?topic= to the address");
        return Err(Problem::new(ProblemKind::MissingParameter, detail));
    }
    Topics::new(topics).ok_or_else(|| {
        Problem::invalid_event(&format!("an event has at most {} topics", Topics::MAX))
    })
}
