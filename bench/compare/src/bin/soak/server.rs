//! The server under load, which is stopped when this is dropped.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tidings_bench_compare::http::Connection;
use tidings_bench_compare::process;

use crate::sample::{Metrics, Sample};

/// The options that matter. The history is full within half a minute, and readers that stopped
/// are closed within a run of the load.
pub(crate) const OPTIONS: &str = "--memory --history-bytes 16MiB --stall-timeout 10s";
/// A server that does not accept connections within this time has failed to start.
const START_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a server and waits until it accepts connections. Its warnings go to the terminal.
    pub(crate) fn start(program: &Path) -> Result<Self, Box<dyn Error>> {
        let address = process::free_address()?;
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(program)
            .args(["serve", "--listen", &address.to_string()])
            .args(OPTIONS.split(' '))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
        let mut server = Self { process, address };
        let until = Instant::now() + START_MAX;
        while TcpStream::connect_timeout(&address, START_MAX).is_err() {
            server.check()?;
            if Instant::now() > until {
                return Err("the server does not start".into());
            }
            thread::sleep(process::LOOK);
        }
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Fails if the server has ended.
    pub(crate) fn check(&mut self) -> Result<(), Box<dyn Error>> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("the server has ended: {status}").into()),
        }
    }

    pub(crate) fn sample(&self, at: Duration) -> Result<Sample, Box<dyn Error>> {
        let text = self.metrics().map_err(|error| format!("/metrics cannot be read: {error}"))?;
        Ok(Sample::of_process(self.process.id(), at, Metrics::parse(&text)?)?)
    }

    fn metrics(&self) -> io::Result<String> {
        Connection::open(self.address)?.text("/metrics")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        process::stop(&mut self.process, "TERM");
    }
}
