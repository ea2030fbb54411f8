#![no_main]
//! Queries are read or refused, and every value can be spelled.

#[path = "../../crates/server/src/http/request/query.rs"]
#[expect(dead_code, reason = "the server reads single parameters as well")]
mod query;

use libfuzzer_sys::fuzz_target;
use query::Query;

/// The modules that the file under test names.
mod http {
    pub(crate) mod problem {
        pub(crate) use tidings_server::{Problem, ProblemKind};
    }
}
mod work {
    pub(crate) fn looked_at(_: usize) {}
}

const KNOWN: [&str; 5] = ["topic", "match", "limit", "after", "private"];

fuzz_target!(|text: &str| {
    let Ok(read) = Query::parse(Some(text)) else { return };
    let _ = (read.only(&KNOWN), read.only_for_stream(&KNOWN), read.is_on("private"));
    let pairs = |query: &Query| -> Vec<(String, String)> {
        query.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let pairs_of_text = pairs(&read);
    let again =
        pairs_of_text.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    let again = Query::parse(Some(&again.collect::<Vec<_>>().join("&"))).expect("it is encoded");
    assert_eq!(pairs(&again), pairs_of_text);
    if let Ok(Some(topic)) = read.one("topic") {
        assert!(pairs_of_text.iter().any(|(name, value)| name == "topic" && value == topic));
    }
});
