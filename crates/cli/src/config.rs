//! The meaning of the command line, the environment and the configuration file. Everything is
//! checked here, and all mistakes are reported at once.

mod address;
mod auth;
mod bench;
mod file;
mod journal;
mod nats;
mod node;
mod password;
mod retain;
mod section;
mod settings;
mod tls;
mod token;
mod tools;
mod units;

use std::env;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use tidings_hub::HubConfig;
use tidings_server::nats::CopyConfig;
use tidings_server::{
    HostName, Hosts, Network, NodeName, Origin, Origins, Others, ServerConfig, TlsConfig,
};
use tracing::level_filters::LevelFilter;

use self::file::ConfigFile;
pub(crate) use self::settings::Settings;
use self::settings::{SETTINGS, Setting, Value};
use self::units::{at_least, at_most, bytes, count, duration, limit, positive};
use crate::args::{DataArgs, ServeArgs};

pub(crate) use self::bench::{BenchConfig, Output};
pub(crate) use self::journal::{DataFolder, JournalConfig};
pub(crate) use self::tls::{TlsFiles, TlsTexts};
pub(crate) use self::token::{KeyConfig, TokenConfig};
pub(crate) use self::tools::{
    Color, DataSource, Exec, ExecInput, FileFormat, Input, Interactive, ListenConfig, OnFailure,
    PublishConfig, RelayConfig, Sink, StreamOptions, StreamStart, Template,
};

/// The configuration of `serve` and `demo`.
#[derive(Debug)]
pub(crate) struct ServeConfig {
    pub(crate) hub: HubConfig,
    pub(crate) journal: JournalConfig,
    pub(crate) server: ServerConfig,
    /// The files of TLS, and what they held when they were read.
    pub(crate) tls: Option<(TlsFiles, TlsTexts)>,
    /// Whether an address to listen on can be reached from other machines.
    pub(crate) is_exposed: bool,
    pub(crate) log: LevelFilter,
    /// The settings that it was made of.
    pub(crate) settings: Settings,
    /// The sections of the file as they are shown.
    pub(crate) sections: String,
}

/// All mistakes of a command line, one sentence each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

/// A larger event is a file. Also, sizes in a history are 32-bit numbers.
const EVENT_BYTES_MAX: usize = 1 << 30;
/// The bound of a history in memory: about a million events of 100 bytes.
const DEFAULT_MEMORY_BYTES: usize = 256 << 20;
/// The largest events that request bodies must have room for: one that is read, one that is
/// published meanwhile, and as much while their buffers grow.
const LARGEST_EVENTS_MIN: usize = 4;
/// More frequent heartbeats are traffic rather than signs of life.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
/// Healthy readers pause this long: a phone between two cells, a laptop with a closed lid.
const STALL_MIN: Duration = Duration::from_secs(1);
/// The maximum reconnection time. Clients may count milliseconds in 32 bits.
const RETRY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl ServeConfig {
    /// Reads and checks everything that configures a hub: the arguments, the environment, and the
    /// configuration file that one of them names.
    pub(crate) fn read(args: &ServeArgs) -> Result<Self, Mistakes> {
        Self::of(args, Keeps::OnDisk, variable)
    }

    /// The same for `demo`, which keeps its events in memory.
    pub(crate) fn read_demo(args: &ServeArgs) -> Result<Self, Mistakes> {
        Self::of(args, Keeps::InMemory, variable)
    }

    fn of(
        args: &ServeArgs,
        keeps: Keeps,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut args = args.clone();
        if keeps == Keeps::InMemory {
            args.data = in_memory(args.data, &mut mistakes);
        }
        let args = &args;
        let named = || environment(CONFIG_VARIABLE).filter(|path| !path.is_empty());
        let path = args.config.clone().or_else(|| named().map(PathBuf::from));
        let file = path
            .map(|path| ConfigFile::read(&path, &environment, &mut mistakes))
            .unwrap_or_default();
        let ConfigFile { settings, auth, topics, retain, sections } = file;
        let mut settings = Settings::merge(args, &environment, settings, &mut mistakes);
        if keeps == Keeps::InMemory {
            // A file may serve both commands.
            settings.remove(&OF_DISK);
            settings.remove(&nats::OF_NATS);
        }
        let has_auth = auth.is_some();
        let mut checker = ServeChecker { settings: &settings, has_auth, mistakes: &mut mistakes };
        let mut config = checker.check();
        (config.server.auth, config.server.topics) = (auth, topics);
        config.hub.retention.rules.extend(retain);
        if mistakes.is_empty() {
            Ok(Self { settings, sections, ..config })
        } else {
            Err(Mistakes(mistakes))
        }
    }

    /// Warns of values that are legal and unwise.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let has_auth = self.server.auth.is_some();
        if self.is_exposed && !has_auth {
            warnings.push(
                "everyone who can reach this address may publish and read, because there is no \
                 authentication"
                    .to_owned(),
            );
        }
        if self.server.hosts == Hosts::Any {
            warnings.push(
                "any host name passes, so that a page can reach the hub by pointing a name of its \
                 own at it: list the hub's names in hosts"
                    .to_owned(),
            );
        }
        if self.server.origins.others == Others::Read {
            warnings.push("every web page may read every topic: list the origins".to_owned());
        }
        if !has_auth && self.server.topics.iter().any(|rule| rule.access.is_some()) {
            warnings.push(
                "without [auth] everyone may read every topic, whatever its access".to_owned(),
            );
        }
        warnings.extend(tls::warnings(&self.server, SystemTime::now()));
        let is_served = matches!(&self.server.hosts, Hosts::Listed(names) if !names.is_empty());
        if self.is_exposed && self.server.hosts != Hosts::Any && !is_served {
            warnings.push(
                "no host is listed, so that requests from other machines are refused: list the hub's \
                 names in hosts"
                    .to_owned(),
            );
        }
        if !self.is_exposed && self.settings.is_on("open") {
            warnings.push("open has no effect on loopback addresses".to_owned());
        }
        let known: Vec<_> = SETTINGS.iter().map(Setting::variable).collect();
        let others = env::vars_os().filter_map(|(variable, _)| variable.into_string().ok());
        let unknown = others.filter(|variable| {
            variable.starts_with("TIDINGS_")
                && !known.contains(variable)
                && !OTHER_VARIABLES.contains(&variable.as_str())
        });
        warnings.extend(unknown.map(|variable| format!("{variable} is no setting of the hub")));
        warnings
    }
}

