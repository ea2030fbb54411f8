//! Builds the servers, and installs what they need.

use std::fs;
use std::path::Path;
use std::process::Command;

use tidings_bench_compare::install::{NCHAN, Program, UTILITIES, cargo, provide, succeed};
use tidings_bench_compare::root;

use crate::servers::{Kind, Server, venv};

/// Makes sure that the load and all of `servers` can be started.
pub(crate) fn prepare(servers: &[&Server]) -> Result<(), String> {
    provide(&UTILITIES)?;
    // The load is part of Tidings, so it is always needed.
    cargo(root(), &["--bin", "tidings"])?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for server in servers {
        // One at a time: built together, one server would get features that another asks for.
        match server.kind {
            Kind::Tidings | Kind::Before => {}
            Kind::Limit | Kind::LimitMerged => cargo(here, &["--bin", "limit"])?,
            Kind::Axum => cargo(here, &["--package", "peer-axum"])?,
            Kind::AxumHttp2 => {
                provide(&PYTHON)?;
                cargo(here, &["--package", "peer-axum-http2"])?;
            }
            Kind::Actix => cargo(here, &["--package", "peer-actix"])?,
            Kind::Node => provide(&NODE)?,
            Kind::Nchan => provide(&NCHAN)?,
            Kind::Starlette => {
                provide(&PYTHON)?;
                provide_packages()?;
            }
        }
    }
    Ok(())
}

const NODE: Program = Program {
    title: "Node.js 18 or newer",
    probe: &["node", "-e", "process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)"],
    debian: &["nodejs"],
};
const PYTHON: Program = Program {
    title: "Python 3 with its modules venv and ensurepip",
    probe: &["python3", "-c", "import venv, ensurepip"],
    debian: &["python3-venv"],
};
/// Installs the Python packages in a folder, which contains a copy of the list it was made from.
fn provide_packages() -> Result<(), String> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/starlette/requirements.txt");
    let wanted = fs::read_to_string(&list).map_err(|error| error.to_string())?;
    let stamp = venv().join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("installing the Python packages of {}", list.display());
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv()))?;
    succeed(Command::new(venv().join("bin/pip")).args(["install", "--quiet", "-r"]).arg(&list))?;
    fs::write(stamp, wanted).map_err(|error| error.to_string())
}
