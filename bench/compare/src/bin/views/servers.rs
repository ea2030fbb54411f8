//! The servers: how each is started.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tidings_bench_compare::host::said;
use tidings_bench_compare::install::{NCHAN, UTILITIES, cargo, nginx, program, provide};

use crate::args::Args;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Tidings,
    /// An earlier build of Tidings.
    Before,
    Nchan,
    Axum,
}

/// A server that takes part.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    program: PathBuf,
}

/// The clients that may publish and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// All.
    Open,
    /// Those with a token, which covers what is read.
    Token,
    /// Those with an API key.
    Key,
}

/// How Tidings is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) access: Access,
    /// The size of its history; `None` for the default.
    pub(crate) history: Option<&'static str>,
}

/// The topics that a token or a key may read: not simply everything, so that every event is checked.
const COVERED: [&str; 4] = ["*", "u/**", "quiet/**", "everybody"];
/// Long enough for HS256.
const SECRET: &str = "a secret of a server that runs for some seconds";

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Tidings, Self::Before, Self::Nchan, Self::Axum];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tidings => "tidings",
            Self::Before => "before",
            Self::Nchan => "nchan",
            Self::Axum => "axum",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Tidings => "Tidings",
            Self::Before => "Tidings before",
            Self::Nchan => "nchan, several channels for each subscriber",
            Self::Axum => "axum, a broadcast channel for each topic, merged by `StreamMap`",
        }
    }

    /// Returns whether it is a build of Tidings.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Tidings | Self::Before)
    }
}

/// Returns the servers that take part, built and installed.
///
/// # Errors
///
/// A name is unknown, or a server cannot be built or installed.
pub(crate) fn prepare(args: &Args) -> Result<Vec<Server>, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = Kind::ALL.map(Kind::name);
    if let Some(unknown) = args.servers.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("unknown name '{unknown}'; known names are {}", names.join(", ")));
    }
    let is_wanted =
        |kind: Kind| args.servers.is_empty() || args.servers.iter().any(|name| name == kind.name());
    provide(&UTILITIES)?;
    let mut servers = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|&kind| is_wanted(kind)) {
        let program = match kind {
            Kind::Tidings => program(args.program.as_deref())?,
            Kind::Before => match &args.before {
                Some(program) => program.canonicalize().map_err(|error| error.to_string())?,
                None => continue,
            },
            Kind::Nchan => {
                provide(&NCHAN)?;
                nginx().into()
            }
            Kind::Axum => {
                cargo(here, &["--package", "peer-axum"])?;
                here.join("target/release/peer-axum")
            }
        };
        servers.push(Server { kind, program });
    }
    Ok(servers)
}

impl Server {
    /// Writes its configuration in `folder`, and returns its command.
    pub(crate) fn command(
        &self,
        address: SocketAddr,
        folder: &Path,
        options: Options,
    ) -> io::Result<Vec<OsString>> {
        let mut command: Vec<OsString> = vec![self.program.clone().into()];
        match self.kind {
            Kind::Tidings | Kind::Before => {
                command.extend(["serve", "--memory", "--listen"].map(OsString::from));
                command.push(address.to_string().into());
                if let Some(history) = options.history {
                    command.extend(["--history-bytes", history].map(OsString::from));
                }
                if options.access != Access::Open {
                    command.extend(["--config".into(), folder.join("tidings.toml").into()]);
                }
            }
            Kind::Nchan => {
                let here = Path::new(env!("CARGO_MANIFEST_DIR"));
                let text = fs::read_to_string(here.join("peers/nchan/nginx.conf"))?;
                let text = text.replace("ADDRESS", &address.to_string());
                fs::write(folder.join("nginx.conf"), text)?;
                command.extend(["-p".into(), folder.into()]);
                command.extend(["-c", "nginx.conf", "-e", "stderr"].map(OsString::from));
            }
            Kind::Axum => command.push(address.to_string().into()),
        }
        Ok(command)
    }

    /// Returns the header that a load needs, and writes the configuration that asks for it.
    ///
    /// # Errors
    ///
    /// The program makes no token or key.
    pub(crate) fn grant(&self, access: Access, folder: &Path) -> Result<Option<String>, String> {
        let failed = |error: io::Error| error.to_string();
        fs::write(folder.join("secret"), SECRET).map_err(failed)?;
        let mut command = Command::new(&self.program);
        match access {
            Access::Open => return Ok(None),
            Access::Token => {
                command.arg("token").arg("--secret-file").arg(folder.join("secret"));
            }
            Access::Key => {
                command.args(["key", "new", "load"]);
            }
        }
        command.args(["--publish", "**"]);
        command.args(COVERED.iter().flat_map(|covered| ["--subscribe", covered]));
        let output = command.output().map_err(failed)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines();
        let secret = lines.next().filter(|_| output.status.success());
        let secret = secret.ok_or("the program makes no tokens")?;
        let keys = match lines.next() {
            Some(line) => format!("api_keys = [{line}]"),
            None => "keys = [{ algorithm = \"HS256\", secret_file = \"secret\" }]".to_owned(),
        };
        fs::write(folder.join("tidings.toml"), format!("[auth]\n{keys}\n")).map_err(failed)?;
        Ok(Some(format!("Authorization: Bearer {secret}")))
    }

    /// Returns the version of a peer.
    ///
    /// # Errors
    ///
    /// It is unknown, so the figures would have no meaning.
    pub(crate) fn version(&self) -> Result<Option<String>, String> {
        Ok(match self.kind {
            Kind::Tidings | Kind::Before => None,
            Kind::Nchan => {
                let module = ["-W", "-f", "${Version}", "libnginx-mod-nchan"];
                Some(format!("nchan {} of Debian", said("dpkg-query", &module)?))
            }
            Kind::Axum => {
                let here = Path::new(env!("CARGO_MANIFEST_DIR"));
                let lock = fs::read_to_string(here.join("Cargo.lock"));
                let lock = lock.map_err(|error| error.to_string())?;
                let after = lock.split_once("name = \"axum\"\nversion = \"");
                let version = after.and_then(|(_, after)| after.split('"').next());
                Some(format!("axum {}", version.ok_or("axum is not in Cargo.lock")?))
            }
        })
    }

    /// Returns the signal that stops it. If killed, nginx's master would leave its worker behind; if
    /// terminated, the others would wait for their streams.
    pub(crate) fn stop_signal(&self) -> &'static str {
        match self.kind {
            Kind::Nchan => "TERM",
            _ => "KILL",
        }
    }
}
