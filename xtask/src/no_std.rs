//! Checks that the crate proto and its dependencies do not need the standard library.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::run::{Failure, cargo, command, quietly, read, root};

pub(crate) fn run() -> Result<(), Failure> {
    let source = fs::read_to_string(root().join("crates/proto/src/lib.rs")).map_err(|error| {
        Failure::new(format!("crates/proto/src/lib.rs cannot be read: {error}"))
    })?;
    if !source.lines().any(|line| line == "#![no_std]") {
        return Err(Failure::new("crates/proto/src/lib.rs does not say `#![no_std]`"));
    }
    // Resolved for proto alone, because other crates in the build could turn on more features.
    let tree = read(
        cargo()
            .args(["tree", "--package", PROTO, "--edges", "normal,build"])
            .args(["--prefix", "none", "--format", "{p}|{f}", "--locked"]),
    )?;
    let std = crates_with_std(&tree);
    if !std.is_empty() {
        return Err(Failure::new(format!(
            "proto turns on the feature `std` of {}",
            std.join(", ")
        )));
    }
    link_without_std()
}

/// The crates in `cargo tree`'s output (`name version|features`) with the feature `std` turned on.
fn crates_with_std(tree: &str) -> Vec<&str> {
    tree.lines()
        .filter_map(|line| line.split_once('|'))
        .filter(|(_, features)| features.split([',', ' ']).any(|feature| feature == "std"))
        .map(|(package, _)| package.trim())
        .collect()
}

/// Compiles a crate with its own panic handler that links proto. If any dependency pulls in the
/// standard library, there are two panic handlers, and the compiler fails.
fn link_without_std() -> Result<(), Failure> {
    let built = read(cargo().args([
        "build",
        "--package",
        PROTO,
        "--locked",
        "--quiet",
        "--message-format=json",
    ]))?;
    let library = library(&built)
        .ok_or_else(|| Failure::new("cargo did not say where it put the library of proto"))?;
    let dependencies = library.with_file_name("deps");
    let folder = root().join("target/no-std");
    let probe = folder.join("probe.rs");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&probe, PROBE))
        .map_err(|error| Failure::new(format!("{} cannot be written: {error}", probe.display())))?;
    quietly(
        command("rustc")
            .args(["--edition=2024", "--crate-type=rlib", "--emit=metadata", "--out-dir"])
            .arg(&folder)
            .arg("-L")
            .arg(format!("dependency={}", dependencies.display()))
            .arg("--extern")
            .arg(format!("tidings_proto={}", library.display()))
            .arg(&probe),
    )
    .map_err(|failure| Failure::new(format!("proto needs the standard library: {failure}")))
}

/// The path of proto's library, from cargo's messages.
fn library(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "tidings_proto")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|extension| extension == "rlib"))
}

const PROTO: &str = "tidings-proto";

const PROBE: &str = "#![no_std]\n\
    extern crate tidings_proto;\n\
    #[panic_handler]\n\
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }\n";

#[cfg(test)]
mod tests {
    use super::crates_with_std;

    #[test]
    fn a_dependency_with_its_feature_std_is_named() {
        let tree =
            "tidings-proto v0.1.0 (/here)|\nmemchr v2.7.4|alloc,default,std\nother v1.0.0|\n";
        assert_eq!(crates_with_std(tree), ["memchr v2.7.4"]);
    }

    #[test]
    fn features_that_only_resemble_std_are_let_pass() {
        assert!(crates_with_std("a v1.0.0|alloc,no_std,std_detect\nb v1.0.0|\n").is_empty());
    }
}
