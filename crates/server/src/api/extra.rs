//! The extension point: routes that a program adds beside the hub's.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::http::answer::Answer;
use crate::http::problem::Problem;
use crate::http::request::Request;

/// A future of an answer or of a problem.
pub type AnswerFuture<'a> = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send + 'a>>;

/// Routes beside those of the hub, looked up first.
///
/// They stand behind admission, like all others.
pub trait ExtraRoutes: Send + Sync + 'static {
    /// The asset shown at `/`, by the name of its file; the hub's own page if `None`.
    fn page(&self) -> Option<&str> {
        None
    }

    /// Returns whether a GET of this path changes something, so that pages of other sites must not cause it.
    fn is_unsafe_get(&self, path: &str) -> bool;

    /// Answers the request; `None` if the path is not one of these routes.
    fn answer<'a>(&'a self, request: Request<'a>) -> Option<AnswerFuture<'a>>;
}

impl fmt::Debug for dyn ExtraRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExtraRoutes")
    }
}
