//! The machine of a comparison, and the versions of the software.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tidings_bench_compare::host::{self, Host, said};
use tidings_bench_compare::install::nginx;

use crate::servers::{Kind, Server, venv};

/// The machine and all versions.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The machine when the comparison began.
    pub(crate) host: Host,
    /// Versions by the name of the server.
    pub(crate) peers: BTreeMap<&'static str, String>,
}

/// Describes the machine.
///
/// # Errors
///
/// The version of a server is unknown, so the figures would have no meaning.
pub(crate) fn describe(servers: &[&Server]) -> Result<Machine, String> {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock"))
        .map_err(|error| format!("Cargo.lock cannot be read: {error}"))?;
    let mut peers = BTreeMap::new();
    for server in servers.iter().filter(|server| server.is_peer()) {
        peers.insert(server.name, version(server.kind, &lock)?);
    }
    Ok(Machine { host: host::describe()?, peers })
}

fn version(kind: Kind, lock: &str) -> Result<String, String> {
    let locked = |name: &str| {
        let version = locked(lock, name).ok_or(format!("{name} is not in Cargo.lock"))?;
        Ok::<_, String>(format!("{name} {version}"))
    };
    match kind {
        Kind::Axum => Ok(format!("{}, {}", locked("axum")?, locked("tokio")?)),
        Kind::AxumHttp2 => Ok(format!("{}, {}", locked("axum")?, locked("hyper")?)),
        Kind::Actix => Ok(format!("{}, {}", locked("actix-web-lab")?, locked("actix-web")?)),
        Kind::Node => said("node", &["--version"]).map(|version| format!("Node.js {version}")),
        Kind::Nchan => {
            let nginx = said(nginx(), &["-v"])?;
            let nginx = nginx.rsplit('/').next().unwrap_or(&nginx);
            let module = ["-W", "-f", "${Version}", "libnginx-mod-nchan"];
            Ok(format!("nchan {} of Debian, nginx {nginx}", said("dpkg-query", &module)?))
        }
        Kind::Starlette => said(&venv().join("bin/python").to_string_lossy(), &["-c", PACKAGES]),
        Kind::Tidings | Kind::Before | Kind::Limit | Kind::LimitMerged => Ok(String::new()),
    }
}

/// Prints the versions of the relevant Python packages and of Python.
const PACKAGES: &str = "\
import importlib.metadata as metadata, platform
names = ['sse-starlette', 'starlette', 'uvicorn', 'uvloop', 'httptools']
print(', '.join(f'{name} {metadata.version(name)}' for name in names), end='')
print(f', Python {platform.python_version()}')";

/// Returns the version of a package in a Cargo.lock.
fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let after = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
    after.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::locked;

    #[test]
    fn a_version_is_that_of_the_whole_name() {
        let lock = "[[package]]\nname = \"axum-core\"\nversion = \"0.5.6\"\n\n\
                    [[package]]\nname = \"axum\"\nversion = \"0.8.9\"\nsource = \"x\"\n";
        assert_eq!(locked(lock, "axum"), Some("0.8.9"));
        assert_eq!(locked(lock, "tokio"), None);
    }
}
