//! House rules that no compiler knows.
//!
//! [`bans`] says what may not be written where, [`length`] how long a file may be, and [`rows`] which
//! rules of the event stream must have a test. Each is a plain function of the files' text, so that
//! each is shown to fail.

mod bans;
mod imports;
mod length;
mod rows;
mod source;

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
    for warning in imports::findings(&sources) {
        println!("warning: {warning}");
    }
    let mut findings = bans::findings(&sources);
    findings.extend(length::findings(&sources));
    findings.extend(rows::findings(&sources)?);
    println!("{} files read; {}", sources.len(), rows::demanded());
    if findings.is_empty() {
        return Ok(());
    }
    findings.iter().for_each(|finding| println!("{finding}"));
    Err(Failure::new(format!("{} findings, listed above", findings.len())))
}

/// Something that may not stay as it is.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Where, relative to the workspace, with the line if there is one to point at.
    place: String,
    /// What is wrong and what to do, in one clause.
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Every text file that belongs to the project: what git tracks, or would if it were added.
fn sources(root: &Path) -> Result<Vec<Source>, Failure> {
    let listed = read(
        command("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
            .current_dir(root),
    )?;
    let paths = listed.split('\0').filter(|path| !path.is_empty());
    Ok(paths
        // A file that cannot be read as text is a picture, or was deleted and not yet committed.
        .filter_map(|path| Some(Source::new(path, fs::read_to_string(root.join(path)).ok()?)))
        .collect())
}
