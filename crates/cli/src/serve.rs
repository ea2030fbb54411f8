//! `tidings serve` and `tidings demo`: a hub behind HTTP, until a signal ends it.

mod opening;

use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tidings_hub::journal::Durability;
use tidings_hub::journal::shared::Stopped;
use tidings_hub::{Hub, Retention};
use tidings_server::nats::NatsJournal;
use tidings_server::{Control, Hosts, ServedJournal, Server, ServerConfig};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tracing::error;

use self::opening::{Opened, OpenedHub};
use crate::args::ServeArgs;
use crate::certificates;
use crate::config::{DataFolder, JournalConfig, Mistakes, ServeConfig, Settings, TlsFiles};
use crate::demo;
use crate::demo::keyed::Keyed;
use crate::log::Log;
use crate::say::say;
use crate::signals::Signals;

/// The pages and endpoints besides the native API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// A page for publishing and listening.
    Hub,
    /// The keyed endpoints, a page that shows them, and generated events.
    Demo,
}

/// Serves until SIGINT or SIGTERM. A second signal does not wait for streams to end.
pub(crate) fn run(
    args: &ServeArgs,
    mut config: ServeConfig,
    site: Site,
    log: &Log,
) -> Result<(), Box<dyn Error>> {
    let descriptors = raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // One for all hubs: a signal that comes between two of them ends the next one.
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let mut after = None;
    loop {
        if let Some(descriptors) = descriptors {
            let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
            config.server = config.server.within_descriptors(descriptors);
        }
        let start = Start { args, site, descriptors, after };
        after = runtime.block_on(serve(start, config, (&mut signals, log)))?;
        if after.is_none() {
            return Ok(());
        }
        // In a new epoch, with the configuration as it is now: as after a restart.
        say("the past of the stream has changed: opening it again, readers are told of a gap");
        config = read(args, site)?;
    }
}

fn read(args: &ServeArgs, site: Site) -> Result<ServeConfig, Mistakes> {
    match site {
        Site::Hub => ServeConfig::read(args),
        Site::Demo => ServeConfig::read_demo(args),
    }
}

/// Everything but the configuration that a server is started with.
struct Start<'a> {
    args: &'a ServeArgs,
    site: Site,
    descriptors: Option<u64>,
    /// The journal to be opened, if the past of its stream has changed.
    after: Option<NatsJournal>,
}

/// Time before a stream is opened again whose past has changed.
const REOPENED_AFTER: Duration = Duration::from_secs(1);

/// Serves until a signal, or until the past of the hub's stream has changed: then it returns the journal
/// to be opened next.
async fn serve(
    start: Start<'_>,
    config: ServeConfig,
    (signals, log): (&mut Signals, &Log),
) -> Result<Option<NatsJournal>, Box<dyn Error>> {
    let Start { args, site, descriptors, after } = start;
    // Sent to make a server read its configuration again, and when a terminal goes away: a hub
    // outlives the terminal that it was started from.
    let hangups = signal(SignalKind::hangup())?;
    let opened = tokio::select! {
        opened = opening::open(&config, after) => opened?,
        signal = signals.next() => {
            say(&format!("{}: the journal was not open yet", signal.name));
            return Ok(None);
        }
    };
    let OpenedHub { hub, journal, listeners } = match opened {
        Opened::Hub(opened) => *opened,
        Opened::PastChanged(journal) => {
            tokio::time::sleep(REOPENED_AFTER).await;
            return Ok(Some(journal));
        }
    };
    let stream = match &journal {
        Some(ServedJournal::Nats(journal)) => Some(journal.clone()),
        _ => None,
    };
    let server = match listeners {
        Some(listeners) => Server::on(listeners, config.server.clone(), hub.clone()),
        None => Server::bind(config.server.clone(), hub.clone()).await?,
    };
    let mut server = server.with_lost_log_lines(log.lost());
    if let Some(journal) = journal {
        server = server.with_journal(journal);
    }
    let control = server.control();
    let keyed = Keyed::new(&hub).with_page("demo.html");
    if site == Site::Demo {
        server = server.with_routes(Arc::new(keyed.clone()));
    }
    greet(&config, site, (&server, &hub), descriptors)?;
    let feeds = match site {
        Site::Hub => None,
        Site::Demo => Some(tokio::spawn(demo::feed(hub.clone(), keyed))),
    };

    let (end, ended) = oneshot::channel();
    // Dropping the sender ends serving as well.
    let serving = server.serve(async {
        tokio::select! {
            _ = ended => {}
            () = past_changed(stream.as_ref()) => {}
        }
    });
    let read = || read(args, site);
    let (following, files) = match config.tls {
        Some((files, texts)) => {
            let (sender, files) = watch::channel(files);
            (Some(certificates::follow(files, texts, control.clone())), Some(sender))
        }
        None => (None, None),
    };
    let following = async {
        match following {
            Some(following) => following.await,
            None => pending().await,
        }
    };
    let running = Running {
        settings: config.settings,
        has_auth: config.server.auth.is_some(),
        retention: config.hub.retention,
        files,
    };
    let reloading = reload(read, running, hangups, (hub, control));
    tokio::pin!(serving, reloading, following);
    let mut is_over = false;
    let served = tokio::select! {
        served = &mut serving => served,
        never = &mut reloading => match never {},
        never = &mut following => match never {},
        signal = signals.next() => {
            say(&format!("{}: ending streams; a second signal ends the process at once", signal.name));
            let _ = end.send(());
            is_over = true;
            tokio::select! {
                served = &mut serving => served,
                _ = signals.next() => Ok(()),
            }
        }
    };
    if let Some(feeds) = feeds {
        feeds.abort();
    }
    served?;
    let changed =
        |stream: &NatsJournal| matches!(stream.stopped(), Some(Stopped::PastChanged { .. }));
    Ok(stream.as_ref().filter(|stream| !is_over && changed(stream)).map(NatsJournal::anew))
}

