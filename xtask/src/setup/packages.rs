//! Installs the packages for the end-to-end tests, pinned by hash in `e2e/`.

use super::{install_python_packages, is_stamped, read_file, stamp};
use crate::run::{Failure, command, quietly, root};

/// Installs the packages pinned in `e2e/package-lock.json`, unless they are installed.
pub(super) fn node() -> Result<(), Failure> {
    let pinned = read_file("e2e/package-lock.json")?;
    let folder = root().join("e2e");
    let marker = folder.join("node_modules/installed.json");
    if is_stamped(&marker, &pinned) {
        return Ok(());
    }
    println!("installing Node's packages for e2e/");
    quietly(command("npm").arg("ci").current_dir(&folder))?;
    stamp(&marker, &pinned)
}

/// Installs the packages pinned in `e2e/requirements.txt`, unless they are installed.
pub(super) fn python() -> Result<(), Failure> {
    let pinned = read_file("e2e/requirements.txt")?;
    let environment = root().join("e2e/.venv");
    let marker = environment.join("installed.txt");
    if is_stamped(&marker, &pinned) {
        return Ok(());
    }
    println!("installing Python's packages for e2e/");
    install_python_packages(&environment, &root().join("e2e/requirements.txt"))?;
    stamp(&marker, &pinned)
}
