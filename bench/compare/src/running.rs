//! Servers that run for a measurement.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::process;

/// A server that does not accept connections within this time has failed to start.
const START_MAX: Duration = Duration::from_secs(20);

/// A running server, which is stopped when this is dropped.
#[derive(Debug)]
pub struct Running {
    process: Child,
    signal: &'static str,
}

impl Running {
    /// Starts a server on a core and waits until it accepts connections. `signal` stops it later.
    ///
    /// # Errors
    ///
    /// The server does not start. The error contains its standard error.
    pub fn start(
        core: u32,
        command: &[OsString],
        address: SocketAddr,
        folder: &Path,
        signal: &'static str,
    ) -> Result<Self, String> {
        let failed = |error: io::Error| format!("does not start: {error}");
        let said = folder.join("stderr");
        let stderr = File::create(&said).map_err(failed)?;
        let process = pinned(core, command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .current_dir(folder)
            .spawn()
            .map_err(failed)?;
        let mut running = Self { process, signal };
        let until = Instant::now() + START_MAX;
        while TcpStream::connect_timeout(&address, START_MAX).is_err() {
            let ended = running.process.try_wait().map_err(failed)?;
            if ended.is_some() || Instant::now() > until {
                let said = fs::read_to_string(&said).unwrap_or_default();
                return Err(format!("does not start:\n{}", said.trim()));
            }
            thread::sleep(process::LOOK);
        }
        Ok(running)
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        process::stop(&mut self.process, self.signal);
    }
}

/// Pins a program to a core, and ends it if the comparison ends first.
#[must_use]
pub fn pinned(core: u32, command: &[OsString]) -> Command {
    let mut pinned = Command::new("setpriv");
    pinned.args(["--pdeathsig", "TERM", "taskset", "-c"]).arg(core.to_string()).args(command);
    pinned
}
