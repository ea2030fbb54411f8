//! The servers: how each is started, its URLs, and its abilities.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tidings_bench_compare::install::{nginx, tidings};
use tidings_bench_compare::root;

use crate::scratch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tidings,
    /// An earlier build of Tidings, which `--before` names.
    Before,
    Limit,
    LimitMerged,
    Axum,
    /// Takes part only where HTTP/2 is needed.
    AxumHttp2,
    Actix,
    Nchan,
    Node,
    Starlette,
}

/// A server, and its share of each kind of work relative to the fastest server, so that measuring
/// each takes about the same time.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
    pub(crate) pace: Pace,
    pub(crate) abilities: &'static [Ability],
    /// Explains the figures.
    pub(crate) note: Option<&'static str>,
}

/// An ability that not every server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ability {
    /// Subscribers can read events that were published before they connected.
    Replay,
    /// One request can publish many events.
    Batches,
    /// The server speaks HTTP/2 in clear text.
    Http2,
}

#[derive(Debug)]
pub(crate) struct Pace {
    /// The share of deliveries, one event at a time.
    pub(crate) single: f64,
    /// The share of deliveries with many events under way.
    pub(crate) merged: f64,
    /// The share of publishes and of connections.
    pub(crate) requests: f64,
}

pub(crate) const SERVERS: [Server; 10] = [
    Server {
        name: "tidings",
        title: "Tidings",
        kind: Kind::Tidings,
        pace: Pace { single: 1.0, merged: 1.0, requests: 1.0 },
        abilities: &[Ability::Replay, Ability::Batches, Ability::Http2],
        note: None,
    },
    Server {
        name: "before",
        title: "Tidings before",
        kind: Kind::Before,
        pace: Pace { single: 1.0, merged: 1.0, requests: 1.0 },
        abilities: &[Ability::Replay, Ability::Batches, Ability::Http2],
        note: Some("an earlier build, to see what changed"),
    },
    Server {
        name: "limit",
        title: "limit",
        kind: Kind::Limit,
        pace: Pace { single: 1.0, merged: 0.08, requests: 1.0 },
        abilities: &[],
        note: None,
    },
    Server {
        name: "limit-merged",
        title: "limit, merging",
        kind: Kind::LimitMerged,
        pace: Pace { single: 1.0, merged: 1.0, requests: 1.0 },
        abilities: &[],
        note: None,
    },
    Server {
        name: "axum",
        title: "axum",
        kind: Kind::Axum,
        pace: Pace { single: 0.5, merged: 0.2, requests: 0.6 },
        abilities: &[],
        note: Some(
            "a subscriber may lag 128 events behind; the broadcast channel of each topic allocates room for them at the start",
        ),
    },
    Server {
        name: "axum-http2",
        title: "axum, HTTP/2",
        kind: Kind::AxumHttp2,
        pace: Pace { single: 0.5, merged: 0.2, requests: 0.6 },
        abilities: &[Ability::Http2],
        note: Some("the same program with axum's feature http2"),
    },
    Server {
        name: "actix",
        title: "actix-web-lab",
        kind: Kind::Actix,
        pace: Pace { single: 0.5, merged: 0.08, requests: 0.6 },
        abilities: &[],
        note: Some(
            "a publisher waits for the slowest subscriber of the topic; the server closes connections on which it has \
             begun to serve the next pipelined request, which the load then sends again: such events show as doubled",
        ),
    },
    Server {
        name: "nchan",
        title: "nchan",
        kind: Kind::Nchan,
        pace: Pace { single: 0.5, merged: 0.04, requests: 0.4 },
        abilities: &[Ability::Replay],
        note: Some(
            "a topic keeps its last 2,000 events; subscribers and publishers have paths of their own",
        ),
    },
    Server {
        name: "node",
        title: "Node http",
        kind: Kind::Node,
        pace: Pace { single: 0.2, merged: 0.02, requests: 0.15 },
        abilities: &[],
        note: Some("the buffer of a subscriber is unbounded"),
    },
    Server {
        name: "starlette",
        title: "sse-starlette",
        kind: Kind::Starlette,
        pace: Pace { single: 0.02, merged: 0.004, requests: 0.03 },
        abilities: &[],
        note: Some("the queue of a subscriber is unbounded"),
    },
];

impl Server {
    pub(crate) fn is_tidings(&self) -> bool {
        self.kind == Kind::Tidings
    }

    /// Returns whether this is a yardstick rather than a peer.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(self.kind, Kind::Limit | Kind::LimitMerged)
    }

    pub(crate) fn is_peer(&self) -> bool {
        !self.is_tidings() && !self.is_limit() && self.kind != Kind::Before
    }

    /// Returns whether a fault of the server fails the comparison. The faults of peers are only
    /// reported.
    pub(crate) fn must_be_faultless(&self) -> bool {
        !self.is_peer() && self.kind != Kind::Before
    }

    /// Returns whether the server can take part: an earlier build must be given.
    pub(crate) fn is_given(&self) -> bool {
        self.kind != Kind::Before || BEFORE.get().is_some()
    }

    /// Returns whether the server has an ability.
    pub(crate) fn can(&self, ability: Ability) -> bool {
        self.abilities.contains(&ability)
    }

    /// Writes the server's configuration file in `folder`, if it has one.
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

    /// Returns the program and its arguments, which run in `folder`.
    pub(crate) fn command(&self, address: &str, folder: &Path) -> Vec<OsString> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let built = |name: &str| here.join("target/release").join(name);
        match self.kind {
            Kind::Tidings => serve(tidings(), address),
            Kind::Before => serve(BEFORE.get().cloned().unwrap_or_default(), address),
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

    /// Returns the command for the record, with paths relative to the project's folder.
    pub(crate) fn shown(&self) -> String {
        let root = format!("{}/", root().display());
        let command = self.command("127.0.0.1:PORT", Path::new("FOLDER"));
        let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
        let shown = words.join(" ").replace(&root, "");
        match (self.kind, BEFORE.get()) {
            (Kind::Before, Some(program)) => shown.replace(&*program.to_string_lossy(), "PROGRAM"),
            _ => shown,
        }
    }

    /// Returns the URL for subscribers; with `replay`, for reading from the first event.
    pub(crate) fn url(&self, address: SocketAddr, replay: bool) -> String {
        match (self.kind, replay) {
            (Kind::Nchan, true) => format!("http://{address}/replay/{{topic}}"),
            _ => format!("http://{address}/topics/{{topic}}"),
        }
    }

    /// Returns the options that the load needs for this server.
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

    /// Returns the signal that stops the server. If killed, nginx's master would leave its worker
    /// behind; if terminated, the others would wait for their streams.
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

/// The earlier build that is measured beside this one.
static BEFORE: OnceLock<PathBuf> = OnceLock::new();

/// Sets the earlier build that takes part.
pub(crate) fn measure_before(program: PathBuf) {
    BEFORE.get_or_init(|| program);
}

fn serve(program: PathBuf, address: &str) -> Vec<OsString> {
    vec![program.into(), "serve".into(), "--memory".into(), "--listen".into(), address.into()]
}

/// The folder of the Python packages.
pub(crate) fn venv() -> PathBuf {
    scratch().join("venv")
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
