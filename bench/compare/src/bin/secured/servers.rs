//! The servers: how each is started.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::CertifiedKey;
use tidings_bench_compare::install::{UTILITIES, cargo, program, provide};

/// A server, with or without tokens and TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Token,
    Tls,
    Both,
    Peer,
    PeerTls,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Plain, Self::Token, Self::Tls, Self::Both, Self::Peer, Self::PeerTls];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plain => "Tidings",
            Self::Token => "with tokens",
            Self::Tls => "with TLS",
            Self::Both => "with both",
            Self::Peer => "hyper",
            Self::PeerTls => "hyper-rustls",
        }
    }

    pub(crate) fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Both | Self::PeerTls)
    }

    pub(crate) fn has_tokens(self) -> bool {
        matches!(self, Self::Token | Self::Both)
    }

    pub(crate) fn is_ours(self) -> bool {
        !matches!(self, Self::Peer | Self::PeerTls)
    }
}

/// The programs and the files that start the servers.
pub(crate) struct Servers {
    tidings: PathBuf,
    peer: PathBuf,
    /// The folder of the configuration, the secret and the certificate.
    pub(crate) folder: PathBuf,
    /// A token that covers what the loads do.
    pub(crate) token: String,
}

/// Patterns that cover what is read, and are not simply everything, so that every event is checked.
const COVERED: [&str; 2] = ["u/**", "everybody"];
/// Long enough for HS256.
const SECRET: &str = "a secret of a server that runs for some seconds";
const CONFIG: &str = "[auth]\nkeys = [{ algorithm = \"HS256\", secret_file = \"secret\" }]\n";

impl Servers {
    /// Builds the servers but for this program of Tidings, if there is one, and makes their keys.
    ///
    /// # Errors
    ///
    /// A server cannot be built, or a file cannot be written.
    pub(crate) fn prepare(tidings: Option<&Path>) -> Result<Self, String> {
        provide(&UTILITIES)?;
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tidings = program(tidings)?;
        cargo(here, &["--package", "peer-hyper-rustls"])?;
        let peer = here.join("target/release/peer-hyper-rustls");
        let folder = here.join("target/secured/run");
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let CertifiedKey { cert, signing_key } = made.map_err(|error| error.to_string())?;
        for (name, text) in [
            ("secret", SECRET),
            ("tidings.toml", CONFIG),
            ("cert.pem", &cert.pem()),
            ("key.pem", &signing_key.serialize_pem()),
        ] {
            fs::write(folder.join(name), text).map_err(|error| error.to_string())?;
        }
        let token = token(&tidings, &folder.join("secret"))?;
        Ok(Self { tidings, peer, folder, token })
    }

    /// Returns the command that starts a server.
    pub(crate) fn command(&self, kind: Kind, address: SocketAddr) -> Vec<OsString> {
        let file = |name: &str| self.folder.join(name).into_os_string();
        if !kind.is_ours() {
            let mut command = vec![self.peer.clone().into(), address.to_string().into()];
            if kind.has_tls() {
                command.extend([file("cert.pem"), file("key.pem")]);
            }
            return command;
        }
        let mut command = vec![self.tidings.clone().into(), "serve".into(), "--memory".into()];
        command.extend(["--listen".into(), address.to_string().into()]);
        if kind.has_tokens() {
            command.extend(["--config".into(), file("tidings.toml")]);
        }
        if kind.has_tls() {
            command.extend(["--tls-certificate".into(), file("cert.pem")]);
            command.extend(["--tls-key".into(), file("key.pem")]);
        }
        command
    }
}

fn token(program: &Path, secret: &Path) -> Result<String, String> {
    let mut command = Command::new(program);
    command.arg("token").arg("--secret-file").arg(secret).args(["--publish", "**"]);
    command.args(COVERED.iter().flat_map(|covered| ["--subscribe", covered]));
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!("no token: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Returns the versions of what the peer is made of.
///
/// # Errors
///
/// They are unknown, so the figures would have no meaning.
pub(crate) fn peer_versions() -> Result<String, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock = fs::read_to_string(here.join("Cargo.lock")).map_err(|error| error.to_string())?;
    let version = |name: &str| {
        let after = lock.split_once(&format!("name = \"{name}\"\nversion = \""));
        let version = after.and_then(|(_, after)| after.split('"').next());
        version
            .map(|version| format!("{name} {version}"))
            .ok_or(format!("{name} is not in Cargo.lock"))
    };
    let names = ["hyper", "tokio-rustls", "rustls", "tokio"];
    Ok(names.map(version).into_iter().collect::<Result<Vec<_>, _>>()?.join(", "))
}