/// The kinds of journals that the commands keep by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    OnDisk,
    InMemory,
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// The keys of settings that are about a journal on disk.
const OF_DISK: [&str; 2] = ["data", "memory_bytes"];

/// The arguments of `demo` about its journal, which is in memory.
fn in_memory(args: DataArgs, mistakes: &mut Vec<String>) -> DataArgs {
    let of_disk =
        [("--data", args.data.is_some()), ("--memory-bytes", args.memory_bytes.is_some())];
    let given = of_disk.iter().filter(|(_, is_given)| *is_given);
    mistakes.extend(given.map(|(flag, _)| {
        format!("{flag}: the demo keeps its events in memory; 'tidings serve' keeps them on disk")
    }));
    DataArgs { memory: true, data: None, memory_bytes: None, ..args }
}

/// The variable that names the configuration file.
const CONFIG_VARIABLE: &str = "TIDINGS_CONFIG";

/// Variables that are no settings: the file, the hub of the other commands, and what commands that
/// handle events are given.
const OTHER_VARIABLES: [&str; 4] =
    [CONFIG_VARIABLE, "TIDINGS_HUB", "TIDINGS_EVENT_TYPE", "TIDINGS_EVENT_ID"];

/// Finds the meaning of settings and collects mistakes.
struct ServeChecker<'a> {
    settings: &'a Settings,
    /// True if there is a section `[auth]`.
    has_auth: bool,
    mistakes: &'a mut Vec<String>,
}

