//! The table of attempts in the documents names tests that exist.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_table_of_attempts_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains(" `"));
    let mut count = 0;
    for row in rows {
        let last = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let quoted: Vec<_> = last.split('`').skip(1).step_by(2).collect();
        let [file, name] = quoted[..] else { panic!("{row}") };
        let text = fs::read_to_string(root.join(file)).unwrap_or_else(|_| panic!("no {file}"));
        let is_there = [format!("fn {name}("), format!("test('{name}'")];
        assert!(is_there.iter().any(|start| text.contains(start)), "no {name} in {file}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}
