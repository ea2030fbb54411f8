//! Installs the toolchain's components and the cargo subcommands that CI uses.

use std::path::PathBuf;

use super::{install_python_packages, is_stamped, read_file, stamp};
use crate::run::{Failure, cargo, command, root, show, succeeds};

/// Makes sure that a component of the toolchain is installed.
pub(super) fn component(name: &str, program: &str) -> Result<(), Failure> {
    if succeeds(command(program).arg("--version")) {
        return Ok(());
    }
    show(command("rustup").args(["component", "add", name])).map_err(|_| {
        Failure::new(format!(
            "missing: {name}. run `rustup component add {name}`; without rustup it is a \
             package next to cargo's"
        ))
    })
}

/// Makes sure that the subcommand `name` is installed: from a wheel if there is one for this machine,
/// otherwise from source.
pub(super) fn provide(name: &str) -> Result<(), Failure> {
    let pinned = read_file(PINNED)?;
    let environment = root().join(WHEELS);
    if is_stamped(&environment.join(STAMP), &pinned) || built(name, &pinned)?.exists() {
        return Ok(());
    }
    println!("installing cargo's tools");
    match install_python_packages(&environment, &root().join(PINNED)) {
        Ok(()) => stamp(&environment.join(STAMP), &pinned),
        Err(failure) => {
            println!("no wheels ({failure}); building {name} from source");
            build(name, &pinned)
        }
    }
}

/// The path of the subcommand `name` after its installation.
pub(super) fn path(name: &str) -> PathBuf {
    let wheel = root().join(WHEELS).join("bin").join(name);
    match wheel.exists() {
        true => wheel,
        false => root().join(BUILT).join(name).join("bin").join(name),
    }
}

fn build(name: &str, pinned: &str) -> Result<(), Failure> {
    let version = version(name, pinned)?;
    show(
        cargo()
            .args(["install", "--locked", "--root"])
            .arg(root().join(BUILT).join(name))
            .arg(format!("{name}@{version}")),
    )?;
    let marker = built(name, pinned)?;
    stamp(&marker, version)
}

/// The file that records that `name` was built in the pinned version.
fn built(name: &str, pinned: &str) -> Result<PathBuf, Failure> {
    Ok(root().join(BUILT).join(name).join(format!("version-{}", version(name, pinned)?)))
}

/// The version of the subcommand `name` in `pinned`.
fn version<'a>(name: &str, pinned: &'a str) -> Result<&'a str, Failure> {
    pinned
        .lines()
        .filter_map(|line| line.split_once("=="))
        .find(|(package, _)| package.ends_with(name))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .ok_or_else(|| Failure::new(format!("{PINNED} does not pin {name}")))
}

const PINNED: &str = "xtask/tools.txt";
const STAMP: &str = "installed.txt";
const WHEELS: &str = "target/tools/wheels";
const BUILT: &str = "target/tools/built";

#[cfg(test)]
mod tests {
    use super::{PINNED, read_file, version};

    #[test]
    fn every_tool_has_its_version_in_the_pinned_list() {
        let pinned = read_file(PINNED).expect("the list is part of the workspace");
        for name in ["cargo-deny", "cargo-fuzz", "cargo-hack"] {
            let version = version(name, &pinned).expect("pinned");
            assert!(version.split('.').count() == 3, "{name} is pinned as {version:?}");
        }
    }

    #[test]
    fn a_tool_that_is_not_pinned_is_named() {
        let failure = version("cargo-other", "tool-cargo-deny==1.2.3 \\\n").expect_err("no line");
        assert_eq!(failure.to_string(), "xtask/tools.txt does not pin cargo-other");
    }
}
