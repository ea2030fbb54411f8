//! Every rule of the event stream has a test: the rows of the project's checklist, P for parsing, C
//! for connecting, T for traps that libraries have fallen into.
//!
//! A rule of parsing and encoding is covered by a case in `conformance/`, or by a Rust test with a name
//! that starts with the row (`t16_…`). Any other rule is covered by such a Rust test, or by a test in
//! `e2e/*.test.mjs` with a title that starts with the row (`T42 …`, `C6, C7: …`). A rule about the
//! behavior of real clients is covered only by the latter. Comments cover nothing.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::Finding;
use super::source::Source;
use crate::run::Failure;

/// Rows that must be covered.
const DEMANDED: [Rows; 7] = [
    Rows { letter: 'P', numbers: 1..=13, covered_by: Cover::Conformance },
    Rows { letter: 'T', numbers: 1..=17, covered_by: Cover::Conformance },
    Rows { letter: 'T', numbers: 40..=41, covered_by: Cover::Conformance },
    Rows { letter: 'C', numbers: 1..=7, covered_by: Cover::Tests },
    Rows { letter: 'T', numbers: 20..=33, covered_by: Cover::Tests },
    Rows { letter: 'T', numbers: 42..=49, covered_by: Cover::Tests },
    // The rule is about two third-party packages: only they can show it.
    Rows { letter: 'T', numbers: 50..=50, covered_by: Cover::RealClients },
];

/// Consecutive rows of the checklist.
struct Rows {
    letter: char,
    numbers: RangeInclusive<u8>,
    covered_by: Cover,
}

/// The kind of test that covers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cover {
    /// Cases as data, or a Rust test.
    Conformance,
    /// A Rust test or an end-to-end test.
    Tests,
    /// An end-to-end test.
    RealClients,
}

/// The rows without a test.
///
/// # Errors
///
/// Fails if a file in `conformance/` is not JSON.
pub(super) fn findings(sources: &[Source]) -> Result<Vec<Finding>, Failure> {
    let in_rust = rows_of(sources, |source| source.is_rust(), rust_test_names);
    let in_node = rows_of(sources, Source::is_node_test, node_test_titles);
    let as_data = conformance_rows(sources)?;
    let missing = |(row, cover): &(String, Cover)| !match cover {
        Cover::Conformance => in_rust.contains(row) || as_data.contains(row),
        Cover::Tests => in_rust.contains(row) || in_node.contains(row),
        Cover::RealClients => in_node.contains(row),
    };
    let place = |cover| match cover {
        Cover::Conformance => "conformance/",
        Cover::Tests | Cover::RealClients => "e2e/",
    };
    Ok(names(&DEMANDED)
        .filter(missing)
        .map(|(row, cover)| Finding {
            place: place(cover).into(),
            what: format!("rule {row} of the event stream has no test"),
        })
        .collect())
}

/// Describes the number of rows.
pub(super) fn demanded() -> String {
    format!("{} rules of the event stream must have a test", names(&DEMANDED).count())
}

fn names(rows: &[Rows]) -> impl Iterator<Item = (String, Cover)> {
    rows.iter().flat_map(|rows| {
        rows.numbers.clone().map(|number| (format!("{}{number}", rows.letter), rows.covered_by))
    })
}

fn rows_of(
    sources: &[Source],
    is_concerned: impl Fn(&Source) -> bool,
    titles: impl Fn(&Source) -> Vec<String>,
) -> BTreeSet<String> {
    sources
        .iter()
        .filter(|source| is_concerned(source))
        .flat_map(titles)
        .flat_map(|title| leading_rows(&title))
        .collect()
}

/// The rows at the start of a title: `T47, T48: a claim` and `t47_t48_a_claim` name both.
fn leading_rows(title: &str) -> Vec<String> {
    title
        .split(['_', ' ', ',', ':'])
        .filter(|word| !word.is_empty())
        .map(str::to_uppercase)
        .take_while(|word| {
            word.strip_prefix(['P', 'C', 'T']).is_some_and(|number| number.parse::<u8>().is_ok())
        })
        .collect()
}

