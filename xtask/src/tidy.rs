//! House rules that the compiler does not check.
//!
//! [`bans`] lists forbidden words, [`length`] limits the length of files, [`imports`] finds circles of
//! imports, [`words`] checks the wording, [`map`] checks the paths in ARCHITECTURE.md, [`claims`] the
//! tests that documents name, and [`rows`] demands a test for every rule of the event stream. Each is a
//! function of the files' text, so that its own tests can show that it fails.

mod bans;
mod claims;
mod imports;
mod length;
mod map;
mod rows;
mod source;
mod words;

use std::fmt;
use std::fs;
use std::path::Path;

use crate::run::{Failure, command, read, root};
use source::Source;

pub(crate) fn run() -> Result<(), Failure> {
    let sources = sources(root())?;
    for warning in length::warnings(&sources) {
        println!("warning: {warning}");
    }
    let mut findings = bans::findings(&sources);
    findings.extend(length::findings(&sources));
    findings.extend(map::findings(&sources));
    findings.extend(claims::findings(&sources));
    findings.extend(rows::findings(&sources)?);
    findings.extend(imports::findings(&sources));
    findings.extend(words::findings(&sources));
    println!("{} files read; {}", sources.len(), rows::demanded());
    if findings.is_empty() {
        return Ok(());
    }
    findings.iter().for_each(|finding| println!("{finding}"));
    Err(Failure::new(format!("{} findings, listed above", findings.len())))
}

/// A violation of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// The path relative to the workspace, with a line number if there is one.
    place: String,
    /// The violation and its remedy, in one clause.
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Every text file of the project: tracked by git, or neither tracked nor ignored.
fn sources(root: &Path) -> Result<Vec<Source>, Failure> {
    let listed = read(
        command("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
            .current_dir(root),
    )?;
    let paths = listed.split('\0').filter(|path| !path.is_empty());
    Ok(paths
        // A file that is not text is a picture, or was deleted and not yet committed.
        .filter_map(|path| Some(Source::new(path, fs::read_to_string(root.join(path)).ok()?)))
        .collect())
}

/// Asserts on which lines of `text`, as the file `path`, something is found.
#[cfg(test)]
#[track_caller]
fn check_lines(
    findings: impl Fn(&[Source]) -> Vec<Finding>,
    path: &str,
    text: &str,
    lines: &[usize],
) {
    let found = findings(&[Source::new(path, text.into())]);
    let places: Vec<_> = found.iter().map(|finding| finding.place.clone()).collect();
    let expected: Vec<_> = lines.iter().map(|line| format!("{path}:{line}")).collect();
    assert_eq!(places, expected, "{found:?}");
}
