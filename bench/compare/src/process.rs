//! Building, observing and ending processes.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// The interval at which a process is polled.
pub const LOOK: Duration = Duration::from_millis(10);
/// The time a server may take to end before it is killed.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Returns the command that builds `what` of the workspace in `folder` for release.
pub fn cargo_build(folder: &Path, what: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked"]).args(what).current_dir(folder);
    // Programs are expected in cargo's default target folder. The variables that cargo sets for
    // this program would change the environment of build scripts and so cause rebuilds.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text == "CARGO_TARGET_DIR" || OWN.iter().any(|own| text.starts_with(own)) {
            command.env_remove(name);
        }
    }
    command
}

/// Prefixes of the variables that describe the package of a program run by cargo.
const OWN: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// Returns an address that was free a moment ago.
///
/// # Errors
///
/// No port is free.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Has all threads of a process run on some cores, such as `0` or `0-1`.
///
/// # Errors
///
/// The process has ended, or there are no such cores.
pub fn pin(process: u32, cores: &str) -> io::Result<()> {
    let process = process.to_string();
    let done = Command::new("taskset").args(["-apc", cores, &process]).output()?;
    match done.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&done.stderr).into_owned())),
    }
}

/// Waits until a process has ended, at most for `longest`.
///
/// # Errors
///
/// The process cannot be waited for.
pub fn wait(child: &mut Child, longest: Duration) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + longest;
    loop {
        match child.try_wait()? {
            None if Instant::now() < until => thread::sleep(LOOK),
            ended => return Ok(ended),
        }
    }
}

/// Returns the CPU time that a process has used.
///
/// # Errors
///
/// It has ended.
pub fn cpu_time(process: u32) -> io::Result<Duration> {
    /// The kernel's unit of CPU time, which is the same on every Linux.
    const TICK: Duration = Duration::from_millis(10);
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in parentheses, may hold blanks.
    let (_, rest) = text.rsplit_once(')').ok_or(io::ErrorKind::InvalidData)?;
    let ticks = rest.split(' ').skip(12).take(2).map(|field| field.parse::<u32>().unwrap_or(0));
    Ok(TICK * ticks.sum::<u32>())
}

/// Ends a process by a signal, or kills it if it goes on.
pub fn stop(process: &mut Child, signal: &str) {
    let told = Command::new("kill").args(["-s", signal, &process.id().to_string()]).status();
    let ended = matches!(wait(process, STOP_MAX), Ok(Some(_)));
    if told.is_err() || !ended {
        // It has ended by itself in the meantime, or ends now.
        let _ = process.kill();
        let _ = process.wait();
    }
}
