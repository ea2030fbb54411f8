//! The program under test, seen from outside.

use std::collections::HashSet;
use std::fs;
use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A running `tidings serve`, which ends with the drill.
pub(crate) struct Program {
    child: Child,
    /// The rest of its output.
    lines: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    /// The output at the start.
    pub(crate) greeting: String,
}

/// The state of an established socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// The descriptors that a drill needs: 10,000 connections and some more.
const DESCRIPTORS: u64 = 12_000;

/// Runs a drill, alone: otherwise the load of one drill would distort the measurements of another.
pub(crate) fn drill(claim: impl Future<Output = ()>) {
    /// A drill takes at most half a minute. The timeout allows for a busy machine.
    const GIVEN_UP_AFTER: Duration = Duration::from_secs(300);
    drill_within(GIVEN_UP_AFTER, claim);
}

/// The same for a drill that may take a time of its own.
pub(crate) fn drill_within(longest: Duration, claim: impl Future<Output = ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone: MutexGuard<'_, ()> = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(descriptors >= DESCRIPTORS, "{DESCRIPTORS} descriptors are needed: ulimit -Hn");
    run(longest, claim);
}

/// Runs a drill beside others: it takes long because it waits, and neither loads the machine nor
/// measures anything.
pub(crate) fn drill_beside(claim: impl Future<Output = ()>) {
    const GIVEN_UP_AFTER: Duration = Duration::from_secs(300);
    run(GIVEN_UP_AFTER, claim);
}

fn run(longest: Duration, claim: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let in_time = async { tokio::time::timeout(longest, claim).await };
    runtime.block_on(in_time).expect("the drill hangs");
}

impl Program {
    /// Starts the program on a free port.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(tidings(), args)
    }

    /// Starts the program on an address.
    pub(crate) fn start_at(address: SocketAddr, args: &[&str]) -> Self {
        Self::spawn(tidings(), &[&["--listen", &address.to_string()], args].concat())
    }

    /// Starts the program with a limit on the size of each file, which writes then fail at as on a full
    /// disk; and its log.
    pub(crate) fn start_with_file_bytes(bytes: u64, args: &[&str]) -> (Self, ChildStderr) {
        let mut command = Command::new("sh");
        // Blocks of 512 bytes. Without the trap, the signal would end the program.
        let limit = format!("trap '' XFSZ && ulimit -S -f {} && exec \"$0\" \"$@\"", bytes / 512);
        command.args(["-c", &limit, env!("CARGO_BIN_EXE_tidings")]);
        command.stderr(Stdio::piped());
        let mut program = Self::spawn(command, args);
        let log = program.child.stderr.take().unwrap();
        (program, log)
    }

    /// Starts the program on a machine that trusts the certificates of a file alone.
    pub(crate) fn start_trusting(file: &str, args: &[&str]) -> Self {
        let mut command = tidings();
        command.env("SSL_CERT_FILE", file);
        Self::spawn(command, args)
    }

    /// Starts the program with a limit on descriptors that it cannot raise.
    pub(crate) fn start_with_descriptors(descriptors: usize, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_tidings"));
        // The log would contain a line for each failure.
        command.stderr(Stdio::null());
        Self::spawn(command, args)
    }

    /// Starts the program with a standard error that nobody reads; the end that is not read.
    pub(crate) fn start_unread(args: &[&str]) -> (Self, ChildStderr) {
        let mut command = tidings();
        command.stderr(Stdio::piped());
        let mut program = Self::spawn(command, args);
        let unread = program.child.stderr.take().unwrap();
        (program, unread)
    }

    /// Starts the program; in memory and on a free port unless `args` say otherwise.
    fn spawn(mut command: Command, args: &[&str]) -> Self {
        command.arg("serve").args(args);
        if !args.contains(&"--data") {
            command.arg("--memory");
        }
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("in a browser\n") {
            assert_ne!(lines.read_line(&mut greeting).unwrap(), 0, "it ended: {greeting}");
        }
        let address = greeting.split("://").nth(1).unwrap().lines().next().unwrap();
        Self { child, lines, address: address.parse().unwrap(), greeting }
    }

    /// Sends SIGHUP and returns the line that the program prints about it.
    pub(crate) fn hang_up(&mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        let mut line = String::new();
        while !line.starts_with("SIGHUP") {
            line.clear();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "it ended");
        }
        line
    }

    /// Returns the process ID.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the program by SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the program by SIGTERM, with status 0.
    pub(crate) fn stop(mut self) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// Returns the number of open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Returns the number of open descriptors that are not connections.
    pub(crate) fn own_descriptors(&self) -> usize {
        // The table is read first: a connection that closes in between is then in neither.
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.child.id())).unwrap();
        let port = format!(":{:04X}", self.address.port());
        let connections: HashSet<_> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields[1].ends_with(&port) && fields[3] != LISTENING)
            .map(|fields| format!("socket:[{}]", fields[9]))
            .collect();
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let targets = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        targets.filter(|target| !connections.contains(target.to_str().unwrap())).count()
    }

    /// Returns the bytes of private memory.
    pub(crate) fn memory(&self) -> usize {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()));
        let rollup = rollup.unwrap();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Returns whether the program runs, is stopped, or has ended, for a message.
    fn state(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        status.lines().find(|line| line.starts_with("State:")).unwrap_or("no process").to_owned()
    }

    /// Sends a request on a new connection and returns the whole response.
    pub(crate) async fn ask(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = request.replacen("\r\n", "\r\nHost: localhost\r\nConnection: close\r\n", 1);
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Publishes an event on a new connection and returns its ID.
    pub(crate) async fn publish(&self, topic: &str, data: &str) -> String {
        let answer = self.ask(&post(topic, data)).await;
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer:?}, {}", self.state());
        answer.rsplit_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Returns the value of one series of the program's metrics.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        let metrics = self.ask("GET /metrics HTTP/1.1\r\n\r\n").await;
        let number = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        number.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().unwrap()
    }

    /// Waits until a series has a value.
    pub(crate) async fn metric_is(&self, series: &str, number: u64) {
        while self.metric(series).await != number {}
    }
}

/// Returns a free address for a program that will be started on it again and again: with a port that
/// the system gives to no outgoing connection meanwhile.
pub(crate) fn lasting_address() -> SocketAddr {
    /// Below the ports of outgoing connections, which begin at 32,768 unless configured otherwise.
    const PORTS: std::ops::Range<u16> = 10_000..32_000;
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(PORTS)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Returns the command of the program under test.
pub(crate) fn tidings() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidings"))
}

/// Returns the request that publishes an event, without the headers that every request has.
pub(crate) fn post(topic: &str, data: &str) -> String {
    format!("POST /topics/{topic} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{data}", data.len())
}

impl Drop for Program {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
