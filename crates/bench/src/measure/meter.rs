//! The memory and CPU time that the server's processes take during a run.

use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::measure::clock::nanos;
use crate::measure::processes::{self, Processes, Sample};

/// Samples the server's processes at certain moments of a run, and regularly in between.
#[derive(Debug)]
pub(crate) struct Meter {
    server: Option<Processes>,
    next: u64,
    before: Sample,
    connected: Option<Sample>,
    without_stalled: Option<Sample>,
    with_stalled: Option<Sample>,
    peak: Sample,
    after: Option<Sample>,
    /// The CPU time of the server and of this process when the measured part began, and how much
    /// both took during it.
    began: (f64, f64),
    took: Option<(f64, f64)>,
}

/// The reported figures of the server, in bytes, seconds and microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct ServerUsage {
    pub(crate) rss_before: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rss_connected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rss_without_stalled: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rss_with_stalled: Option<u64>,
    pub(crate) rss_peak: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rss_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pss_connected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_us_per_delivery: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_us_per_event: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_us_per_connection: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rss_per_subscriber: Option<i64>,
    pub(crate) tcp_memory_before: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tcp_memory_connected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tcp_memory_without_stalled: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tcp_memory_with_stalled: Option<u64>,
    pub(crate) tcp_memory_peak: u64,
}

/// The sampling interval: adding up the memory of a process takes the kernel a while.
const INTERVAL: Duration = Duration::from_millis(500);

impl Meter {
    /// Watches the processes `roots`, or nothing if there are none.
    pub(crate) fn new(roots: &[u32]) -> io::Result<Self> {
        let server = match roots {
            [] => None,
            roots => Some(Processes::of(roots.to_vec())?),
        };
        let before = server.as_ref().map(Processes::sample).transpose()?.unwrap_or_default();
        Ok(Self {
            server,
            next: 0,
            before,
            connected: None,
            without_stalled: None,
            with_stalled: None,
            peak: before,
            after: None,
            began: (0.0, 0.0),
            took: None,
        })
    }

    /// Samples the processes if the interval has passed.
    pub(crate) fn tick(&mut self, now: u64) -> io::Result<()> {
        if now >= self.next && self.server.is_some() {
            self.next = now + nanos(INTERVAL);
            self.glance()?;
        }
        Ok(())
    }

    /// Takes the sample at which all subscribers are connected and idle.
    pub(crate) fn connected(&mut self) -> io::Result<()> {
        self.connected = self.look()?;
        Ok(())
    }

    /// Takes the sample between the halves: everything published so far is delivered, and there are
    /// no stalled readers yet.
    pub(crate) fn without_stalled(&mut self) -> io::Result<()> {
        self.without_stalled = self.look()?;
        Ok(())
    }

    /// Takes the sample after the second half: everything is delivered except to stalled readers.
    pub(crate) fn with_stalled(&mut self) -> io::Result<()> {
        self.with_stalled = self.look()?;
        Ok(())
    }

    /// Begins the measured part.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        let server = self.look()?.unwrap_or_default().cpu;
        self.began = (server, own_cpu());
        Ok(())
    }

    /// Ends the measured part.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let own = own_cpu();
        let server = self.look()?.unwrap_or_default().cpu;
        self.took = Some((server - self.began.0, own - self.began.1));
        Ok(())
    }

    /// Takes the last sample, after all connections are closed.
    pub(crate) fn after(&mut self) -> io::Result<()> {
        self.after = self.look()?;
        Ok(())
    }

    pub(crate) fn watches(&self) -> bool {
        self.server.is_some()
    }

    /// Returns the CPU time that this process took in the measured part, in seconds.
    pub(crate) fn load_cpu(&self) -> Option<f64> {
        // On systems where it cannot be read, it never grows.
        self.took.map(|(_, own)| own).filter(|_| processes::own_cpu().is_some())
    }

    /// Returns what is reported of the server, whose memory is shared by `subscribers`.
    pub(crate) fn server(&self, subscribers: u64) -> Option<ServerUsage> {
        self.server.as_ref()?;
        let rss_per_subscriber = self
            .connected
            .filter(|_| subscribers > 0)
            .map(|connected| (connected.rss as i64 - self.before.rss as i64) / subscribers as i64);
        Some(ServerUsage {
            rss_before: self.before.rss,
            rss_connected: self.connected.map(|sample| sample.rss),
            rss_without_stalled: self.without_stalled.map(|sample| sample.rss),
            rss_with_stalled: self.with_stalled.map(|sample| sample.rss),
            rss_peak: self.peak.rss,
            rss_after: self.after.map(|sample| sample.rss),
            pss_connected: self.connected.map(|sample| sample.pss),
            cpu_seconds: self.took.map(|(server, _)| server),
            rss_per_subscriber,
            tcp_memory_before: self.before.tcp,
            tcp_memory_connected: self.connected.map(|sample| sample.tcp),
            tcp_memory_without_stalled: self.without_stalled.map(|sample| sample.tcp),
            tcp_memory_with_stalled: self.with_stalled.map(|sample| sample.tcp),
            tcp_memory_peak: self.peak.tcp,
            ..ServerUsage::default()
        })
    }

    /// Samples all processes, including those that were started since the last search.
    fn look(&mut self) -> io::Result<Option<Sample>> {
        if let Some(server) = &mut self.server {
            server.find()?;
        }
        self.glance()
    }

    /// Samples the known processes.
    fn glance(&mut self) -> io::Result<Option<Sample>> {
        let Some(server) = &self.server else { return Ok(None) };
        let sample = server.sample()?;
        self.peak.rss = self.peak.rss.max(sample.rss);
        self.peak.tcp = self.peak.tcp.max(sample.tcp);
        Ok(Some(sample))
    }
}

fn own_cpu() -> f64 {
    processes::own_cpu().unwrap_or_default()
}
