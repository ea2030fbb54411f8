//! The layers test: a crate depends only on crates below it on its own chain,
//! `cli -> server -> hub -> proto`, `cli -> client -> proto` or `cli -> bench -> proto`.
//!
//! Dev-dependencies are free, with one exception: nothing depends on the tools outside `crates/`.

use serde_json::Value;

use crate::run::{Failure, cargo, read, root};

pub(crate) fn run() -> Result<(), Failure> {
    let faults = faults_of(root())?;
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(faults.join("; "))),
    }
}

/// The crates that each crate may depend on, dev-dependencies aside. Every crate must be listed.
const BELOW: [(&str, &[&str]); 9] = [
    ("tidings-proto", &[]),
    ("tidings-hub", &["tidings-proto"]),
    ("tidings-server", &["tidings-hub", "tidings-proto"]),
    ("tidings-client", &["tidings-proto"]),
    ("tidings-bench", &["tidings-proto"]),
    (
        "tidings",
        &["tidings-server", "tidings-client", "tidings-bench", "tidings-hub", "tidings-proto"],
    ),
    // For tests only: it is in no other crate's list, which keeps it out of every product.
    ("tidings-testkit", &["tidings-hub", "tidings-proto"]),
    // As an embedder's program: the hub, and no other crate of this workspace.
    ("tidings-examples", &["tidings-hub"]),
    ("xtask", &[]),
];

/// The section in which a dependency is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// For the product or its build.
    Normal,
    /// For tests, examples and benchmarks.
    Dev,
}

/// A dependency of one crate of the workspace on another.
#[derive(Debug, PartialEq, Eq)]
struct Edge {
    from: String,
    to: String,
    kind: Kind,
}

/// The fault of a forbidden `edge`; none if it is allowed.
fn fault(edge: &Edge) -> Option<String> {
    let Edge { from, to, kind } = edge;
    if to == "xtask" {
        return Some(format!("{from} depends on xtask, which is a tool, not a library"));
    }
    if *kind == Kind::Dev {
        return None;
    }
    let Some((_, below)) = BELOW.iter().find(|(name, _)| name == from) else {
        return Some(format!("{from} has no place in the layers"));
    };
    match below.contains(&to.as_str()) {
        true => None,
        false if to == "tidings-testkit" => {
            Some(format!("{from} depends on tidings-testkit, which is for tests alone"))
        }
        false => Some(format!("{from} depends on {to}, which does not lie below it")),
    }
}

/// The faults of the workspace in `folder`.
fn faults_of(folder: &std::path::Path) -> Result<Vec<String>, Failure> {
    let metadata =
        read(cargo().args(["metadata", "--no-deps", "--format-version=1"]).current_dir(folder))?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| Failure::new(format!("cargo's metadata cannot be read: {error}")))?;
    let names = members(&metadata);
    let unplaced = names
        .iter()
        .filter(|name| BELOW.iter().all(|(placed, _)| placed != *name))
        .map(|name| format!("{name} has no place in the layers"));
    Ok(unplaced.chain(edges(&metadata, &names).iter().filter_map(fault)).collect())
}

/// The names of the workspace's crates.
fn members(metadata: &Value) -> Vec<&str> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    packages.iter().filter_map(|package| package["name"].as_str()).collect()
}

