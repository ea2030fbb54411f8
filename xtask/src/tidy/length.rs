//! Limits the length of files, not counting the tests at their foot.

use super::Finding;
use super::source::Source;

/// Longer files are warned about.
const LINES_WELCOME: usize = 500;
/// Longer files are refused: they contain more than one thing.
const LINES_MAX: usize = 600;

/// The files that should be split.
pub(super) fn warnings(sources: &[Source]) -> Vec<Finding> {
    longer_than(LINES_WELCOME, sources)
        .filter(|(_, lines)| *lines <= LINES_MAX)
        .map(|(source, lines)| Finding {
            place: source.path.clone(),
            what: format!(
                "{lines} lines before its tests; consider splitting it at {LINES_WELCOME}"
            ),
        })
        .collect()
}

/// The files that must be split.
pub(super) fn findings(sources: &[Source]) -> Vec<Finding> {
    longer_than(LINES_MAX, sources)
        .map(|(source, lines)| Finding {
            place: source.path.clone(),
            what: format!("{lines} lines before its tests; split it, {LINES_MAX} is the limit"),
        })
        .collect()
}

fn longer_than(limit: usize, sources: &[Source]) -> impl Iterator<Item = (&Source, usize)> {
    sources
        .iter()
        .filter(|source| {
            [".rs", ".js", ".mjs", ".css"].iter().any(|end| source.path.ends_with(end))
        })
        .map(|source| (source, lines_that_count(source)))
        .filter(move |(_, lines)| *lines > limit)
}

fn lines_that_count(source: &Source) -> usize {
    match source.test_lines.start {
        // All of it is tests, or none of it is.
        0 => source.text.lines().count(),
        foot if source.is_rust() => foot,
        _ => source.text.lines().count(),
    }
}

#[cfg(test)]
mod tests {
    use super::{findings, warnings};
    use crate::tidy::source::Source;

    #[track_caller]
    fn check(path: &str, lines: usize, tests: &str, warned: bool, found: bool) {
        let text = "a();\n".repeat(lines) + tests;
        let sources = [Source::new(path, text)];
        let outcome = (warnings(&sources).len() == 1, findings(&sources).len() == 1);
        assert_eq!(outcome, (warned, found), "{path} with {lines} lines");
    }

    #[test]
    fn a_file_is_warned_about_past_one_limit_and_refused_past_the_other() {
        check("a.rs", 500, "", false, false);
        check("a.rs", 501, "", true, false);
        check("a.rs", 600, "", true, false);
        check("a.rs", 601, "", false, true);
        check("a.mjs", 601, "", false, true);
        check("a.css", 601, "", false, true);
        check("a.md", 601, "", false, false);
    }

    #[test]
    fn tests_at_the_foot_do_not_count_and_files_of_tests_do() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "a();\n".repeat(300));
        check("a.rs", 500, &tests, false, false);
        check("crates/hub/tests/a.rs", 500, &tests, false, true);
    }
}
