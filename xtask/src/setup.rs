//! Installs the requirements of a step, or says what is missing and how to get it.
//!
//! System packages are installed only as root on Debian. Everything else is installed in the
//! workspace: cargo's tools in `target/tools`, Node's packages in `e2e/node_modules`, and Python's in
//! `e2e/.venv`, where the next run finds them.

mod debian;
mod packages;
mod tools;

use std::path::{Path, PathBuf};

use crate::run::{self, Failure, command, root, succeeds};

/// A requirement of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Rustfmt,
    Clippy,
    Git,
    /// Builds jemalloc, with the C compiler that Rust links with.
    Make,
    CxxCompiler,
    Node,
    Python,
    Chromium,
    Nginx,
    Haproxy,
    Caddy,
    Apache,
    Promtool,
    SystemdAnalyze,
    Php,
    Ruby,
    Go,
    Java,
    Curl,
    /// A cargo subcommand of `xtask/tools.txt`.
    CargoTool(&'static str),
    /// The packages pinned in `e2e/package-lock.json`.
    NodePackages,
    /// The packages pinned in `e2e/requirements.txt`.
    PythonPackages,
}

/// The requirements that this run of xtask has already provided.
#[derive(Default)]
pub(crate) struct Setup {
    provided: Vec<Need>,
    package_lists: debian::PackageLists,
}

impl Setup {
    /// Makes sure that `needs` are installed.
    ///
    /// # Errors
    ///
    /// Names in one sentence everything that is missing and cannot be installed here.
    pub(crate) fn provide(&mut self, needs: &[Need]) -> Result<(), Failure> {
        // Programs first: the packages below are installed with them.
        let missing: Vec<Program> =
            needs.iter().filter_map(|need| need.program()).filter(|it| !it.is_there()).collect();
        if !missing.is_empty() {
            self.package_lists.install(&missing)?;
        }
        for need in needs {
            if !self.provided.contains(need) {
                provide_package(*need)?;
                self.provided.push(*need);
            }
        }
        Ok(())
    }

    /// The path of the cargo subcommand `name`.
    pub(crate) fn cargo_tool(&self, name: &str) -> PathBuf {
        tools::path(name)
    }
}

/// Installs a requirement that is not a system program.
fn provide_package(need: Need) -> Result<(), Failure> {
    match need {
        Need::Rustfmt => tools::component("rustfmt", "cargo-fmt"),
        Need::Clippy => tools::component("clippy", "cargo-clippy"),
        Need::CargoTool(name) => tools::provide(name),
        Need::NodePackages => packages::node(),
        Need::PythonPackages => packages::python(),
        // Newer versions compile their standard library at its first use: here no test waits for it.
        Need::Go => run::quietly(command("go").args(["build", "net/http"]).env("CGO_ENABLED", "0")),
        _ => Ok(()),
    }
}

impl Need {
    fn program(self) -> Option<Program> {
        Some(match self {
            Self::Git => Program::new("git", &["--version"], "git", "git"),
            Self::Make => Program::new("make", &["--version"], "make", "make"),
            Self::CxxCompiler => Program::new("c++", &["--version"], "g++", "a C++ compiler"),
            Self::Node => Program::new("node", &["-e", NODE_IS_NEW_ENOUGH], "nodejs npm", NODE),
            Self::Python => Program::new("python3", PYTHON_CAN_VENV, "python3-venv", PYTHON),
            Self::Chromium => Program::new("chromium", &["--version"], "chromium", "Chromium"),
            Self::Nginx => Program::new("nginx", &["-v"], "nginx", "nginx"),
            Self::Haproxy => Program::new("haproxy", &["-v"], "haproxy", "HAProxy"),
            Self::Caddy => Program::new("caddy", &["version"], "caddy", "Caddy"),
            Self::Apache => Program::new("apache2", &["-v"], "apache2", "Apache"),
            Self::Promtool => {
                Program::new("promtool", &["--version"], "prometheus", "Prometheus's promtool")
            }
            Self::SystemdAnalyze => {
                Program::new("systemd-analyze", &["--version"], "systemd", "systemd-analyze")
            }
            Self::Php => Program::new("php", &["--version"], "php-cli", "PHP"),
            Self::Ruby => Program::new("ruby", &["--version"], "ruby", "Ruby"),
            Self::Go => Program::new("go", &["version"], "golang-go", "Go"),
            Self::Java => Program::new("javac", &["-version"], "default-jdk-headless", "a JDK"),
            Self::Curl => Program::new("curl", &["--version"], "curl", "curl"),
            _ => return None,
        })
    }
}

const NODE: &str = "Node.js 20.11 or newer with npm";
/// 20.11 is the first 20 whose test runner knows `--test-timeout`.
const NODE_IS_NEW_ENOUGH: &str = "const [major, minor] = process.versions.node.split('.').map(Number);\
     require('child_process').execFileSync('npm', ['--version']);\
     process.exit(major > 20 || (major === 20 && minor >= 11) ? 0 : 1)";
const PYTHON: &str = "Python 3 with its modules venv and ensurepip";
const PYTHON_CAN_VENV: &[&str] = &["-c", "import venv, ensurepip"];

/// A system program: how to detect it, and how to install it.
struct Program {
    name: &'static str,
    /// Arguments with which it succeeds at once if it is usable.
    probe: &'static [&'static str],
    /// The Debian packages that provide it.
    debian: &'static str,
    /// Its name in a sentence.
    title: &'static str,
}

impl Program {
    fn new(
        name: &'static str,
        probe: &'static [&'static str],
        debian: &'static str,
        title: &'static str,
    ) -> Self {
        Self { name, probe, debian, title }
    }

    fn is_there(&self) -> bool {
        // Debian installs server programs in a folder that only root's PATH includes.
        let system = Path::new("/usr/sbin").join(self.name);
        succeeds(command(self.name).args(self.probe)) || succeeds(command(system).args(self.probe))
    }
}

/// Returns whether the stamp at `path` says that exactly `wanted` is installed.
fn is_stamped(path: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|found| found == wanted)
}

/// Records that `wanted` is installed, so that the next run skips it.
fn stamp(path: &Path, wanted: &str) -> Result<(), Failure> {
    std::fs::write(path, wanted)
        .map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))
}

/// Reads a file of the workspace.
fn read_file(path: &str) -> Result<String, Failure> {
    std::fs::read_to_string(root().join(path))
        .map_err(|error| Failure::new(format!("{path} cannot be read: {error}")))
}

/// Installs exactly the packages that `requirements` pins by hash into a Python virtual environment.
fn install_python_packages(environment: &Path, requirements: &Path) -> Result<(), Failure> {
    run::quietly(command("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    run::quietly(
        command(environment.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--require-hashes", "--only-binary", ":all:", "--requirement"])
            .arg(requirements),
    )
}
