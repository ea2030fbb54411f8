//! Builds the servers, and installs what they need.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tidings_bench_compare::{process, root};

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

fn cargo(folder: &Path, what: &[&str]) -> Result<(), String> {
    succeed(&mut process::cargo_build(folder, what))
}

/// A program of the operating system.
struct Program {
    title: &'static str,
    /// A command that succeeds if the program is usable.
    probe: &'static [&'static str],
    /// The Debian packages that provide it.
    debian: &'static [&'static str],
}

const UTILITIES: Program = Program {
    title: "taskset and setpriv of util-linux",
    probe: &["setpriv", "--pdeathsig", "TERM", "taskset", "--version"],
    debian: &["util-linux"],
};
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
const NCHAN: Program = Program {
    title: "nginx with the module nchan",
    probe: &["test", "-e", "/usr/lib/nginx/modules/ngx_nchan_module.so"],
    debian: &["nginx", "libnginx-mod-nchan"],
};

fn provide(program: &Program) -> Result<(), String> {
    if is_there(program) {
        return Ok(());
    }
    let packages = program.debian.join(" ");
    let missing =
        format!("missing: {}; on Debian, run 'apt-get install {packages}' as root", program.title);
    if !Path::new("/etc/debian_version").exists() || !is_root() {
        return Err(missing);
    }
    eprintln!("installing {packages}");
    succeed(apt_get().arg("update"))?;
    let no_services = NoServices::begin()?;
    let installed = succeed(
        apt_get().args(["install", "--yes", "--no-install-recommends"]).args(program.debian),
    );
    drop(no_services);
    installed?;
    if is_there(program) { Ok(()) } else { Err(missing) }
}

fn is_there(program: &Program) -> bool {
    let [name, arguments @ ..] = program.probe else { return false };
    quiet(Command::new(name).args(arguments)).status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        // Another installation may be running.
        .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0", "--quiet"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Keeps packages from starting their services: runs start nginx themselves, and it is not to serve
/// port 80.
struct NoServices {
    is_ours: bool,
}

/// The program that Debian asks whether a service may be started; 101 means no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn begin() -> Result<Self, String> {
        // An existing policy has its reason, and none of them starts more services.
        let is_ours = !Path::new(POLICY).exists();
        if is_ours {
            let failed = |error| format!("{POLICY} cannot be written: {error}");
            fs::write(POLICY, "#!/bin/sh\nexit 101\n").map_err(failed)?;
            succeed(Command::new("chmod").args(["755", POLICY]))?;
        }
        Ok(Self { is_ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.is_ours {
            // If it stayed, services would no longer start, so the failure must be visible.
            if let Err(error) = fs::remove_file(POLICY) {
                eprintln!("{POLICY} cannot be removed: {error}");
            }
        }
    }
}

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

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// Runs a command and shows its output.
fn succeed(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.stdin(Stdio::null()).stdout(std::io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} failed: {status}")),
        Err(error) => Err(format!("{name} cannot be run: {error}")),
    }
}
