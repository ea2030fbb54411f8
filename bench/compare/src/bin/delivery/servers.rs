//! The servers: how each is started, where it takes subscribers and publishes, and what it can do.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{root, scratch};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tidings,
    Limit,
    LimitMerged,
    Axum,
    /// Only where HTTP/2 is needed.
    AxumHttp2,
    Actix,
    Nchan,
    Node,
    Starlette,
}

/// A server, and how much of each kind of work it is given beside the fastest: enough to measure
/// for about as long.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
    pub(crate) pace: Pace,
    /// What has to be known to read its figures.
    pub(crate) note: Option<&'static str>,
}

#[derive(Debug)]
pub(crate) struct Pace {
    /// Of deliveries, one event at a time.
    pub(crate) single: f64,
    /// Of deliveries with many events under way.
    pub(crate) merged: f64,
    /// Of publishes and of connections.
    pub(crate) requests: f64,
}

pub(crate) const SERVERS: [Server; 9] = [
    Server {
        name: "tidings",
        title: "Tidings",
        kind: Kind::Tidings,
        pace: Pace { single: 1.0, merged: 1.0, requests: 1.0 },
        note: None,
    },
    Server {
        name: "limit",
        title: "limit",
        kind: Kind::Limit,
        pace: Pace { single: 1.0, merged: 0.08, requests: 1.0 },
        note: None,
    },
    Server {
        name: "limit-merged",
        title: "limit, merging",
        kind: Kind::LimitMerged,
        pace: Pace { single: 1.0, merged: 1.0, requests: 1.0 },
        note: None,
    },
    Server {
        name: "axum",
        title: "axum",
        kind: Kind::Axum,
        pace: Pace { single: 0.5, merged: 0.2, requests: 0.6 },
        note: Some(
            "a subscriber may be 128 events behind, which its broadcast channel has room for from the start, for each topic",
        ),
    },
    Server {
        name: "axum-http2",
        title: "axum, HTTP/2",
        kind: Kind::AxumHttp2,
        pace: Pace { single: 0.5, merged: 0.2, requests: 0.6 },
        note: Some("the same program with axum's feature http2"),
    },
    Server {
        name: "actix",
        title: "actix-web-lab",
        kind: Kind::Actix,
        pace: Pace { single: 0.5, merged: 0.08, requests: 0.6 },
        note: Some(
            "a publisher waits for the slowest subscriber of the topic; it closes connections on which it has begun to \
             serve the next of several requests, and the load sends that again: such events show as doubled",
        ),
    },
    Server {
        name: "nchan",
        title: "nchan",
        kind: Kind::Nchan,
        pace: Pace { single: 0.5, merged: 0.04, requests: 0.4 },
        note: Some(
            "a topic keeps its last 2,000 events; subscribers and publishers have paths of their own",
        ),
    },
    Server {
        name: "node",
        title: "Node http",
        kind: Kind::Node,
        pace: Pace { single: 0.2, merged: 0.02, requests: 0.15 },
        note: Some("what a subscriber has not taken has no limit"),
    },
    Server {
        name: "starlette",
        title: "sse-starlette",
        kind: Kind::Starlette,
        pace: Pace { single: 0.02, merged: 0.004, requests: 0.03 },
        note: Some("a subscriber's queue has no limit"),
    },
];

impl Server {
    pub(crate) fn is_tidings(&self) -> bool {
        self.kind == Kind::Tidings
    }

