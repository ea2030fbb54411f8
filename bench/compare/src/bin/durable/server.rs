//! The servers, each with a folder of its own that is removed with it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tidings_bench_compare::process;

use tidings_bench_compare::publishing::wire::Wire;

/// The core of the servers; the load has another one.
const CORE: &str = "0";
/// A server that does not accept connections within this time has failed to start.
const START_MAX: Duration = Duration::from_secs(60);

/// A running server.
pub(crate) struct Server {
    process: Child,
    pub(crate) wire: Wire,
    pub(crate) address: SocketAddr,
    /// From the start of the process until it accepted a connection.
    pub(crate) started_in: Duration,
}

/// The programs to run.
pub(crate) struct Programs {
    pub(crate) tidings: PathBuf,
    pub(crate) nats: PathBuf,
}

impl Server {
    /// Starts a server on a folder, and waits until it accepts connections.
    pub(crate) fn start(programs: &Programs, wire: Wire, folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let address = process::free_address()?;
        let began = Instant::now();
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "taskset", "-c", CORE])
            .args(command(programs, wire, address, folder)?)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr(wire))
            .spawn()?;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.try_wait()? {
                return Err(io::Error::other(format!("{wire:?} has ended: {status}")));
            }
            if began.elapsed() > START_MAX {
                process::stop(&mut process, "KILL");
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(Self { process, wire, address, started_in: began.elapsed() })
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        process::stop(&mut self.process, "TERM");
    }
}

/// Returns where a server's log goes: nats-server writes all of it to standard error.
fn stderr(wire: Wire) -> Stdio {
    match wire {
        Wire::Nats => Stdio::null(),
        Wire::Tidings | Wire::Redis => Stdio::inherit(),
    }
}

/// Returns the command of a server that syncs every event before it acknowledges it.
fn command(
    programs: &Programs,
    wire: Wire,
    address: SocketAddr,
    folder: &Path,
) -> io::Result<Vec<OsString>> {
    let port = address.port().to_string();
    let mut command: Vec<OsString> = Vec::new();
    match wire {
        Wire::Tidings => {
            command.extend([programs.tidings.clone().into(), "serve".into()]);
            command.extend(["--listen".into(), address.to_string().into(), "--data".into()]);
            command.push(folder.into());
            // The default is less where the disk is nearly full, and then not all events would be held.
            command.extend(["--history-bytes".into(), "8GiB".into()]);
        }
        Wire::Redis => {
            command
                .extend(["redis-server", "--port", &port, "--bind", "127.0.0.1"].map(Into::into));
            command.extend(["--appendonly", "yes", "--appendfsync", "always"].map(Into::into));
            command.extend(["--save", "", "--dir"].map(Into::into));
            command.push(folder.into());
        }
        Wire::Nats => {
            let config = folder.join("nats.conf");
            let text = format!(
                "listen: 127.0.0.1:{port}\njetstream {{\n  store_dir: {:?}\n  sync_interval: always\n}}\n",
                folder.join("store")
            );
            fs::write(&config, text)?;
            command.extend([programs.nats.clone().into(), "-c".into(), config.into()]);
        }
    }
    Ok(command)
}
