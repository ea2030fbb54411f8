//! The servers: NATS, and hubs on it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tidings_bench_compare::http::Connection;
use tidings_bench_compare::process;

/// A server that is not ready within this time has failed to start.
const START_MAX: Duration = Duration::from_secs(60);
/// The history of a hub, so that a million events of 100 bytes fit.
const HISTORY: &str = "512MiB";

/// The programs to run.
pub(crate) struct Programs {
    pub(crate) tidings: PathBuf,
    pub(crate) nats: PathBuf,
}

/// How NATS keeps the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Servers that keep it: all there are.
    pub(crate) replicas: usize,
    /// `true` if a message is synced before it is acknowledged, and not some time later.
    pub(crate) is_synced: bool,
}

impl Setting {
    pub(crate) const ALL: [Self; 4] = [
        Self { replicas: 1, is_synced: false },
        Self { replicas: 1, is_synced: true },
        Self { replicas: 3, is_synced: false },
        Self { replicas: 3, is_synced: true },
    ];

    pub(crate) fn name(self) -> &'static str {
        match (self.replicas, self.is_synced) {
            (1, false) => "R1",
            (1, true) => "R1, sync_interval always",
            (_, false) => "R3",
            (_, true) => "R3, sync_interval always",
        }
    }
}

/// A running program, which is stopped when this is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process until it was ready.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Starts a program, and waits until it is ready.
    fn start(
        command: &[OsString],
        address: SocketAddr,
        said: &Path,
        is_ready: impl Fn(SocketAddr) -> bool,
    ) -> io::Result<Self> {
        let began = Instant::now();
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(said)?)
            .spawn()?;
        while !is_ready(address) {
            let ended = process.try_wait()?;
            if ended.is_some() || began.elapsed() > START_MAX {
                process::stop(&mut process, "KILL");
                let said = fs::read_to_string(said).unwrap_or_default();
                return Err(io::Error::other(format!("{command:?} does not start:\n{said}")));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(Self { process, address, started_in: began.elapsed() })
    }

    /// Has the server run on some cores from now on.
    pub(crate) fn pin(&self, cores: &str) -> io::Result<()> {
        process::pin(self.process.id(), cores)
    }

    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        process::cpu_time(self.process.id())
    }

    /// The value of a metric of a hub.
    pub(crate) fn metric(&self, name: &str) -> io::Result<u64> {
        let text = Connection::open(self.address)?.text("/metrics")?;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| io::Error::other(format!("there is no metric {name}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        process::stop(&mut self.process, "TERM");
    }
}

/// Starts the servers of NATS in an empty folder.
pub(crate) fn start_nats(
    programs: &Programs,
    setting: Setting,
    folder: &Path,
) -> io::Result<Vec<Server>> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let addresses = || (0..setting.replicas).map(|_| process::free_address());
    let addresses_of = addresses().collect::<io::Result<Vec<_>>>()?;
    let routes = addresses().collect::<io::Result<Vec<_>>>()?;
    let sync = if setting.is_synced { "sync_interval: always" } else { "" };
    let all: Vec<_> = routes.iter().map(|route| format!("\"nats://{route}\"")).collect();
    let mut servers = Vec::new();
    for (number, (address, route)) in addresses_of.iter().zip(&routes).enumerate() {
        let cluster = match setting.replicas {
            1 => String::new(),
            _ => format!(
                "cluster {{ name: bench, listen: \"{route}\", routes: [{}] }}",
                all.join(", ")
            ),
        };
        let store = folder.join(format!("{number}"));
        let text = format!(
            "listen: \"{address}\"\nserver_name: n{number}\njetstream {{ store_dir: {store:?}, {sync} }}\n\
             {cluster}\n"
        );
        let config = folder.join(format!("{number}.conf"));
        fs::write(&config, text)?;
        let command = [programs.nats.clone().into(), "-c".into(), config.into()];
        let said = folder.join(format!("{number}.log"));
        let accepts = |address| TcpStream::connect(address).is_ok();
        servers.push(Server::start(&command, *address, &said, accepts)?);
    }
    Ok(servers)
}

/// Starts a hub on a stream, or in memory alone, and waits until it is ready for readers.
pub(crate) fn start_hub(
    programs: &Programs,
    nats: &[Server],
    stream: &str,
    folder: &Path,
) -> io::Result<Server> {
    let address = process::free_address()?;
    let mut command: Vec<OsString> = vec![programs.tidings.clone().into()];
    command.extend(["serve", "--listen", &address.to_string()].map(Into::into));
    command.extend(["--history-bytes", HISTORY].map(Into::into));
    if nats.is_empty() {
        command.push("--memory".into());
    } else {
        let urls: Vec<_> = nats.iter().map(|it| format!("nats://{}", it.address)).collect();
        let replicas = nats.len().to_string();
        let options = ["--nats", &urls.join(","), "--nats-stream", stream, "--nats-replicas"];
        command.extend(options.map(Into::into));
        command.push(replicas.into());
    }
    let said = folder.join(format!("hub-{}.log", address.port()));
    let is_ready = |address| {
        Connection::open(address).is_ok_and(|mut connection| connection.text("/readyz").is_ok())
    };
    Server::start(&command, address, &said, is_ready)
}

/// Starts some hubs on a new stream.
pub(crate) fn start_hubs(
    programs: &Programs,
    nats: &[Server],
    (stream, count): (&str, usize),
    folder: &Path,
) -> io::Result<Vec<Server>> {
    (0..count).map(|_| start_hub(programs, nats, stream, folder)).collect()
}

/// The addresses of some servers.
pub(crate) fn addresses(servers: &[Server]) -> Vec<SocketAddr> {
    servers.iter().map(|server| server.address).collect()
}
