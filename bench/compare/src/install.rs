//! Builds and installs what a comparison needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{process, root};

/// A program of the operating system.
#[derive(Debug)]
pub struct Program {
    /// Its name, for messages.
    pub title: &'static str,
    /// A command that succeeds if the program is usable.
    pub probe: &'static [&'static str],
    /// The Debian packages that provide it.
    pub debian: &'static [&'static str],
}

/// The programs that pin others to cores.
pub const UTILITIES: Program = Program {
    title: "taskset and setpriv of util-linux",
    probe: &["setpriv", "--pdeathsig", "TERM", "taskset", "--version"],
    debian: &["util-linux"],
};
/// nginx with nchan.
pub const NCHAN: Program = Program {
    title: "nginx with the module nchan",
    probe: &["test", "-e", "/usr/lib/nginx/modules/ngx_nchan_module.so"],
    debian: &["nginx", "libnginx-mod-nchan"],
};

/// Builds something of a workspace for release.
///
/// # Errors
///
/// It does not build.
pub fn cargo(folder: &Path, what: &[&str]) -> Result<(), String> {
    succeed(&mut process::cargo_build(folder, what))
}

/// Makes sure that a program is there, and installs it if that is possible.
///
/// # Errors
///
/// It is missing and cannot be installed.
pub fn provide(program: &Program) -> Result<(), String> {
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

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// Runs a command and shows its output.
///
/// # Errors
///
/// It cannot be run, or fails.
pub fn succeed(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.stdin(Stdio::null()).stdout(std::io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} failed: {status}")),
        Err(error) => Err(format!("{name} cannot be run: {error}")),
    }
}

/// The release build of the product.
#[must_use]
pub fn tidings() -> PathBuf {
    root().join("target/release/tidings")
}

/// Returns the program to measure: the one that is given, or else the release build, which is built.
///
/// # Errors
///
/// The given program is not there, or the build fails.
pub fn program(given: Option<&Path>) -> Result<PathBuf, String> {
    match given {
        Some(given) => {
            given.canonicalize().map_err(|error| format!("{}: {error}", given.display()))
        }
        None => cargo(root(), &["--bin", "tidings"]).map(|()| tidings()),
    }
}

/// On Debian, nginx is only on root's `PATH`.
#[must_use]
pub fn nginx() -> &'static str {
    let system = "/usr/sbin/nginx";
    if Path::new(system).exists() { system } else { "nginx" }
}
