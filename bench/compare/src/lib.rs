//! The common parts of the programs that measure servers: the machine, building, processes.

pub mod host;
pub mod process;

use std::path::Path;

/// The project's folder.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}
