//! Documents name only tests that exist: by their names, and in commands that run them.

use super::Finding;
use super::rows::rust_test_names;
use super::source::Source;

/// The tests that a document names and that do not exist.
pub(super) fn findings(sources: &[Source]) -> Vec<Finding> {
    let in_rust = sources.iter().filter(|source| source.is_rust());
    let tests: Vec<_> = in_rust
        .flat_map(|source| rust_test_names(source).into_iter().map(|name| (&*source.path, name)))
        .collect();
    let documents = sources.iter().filter(|source| is_document(&source.path));
    let claims = documents.flat_map(|source| {
        let lines = source.text.lines().enumerate();
        lines.flat_map(move |(number, line)| claims(line).map(move |claim| (source, number, claim)))
    });
    claims
        .filter(|(_, _, claim)| !tests.iter().any(|(path, name)| claim.is_met_by(path, name)))
        .map(|(source, number, claim)| Finding {
            place: format!("{}:{}", source.path, number + 1),
            what: format!("no test is named `{}`", claim.name),
        })
        .collect()
}

fn is_document(path: &str) -> bool {
    path.ends_with(".md") && (path.starts_with("docs/") || !path.contains('/'))
}

/// A test that a document names.
#[derive(Debug)]
struct Claim<'a> {
    /// The folder that it is in, if the document says so.
    folder: Option<String>,
    /// Its name, or a part of its name or of its file's.
    name: &'a str,
    is_whole: bool,
}

impl Claim<'_> {
    fn is_met_by(&self, path: &str, name: &str) -> bool {
        self.folder.as_ref().is_none_or(|folder| path.starts_with(folder))
            && if self.is_whole {
                name == self.name
            } else {
                name.contains(self.name) || path.contains(self.name)
            }
    }
}

/// The claims between backticks.
fn claims(line: &str) -> impl Iterator<Item = Claim<'_>> {
    line.split('`').skip(1).step_by(2).filter_map(|code| of_command(code).or_else(|| of_name(code)))
}

/// `cargo test -p PACKAGE [--lib | --test BINARY] NAME`.
fn of_command(code: &str) -> Option<Claim<'_>> {
    let mut words = code.strip_prefix("cargo test -p ")?.split(' ');
    let package = words.next()?;
    let folder = package.strip_prefix("tidings-").unwrap_or("cli");
    let words: Vec<_> = words.collect();
    let name = match words[..] {
        [.., "--test", _] | [] => return None,
        [.., last] if last.starts_with('-') => return None,
        [.., last] => last,
    };
    Some(Claim { folder: Some(format!("crates/{folder}/")), name, is_whole: false })
}

/// A sentence of words joined by `_`, which is neither a metric nor another name of the program's.
fn of_name(code: &str) -> Option<Claim<'_>> {
    const WORDS_MIN: usize = 5;
    let is_sentence =
        code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && code.split('_').count() >= WORDS_MIN
            && !["tidings_", "process_"].iter().any(|prefix| code.starts_with(prefix));
    is_sentence.then_some(Claim { folder: None, name: code, is_whole: true })
}

#[cfg(test)]
mod tests {
    use super::findings;
    use crate::tidy::source::Source;

    #[track_caller]
    fn check(document: &str, missing: &[&str]) {
        let test = "#[test]\nfn a_claim_that_always_holds() {}\n";
        let sources = [
            Source::new("docs/a.md", document.into()),
            Source::new("crates/hub/tests/losses.rs", test.into()),
        ];
        let found: Vec<_> = findings(&sources).into_iter().map(|finding| finding.what).collect();
        let expected: Vec<_> =
            missing.iter().map(|it| format!("no test is named `{it}`")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_test_that_is_named_exists() {
        check("see `a_claim_that_always_holds`", &[]);
        check(
            "see `a_claim_that_always_fails` and `a_claim_that_always_holds`",
            &["a_claim_that_always_fails"],
        );
        check("see `a_claim_that_always_hold`", &["a_claim_that_always_hold"]);
    }

    #[test]
    fn a_command_runs_a_test_of_its_package() {
        check("`cargo test -p tidings-hub --test a always_holds`", &[]);
        check("`cargo test -p tidings-hub --test a losses`", &[]);
        check("`cargo test -p tidings-hub that_fails`", &["that_fails"]);
        check("`cargo test -p tidings-server always_holds`", &["always_holds"]);
        check("`cargo test -p tidings always_holds`", &["always_holds"]);
    }

    #[test]
    fn other_names_are_not_those_of_tests() {
        check("`tidings_streams_ended_total`, `last_event_id`, `a_b_c_d(e)`, a_b_c_d", &[]);
        check("`cargo test -p tidings-hub --test body`, `cargo test -p tidings --lib`", &[]);
    }
}
