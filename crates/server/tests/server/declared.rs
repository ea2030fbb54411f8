//! Checks that an answer is declared in the OpenAPI document, as the harness does with each.

use std::sync::LazyLock;

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../assets/openapi.json")).unwrap());

/// The template of a path, if the document has it.
fn template(path: &str) -> Option<&'static str> {
    let found = match path {
        _ if path.starts_with("/topics/") => "/topics/{topic}",
        _ if path.starts_with("/assets/") => "/assets/{name}",
        _ => path,
    };
    DOCUMENT["paths"].as_object().unwrap().keys().find(|known| *known == found).map(|it| &**it)
}

/// Checks that an answer is declared: its status, and its content type.
#[track_caller]
pub(crate) fn check(method: &Method, path: &str, status: StatusCode, headers: &HeaderMap) {
    let Some(template) = template(path) else { return };
    if status == StatusCode::NOT_FOUND && template == "/topics" {
        // Of a program's own route, which takes the place of the hub's.
        return;
    }
    let name = if *method == Method::HEAD { "get".into() } else { method.as_str().to_lowercase() };
    let operation = &DOCUMENT["paths"][template][&*name];
    let Some(responses) = operation["responses"].as_object() else {
        let is_other = *method == Method::OPTIONS || status == StatusCode::METHOD_NOT_ALLOWED;
        // Admission comes before the methods.
        let is_refused = status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED;
        return assert!(is_other || is_refused, "{method} {path}: {status}");
    };
    let response = responses.get(status.as_str());
    let response = response.unwrap_or_else(|| panic!("{method} {path}: {status} is not declared"));
    let response = match response["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => response,
    };
    let Some(content_type) = headers.get("content-type") else { return };
    let content_type = content_type.to_str().unwrap().split(';').next().unwrap();
    let declared = response["content"].as_object();
    let is_declared = declared.is_some_and(|declared| {
        declared.contains_key(content_type) || declared.contains_key("*/*")
    });
    // The answer to a known version of a file names its type without a body.
    let is_declared = is_declared || status == StatusCode::NOT_MODIFIED;
    assert!(is_declared, "{method} {path}: {status} {content_type} is not declared");
}
