//! No circle of imports among the files of a crate.
//!
//! A file imports another if it names an item of it: in a `use`, or by a path in place. A name that a
//! third file passes on by `pub use` counts as an import of the file that defines it, so that a
//! module's door is free to pass on what lies behind it. Tests do not count. Methods are not seen,
//! because their files are not named.

mod paths;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Finding;
use super::source::Source;
use paths::{Kind, Written};

/// The circles of every crate in `crates/`, one finding each.
pub(super) fn findings(sources: &[Source]) -> Vec<Finding> {
    let crates: BTreeSet<&str> = sources.iter().filter_map(crate_folder).collect();
    crates
        .into_iter()
        .flat_map(|folder| circles(&Crate::read(folder, sources).graph()))
        .map(|circle| Finding {
            place: circle[0].clone(),
            what: format!("imports itself, by way of {}", circle[1..].join(", ")),
        })
        .collect()
}

/// Each file's imports, by path.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The folder `crates/NAME/src/` that holds `source`, if one does.
fn crate_folder(source: &Source) -> Option<&str> {
    let (folder, _) = source.path.split_once("/src/")?;
    let is_crate = folder.strip_prefix("crates/").is_some_and(|name| !name.contains('/'));
    (is_crate && source.is_rust()).then(|| &source.path[..folder.len() + "/src/".len()])
}

/// One crate's files, by module.
struct Crate {
    /// The key is the module's path: empty for the root, otherwise such as `engine::shard`.
    files: BTreeMap<Vec<String>, File>,
}

struct File {
    path: String,
    written: Vec<Written>,
    children: Vec<String>,
    /// The names brought in by `use`, with the path each stands for.
    names: BTreeMap<String, Vec<String>>,
    /// How often each word stands in the code.
    words: BTreeMap<String, usize>,
}

impl Crate {
    fn read(folder: &str, sources: &[Source]) -> Self {
        let files = sources.iter().filter(|source| crate_folder(source) == Some(folder));
        let files = files.filter(|source| source.test_lines.start > 0 || source.code.is_empty());
        let files = files.filter_map(|source| {
            let module = module(source.path.strip_prefix(folder)?);
            Some((module.clone(), File::read(source, &module)))
        });
        Self { files: files.collect() }
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        for (module, file) in &self.files {
            let imports = graph.entry(file.path.clone()).or_default();
            for written in &file.written {
                if !file.uses(written) {
                    continue;
                }
                let Some(path) = file.absolute(module, written) else { continue };
                let target = match written.kind {
                    // A glob names its module, and a module that is named alone is no import yet.
                    Kind::Glob => self.files.get(&path),
                    _ => self.definition(&path, DOORS_MAX),
                };
                imports.extend(target.map(|it| it.path.clone()).filter(|it| *it != file.path));
            }
        }
        graph
    }

    /// The file that defines the item at `path`; none if `path` is a module, or of another crate.
    fn definition(&self, path: &[String], doors: usize) -> Option<&File> {
        let length =
            (0..=path.len()).rev().find(|length| self.files.contains_key(&path[..*length]))?;
        let (module, rest) = path.split_at(length);
        let file = &self.files[module];
        // An inline module's items stand in the file, whatever the module is called.
        let passed_on =
            [rest.first()?, rest.last()?].into_iter().find_map(|name| file.names.get(name));
        let Some(origin) = passed_on.filter(|_| doors > 0) else { return Some(file) };
        let origin = [origin, &rest[1..]].concat();
        self.definition(&origin, doors - 1)
    }
}

impl File {
    fn read(source: &Source, module: &[String]) -> Self {
        let lines = source.code.lines().enumerate();
        let product = lines.filter(|(number, _)| !source.test_lines.contains(number));
        let code = product.flat_map(|(_, line)| [line, "\n"]).collect::<String>();
        let mut words = BTreeMap::new();
        for word in code.split(|c: char| !c.is_alphanumeric() && c != '_') {
            *words.entry(word.to_owned()).or_default() += 1;
        }
        let mut file = Self {
            path: source.path.clone(),
            written: paths::paths(&code),
            children: paths::children(&code),
            names: BTreeMap::new(),
            words,
        };
        for written in &file.written {
            if let Kind::Import(name) | Kind::Export(name) = &written.kind
                && let Some(path) = file.absolute(module, written)
            {
                file.names.insert(name.clone(), path);
            }
        }
        file
    }

    /// Returns whether the file itself has a use for the path, and does not only pass it on.
    fn uses(&self, written: &Written) -> bool {
        match &written.kind {
            Kind::Export(name) => self.words.get(name).is_some_and(|times| *times > 1),
            _ => true,
        }
    }

