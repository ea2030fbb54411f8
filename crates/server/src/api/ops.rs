//! What operators and their machines ask.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::api::native::{JSON, fresh, query};
use crate::app::App;
use crate::http::problem::Problem;
use crate::phase::Phase;

/// `GET /healthz`: the process works, and what its journal promises.
pub(crate) fn health(app: &App, head: &Parts) -> Result<Response<Bytes>, Problem> {
    query(head, &[])?;
    let durability = app.hub.durability().to_string();
    let body = json!({ "status": "ok", "durability": durability });
    Ok(fresh(&JSON, format!("{body}\n")))
}

/// `GET /readyz`: whether new streams are welcome.
pub(crate) fn ready(app: &App, head: &Parts) -> Result<Response<Bytes>, Problem> {
    query(head, &[])?;
    let (status, text) = match app.phase() {
        Phase::Serving => (StatusCode::OK, "ready"),
        Phase::Draining | Phase::Closing => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    let body = json!({ "status": text });
    let mut response = fresh(&JSON, format!("{body}\n"));
    *response.status_mut() = status;
    Ok(response)
}

/// `GET /metrics`.
pub(crate) fn metrics(app: &App, head: &Parts) -> Result<Response<Bytes>, Problem> {
    static OPEN_METRICS: HeaderValue =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    query(head, &[])?;
    Ok(fresh(&OPEN_METRICS, app.metrics.to_text()))
}
