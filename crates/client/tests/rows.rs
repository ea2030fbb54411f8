//! Checks that every rule of the event stream that concerns the client has two tests: one of the
//! state machine in stepped time, and one on sockets.

use std::fs;
use std::path::Path;

const ROWS: [&str; 20] = [
    "c1", "c2", "c3", "c4", "c5", "t20", "t21", "t22", "t23", "t24", "t25", "t26", "t27", "t28",
    "t29", "t30", "t31", "t32", "t33", "t49",
];

/// The names of the tests in a folder's files.
fn tests_in(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(&folder).expect("the folder is there");
    let mut names = Vec::new();
    let paths = files.map(|file| file.expect("listed").path());
    for path in paths.filter(|path| path.is_file()) {
        let text = fs::read_to_string(path).expect("readable");
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2).filter(|pair| pair[0].contains("test]")) {
            let name = pair[1].trim_start_matches("async ").strip_prefix("fn ");
            names.extend(name.and_then(|name| name.split('(').next()).map(str::to_owned));
        }
    }
    names
}

fn check(folder: &str) {
    let names = tests_in(folder);
    let missing: Vec<_> = ROWS
        .iter()
        .filter(|row| !names.iter().any(|name| name.starts_with(&format!("{row}_"))))
        .collect();
    assert!(missing.is_empty(), "no test in {folder} is named after {missing:?}");
}

#[test]
fn every_row_has_a_case_in_stepped_time() {
    check("src/lifecycle/tests");
}

#[test]
fn every_row_has_a_case_on_sockets() {
    check("tests/sockets");
}