    /// `written` from the crate's root; none if it leads into another crate.
    fn absolute(&self, module: &[String], written: &Written) -> Option<Vec<String>> {
        let (first, rest) = written.segments.split_first()?;
        let mut path = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            child if self.children.iter().any(|name| name == child) => {
                [module, &[child.to_owned()]].concat()
            }
            name if written.kind == Kind::InPlace => self.names.get(name)?.clone(),
            _ => return None,
        };
        for segment in rest {
            match segment.as_str() {
                "super" => drop(path.pop()),
                _ => path.push(segment.clone()),
            }
        }
        Some(path)
    }
}

/// `engine/shard.rs` is the module `engine::shard`; `lib.rs` and `main.rs` are the root.
fn module(file: &str) -> Vec<String> {
    match file {
        "lib.rs" | "main.rs" => Vec::new(),
        _ => file.trim_end_matches(".rs").split('/').map(str::to_owned).collect(),
    }
}

/// A shortest circle through the first file of each set of files that import each other.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for file in graph.keys() {
        if told.contains(file) {
            continue;
        }
        if let Some(circle) = shortest_circle(graph, file) {
            told.extend(circle.iter().cloned());
            circles.push(circle);
        }
    }
    circles
}

/// The files of a shortest way from `start` back to it, `start` first and not repeated.
fn shortest_circle(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(file) = waiting.pop_front() {
        for next in graph.get(file)? {
            if next == start {
                let mut circle = vec![file.to_owned()];
                let mut at = file;
                while at != start {
                    at = from[at];
                    circle.push(at.to_owned());
                }
                circle.reverse();
                return Some(circle);
            }
            if !from.contains_key(next.as_str()) {
                from.insert(next, file);
                waiting.push_back(next);
            }
        }
    }
    None
}

/// How many files may pass a name on, one to the next, before its definition.
const DOORS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::findings;
    use crate::tidy::source::Source;

    /// Asserts the circles of a crate whose files are given as (path below `src/`, text).
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let sources: Vec<_> = files
            .iter()
            .map(|(path, text)| Source::new(&format!("crates/a/src/{path}"), (*text).to_owned()))
            .collect();
        let found: Vec<_> = findings(&sources).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn files_that_import_each_other_are_found() {
        check(
            &[
                ("lib.rs", "mod b;\nmod c;\nmod d;\n"),
                ("b.rs", "use crate::c::C;\npub struct B;\n"),
                ("c.rs", "pub struct C;\nfn f() { super::d::f(); }\n"),
                ("d.rs", "use crate::{b::{self}, c};\npub fn f() -> b::B {}\n"),
            ],
            &["crates/a/src/b.rs: imports itself, by way of crates/a/src/c.rs, crates/a/src/d.rs"],
        );
    }

    #[test]
    fn a_parent_and_its_child_are_files_like_any_others() {
        check(
            &[
                ("lib.rs", "mod b;\n"),
                ("b.rs", "mod c;\nuse c::C;\npub struct B(C);\n"),
                ("b/c.rs", "use super::B;\npub struct C;\n"),
            ],
            &["crates/a/src/b.rs: imports itself, by way of crates/a/src/b/c.rs"],
        );
    }

    #[test]
    fn a_door_that_only_passes_names_on_is_in_no_circle() {
        check(
            &[
                ("lib.rs", "mod b;\npub use b::{B, C};\n"),
                ("b.rs", "mod c;\nmod d;\npub use c::C;\npub(crate) use d::D as B;\n"),
                ("b/c.rs", "use super::B;\nuse crate::b;\nfn f() -> b::B {}\npub struct C;\n"),
                ("b/d.rs", "pub struct D;\n"),
            ],
            &[],
        );
    }

    #[test]
    fn names_that_are_passed_on_are_followed_to_their_definition() {
        check(
            &[
                ("lib.rs", "mod b;\nmod c;\npub use b::B;\npub use c::C;\n"),
                ("b.rs", "use crate::C;\npub struct B;\n"),
                ("c.rs", "use crate::B;\npub struct C;\n"),
            ],
            &["crates/a/src/b.rs: imports itself, by way of crates/a/src/c.rs"],
        );
    }

    #[test]
    fn tests_and_other_crates_close_no_circle() {
        check(
            &[
                ("lib.rs", "mod b;\nmod c;\n"),
                ("b.rs", "use crate::c::C;\npub struct B;\n"),
                (
                    "c.rs",
                    "use other::b::B;\npub struct C;\n#[cfg(test)]\nmod tests {\nuse crate::b::B;\n}\n",
                ),
                ("c/tests.rs", "use crate::b::B;\n"),
            ],
            &[],
        );
    }
}
