//! Runs the end-to-end tests in `e2e/`: the built program against real browsers, proxies and clients.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Failure, cargo, command, count_tests, root, show};
use crate::rust::all_ran;
use crate::tally::Tally;

/// Runs all of them.
pub(crate) fn run(tally: &mut Tally) -> Result<(), Failure> {
    run_files(test_files(&root().join("e2e"))?, &[TEST_TIMEOUT], tally)
}

/// Runs the files with `part` in their names, for as long as they take: some take more rounds if they are told to.
pub(crate) fn run_part(part: &str, tally: &mut Tally) -> Result<(), Failure> {
    let mut files = test_files(&root().join("e2e"))?;
    let is_meant =
        |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().contains(part));
    files.retain(is_meant);
    run_files(files, &[], tally)
}

fn run_files(files: Vec<PathBuf>, limits: &[&str], tally: &mut Tally) -> Result<(), Failure> {
    if files.is_empty() {
        return Err(Failure::new("e2e/ holds no such file named *.test.mjs"));
    }
    show(cargo().args(["build", "--package", "tidings", "--locked"]))?;
    let example = ["--package", "tidings-client", "--example", "mcp_sse_retry"];
    show(cargo().arg("build").args(example).arg("--locked"))?;
    let result = count_tests(
        command("node")
            .args(["--test", "--test-reporter=spec", TEST_CONCURRENCY])
            .args(limits)
            .args(files)
            .env("TIDINGS_BIN", program())
            // Colors would hide the summary's lines from the count.
            .env("FORCE_COLOR", "0")
            .current_dir(root().join("e2e")),
        tally,
    );
    result.and_then(|()| all_ran(tally))
}

/// Fails a hanging file after 15 minutes; a healthy one takes seconds, and twenty rounds of a cluster two minutes, or
/// some times as long on a machine that is busy with others.
const TEST_TIMEOUT: &str = "--test-timeout=900000";

/// Number of files that run at a time. It may exceed the number of cores, because tests mostly wait
/// for a browser or a heartbeat; each has its own hub, port and browser.
const TEST_CONCURRENCY: &str = "--test-concurrency=3";

/// The path of the program that `cargo build` has built.
fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    root().join(target.unwrap_or_else(|| "target".into())).join("debug/tidings")
}

/// All `*.test.mjs` below `folder`, sorted, except those of installed packages.
fn test_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| Failure::new(format!("{} cannot be read: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "node_modules" && !name.starts_with('.') {
            files.extend(test_files(&path)?);
        } else if name.ends_with(".test.mjs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