/// The rows with cases in `conformance/`. They count only if a test runs them.
fn conformance_rows(sources: &[Source]) -> Result<BTreeSet<String>, Failure> {
    let mut rows = BTreeSet::new();
    let is_run = sources.iter().any(|source| {
        source.path == "crates/proto/tests/conformance.rs" && !rust_test_names(source).is_empty()
    });
    let files = sources
        .iter()
        .filter(|source| source.path.starts_with("conformance/") && source.path.ends_with(".json"));
    for file in files {
        let data: Value = serde_json::from_str(&file.text)
            .map_err(|error| Failure::new(format!("{} is no JSON: {error}", file.path)))?;
        let has_cases = data["cases"].as_array().is_some_and(|cases| !cases.is_empty());
        rows.extend(data["rule"].as_str().filter(|_| is_run && has_cases).map(str::to_owned));
    }
    Ok(rows)
}

/// The names of functions with an attribute `test`.
pub(super) fn rust_test_names(source: &Source) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.code.lines().map(str::trim) {
        let mut rest = line;
        while let Some((attribute, after)) = rest.strip_prefix("#[").and_then(split_attribute) {
            let path = attribute.split('(').next().unwrap_or_default();
            is_test |= path == "test" || path.ends_with("::test");
            rest = after.trim_start();
        }
        let function = rest.strip_prefix("async ").unwrap_or(rest).strip_prefix("fn ");
        if let Some(name) = function.filter(|_| is_test) {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            names.push(name[..end.unwrap_or(name.len())].to_owned());
        }
        // Only comments and further attributes may stand between.
        is_test &= rest.is_empty();
    }
    names
}