/// Waits until the past of the hub's stream has changed, if it has one.
async fn past_changed(stream: Option<&NatsJournal>) {
    match stream {
        Some(stream) => stream.past_changed().await,
        None => pending().await,
    }
}

/// The configuration of a running hub.
struct Running {
    settings: Settings,
    has_auth: bool,
    retention: Retention,
    /// The files of TLS, if it speaks TLS.
    files: Option<watch::Sender<TlsFiles>>,
}

impl Running {
    /// The parts of a new configuration that need a restart.
    fn needing_restart(&self, new: &ServeConfig) -> Vec<&'static str> {
        let mut restart = self.settings.needing_restart(&new.settings);
        if self.has_auth != new.server.auth.is_some() {
            restart.push("auth");
        }
        if self.files.is_some() != new.tls.is_some() {
            restart.push("tls");
        }
        restart
    }

    /// Returns whether a new configuration has other limits of topics.
    fn has_other_limits(&self, new: &Retention) -> bool {
        let limits = |it: &Retention| (it.topic_events_max, it.age_max);
        limits(&self.retention) != limits(new) || self.retention.rules != new.rules
    }

    /// Notes the parts that have been taken up. Those of the process stay what they are until it is
    /// restarted.
    fn reloaded(&mut self, new: ServeConfig) {
        self.settings = std::mem::take(&mut self.settings).reloaded(new.settings);
        if let (Some(files), Some((new, _))) = (&self.files, new.tls) {
            files.send_replace(new);
        }
        self.retention = new.hub.retention;
    }
}

/// Reads the configuration again at each hangup, and makes the server take up what can change.
async fn reload(
    read: impl Fn() -> Result<ServeConfig, Mistakes>,
    mut running: Running,
    mut hangups: Signal,
    (hub, control): (Hub, Control),
) -> Infallible {
    loop {
        if hangups.recv().await.is_none() {
            return pending().await;
        }
        match read() {
            Ok(new) => {
                control.reload(&new.server);
                if running.has_other_limits(&new.hub.retention) {
                    let (hub, retention) = (hub.clone(), new.hub.retention.clone());
                    // It may go through a million topics.
                    let limiting =
                        tokio::task::spawn_blocking(move || hub.limit_topics(&retention));
                    drop(limiting.await);
                }
                let restart = running.needing_restart(&new);
                let more = match restart.as_slice() {
                    [] => String::new(),
                    keys => format!("; a restart is needed for {}", keys.join(", ")),
                };
                say(&format!("SIGHUP: configuration reloaded{more}"));
                running.reloaded(new);
            }
            Err(mistakes) => {
                for mistake in mistakes.to_string().lines() {
                    error!(mistake, "configuration not reloaded");
                }
                say("SIGHUP: configuration not reloaded, the old one stays in force");
            }
        }
    }
}

/// Every stream is a descriptor, and the usual soft limit of 1,024 is soon reached.
fn raise_descriptor_limit() -> Option<u64> {
    rlimit::increase_nofile_limit(u64::MAX).ok()
}

