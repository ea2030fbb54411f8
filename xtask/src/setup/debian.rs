//! Debian's packages: installed if run as root, otherwise named.

use std::fs;
use std::path::{Path, PathBuf};

use super::Program;
use crate::run::{Failure, command, quietly, read};

/// The package lists, which are fetched at most once per run.
#[derive(Default)]
pub(super) struct PackageLists {
    fetched: bool,
}

impl PackageLists {
    /// Installs the missing `programs`.
    ///
    /// # Errors
    ///
    /// Names the programs and how to get them, if this is not Debian, if the user is not root, or if
    /// Debian's packages are too old.
    pub(super) fn install(&mut self, programs: &[Program]) -> Result<(), Failure> {
        if !is_debian() || !is_root() {
            return Err(missing(programs));
        }
        if !self.fetched {
            quietly(apt_get().arg("update"))?;
            self.fetched = true;
        }
        let packages: Vec<&str> =
            programs.iter().flat_map(|program| program.debian.split(' ')).collect();
        println!("installing {}", packages.join(" "));
        let no_services = NoServices::begin()?;
        let installed =
            quietly(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages));
        no_services.end()?;
        installed?;
        match programs.iter().all(Program::is_there) {
            true => Ok(()),
            false => Err(missing(programs)),
        }
    }
}

fn missing(programs: &[Program]) -> Failure {
    let titles: Vec<_> = programs.iter().filter(|it| !it.is_there()).map(|it| it.title).collect();
    let packages: Vec<_> = programs.iter().map(|program| program.debian).collect();
    Failure::new(format!(
        "missing: {}. On Debian, run `apt-get install {}` as root; elsewhere, or if \
         Debian's version is too old, install it and put it on PATH",
        titles.join(", "),
        packages.join(" ")
    ))
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists()
}

fn is_root() -> bool {
    read(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn apt_get() -> std::process::Command {
    let mut command = command("apt-get");
    command
        // Another installation may be in progress; five minutes are longer than any takes.
        .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0", "--quiet"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Prevents packages from starting services during installation: the tests start nginx themselves, and
/// it must not listen on port 80.
struct NoServices {
    before: Option<PathBuf>,
}

impl NoServices {
    fn begin() -> Result<Self, Failure> {
        let policy = Path::new(POLICY);
        let before = policy.exists().then(|| policy.with_extension("d.before-tidings"));
        if let Some(before) = &before {
            fs::rename(policy, before).map_err(cannot_set)?;
        }
        let guard = Self { before };
        fs::write(policy, "#!/bin/sh\nexit 101\n").map_err(cannot_set)?;
        quietly(command("chmod").args(["755", POLICY]))?;
        Ok(guard)
    }

    fn end(self) -> Result<(), Failure> {
        self.undo().map_err(cannot_set)
    }

    fn undo(&self) -> std::io::Result<()> {
        match &self.before {
            Some(before) if before.exists() => fs::rename(before, POLICY),
            Some(_) => Ok(()),
            None if Path::new(POLICY).exists() => fs::remove_file(POLICY),
            None => Ok(()),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        // After `end` there is nothing left to undo. Without it another failure is already being
        // reported, which matters more.
        drop(self.undo());
    }
}

/// The script that Debian asks whether a service may be started; 101 means no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

fn cannot_set(error: std::io::Error) -> Failure {
    Failure::new(format!("{POLICY} cannot be changed: {error}"))
}