    /// Whether it is a yardstick and no peer.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(self.kind, Kind::Limit | Kind::LimitMerged)
    }

    pub(crate) fn is_peer(&self) -> bool {
        !self.is_tidings() && !self.is_limit()
    }

    /// Whether a fault of it fails the comparison: what peers lose is theirs, and only told.
    pub(crate) fn must_be_faultless(&self) -> bool {
        !self.is_peer()
    }

    /// Whether subscribers can read what was published before they came.
    pub(crate) fn has_replay(&self) -> bool {
        matches!(self.kind, Kind::Tidings | Kind::Nchan)
    }

    /// Whether one request publishes many events.
    pub(crate) fn has_batches(&self) -> bool {
        self.is_tidings()
    }

    /// Whether it speaks HTTP/2 in clear text.
    pub(crate) fn has_http2(&self) -> bool {
        matches!(self.kind, Kind::Tidings | Kind::AxumHttp2)
    }

    /// Writes the configuration that it reads from `folder`, if it is one that does.
    pub(crate) fn configure(&self, address: SocketAddr, folder: &Path) -> io::Result<()> {
        match self.kind {
            Kind::Nchan => {
                let here = Path::new(env!("CARGO_MANIFEST_DIR"));
                let text = fs::read_to_string(here.join("peers/nchan/nginx.conf"))?;
                fs::write(folder.join("nginx.conf"), text.replace("ADDRESS", &address.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The program and its arguments, as they are run in `folder`.
    pub(crate) fn command(&self, address: &str, folder: &Path) -> Vec<OsString> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let built = |name: &str| here.join("target/release").join(name);
        match self.kind {
            Kind::Tidings => {
                vec![tidings().into(), "serve".into(), "--listen".into(), address.into()]
            }
            Kind::Limit => vec![built("limit").into(), address.into()],
            Kind::LimitMerged => vec![built("limit").into(), "--merge".into(), address.into()],
            Kind::Axum => vec![built("peer-axum").into(), address.into()],
            Kind::AxumHttp2 => vec![built("peer-axum-http2").into(), address.into()],
            Kind::Actix => vec![built("peer-actix").into(), address.into()],
            Kind::Node => {
                vec!["node".into(), here.join("peers/node/server.mjs").into(), address.into()]
            }
            Kind::Starlette => uvicorn(address, &here.join("peers/starlette")),
            Kind::Nchan => {
                let options = ["-c", "nginx.conf", "-e", "stderr"];
                let mut command: Vec<OsString> = vec![nginx().into(), "-p".into(), folder.into()];
                command.extend(options.map(OsString::from));
                command
            }
        }
    }

    /// The command, as a page shows it: with paths from the project's folder.
    pub(crate) fn shown(&self) -> String {
        let root = format!("{}/", root().display());
        let command = self.command("127.0.0.1:PORT", Path::new("FOLDER"));
        let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ").replace(&root, "")
    }

    /// Where subscribers connect; with `replay`, to read from the first event.
    pub(crate) fn url(&self, address: SocketAddr, replay: bool) -> String {
        match (self.kind, replay) {
            (Kind::Nchan, true) => format!("http://{address}/replay/{{topic}}"),
            _ => format!("http://{address}/topics/{{topic}}"),
        }
    }

    /// What the load needs to be told of this server.
    pub(crate) fn load_options(&self, address: SocketAddr, replay: bool) -> Vec<String> {
        match self.kind {
            Kind::Nchan => {
                let publish = format!("http://{address}/publish/{{topic}}");
                let mut options = vec!["--publish-url".to_owned(), publish];
                if replay {
                    options.push("--no-start".to_owned());
                }
                options
            }
            _ => Vec::new(),
        }
    }

    /// How it is stopped. nginx's master would leave its worker behind if it were killed; the others
    /// would wait for their streams if they were asked.
    pub(crate) fn stop_signal(&self) -> &'static str {
        match self.kind {
            Kind::Nchan => "TERM",
            _ => "KILL",
        }
    }
}

fn uvicorn(address: &str, folder: &Path) -> Vec<OsString> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let mut command = vec![venv().join("bin/uvicorn").into(), "server:app".into()];
    command.extend(["--app-dir".into(), folder.into()]);
    command.extend(
        [
            ["--host", host],
            ["--port", port],
            ["--workers", "1"],
            ["--loop", "uvloop"],
            ["--http", "httptools"],
            ["--backlog", "4096"],
            ["--log-level", "warning"],
        ]
        .as_flattened()
        .iter()
        .map(OsString::from),
    );
    command.push("--no-access-log".into());
    command
}

/// The product's release build.
pub(crate) fn tidings() -> PathBuf {
    root().join("target/release/tidings")
}

/// The folder of Python's packages.
pub(crate) fn venv() -> PathBuf {
    scratch().join("venv")
}

/// Debian keeps it where only root's PATH looks.
pub(crate) fn nginx() -> &'static str {
    let system = "/usr/sbin/nginx";
    if Path::new(system).exists() { system } else { "nginx" }
}

/// A program pinned to a core, that ends when the comparison is ended before it.
pub(crate) fn pinned(core: u32, command: &[OsString]) -> Command {
    let mut pinned = Command::new("setpriv");
    pinned.args(["--pdeathsig", "TERM", "taskset", "-c"]).arg(core.to_string()).args(command);
    pinned
}

#[cfg(test)]
mod tests {
    use super::SERVERS;

    #[test]
    fn names_are_used_once() {
        for (index, server) in SERVERS.iter().enumerate() {
            assert!(
                SERVERS[..index].iter().all(|other| other.name != server.name),
                "{}",
                server.name
            );
        }
    }
}