/// Prints the addresses, who may use them, and what to try.
fn greet(
    config: &ServeConfig,
    site: Site,
    (server, hub): (&Server, &Hub),
    descriptors: Option<u64>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    for address in server.addresses() {
        writeln!(out, "tidings {} listens on {scheme}://{address}", env!("CARGO_PKG_VERSION"))?;
    }
    for address in server.redirect_addresses() {
        writeln!(out, "http://{address} redirects there")?;
    }
    let who = match (&config.server.hosts, config.is_exposed) {
        _ if config.server.auth.is_some() => {
            "by token: publishing, managing and reading need one, but for topics whose access is public"
        }
        (Hosts::Any, _) => {
            "open: everyone who can reach this address may publish and read, under any host name"
        }
        (Hosts::Listed(_), true) => {
            "open: everyone who can reach this address may publish and read"
        }
        (Hosts::Listed(_), false) => {
            "open to this machine: local programs may publish and read, web pages of other sites may not"
        }
    };
    writeln!(out, "{who}")?;
    for line in kept(config, hub) {
        writeln!(out, "{line}")?;
    }
    if let Some(descriptors) = descriptors {
        let streams = config.server.streams_max;
        writeln!(out, "descriptors: {descriptors}; streams: {streams} at most")?;
    }
    if let Some(&address) = server.addresses().first() {
        let url = format!("{scheme}://{}", tried(&config.server, address));
        suggest(&mut out, &url, site, config)?;
    }
    out.flush()
}

/// Prints what to try.
fn suggest(out: &mut impl Write, url: &str, site: Site, config: &ServeConfig) -> io::Result<()> {
    let (about, header) = match &config.server.auth {
        None => ("Try:", ""),
        Some(_) => (
            "Try, with a token or an API key as TOKEN ('tidings token --help', 'tidings key --help'):",
            "-H \"Authorization: Bearer $TOKEN\" ",
        ),
    };
    writeln!(out, "\n{about}")?;
    match site {
        Site::Hub => {
            writeln!(out, "  curl -N {header}{url}/topics/hello")?;
            writeln!(out, "  curl -d hi {header}{url}/topics/hello")?;
            writeln!(out, "  {url}/ in a browser")
        }
        Site::Demo => {
            writeln!(out, "  {url}/ in a browser")?;
            writeln!(out, "  curl -N {header}{url}/connect/alpha")?;
            writeln!(out, "  curl -d hi {header}{url}/send/alpha")
        }
    }
}

/// Returns the host and the port to try: with TLS, the first name of the certificate, because an
/// address is rarely in one.
fn tried(config: &ServerConfig, address: SocketAddr) -> String {
    let names = config.tls.iter().flat_map(|tls| tls.identity.names());
    let mut names = names.filter(|name| !name.starts_with('*'));
    match names.next() {
        Some(name) => format!("{name}:{}", address.port()),
        None => reachable(address).to_string(),
    }
}

/// Returns the address to try from this machine, which cannot be an unspecified one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Describes where events are kept, and what they survive.
fn kept(config: &ServeConfig, hub: &Hub) -> [String; 2] {
    let memory = size(config.hub.retention.bytes_max as u64);
    match &config.journal {
        JournalConfig::Memory => [
            format!("history: {memory} in memory"),
            "durability: process (events are lost when the process ends)".to_owned(),
        ],
        JournalConfig::Nats(stream) => [
            match &stream.copy {
                None => format!("history: {memory} in memory, of the stream {} of NATS", stream.stream),
                Some(copy) => format!(
                    "history: {} of the stream {} of NATS in the folder {}, {memory} of it in memory",
                    size(copy.disk.bytes_max),
                    stream.stream,
                    copy.folder.display()
                ),
            },
            format!("durability: {} ({})", hub.durability(), survived(hub.durability())),
        ],
        JournalConfig::Disk(DataFolder { path, config }) => [
            format!(
                "history: {} in the folder {}, {memory} of it in memory",
                size(config.bytes_max),
                path.display()
            ),
            "durability: synced (acknowledged events survive crashes of the process and the machine)"
                .to_owned(),
        ],
    }
}

/// The failures that events of a stream survive. Servers of NATS sync their files now and then, every two
/// minutes by default, unless they are told to sync always, which cannot be asked for.
fn survived(durability: Durability) -> &'static str {
    match durability {
        Durability::Replicated => {
            "acknowledged events survive the loss of a NATS server, and of all at once as far as they sync"
        }
        Durability::Stored => {
            "acknowledged events survive crashes of hubs and of NATS, and of its machine as far as it syncs"
        }
        _ => "events are lost when NATS ends",
    }
}

/// Writes a size in whole units, rounded down: no more is promised than is kept.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x2_8000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_try_is_an_address_that_can_be_asked_for() {
        for (listened, tried) in [
            ("0.0.0.0:4000", "127.0.0.1:4000"),
            ("[::]:4000", "[::1]:4000"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("10.0.0.5:80", "10.0.0.5:80"),
        ] {
            assert_eq!(reachable(listened.parse().unwrap()).to_string(), tried);
        }
    }
}
