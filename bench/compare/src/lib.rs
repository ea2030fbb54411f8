//! The common parts of the programs that measure servers.

pub mod crowd;
pub mod host;
pub mod http;
pub mod install;
pub mod load;
pub mod process;
pub mod publishing;
pub mod rounds;
pub mod running;
pub mod stats;

use std::path::Path;

/// The project's folder.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}