/// Every declared dependency of one member on another, including optional and platform-specific ones.
fn edges(metadata: &Value, members: &[&str]) -> Vec<Edge> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let mut edges = Vec::new();
    for package in packages {
        let from = package["name"].as_str().unwrap_or_default();
        for dependency in package["dependencies"].as_array().map_or(&[][..], Vec::as_slice) {
            let to = dependency["name"].as_str().unwrap_or_default();
            if members.contains(&to) {
                let kind = match dependency["kind"].as_str() {
                    Some("dev") => Kind::Dev,
                    _ => Kind::Normal,
                };
                edges.push(Edge { from: from.into(), to: to.into(), kind });
            }
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::{Edge, Kind, fault, faults_of};

    #[track_caller]
    fn check(edges: &str, kind: Kind, allowed: bool) {
        for edge in edges.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (from, to) = edge.split_once(" -> ").expect("written as `from -> to`");
            let fault = fault(&Edge { from: from.into(), to: to.into(), kind });
            assert_eq!(fault.is_none(), allowed, "{edge} as {kind:?}: {fault:?}");
        }
    }

    #[test]
    fn what_lies_below_on_the_own_chain_may_be_used() {
        check(
            "tidings -> tidings-server
             tidings -> tidings-client
             tidings -> tidings-bench
             tidings -> tidings-hub
             tidings -> tidings-proto
             tidings-server -> tidings-hub
             tidings-server -> tidings-proto
             tidings-hub -> tidings-proto
             tidings-client -> tidings-proto
             tidings-bench -> tidings-proto
             tidings-testkit -> tidings-hub",
            Kind::Normal,
            true,
        );
    }

    #[test]
    fn nothing_else_may() {
        check(
            "tidings-proto -> tidings-hub
             tidings-proto -> tidings-client
             tidings-hub -> tidings-server
             tidings-hub -> tidings-client
             tidings-hub -> tidings
             tidings-client -> tidings-hub
             tidings-client -> tidings-server
             tidings-server -> tidings-client
             tidings-server -> tidings
             tidings-bench -> tidings-client
             tidings-bench -> tidings-server
             tidings-client -> tidings-bench
             tidings-hub -> tidings-testkit
             tidings -> tidings-testkit
             tidings-server -> xtask
             xtask -> tidings-proto
             tidings-unheard-of -> tidings-proto
             tidings -> tidings-unheard-of",
            Kind::Normal,
            false,
        );
    }

    #[test]
    fn tests_may_use_any_crate_but_the_tools() {
        check(
            "tidings-hub -> tidings-testkit
             tidings-client -> tidings-server",
            Kind::Dev,
            true,
        );
        check("tidings-hub -> xtask", Kind::Dev, false);
    }

    /// A workspace on disk, to test that the check reads what cargo reads.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, crates: &[(&str, &str)]) -> Self {
            let folder =
                std::env::temp_dir().join(format!("tidings-layers-{name}-{}", std::process::id()));
            let write = |path: &str, text: &str| {
                let path = folder.join(path);
                fs::create_dir_all(path.parent().expect("inside the folder"))
                    .and_then(|()| fs::write(path, text))
                    .expect("the folder for temporary files is writable");
            };
            write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n");
            for (name, dependencies) in crates {
                let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n");
                write(&format!("{name}/Cargo.toml"), &format!("{manifest}{dependencies}"));
                write(&format!("{name}/src/lib.rs"), "");
            }
            Self(folder)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_workspace_that_keeps_to_the_layers_passes() {
        let scratch = Scratch::new(
            "kept",
            &[
                ("tidings-proto", ""),
                (
                    "tidings-hub",
                    "[dependencies]\ntidings-proto = { path = \"../tidings-proto\" }\n",
                ),
            ],
        );
        assert_eq!(faults_of(&scratch.0).expect("cargo reads it"), Vec::<String>::new());
    }

    #[test]
    fn an_edge_upwards_is_found_even_if_it_is_optional_renamed_or_for_one_platform() {
        for edge in [
            "[dependencies]\ntidings-hub = { path = \"../tidings-hub\" }\n",
            "[dependencies]\ntidings-hub = { path = \"../tidings-hub\", optional = true }\n",
            "[dependencies]\nhub = { package = \"tidings-hub\", path = \"../tidings-hub\" }\n",
            "[target.'cfg(windows)'.dependencies]\ntidings-hub = { path = \"../tidings-hub\" }\n",
            "[build-dependencies]\ntidings-hub = { path = \"../tidings-hub\" }\n",
        ] {
            let scratch = Scratch::new("broken", &[("tidings-client", edge), ("tidings-hub", "")]);
            assert_eq!(
                faults_of(&scratch.0).expect("cargo reads it"),
                ["tidings-client depends on tidings-hub, which does not lie below it"],
                "{edge}"
            );
        }
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        let scratch = Scratch::new("unplaced", &[("tidings-extra", "")]);
        assert_eq!(
            faults_of(&scratch.0).expect("cargo reads it"),
            ["tidings-extra has no place in the layers"]
        );
    }
}