impl ServeChecker<'_> {
    fn check(&mut self) -> ServeConfig {
        let mut hub = HubConfig::default();
        let mut server = ServerConfig::default();
        server.listen = self.all("listen", addresses).into_iter().flatten().collect();
        let is_exposed = self.is_exposed(&server.listen);
        server.node = node::default();
        self.set(&mut server.node, "node", |text| {
            NodeName::new(text).map_err(|error| error.to_string())
        });
        let tls = self.tls(&mut server);
        let journal = self.journal(&mut hub.retention.bytes_max);
        self.set(&mut hub.retention.topic_events_max, "history_events", |text| {
            let why = |_| "must be a whole number of at least 1".to_owned();
            NonZeroUsize::from_str(text).map(Some).map_err(why)
        });
        self.set(&mut hub.retention.age_max, "history_age", positive);
        hub.retention.rules = self.all("retain", retain::rule);
        self.set(&mut hub.heartbeat_interval, "heartbeat", |text| {
            at_least(HEARTBEAT_MIN, duration(text)?)
        });
        self.set(&mut hub.reconnection_time, "retry", |text| at_most(RETRY_MAX, duration(text)?));
        self.set(&mut hub.stream_age_max, "max_age", positive);
        self.set(&mut server.stall_timeout, "stall_timeout", |text| {
            at_least(STALL_MIN, duration(text)?)
        });
        self.set(&mut hub.event_bytes_max, "event_bytes_max", |text| match bytes(text)? {
            0 => Err("must be at least 1".to_owned()),
            n if n > EVENT_BYTES_MAX => Err("must be at most 1GiB".to_owned()),
            n => Ok(n),
        });
        let bodies_min = hub.event_bytes_max.saturating_mul(LARGEST_EVENTS_MIN);
        server.bodies_bytes_max = server.bodies_bytes_max.max(bodies_min);
        self.set(&mut server.bodies_bytes_max, "bodies_bytes", |text| {
            let why = "must hold four of the largest events (--event-bytes-max)";
            let given = bytes(text)?;
            if given < bodies_min { Err(why.to_owned()) } else { Ok(given) }
        });
        self.limits(&mut server);
        server.origins = self.origins();
        server.hosts = self.hosts(is_exposed);
        server.trusted_proxies = self
            .all("trusted_proxies", |text| Network::parse(text).map_err(|error| error.to_string()));
        let mut log = LevelFilter::WARN;
        self.set(&mut log, "log", |text| {
            text.parse().map_err(|_| "must be one of error, warn, info, debug, trace".to_owned())
        });
        ServeConfig {
            hub,
            journal,
            server,
            tls,
            is_exposed,
            log,
            settings: Settings::default(),
            sections: String::new(),
        }
    }

    fn limits(&mut self, server: &mut ServerConfig) {
        self.set(&mut server.streams_max, "streams_max", count);
        self.set(&mut server.filters_max, "filters_max", count);
        self.set(&mut server.heads_max, "heads_max", count);
        self.set(&mut server.handshakes_max, "handshakes_max", count);
        let limits = &mut server.limits;
        self.set(&mut limits.address_streams, "address_streams", limit);
        self.set(&mut limits.address_requests, "address_requests", limit);
        self.set(&mut limits.subject_streams, "subject_streams", limit);
        self.set(&mut limits.subject_requests, "subject_requests", limit);
        self.set(&mut limits.subject_events, "subject_events", limit);
    }

    /// Reads the files of TLS, if there are any.
    fn tls(&mut self, server: &mut ServerConfig) -> Option<(TlsFiles, TlsTexts)> {
        let redirect = self.all("tls.redirect", addresses);
        let files = TlsFiles::of(self.settings, self.mistakes)?;
        match files.identity() {
            Ok((texts, identity)) => {
                let mut tls = TlsConfig::new(identity);
                tls.redirect = redirect.into_iter().flatten().collect();
                server.tls = Some(tls);
                Some((files, texts))
            }
            Err(why) => {
                self.mistakes.push(why);
                None
            }
        }
    }

    /// Returns the journal, and sets the bound of the history in memory.
    fn journal(&mut self, memory_bytes: &mut usize) -> JournalConfig {
        let mut history_bytes = None;
        self.set(&mut history_bytes, "history_bytes", |text| bytes(text).map(Some));
        self.set(memory_bytes, "memory_bytes", bytes);
        let memory = self.settings.get("memory").filter(|_| self.settings.is_on("memory"));
        for key in OF_DISK {
            // A later source may change its mind; the same one contradicts itself.
            if let (Some(memory), Some(value)) = (memory, self.settings.get(key))
                && !memory.is_after(value)
            {
                let why = "there is no journal on disk, because 'memory' says so";
                self.mistakes.push(value.mistake(value.text(), why));
            }
        }
        let in_memory = history_bytes.unwrap_or(DEFAULT_MEMORY_BYTES);
        let folder = self.settings.get("data").map(Value::path);
        let on_disk = || DataFolder::new(folder.as_deref(), history_bytes.map(|it| it as u64));
        let is_copied = memory.is_none() && folder.is_some();
        if let Some(mut stream) = nats::of(self.settings, in_memory, self.mistakes) {
            if is_copied {
                let DataFolder { path, config } = on_disk();
                stream.stream_bytes_max = config.bytes_max.max(stream.stream_bytes_max);
                stream.copy = Some(CopyConfig::new(path, config));
                return JournalConfig::Nats(stream);
            }
            if let Some(value) = self.settings.get("memory_bytes") {
                let why = "history_bytes bounds the memory of a hub that shares a stream and has no \
                           folder";
                self.mistakes.push(value.mistake(value.text(), why));
            }
            *memory_bytes = in_memory;
            return JournalConfig::Nats(stream);
        }
        if memory.is_some() {
            *memory_bytes = in_memory;
            return JournalConfig::Memory;
        }
        JournalConfig::Disk(on_disk())
    }

    /// Sets the target to what a setting means, if it is given.
    fn set<T>(&mut self, target: &mut T, key: &str, read: impl FnOnce(&str) -> Result<T, String>) {
        let Some(value) = self.settings.get(key) else { return };
        match read(value.text()) {
            Ok(read) => *target = read,
            Err(why) => self.mistakes.push(value.mistake(value.text(), &why)),
        }
    }

    /// The meanings of a list's texts.
    fn all<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut all = Vec::new();
        for (value, text) in self.settings.list(key) {
            match read(text) {
                Ok(read) => all.push(read),
                Err(why) => self.mistakes.push(value.mistake(text, &why)),
            }
        }
        all
    }

    /// Returns whether an address can be reached from other machines, which must be allowed.
    fn is_exposed(&mut self, listen: &[SocketAddr]) -> bool {
        let mut exposed = listen.iter().filter(|address| !address.ip().is_loopback()).peekable();
        let is_exposed = exposed.peek().is_some();
        if let Some(value) = self.settings.get("listen")
            && !self.settings.is_on("open")
            && !self.has_auth
        {
            self.mistakes.extend(exposed.map(|address| {
                value.mistake(
                    &address.to_string(),
                    "this address is reachable from other machines and there is no \
                     authentication; --open lets everyone publish and read, and [auth] in a \
                     configuration file asks for tokens",
                )
            }));
        }
        is_exposed
    }

    fn origins(&mut self) -> Origins {
        let mut origins = Origins::default();
        let listed = self.all("origins", |text| match text {
            "*" => Ok(None),
            text => Origin::parse(text).map(Some).map_err(|error| error.to_string()),
        });
        for origin in listed {
            match origin {
                Some(origin) => origins.listed.push(origin),
                None => origins.others = Others::Read,
            }
        }
        origins
    }

    fn hosts(&mut self, is_exposed: bool) -> Hosts {
        let is_listed = self.settings.get("hosts").is_some();
        let listed = self.all("hosts", |text| HostName::parse(text).map_err(|e| e.to_string()));
        if is_exposed && self.settings.is_on("open") && !is_listed {
            Hosts::Any
        } else {
            Hosts::Listed(listed)
        }
    }
}

/// Parses values and collects mistakes.
struct Checker<'a> {
    mistakes: &'a mut Vec<String>,
}

impl Checker<'_> {
    fn mistake(&mut self, mistake: String) {
        self.mistakes.push(mistake);
    }

    fn set<T>(
        &mut self,
        target: &mut T,
        flag: &str,
        text: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) {
        match read(text) {
            Ok(value) => *target = value,
            Err(why) => self.mistake(format!("{flag} {text}: {why}")),
        }
    }
}

/// Returns the address, or all addresses of a name that this machine has.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = text.parse() {
        return Ok(vec![address]);
    }
    let Some((name, Ok(_))) = text.rsplit_once(':').map(|(n, port)| (n, port.parse::<u16>()))
    else {
        return Err("must be an address and a port, such as 127.0.0.1:4000, [::1]:4000 or \
                    localhost:4000"
            .to_owned());
    };
    let resolved = text.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let mut addresses = resolved.unwrap_or_default();
    addresses.sort();
    addresses.dedup();
    // A name may have an IPv6 address although this machine has no IPv6.
    addresses.retain(|address| UdpSocket::bind((address.ip(), 0)).is_ok());
    if addresses.is_empty() {
        return Err(format!("{name:?} is not a name of this machine"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests;
