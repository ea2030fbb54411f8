//! The machine of a comparison, and the versions of the software.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::root;
use crate::servers::{Kind, Server, nginx, venv};

/// The machine and all versions.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// The load average when the comparison began.
    pub(crate) load_average: String,
    pub(crate) rustc: String,
    pub(crate) tidings: String,
    /// Versions by the name of the server.
    pub(crate) peers: BTreeMap<&'static str, String>,
}

/// Describes the machine.
///
/// # Errors
///
/// The version of a server is unknown, so the figures would have no meaning.
pub(crate) fn describe(servers: &[&Server]) -> Result<Machine, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let kilobytes = memory.split(' ').next().and_then(|number| number.parse::<u64>().ok());
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock"))
        .map_err(|error| format!("Cargo.lock cannot be read: {error}"))?;
    let mut peers = BTreeMap::new();
    for server in servers.iter().filter(|server| server.is_peer()) {
        peers.insert(server.name, version(server.kind, &lock)?);
    }
    Ok(Machine {
        date: said("date", &["--utc", "+%Y-%m-%d"])?,
        processor: field(&cpu, "model name").unwrap_or_else(|| "unknown".to_owned()),
        cores: cpu.lines().filter(|line| line.starts_with("processor")).count(),
        memory_gib: kilobytes.unwrap_or_default().div_ceil(1 << 20),
        kernel: kernel(&said("uname", &["-sr"])?).to_owned(),
        load_average: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        rustc: said("rustc", &["--version"])?,
        tidings: said(
            "git",
            &["-C", &root().to_string_lossy(), "describe", "--always", "--dirty"],
        )?,
        peers,
    })
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
        Kind::Tidings | Kind::Limit | Kind::LimitMerged => Ok(String::new()),
    }
}

/// Prints the versions of the relevant Python packages and of Python.
const PACKAGES: &str = "\
import importlib.metadata as metadata, platform
names = ['sse-starlette', 'starlette', 'uvicorn', 'uvloop', 'httptools']
print(', '.join(f'{name} {metadata.version(name)}' for name in names), end='')
print(f', Python {platform.python_version()}')";

/// Returns the version of the kernel, without the suffix of its builder.
fn kernel(name: &str) -> &str {
    name.split('-').next().unwrap_or(name)
}

/// Returns the version of a package in a Cargo.lock.
fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let after = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
    after.split('"').next()
}

/// Returns the value of `name: value`, with blanks or tabs before the colon.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Returns the output of a program, from standard output or standard error.
fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} failed: {}", said.trim()));
    }
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{field, kernel, locked};

    #[test]
    fn a_version_is_that_of_the_whole_name() {
        let lock = "[[package]]\nname = \"axum-core\"\nversion = \"0.5.6\"\n\n\
                    [[package]]\nname = \"axum\"\nversion = \"0.8.9\"\nsource = \"x\"\n";
        assert_eq!(locked(lock, "axum"), Some("0.8.9"));
        assert_eq!(locked(lock, "tokio"), None);
    }

    #[test]
    fn a_kernel_is_its_version() {
        assert_eq!(kernel("Linux 6.12.41+deb13-cloud-amd64"), "Linux 6.12.41+deb13");
        assert_eq!(kernel("Linux 6.18.0"), "Linux 6.18.0");
    }

    #[test]
    fn a_field_is_found_with_blanks_and_with_tabs() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nMemTotal:       24000000 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("AMD EPYC"));
        assert_eq!(field(text, "MemTotal").as_deref(), Some("24000000 kB"));
        assert_eq!(field(text, "flags"), None);
    }
}
