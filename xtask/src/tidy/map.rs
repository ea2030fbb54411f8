//! The map of the code names only files and folders that exist.

use super::Finding;
use super::source::Source;

/// The paths in ARCHITECTURE.md that no file of the project has.
pub(super) fn findings(sources: &[Source]) -> Vec<Finding> {
    let Some(map) = sources.iter().find(|source| source.path == MAP) else { return Vec::new() };
    let lines = map.text.lines().enumerate();
    lines
        .flat_map(|(number, line)| paths(line).map(move |path| (number, path)))
        .filter(|(_, path)| !sources.iter().any(|source| has(&source.path, path)))
        .map(|(number, path)| Finding {
            place: format!("{MAP}:{}", number + 1),
            what: format!("`{path}` does not exist; name the place where its content is now"),
        })
        .collect()
}

const MAP: &str = "ARCHITECTURE.md";

/// The words between backticks that are paths: a file's name has one of the extensions below, and a
/// folder's ends with `/`.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let is_path = |word: &&str| {
        let extensions = [".rs", ".mjs", ".md", ".toml"];
        word.ends_with('/') || extensions.iter().any(|extension| word.ends_with(extension))
    };
    line.split('`').skip(1).step_by(2).filter(is_path)
}

/// Returns whether `path`, given from any folder on, names the file or a folder that it is in.
fn has(file: &str, path: &str) -> bool {
    let (file, path) = (format!("/{file}"), format!("/{path}"));
    if path.ends_with('/') { file.contains(&path) } else { file.ends_with(&path) }
}

#[cfg(test)]
mod tests {
    use super::findings;
    use crate::tidy::source::Source;

    #[test]
    fn a_file_or_a_folder_that_is_gone_is_found() {
        let map = "See `b.rs`, `a/b.rs` and `a/`.\nSee `c.rs`, `b/`, `ab.rs`, `B::b` and `b`.\n";
        let sources =
            [Source::new("ARCHITECTURE.md", map.into()), Source::new("crates/a/b.rs", "".into())];
        let found: Vec<_> = findings(&sources).iter().map(ToString::to_string).collect();
        let gone = |path| {
            format!(
                "ARCHITECTURE.md:2: `{path}` does not exist; name the place where its content is now"
            )
        };
        assert_eq!(found, [gone("c.rs"), gone("b/"), gone("ab.rs")]);
    }
}