/// Splits `test(a = [b])] rest` at the bracket that closes the attribute.
fn split_attribute(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 0 => return Some((&text[..at], &text[at + 1..])),
            ']' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The titles of calls `test('…')`, which must be string literals.
fn node_test_titles(source: &Source) -> Vec<String> {
    let in_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let mut titles = Vec::new();
    for (at, call) in source.code.match_indices("test(") {
        let argument = source.uncommented[at + call.len()..].trim_start();
        let quote = argument.chars().next().filter(|quote| ['\'', '"', '`'].contains(quote));
        let title = quote.and_then(|quote| argument[1..].split(quote).next());
        titles.extend(title.filter(|_| !source.code[..at].ends_with(in_name)).map(str::to_owned));
    }
    titles
}

#[cfg(test)]
mod tests {
    use super::{Cover, DEMANDED, conformance_rows, findings, names};
    use super::{node_test_titles, rows_of, rust_test_names};
    use crate::tidy::source::Source;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text.into())
    }

    /// The rows that one file, together with a runner of the conformance cases, covers.
    #[track_caller]
    fn check(path: &str, text: &str, rows: &[&str]) {
        let runner = source("crates/proto/tests/conformance.rs", "#[test]\nfn all_hold() {}\n");
        let sources = [source(path, text), runner];
        let mut found = rows_of(&sources, Source::is_rust, rust_test_names);
        found.extend(rows_of(&sources, Source::is_node_test, node_test_titles));
        found.extend(conformance_rows(&sources).expect("JSON"));
        assert_eq!(found.iter().collect::<Vec<_>>(), rows, "{text}");
    }

    #[test]
    fn a_rust_test_covers_the_rows_its_name_starts_with() {
        check("crates/hub/src/a.rs", "#[test]\nfn t42_a_claim() {}\n", &["T42"]);
        check("crates/hub/src/a.rs", "#[test] fn t47_t48_a_claim() {}\n", &["T47", "T48"]);
        check(
            "crates/hub/src/a.rs",
            "#[tokio::test(start_paused = true)]\n// Why.\n#[expect(x)]\nasync fn c6_a() {}\n",
            &["C6"],
        );
    }

    #[test]
    fn a_rust_function_that_is_no_test_covers_nothing() {
        check("crates/hub/src/a.rs", "fn t42_a_claim() {}\n", &[]);
        check("crates/hub/src/a.rs", "// #[test]\n// fn t42_a_claim() {}\n", &[]);
        check("crates/hub/src/a.rs", "/*\n#[test]\nfn t42_a_claim() {}\n*/\n", &[]);
        check("crates/hub/src/a.rs", "const A: &str = \"\n#[test]\nfn t42_a() {}\n\";\n", &[]);
        check("crates/hub/src/a.rs", "#[test]\nconst A: u8 = 1;\nfn t42_a() {}\n", &[]);
        check("crates/hub/src/a.rs", "#[cfg(test)]\nfn t42_a() {}\n", &[]);
        check("crates/hub/src/a.rs", "#[test]\nfn a_claim_about_t42() {}\n", &[]);
    }

    #[test]
    fn a_node_test_covers_the_rows_its_title_starts_with() {
        check("e2e/a.test.mjs", "test('T42 a claim', () => {})\n", &["T42"]);
        check("e2e/a.test.mjs", "  await t.test(\n  \"C6, C7: a claim\",\n", &["C6", "C7"]);
        check("e2e/a.test.mjs", "test(`T50: ${name} reads it`)\n", &["T50"]);
    }

    #[test]
    fn what_only_resembles_a_node_test_covers_nothing() {
        check("e2e/a.test.mjs", "// test('T42 a claim', () => {})\n", &[]);
        check("e2e/a.test.mjs", "/* test('T42 a claim') */\n", &[]);
        check("e2e/a.test.mjs", "const a = \"test('T42 a claim')\";\n", &[]);
        check("e2e/a.test.mjs", "test.skip('T42 a claim')\n", &[]);
        check("e2e/a.test.mjs", "contest('T42 a claim')\n", &[]);
        check("e2e/lib/a.mjs", "test('T42 a claim')\n", &[]);
    }

    #[test]
    fn a_conformance_file_covers_its_rule_if_it_has_cases() {
        check("conformance/T3.json", r#"{"rule": "T3", "cases": [{"stream": ""}]}"#, &["T3"]);
        check("conformance/T3.json", r#"{"rule": "T3", "cases": []}"#, &[]);
        check("conformance/T3.json", r#"{"claim": "T3", "cases": [{}]}"#, &[]);
        check("docs/T3.json", r#"{"rule": "T3", "cases": [{}]}"#, &[]);
    }

    #[test]
    fn conformance_files_that_nothing_runs_cover_nothing() {
        let data = source("conformance/T3.json", r#"{"rule": "T3", "cases": [{}]}"#);
        assert!(conformance_rows(&[data]).expect("JSON").is_empty());
    }

    #[test]
    fn every_demanded_row_is_missed_and_by_name() {
        let missing = findings(&[]).expect("nothing to read");
        assert_eq!(missing.len(), names(&DEMANDED).count());
        assert_eq!(missing[0].to_string(), "conformance/: rule P1 of the event stream has no test");
        let covered = findings(&[source("a.rs", "#[test]\nfn p1_a() {}\n")]).expect("no JSON");
        assert_eq!(covered.len(), missing.len() - 1);
    }

    #[test]
    fn a_rule_of_parsing_is_not_covered_end_to_end_nor_the_other_way_round() {
        let sources = [
            source("e2e/a.test.mjs", "test('P1 a claim')\n"),
            source("crates/proto/tests/conformance.rs", "#[test]\nfn all_hold() {}\n"),
            source("conformance/C6.json", r#"{"rule": "C6", "cases": [{}]}"#),
        ];
        assert_eq!(findings(&sources).expect("JSON").len(), names(&DEMANDED).count());
    }

    #[test]
    fn a_rule_about_real_clients_is_covered_by_them_alone() {
        let all = names(&DEMANDED).count();
        let in_rust = [source("a.rs", "#[test]\nfn t50_a_claim() {}\n")];
        assert_eq!(findings(&in_rust).expect("no JSON").len(), all);
        let in_node = [source("e2e/a.test.mjs", "test('T50 a claim')\n")];
        assert_eq!(findings(&in_node).expect("no JSON").len(), all - 1);
    }

    #[test]
    fn every_row_of_the_checklist_is_demanded() {
        let all = [('P', 1..=13), ('C', 1..=7), ('T', 1..=17), ('T', 20..=33), ('T', 40..=50)];
        let mut all: Vec<_> = all
            .into_iter()
            .flat_map(|(letter, numbers)| {
                numbers.map(move |number: u8| format!("{letter}{number}"))
            })
            .collect();
        let mut listed: Vec<_> = names(&DEMANDED).map(|(row, _)| row).collect();
        all.sort();
        listed.sort();
        assert_eq!(listed, all);
    }

    #[test]
    fn the_codecs_rows_may_be_data_and_no_others() {
        let as_data = names(&DEMANDED).filter(|(_, cover)| *cover == Cover::Conformance);
        assert_eq!(as_data.count(), 13 + 17 + 2);
    }
}
