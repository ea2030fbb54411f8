//! Builds and tests the crates in `examples/` that are not members of the workspace: programs as an
//! outsider would write them, with only a path to the library.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Failure, cargo, count_tests, root};
use crate::rust::all_ran;
use crate::tally::Tally;

pub(crate) fn run(tally: &mut Tally) -> Result<(), Failure> {
    let found = programs(&root().join("examples"))?;
    if found.is_empty() {
        return Err(Failure::new("examples/ contains no separate program"));
    }
    for folder in found {
        println!("testing {}", folder.display());
        // The workspace's lock file, to test the same versions, and its target folder, to build them
        // only once.
        fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock"))
            .map_err(|error| Failure::new(format!("the lock file cannot be copied: {error}")))?;
        let mut test = cargo();
        test.arg("test").current_dir(&folder).env("CARGO_TARGET_DIR", root().join("target"));
        count_tests(&mut test, tally)?;
    }
    all_ran(tally)
}

/// The folders in `examples` with a manifest that starts a workspace.
fn programs(examples: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable =
        |error| Failure::new(format!("{} cannot be read: {error}", examples.display()));
    let entries = fs::read_dir(examples).map_err(unreadable)?;
    let folders = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut folders = folders.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    folders.retain(|folder| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line == "[workspace]")
    });
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::programs;
    use crate::run::root;

    #[test]
    fn a_program_is_a_folder_whose_manifest_starts_a_workspace() {
        let found = programs(&root().join("examples")).expect("the folder is there");
        assert!(found.contains(&root().join("examples/inbox")), "{found:?}");
        assert!(!found.contains(&root().join("examples/axum")), "{found:?}");
    }
}
