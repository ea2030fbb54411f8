//! The OpenAPI document: it has every path and every method. The harness looks up every answer in it.

use std::collections::BTreeSet;

use http::Method;

use crate::harness::declared::DOCUMENT;
use crate::harness::start;

/// The methods that the document describes; HEAD is as GET, and OPTIONS the same everywhere.
const METHODS: [&str; 3] = ["get", "post", "delete"];

#[tokio::test]
async fn the_document_names_every_path_with_its_methods() {
    let server = start().await;
    let answer = server.get("/openapi.json").answer().await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.json(), *DOCUMENT);
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        let path = path.replace("{topic}", "a").replace("{name}", "page.mjs");
        let answer = server.request(Method::OPTIONS, &path).answer().await;
        let allowed: BTreeSet<_> =
            answer.header("allow").split(", ").map(str::to_lowercase).collect();
        let mut declared: BTreeSet<_> = ["head", "options"].map(str::to_owned).into();
        let of_item = METHODS.iter().filter(|method| item.get(**method).is_some());
        declared.extend(of_item.map(|&method| method.to_owned()));
        assert_eq!(allowed, declared, "{path}");
    }
}

#[test]
fn the_document_has_the_calls_of_the_protocol_and_each_once() {
    let protocol = include_str!("../../../../docs/protocol.md");
    let calls = protocol.lines().skip_while(|line| !line.starts_with("| call | effect |")).skip(2);
    let mut named = BTreeSet::new();
    for line in calls.take_while(|line| line.starts_with("| `")) {
        let cell = line.split(" | ").next().unwrap();
        let mut method = String::new();
        for call in cell.split('`').skip(1).step_by(2).filter(|call| !call.starts_with('?')) {
            let path = call.rsplit(' ').next().unwrap();
            if let Some((found, _)) = call.split_once(' ') {
                method = found.to_lowercase();
            }
            let path = path.split('?').next().unwrap().replace("/assets/…", "/assets/{name}");
            named.insert((path, method.clone()));
        }
    }
    let mut declared = BTreeSet::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for method in METHODS.iter().filter(|method| item.get(**method).is_some()) {
            declared.insert((path.clone(), (*method).to_owned()));
        }
    }
    assert_eq!(named, declared);
}
