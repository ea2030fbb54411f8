//! Health, readiness and metrics, for operators and their monitoring.

use bytes::Bytes;
use http::header::VARY;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::native::gather;
use crate::context::Context;
use crate::http::problem::Problem;
use crate::http::request::{MetricsFormat, Request};
use crate::http::response::{JSON, no_store};
use crate::journal::ServedJournal;
use crate::metrics::in_format;
use crate::phase::Phase;

/// `GET /healthz`: whether the process works. The answer names the durability of its journal and, to
/// those who may manage everything, its failure and the damage that was found in it.
pub(crate) fn health(context: &Context, request: &Request<'_>) -> Result<Response<Bytes>, Problem> {
    /// Findings that are listed; a metric has their number.
    const DAMAGE_MAX: usize = 100;
    request.query(&[])?;
    let failure = context.journal.as_ref().and_then(ServedJournal::failure);
    let (status, text) = match (context.engine.failure().is_failed(), &failure) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "failed"),
        // A new process opens the journal again, which determines what is on the disk.
        (false, Some(_)) => (StatusCode::SERVICE_UNAVAILABLE, "journal-failed"),
        (false, None) => (StatusCode::OK, "ok"),
    };
    if context.is_opening {
        return Ok(with_status(StatusCode::OK, &json!({ "status": "opening" })));
    }
    let mut body = json!({ "status": text, "durability": context.hub.durability().to_string() });
    let is_stranger = request.caller.access().may_manage_all().is_err();
    if is_stranger {
        // Files and entries are the operator's.
        return Ok(with_status(status, &body));
    }
    if let Some(reason) = failure {
        body["failure"] = json!(&*reason);
    }
    let damage = context.journal.as_ref().map(ServedJournal::damage).unwrap_or_default();
    if !damage.is_empty() {
        body["damage"] = damage.iter().take(DAMAGE_MAX).map(ToString::to_string).collect();
    }
    Ok(with_status(status, &body))
}

/// `GET /readyz`: whether the server accepts new streams.
pub(crate) fn ready(context: &Context, request: &Request<'_>) -> Result<Response<Bytes>, Problem> {
    request.query(&[])?;
    let (status, text) = match context.phase() {
        _ if context.is_opening => (StatusCode::SERVICE_UNAVAILABLE, "opening"),
        Phase::Serving if context.journal.as_ref().is_some_and(ServedJournal::is_behind) => {
            (StatusCode::SERVICE_UNAVAILABLE, "behind")
        }
        Phase::Serving => (StatusCode::OK, "ready"),
        Phase::Draining | Phase::Closing => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    Ok(with_status(status, &json!({ "status": text })))
}

fn with_status(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = no_store(&JSON, format!("{body}\n"));
    *response.status_mut() = status;
    response
}

/// `GET /metrics`: of this hub, or of all.
pub(crate) async fn metrics(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<Bytes>, Problem> {
    static OPEN_METRICS: HeaderValue =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    static CLASSIC: HeaderValue =
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    request.caller.access().may_manage_all()?;
    let text = gather::metrics(context, request).await?;
    let format = MetricsFormat::accepted(&request.head.headers);
    let content_type = match format {
        MetricsFormat::OpenMetrics => &OPEN_METRICS,
        MetricsFormat::Classic => &CLASSIC,
    };
    let mut response = no_store(content_type, in_format(text, format));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}
